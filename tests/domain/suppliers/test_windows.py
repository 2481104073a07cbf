"""The totals of a supplier at every instant are those of a naive recount: in any order of arrival, with restarts
anywhere, and across a change of the rules that makes some windows longer and another one shorter."""

from typing import Any, Final, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.naive_suppliers import month_of, month_start, shifted
from tests.support.supplier_stories import DAY, HOUR, at
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.reader import BUILT_IN, parse_rulebook
from vigil.app.domain.suppliers.machine import SupplierMachine
from vigil.app.domain.suppliers.supplier import SupplierState
from vigil.app.engine.output_collector import OutputCollector
from vigil.topics.suppliers import Payment, Quote

CHANGE: Final = at("2022-08-03")


class Limits(NamedTuple):
    """The numbers of one version: days of the windows, and hours of an answer in time."""

    response: int
    reply: int
    gmv: int
    within: int


OLD, NEW = Limits(20, 20, 30, 24), Limits(30, 10, 70, 12)


def _rulebook() -> Rulebook:
    """The built-in rulebook with windows of these lengths."""
    text = BUILT_IN.read_text()
    for version, limits in (("1970-01-01", OLD), ("2022-08-03", NEW)):
        head, rest = text.split(f"[suppliers.from.{version}]")
        for key, days in (("response", limits.response), ("reply", limits.reply), ("gmv", limits.gmv)):
            before, after = rest.split(f"{key}_days = ", 1)
            rest = f"{before}{key}_days = {days}\n{after.split(chr(10), 1)[1]}"
        text = f"{head}[suppliers.from.{version}]{rest}"
    return parse_rulebook(text, "rulebook.toml")


MACHINE = SupplierMachine(_rulebook())

# Few times apart, at the boundaries of months, rules and windows, so that boundaries are met often.
BASES = [at("2022-06-30 23:59:59.999"), at("2022-07-01"), at("2022-07-14"), CHANGE - 1, CHANGE, at("2022-08-20"),
         at("2022-08-31 23:59:59.999"), at("2022-09-01")]  # fmt: skip
TIMES = st.builds(
    lambda base, by: max(base + by, at("2022-06-25")),
    st.sampled_from(BASES),
    st.sampled_from([0, 0, 1, -1, 10 * DAY, 20 * DAY, 20 * DAY - 1, 30 * DAY, -10 * DAY]),
)
QUOTES = st.builds(
    lambda when, kind, id_, rfq, after: Quote(
        supplier_id="s", at=when, kind=kind, quote_id=id_, rfq_id=rfq, buyer_id="b", rfq_at=when - after
    ),
    TIMES, st.sampled_from(["submitted", "submitted", "replied", "rejected"]), st.sampled_from("12345"),
    st.sampled_from("xyz"), st.sampled_from([0, 12 * HOUR, 12 * HOUR + 1, 24 * HOUR, 24 * HOUR + 1]),
)  # fmt: skip
PAYMENTS = st.builds(
    lambda when, kind, id_, usd, rfq: Payment(
        supplier_id="s", at=when, kind=kind, payment_id=id_, order_id="o", buyer_id="b", amount_usd=usd, rfq_id=rfq
    ),
    TIMES, st.sampled_from(["paid", "settled", "settled", "refunded"]), st.sampled_from("123"),
    st.sampled_from(["10", "99.99"]), st.sampled_from(["r", "r", None]),
)  # fmt: skip
STEPS = st.lists(st.one_of(QUOTES, QUOTES, PAYMENTS, TIMES, st.just("restart")), min_size=1, max_size=30)


def recount(events: list[Quote | Payment], now: int) -> dict[str, int]:
    """The totals as of `now`, counted from the set of events by the rules of `now`."""
    limits = NEW if now >= CHANGE else OLD
    seen = [event for event in events if event.at <= now]
    submitted = [event for event in seen if isinstance(event, Quote) and event.kind == "submitted"]
    replied = {event.quote_id for event in seen if isinstance(event, Quote) and event.kind == "replied"}
    linked = [event for event in seen if isinstance(event, Payment) and event.rfq_id is not None]
    first: dict[str, Any] = {}
    for quote in sorted(submitted, key=lambda quote: (quote.at, quote.rfq_at)):
        first.setdefault(quote.rfq_id, quote)
    rfqs = [quote for quote in first.values() if quote.at > now - limits.response * DAY]
    quotes = [quote for quote in submitted if quote.at > now - limits.reply * DAY]

    def cents(kind: str, since: int) -> int:
        return sum(event.cents for event in linked if event.kind == kind and event.at > since)

    month, since = month_start(month_of(now)) - 1, now - limits.gmv * DAY
    return {
        "quotes_month": len({quote.rfq_id for quote in submitted if quote.at > month}),
        "rfqs_quoted": len(rfqs),
        "rfqs_in_time": sum(quote.at - quote.rfq_at <= limits.within * HOUR for quote in rfqs),
        "rfqs_quoted_30d": len({quote.rfq_id for quote in quotes}),
        "rfqs_replied_30d": len({quote.rfq_id for quote in quotes if quote.quote_id in replied}),
        "quotes_submitted_month": sum(quote.at > month for quote in submitted),
        "gmv_90d": max(0, cents("settled", since) - cents("refunded", since)),
        "gmv_month": cents("paid", month),
    }


class Player:
    """One supplier, and the set of events that it has counted."""

    def __init__(self) -> None:
        self.counted: list[Quote | Payment] = []
        self.state: SupplierState = MACHINE.load("s", {})
        self._chunks: dict[bytes, bytes] = {}
        self._watermark = 0

    def step(self, step: Any) -> None:
        if step == "restart":
            self._restart()
        elif isinstance(step, int):
            self._watermark = max(self._watermark, step)
            while (timer := self.state.next_timer()) < self._watermark:
                self.state.on_timer(timer, OutputCollector())
        elif not self.state.is_duplicate(step):
            self.counted.append(step)
            self.state.apply(step, self._watermark, OutputCollector())

    def _restart(self) -> None:
        for name, chunk in self.state.dump_changes().items():
            if chunk is None:
                del self._chunks[name]
            else:
                self._chunks[name] = chunk
        self.state = MACHINE.load("s", self._chunks)


@settings(max_examples=examples(400), deadline=None)
@given(STEPS)
def test_totals_are_those_of_a_naive_recount_at_every_instant(steps: list[Any]) -> None:
    player = Player()
    for step in steps:
        player.step(step)
        state, metrics = player.state, player.state._metrics
        if metrics is None:
            continue
        now = state._main.now
        totals = metrics.totals.as_of(now)
        expected = recount(player.counted, now)
        assert {name: getattr(totals, name) for name in expected} == expected
        last_month = month_start(month_of(now)) - 1
        assert totals.prior_gmv_90d == recount(player.counted, last_month)["gmv_90d"]


@settings(max_examples=examples(200), deadline=None)
@given(STEPS)
def test_month_ends_are_those_of_a_naive_recount(steps: list[Any]) -> None:
    """Of the latest assessed month, and of the one before it."""
    player = Player()
    for step in steps:
        player.step(step)
    metrics = player.state._metrics
    if metrics is None:
        return
    latest = player.state._ranking.assessed_month
    for month in (latest, latest - 1):
        end = month_start(shifted((month // 12, month % 12 + 1), 1)) - 1
        totals, expected = metrics.totals.at_end_of(month), recount(player.counted, end)
        assert {name: getattr(totals, name) for name in expected} == expected


@settings(max_examples=examples(200), deadline=None)
@given(STEPS)
def test_no_total_changes_before_the_next_timer(steps: list[Any]) -> None:
    player = Player()
    for step in steps:
        player.step(step)
        if player.state._metrics is not None:
            now, timer = player.state._main.now, player.state.next_timer()
            assert player.state.earliest_timer == timer
            if timer > now:
                assert recount(player.counted, timer - 1) == recount(player.counted, now)


@settings(max_examples=examples(200), deadline=None)
@given(STEPS)
def test_the_earliest_timer_is_never_after_the_next_one(steps: list[Any]) -> None:
    player = Player()
    for step in steps:
        player.step(step)
        earliest = player.state.earliest_timer
        assert earliest <= player.state.next_timer()


def test_what_counts_again_in_a_longer_window_is_in_a_month_end_that_is_jumped_over() -> None:
    """All windows are empty when July ends; the next event comes after the end of August."""
    player = Player()
    for when, kind in ((at("2022-07-01"), "settled"), (at("2022-09-20"), "paid")):
        player.step(
            Payment(
                supplier_id="s", at=when, kind=kind, payment_id=kind, order_id="o", buyer_id="b", amount_usd="10.00",
                rfq_id="r",
            )
        )  # fmt: skip
    metrics = player.state._metrics
    assert metrics is not None
    assert metrics.totals.as_of(at("2022-09-20")).prior_gmv_90d == 10_00
