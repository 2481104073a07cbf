"""Explains the stars of a product: by which conditions it has them, on which events, what one more asks for. Pure."""

from collections.abc import Iterator
from typing import Final

from vigil.app.domain.ledger.facts import Facts, Share
from vigil.app.domain.ledger.records import ProductState
from vigil.app.domain.products.condition_words import condition_message
from vigil.app.domain.products.conditions import CLEAN, PAID, PERMITS, REAL_SALE
from vigil.app.domain.products.stars import WayTo, starred, ways_to
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.products import StarConditions, conditions_of
from vigil.app.engine.watermark import MAX_TIME
from vigil.app.messages import Message
from vigil.app.messages.names import name_message, text_message
from vigil.app.runtime.whatif.lines.case import CaseEvent, CaseRead, SupplierCase
from vigil.app.runtime.whatif.lines.event_words import event_seen
from vigil.app.runtime.whatif.lines.explanation import LineExplanation, Requirement, Requirements, sections_at
from vigil.app.runtime.whatif.local_time import Clock
from vigil.topics.products import Certificate, Order, Product, ProductStanding

WINDOW_MS: Final = 90 * 24 * 3_600_000
MOST_ORDERS: Final = 40
"""Orders that are listed: the latest ones."""


def explain_product(line: ProductStanding, rulebook: Rulebook, case: SupplierCase | None) -> LineExplanation:
    """Explain a published standing; `case`: None where its supplier's events are not known."""
    clock = Clock(rulebook)
    names = ["star-plan", "star-conditions", f"stars.{line.industry}"]
    sections = sections_at(rulebook, names, line.at)
    version = rulebook.at("star-conditions", line.at)
    limits = None if version is None else version.limits
    facts = None if case is None else case.facts(line.at)
    state = None if facts is None else facts.product_state(line.product_id)
    if case is None or facts is None or state is None:
        checks = list(_checks_of_line(line, limits))
        caveats = [Message("explain.no-events")]
    else:
        checks = list(_checks(line, state, facts, limits))
        stars = starred(line.product_id, state, facts).stars
        caveats = [] if stars == line.stars else [Message("explain.product.differs", {"stars": stars})]
    return LineExplanation(
        title=Message("explain.product.title", {"product": line.product_id, "supplier": line.supplier_id}),
        happened=[_stars(line, clock)],
        sections=sections,
        checks=checks,
        evidence=[] if case is None else [event_seen(read, clock) for read in _evidence(line, case)],
        follows=list(_follows(line, facts, clock)),
        clears=list(_clears(line, limits)),
        caveats=caveats,
        line=line,
    )


def _stars(line: ProductStanding, clock: Clock) -> Message:
    params = {"at": clock.full(line.at), "industry": line.industry}
    if line.stars is None:
        return Message("explain.product.not-open", params)
    return Message("explain.product.stars", {**params, "stars": line.stars})


def _checks(
    line: ProductStanding, state: ProductState, facts: Facts, limits: StarConditions | None
) -> Iterator[Requirements]:
    """Every way to its level and to the next one, with what there is of each condition."""
    if line.stars is None or limits is None:
        return
    found = _Found(state, facts, line)
    clean = Requirement(condition_message(CLEAN, limits), not set(state.flags) & set(limits.flags), found.of(CLEAN))
    yield Requirements(Message("explain.product.every-level"), [clean])
    for way in ways_to(line.product_id, state, facts):
        if way.stars in (line.stars, line.stars + 1):
            heading = Message("explain.product.way", {"stars": way.stars})
            yield Requirements(heading, [_check(name, way, limits, found) for name in way.needs])


def _check(name: str, way: WayTo, limits: StarConditions, found: "_Found") -> Requirement:
    return Requirement(condition_message(name, limits), name not in way.fails, found.of(name))


def _checks_of_line(line: ProductStanding, limits: StarConditions | None) -> Iterator[Requirements]:
    """What the line itself says of the next level."""
    for way in line.next.ways if line.next is not None else ():
        heading = Message("explain.product.way", {"stars": line.next.stars if line.next is not None else 0})
        yield Requirements(heading, [Requirement(condition_message(name, limits), False) for name in way])


class _Found:
    """What there is of each condition of one product; None where yes or no says all."""

    def __init__(self, state: ProductState, facts: Facts, line: ProductStanding) -> None:
        self._state = state
        self._facts = facts
        self._line = line

    def of(self, name: str) -> Message | None:
        state = self._state
        if name == "on-time":
            return share_message(self._facts.on_time())
        if name == "refunds":
            return share_message(self._facts.refunds())
        if name.startswith("dispatch-"):
            return _days(state.dispatch_days)
        if name.startswith("delivery-"):
            return _days(state.delivery_days)
        texts = {
            CLEAN: ", ".join(state.flags),
            "info": f"{state.info_score:g}",
            "price": state.price or "–",
            "freight": f"{len(state.freight_to)}: {', '.join(state.freight_to)}",
            "guaranteed": f"{len(state.guaranteed_to)}: {', '.join(state.guaranteed_to)}",
            REAL_SALE: str(self._line.buyers_90d),
            PAID: f"US$ {self._line.paid_usd_90d}",
            "remote": state.service,
            "local": state.service,
            "rts": state.model,
        }
        return text_message(texts[name]) if texts.get(name) else None


def _days(days: int | None) -> Message | None:
    return None if days is None else Message("explain.days", {"days": days})


def share_message(share: Share) -> Message:
    """A share as a part of a whole."""
    if not share.whole:
        return Message("explain.no-orders")
    params = {"part": share.part, "whole": share.whole, "percent": f"{share.part / share.whole * 100:.4g}"}
    return Message("explain.share", params)


def _follows(line: ProductStanding, facts: Facts | None, clock: Clock) -> Iterator[Message]:
    if line.audience is not None:
        yield Message(f"explain.product.audience-{line.audience}")
    if line.selection is not None:
        yield _selection(line, clock)
    for country, epr in line.epr.items():
        for one in epr.missing:
            params = {
                "country": name_message("country", country),
                "category": name_message("category", one.category),
                "least": one.weeks[0],
                "most": one.weeks[1],
            }
            yield Message("explain.product.epr-blocked" if epr.blocked else "explain.product.epr-missing", params)
    if facts is not None and facts.moment.until < MAX_TIME:
        yield Message("explain.until", {"until": clock.full(facts.moment.until)})


def _selection(line: ProductStanding, clock: Clock) -> Message:
    selection = line.selection
    if selection is None or selection.grade is None:
        return Message("explain.product.not-selected")
    listed = "–" if selection.listed_at is None else clock.full(selection.listed_at)
    return Message(f"explain.product.selected-{selection.grade}", {"listed": listed})


def _clears(line: ProductStanding, limits: StarConditions | None) -> Iterator[Message]:
    """What is missing for the next star, way by way."""
    if line.next is None:
        yield Message("explain.product.highest" if line.stars else "explain.product.no-next")
        return
    for way in line.next.ways:
        conditions = tuple(condition_message(name, limits) for name in way)
        yield Message("explain.product.missing", {"stars": line.next.stars, "conditions": conditions})


def _evidence(line: ProductStanding, case: SupplierCase) -> Iterator[CaseRead]:
    """The state that holds, and the latest orders of the product within the window."""
    states = list(case.seen("product", lambda event: _is_state_of(event, line.product_id), line.at))
    yield from sorted(states, key=lambda read: read.at)[-1:]
    orders = case.seen("order", lambda event: _is_order_of(event, line.product_id), line.at)
    within = [read for read in orders if read.at > line.at - WINDOW_MS]
    yield from sorted(within, key=lambda read: read.at)[-MOST_ORDERS:]
    kinds, places = _kinds_asked(line, case), {(country, one) for country, epr in line.epr.items() for one in epr.needs}
    yield from case.seen("certificate", lambda event: _is_certificate_of(event, kinds, places), line.at)


def _kinds_asked(line: ProductStanding, case: SupplierCase) -> set[str]:
    """The kinds of certificates of the permits that ways to stars ask for."""
    section = case.rules.stars.get(line.industry)
    table = None if section is None else section.limits_at(line.at)
    names = set() if table is None else {name for cell in (*table.two, *table.three) for name in conditions_of(cell)}
    permits = [case.rules.permits.get(permit) for name, permit in PERMITS.items() if name in names]
    limits = [None if permit is None else permit.limits_at(line.at) for permit in permits]
    return {kind for each in limits if each is not None for kind in each.certificates}


def _is_certificate_of(event: CaseEvent, kinds: set[str], places: set[tuple[str, str]]) -> bool:
    if not isinstance(event, Certificate):
        return False
    return event.kind in kinds or (event.country or "", event.category or "") in places


def _is_state_of(event: CaseEvent, product_id: str) -> bool:
    return isinstance(event, Product) and event.product_id == product_id


def _is_order_of(event: CaseEvent, product_id: str) -> bool:
    return isinstance(event, Order) and any(one.product_id == product_id for one in event.lines)
