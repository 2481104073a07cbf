"""Shares and sums over orders are those of a naive recount, as of any time and after any change (I-16)."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.supplier_stories import DAY, RULEBOOK, at
from vigil.app.domain.ledger.as_of import AsOf
from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.ledger import Ledger
from vigil.app.domain.ledger.rules import LineRules
from vigil.app.domain.suppliers.profiles import Profiles
from vigil.app.engine.subject import ChangedChunks
from vigil.topics.products import Order, OrderLine

RULES = LineRules(RULEBOOK)
BEGIN = at("2022-01-01")
WINDOW, MEMORY = 90 * DAY, 520 * DAY
PRODUCTS = ("p", "q")

TIMES = st.sampled_from(
    [BEGIN, BEGIN, BEGIN + 1, *(BEGIN + span + by for span in (WINDOW, MEMORY) for by in (-1, 0, 1))]
)
LINES = st.lists(st.tuples(st.sampled_from(PRODUCTS), st.sampled_from(["1.00", "2.50"])), min_size=1, max_size=2)


@st.composite
def orders(draw: st.DrawFn) -> list[Order]:
    """The events of some orders, in any order of arrival."""
    events = []
    for number in range(draw(st.integers(1, 4))):
        paid = {"kind": "paid", "buyer_id": draw(st.sampled_from("xy")), "dispatch_by": draw(TIMES)}
        lines = tuple(OrderLine(product_id=product, amount_usd=usd) for product, usd in draw(LINES))
        steps: list[dict[str, Any]] = [{**paid, "lines": lines}] * draw(st.sampled_from([1, 1, 1, 0]))
        steps += [
            {"kind": kind} for kind in draw(st.sets(st.sampled_from(["dispatched", "refund-requested", "disputed"])))
        ]
        events += [Order(supplier_id="s", order_id=str(number), at=draw(TIMES), **step) for step in steps]
    return draw(st.permutations(events))


def seen(at_: int | None, now: int) -> bool:
    return at_ is not None and at_ <= now


def recount(ledger: Ledger, now: int) -> dict[str, Any]:
    """Part and whole of each share, and cents and buyers of each product, from all orders."""
    orders = list(ledger.orders.values())
    paid = [one for one in orders if one.paid is not None and now - WINDOW < one.paid <= now]
    due = [
        one
        for one in orders
        if seen(one.paid, now)
        and now - WINDOW < one.dispatch_by <= now
        and one.latest() + MEMORY > now
        and (seen(one.dispatched, now) or one.refund_requested is None or one.refund_requested > one.dispatch_by)
    ]
    on_time = [one for one in due if one.dispatched is not None and one.dispatched <= one.dispatch_by]
    sold = {
        product: (
            sum(line.cents for one in paid for line in one.lines if line.product_id == product),
            len({one.buyer_id for one in paid if any(line.product_id == product for line in one.lines)}),
        )
        for product in PRODUCTS
    }
    shares = {
        "on-time": (len(on_time), len(due)),
        "refunds": (sum(seen(one.refund_requested, now) for one in paid), len(paid)),
        "disputes": (sum(seen(one.disputed, now) for one in paid), len(paid)),
    }
    return {**shares, **sold}


def counted(ledger: Ledger, now: int) -> dict[str, Any]:
    """The same from the facts."""
    facts = facts_of(ledger, now)
    shares = {"on-time": facts.on_time(), "refunds": facts.refunds(), "disputes": facts.disputes()}
    return {**shares, **{product: facts.paid_for(product) for product in PRODUCTS}}


def changes(ledger: Ledger, now: int) -> dict[str, int]:
    """When each of them is said to change."""
    asked: dict[str, Callable[[Facts], object]] = {
        "on-time": Facts.on_time, "refunds": Facts.refunds, "disputes": Facts.disputes,
        "p": lambda facts: facts.paid_for("p"), "q": lambda facts: facts.paid_for("q"),
    }  # fmt: skip
    until = {}
    for name, ask in asked.items():
        facts = facts_of(ledger, now)
        ask(facts)
        until[name] = facts.moment.until
    return until


def facts_of(ledger: Ledger, now: int) -> Facts:
    return Facts(ledger, Profiles([]), RULES, AsOf(now))


def stored_and_loaded(ledger: Ledger) -> Ledger:
    chunks: ChangedChunks = {}
    ledger.dump(chunks)
    return Ledger({name: chunk for name, chunk in chunks.items() if chunk is not None})


@settings(max_examples=100, deadline=None)
@given(orders(), st.lists(TIMES, min_size=2, max_size=5), st.booleans(), st.integers(0, 2))
def test_counts_are_those_of_a_naive_recount(
    events: list[Order], asked: list[int], restart: bool, forgotten: int
) -> None:
    ledger = Ledger({})
    for number, event in enumerate(events):
        ledger.order(event)
        now = asked[number % len(asked)]
        assert counted(ledger, now) == recount(ledger, now)
    if restart:
        ledger = stored_and_loaded(ledger)
    for number, now in enumerate(asked):
        for order in list(ledger.orders.values())[:forgotten] if number == 1 else ():
            ledger.unindex_order(order)
        said, until = counted(ledger, now), changes(ledger, now)
        assert said == recount(ledger, now)
        for later in asked:
            stands = [name for name in said if now <= later < until[name]]
            assert {name: recount(ledger, later)[name] for name in stands} == {name: said[name] for name in stands}
