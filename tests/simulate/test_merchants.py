"""The lines of merchants show every planned fault, and no other of its kind."""

from typing import Any, Final

import orjson
import pytest

from tests.support.supplier_stories import DAY, HOUR, at
from vigil.app.domain.ledger.as_of import AsOf
from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.rules import LineRules
from vigil.app.domain.products.standing import standing_of
from vigil.app.domain.rulebook.products import conditions_of
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.domain.suppliers.line_events import LINE_TOPICS, decode_line_event
from vigil.app.domain.suppliers.lines_part import REPLAY, LinesPart
from vigil.app.domain.suppliers.profiles import Profiles
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.watermark import MAX_TIME
from vigil.app.runtime.replay import replay
from vigil.app.simulate import Fault, SimulatedMessage, Simulation, words
from vigil.app.simulate.files import line_of
from vigil.app.simulate.merchants import tables
from vigil.app.simulate.merchants.catalogue import INDUSTRIES
from vigil.app.simulate.simulation import order_of_faults
from vigil.topics.decoder import nobody
from vigil.topics.products import ProductStanding
from vigil.topics.suppliers import decode_profile

START: Final = 1_662_048_000_000
RULES: Final = LineRules(load_rulebook())
GRADES: Final = (None, "competitive", "top")

Found = set[tuple[str, str | None, str, int, int, str | None]]


def merchants(seed: int = 24, **changes: Any) -> Simulation:
    settings: dict[str, Any] = {
        "seed": seed, "rooms": 0, "suppliers": 12, "start_ms": START, "duration_s": 1_200.0, "history_days": 40.0,
        "products": 3, "rfq_every_s": 240.0,
    }  # fmt: skip
    return Simulation(**(settings | changes))


def key(fault: Fault) -> tuple[str, str | None, str, int, int, str | None]:
    return fault.kind, fault.rule, fault.host_id, fault.since, fault.at, fault.subject


def planned(simulation: Simulation, *kinds: str) -> Found:
    return {key(fault) for fault in simulation.manifest() if fault.kind in kinds}


# ---- what stays in the lines at the end ------------------------------------------------------------------------------


def faults_at_the_end(messages: list[SimulatedMessage]) -> Found:
    """The breaches, refusals and failures that a replay of the messages says at its end."""
    outputs = replay(map(line_of, messages), load_rulebook())
    assert not [letter for letter in outputs.rejected if letter.body.reason != "malformed"]  # type: ignore[union-attr]
    found: Found = set()
    for output in outputs["obligation"]:
        line: Any = output.body
        if line.status in ("breached", "not-covered"):
            kind = "not-covered" if line.status == "not-covered" else "obligation-breached"
            since = line.at if line.since is None else line.since
            found.add((kind, line.duty, line.supplier_id, since, line.at, line.ref))
    for output in outputs["participation"]:
        line = output.body
        if line.status == "refused":
            found.add(("claim-refused", line.programme, line.supplier_id, line.at, line.at, line.edition))
        elif line.status in ("failed", "no-place"):
            found.add(
                ("participation-failed", line.programme, line.supplier_id, line.claimed_at, line.at, line.edition)
            )
    return found


OF_LINES: Final = ("obligation-breached", "not-covered", "claim-refused", "participation-failed")


# ---- what is lost on the way -----------------------------------------------------------------------------------------


class Trace:
    """One supplier, whose products are looked at again whenever an event comes or time changes something."""

    def __init__(self, supplier_id: str) -> None:
        self._supplier_id = supplier_id
        self._profiles = Profiles([])
        self._part = LinesPart(supplier_id, RULES, self._profiles, REPLAY)
        self._collector = OutputCollector()
        self._standings: dict[str, ProductStanding] = {}
        self._since: dict[tuple[str, str], int] = {}
        self._until = MAX_TIME
        self.found: Found = set()

    def play(self, message: SimulatedMessage) -> None:
        """Take an event, after what time changes before it."""
        self.advance(message.at - 1)
        if message.topic == "supplier-profile":
            self._profiles.add(decode_profile(message.key, message.value, message.at))
        elif message.topic in LINE_TOPICS:
            event = decode_line_event(message.topic, message.key, message.value, nobody, RULES)
            if message.topic not in ("order", "service-request") or not self._part.is_duplicate(event):  # type: ignore[arg-type]
                self._part.apply(event, message.at, self._collector)
        if message.topic in ("product", "order", "certificate", "supplier-profile"):
            self._until = min(self._until, message.at)

    def advance(self, until: int) -> None:
        """Look at the products at each time up to `until` at which one of them may change."""
        while self._until <= until:
            now = self._until
            facts = Facts(self._part.ledger, self._profiles, RULES, AsOf(now))
            for product_id in self._part.ledger.products:
                self._compare(now, product_id, standing_of(self._supplier_id, product_id, facts))
            self._until = facts.moment.until

    def _compare(self, now: int, product_id: str, standing: ProductStanding | None) -> None:
        before = self._standings.pop(product_id, None)
        if standing is None:
            return
        self._standings[product_id] = standing
        self._compare_stars(now, product_id, before, standing)
        grade = standing.selection.grade if standing.selection else None
        graded = before.selection.grade if before and before.selection else None
        if grade != graded:
            since = self._since.get(("grade", product_id), now)
            self._since["grade", product_id] = now
            if GRADES.index(grade) < GRADES.index(graded):
                self._add("selection-lost", "selection", product_id, since, now)
        for country, epr in standing.epr.items():
            if epr.blocked and not (before and country in before.epr and before.epr[country].blocked):
                self._add("epr-blocked", "epr", f"{country}/{product_id}", now, now)

    def _compare_stars(
        self, now: int, product_id: str, before: ProductStanding | None, standing: ProductStanding
    ) -> None:
        had = before.stars if before else None
        if standing.stars != had:
            since = self._since.get(("stars", product_id), now)
            self._since["stars", product_id] = now
            if standing.stars is not None and had is not None and standing.stars < had:
                self._add("star-lost", "stars", product_id, since, now)

    def _add(self, kind: str, rule: str, subject: str, since: int, at: int) -> None:
        self.found.add((kind, rule, self._supplier_id, since, at, subject))


def lost_on_the_way(simulation: Simulation) -> Found:
    """What products lose at any time, by the code that judges them."""
    traces: dict[str, Trace] = {}
    messages = [message for message in simulation.messages() if message.malformed is None]
    for message in sorted(messages, key=lambda message: message.at):
        supplier_id = (message.key or b"").decode()
        traces.setdefault(supplier_id, Trace(supplier_id)).play(message)
    for trace in traces.values():
        trace.advance(simulation.end_ms - 1 if simulation.end_ms else 0)
    return set().union(*(trace.found for trace in traces.values()))


LOSSES: Final = ("star-lost", "selection-lost", "epr-blocked")


# ---- the tests -------------------------------------------------------------------------------------------------------


def test_a_replay_says_the_planned_breaches_and_refusals_and_no_other() -> None:
    simulation = merchants(malformed=0.02, duplicates=0.05)
    expected = planned(simulation, *OF_LINES)
    assert faults_at_the_end(list(simulation.messages())) == expected
    assert {kind for kind, *_ in expected} == set(OF_LINES)
    assert len(expected) > 40


@pytest.mark.parametrize("seed", [24, 25])
def test_products_lose_what_is_planned_and_nothing_else(seed: int) -> None:
    """Of these seeds, in which each condition decides something."""
    simulation = merchants(seed)
    expected = planned(simulation, *LOSSES)
    assert lost_on_the_way(simulation) == expected
    assert {kind for kind, *_ in expected} == set(LOSSES)


def test_without_faults_everything_is_in_time_though_sometimes_only_just() -> None:
    simulation = merchants(fault_every_s=None)
    assert simulation.manifest() == []
    messages = list(simulation.messages())
    assert faults_at_the_end(messages) == lost_on_the_way(simulation) == set()
    asked, by, spans, ahead = {}, {}, set(), set()
    for message in messages:
        event = orjson.loads(message.value or b"{}")
        if message.topic == "service-request":
            spans.add((event["kind"], event["at"] - asked.setdefault(event["request_id"], event["at"])))
        if message.topic == "order" and event["kind"] == "paid":
            by[event["order_id"]] = event["dispatch_by"]
        if message.topic == "order" and event["kind"] == "dispatched":
            ahead.add(by[event["order_id"]] - event["at"])
    assert ("answered", DAY) in spans, "on the stroke"
    assert {0, 1} <= ahead
    assert min(ahead) == 0


def test_another_history_and_another_season_are_planned_right_too() -> None:
    """No history and no window of the announcement; and months in which programmes and declarations end."""
    for changes in (
        {"history_days": 0.0, "duration_s": 12 * 86_400.0, "start_ms": at("2022-07-25"), "rfq_every_s": 20_000.0},
        {"history_days": 40.0, "duration_s": 300.0, "start_ms": at("2024-02-03 10:00")},
    ):
        simulation = merchants(5, suppliers=4, **changes)
        messages = [message for message in simulation.messages() if message.topic not in ("quote", "payment")]
        assert faults_at_the_end(messages) == planned(simulation, *OF_LINES)
        assert lost_on_the_way(simulation) == planned(simulation, *LOSSES)
        assert len(simulation.manifest()) > 5


def test_the_manifest_is_what_is_reported_while_messages_are_generated() -> None:
    reported: list[Fault] = []
    for _ in merchants(rooms=2, duration_s=120.0).messages(reported.append):
        pass
    assert sorted(reported, key=order_of_faults) == merchants(rooms=2, duration_s=120.0).manifest()
    assert any(fault.room_id is None for fault in reported)


def test_something_happens_within_minutes_of_the_start() -> None:
    """What a new user sees first, in the demo."""
    now = at("2026-11-29 12:00")
    simulation = merchants(suppliers=30, start_ms=now, history_days=45.0, duration_s=900.0, rfq_every_s=60.0)
    soon = {fault.kind for fault in simulation.manifest() if fault.at > now}
    assert soon >= {*LOSSES, "obligation-breached"}


def test_the_tables_are_those_of_the_rulebook() -> None:
    industries = {INDUSTRIES.get(industry, industry) for industry in words.INDUSTRIES}

    def cells(of: tuple[str, ...]) -> list[list[str]]:
        return [conditions_of(cell) for cell in of]  # type: ignore[misc]

    def named(of: tables.Cells) -> list[tuple[str, ...]]:
        return [tuple(_rulebook_name(name) for name in cell) for cell in of]

    for industry in industries:
        table = RULES.stars[industry].limits_at(START) if industry in RULES.stars else None
        assert cells(table.two if table else ()) == named(tables.TWO_STARS.get(industry, ()))
        assert cells(table.three if table else ()) == named(tables.THREE_STARS.get(industry, ()))
        row = RULES.selection[industry].limits_at(START) if industry in RULES.selection else None
        assert list(row.abilities if row else ()) == [_rulebook_name(n) for n in tables.SELECTION.get(industry, ())]
        theme = [_rulebook_name(name) for name in tables.THEME.get(industry, ())]
        assert [list(one.needs) for one in (row.themes if row else ())] == ([theme] if theme else [])
    stars = RULES.star_conditions.limits_at(START)
    assert stars is not None
    assert (stars.info_at_least, stars.core_countries, stars.flags) == (tables.INFO, tables.CORE, tables.FLAGS)
    assert stars.paid_at_least_usd * 100 == tables.PAID_CENTS
    assert stars.on_time_at_least_share == tables.ON_TIME[0] / tables.ON_TIME[1]
    assert stars.refunds_below_share == tables.REFUNDS[0] / tables.REFUNDS[1]
    for category in tables.CATEGORIES:
        limits = RULES.epr[category.place.replace("/", ".")].limits_at(START)
        assert limits is not None
        assert (limits.trait, limits.declared) == (
            category.trait,
            {1: "month", 6: "half-year", 12: "year"}[category.months],
        )
    for duty in tables.REQUEST_DUTIES:
        due = RULES.dues[duty.name].limits_at(START)
        assert due is not None
        assert (due.within_h or 0) * HOUR + (due.within_days or 0) * DAY == duty.within_ms
        assert (due.needs, due.closed_by) == (duty.needs, duty.closed_by)


def _rulebook_name(name: str) -> str:
    """The rulebook's name of a condition that the announcement writes as `7d` or `15d→`."""
    if name.endswith("→"):
        return f"delivery-{name[:-1]}"
    return f"dispatch-{name}" if name in ("7d", "30d") else name
