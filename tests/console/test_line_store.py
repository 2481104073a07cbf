"""What the console holds of suppliers' lines: by supplier, in order, and bounded."""

from itertools import permutations

import msgspec
import pytest

from tests.support.console_stories import ConsoleStage
from tests.support.line_stories import certificate, custom, epr, product
from tests.support.supplier_stories import DAY, at
from vigil.app.console.ingest.line_store import LineStore
from vigil.app.console.ingest.obligations import PENDING, SETTLED, Obligations
from vigil.app.console.ingest.topic_ingest import WHOLE_MS, backs
from vigil.app.console.settings import ConsoleBounds, ConsoleSettings
from vigil.topics.services import Obligation

NOW = at("2022-08-20 12:00")


def obligation(name: str, status: str = "at-risk", due: int = 0, supplier: str = "s", **more: object) -> Obligation:
    """An obligation; `due` is relative to now."""
    fields = {
        "obligation_id": name,
        "duty": "service-answer",
        "owed_by": "supplier",
        "supplier_id": supplier,
        "ref": f"request-{name}",
        "at": NOW - DAY,
        "status": status,
        "reason": None,
        "since": NOW - DAY,
        "warn_at": NOW - DAY // 2,
        "due": NOW + due,
        "done_at": None,
        "compensation_usd": None,
        "order_id": None,
        "product_id": None,
        "buyer_id": None,
        "rulebook": "2022-07-01",
    }
    return msgspec.convert(fields | more, Obligation)


def put(held: Obligations, *lines: Obligation) -> Obligations:
    for line in lines:
        held.put(line.obligation_id, line, msgspec.json.encode(line))
    return held


def names(held: Obligations, status: str) -> list[str]:
    return [row.key for row in held.ordered(status)]


def test_a_line_is_found_by_its_key_and_by_its_supplier_until_it_is_dropped():
    store: LineStore[int] = LineStore(10)
    store.put("a", "s", 1)
    store.put("b", "s", 2)
    store.put("c", "other", 3)
    store.put("a", "s", 4)
    assert (store.get("a"), store.of("s"), len(store)) == (4, [("a", 4), ("b", 2)], 3)
    assert (store.drop("a"), store.drop("a"), store.of("s")) == ("s", None, [("b", 2)])
    assert (store.drop("b"), store.has("s"), store.has("other")) == ("s", False, True)


def test_beyond_the_bound_the_line_published_longest_ago_is_evicted_from_its_supplier_too():
    store: LineStore[int] = LineStore(2)
    for name in ("a", "b", "a", "c"):
        store.put(name, f"s-{name}", 1)
    assert (list(store), store.evicted, store.has("s-b"), store.of("s-a")) == (["a", "c"], 1, False, [("a", 1)])


def test_what_is_due_next_comes_first_and_of_breached_ones_the_latest():
    held = put(
        Obligations(10),
        obligation("later", due=2),
        obligation("next", due=1),
        obligation("lost-long-ago", "breached", due=-2),
        obligation("just-lost", "breached", due=-1),
        obligation("open", "open", due=9),
    )
    assert [names(held, status) for status in PENDING] == [["next", "later"], ["just-lost", "lost-long-ago"], ["open"]]
    put(held, obligation("first", due=0))
    assert names(held, "at-risk") == ["first", "next", "later"]


def test_an_obligation_is_in_one_list_by_what_it_is_now_in_any_order_of_its_statuses():
    for order in permutations(("open", "at-risk", "breached")):
        held = Obligations(10)
        for status in order:
            put(held, obligation("a", status))
        assert [held.count(status) for status in PENDING] == [int(status == order[-1]) for status in PENDING]


@pytest.mark.parametrize(
    "status, done_at", [("met", NOW), ("void", None), ("not-covered", None), ("breached", NOW + DAY)]
)
def test_what_is_met_even_late_is_settled(status: str, done_at: int | None):
    held = put(Obligations(10), obligation("a"), obligation("a", status, done_at=done_at))
    assert (held.count(SETTLED), [held.count(one) for one in PENDING]) == (1, [0, 0, 0])
    assert not held.is_known("s")


def test_the_settled_ones_are_shown_from_the_latest_on():
    lines = [obligation(name, "met", due=9 * DAY, done_at=NOW - days * DAY) for name, days in (("b", 2), ("a", 1))]
    assert [row.decoded().obligation_id for row in put(Obligations(10), *lines).of("s", SETTLED)] == ["a", "b"]


def test_settled_obligations_do_not_evict_those_that_are_to_be_met():
    held = put(Obligations(2), obligation("a"), *(obligation(f"m{n}", "met", done_at=NOW) for n in range(5)))
    assert (held.count("at-risk"), held.count(SETTLED), held.evicted) == (1, 2, 0)
    assert names(held, "at-risk") == ["a"]
    assert put(held, obligation("b"), obligation("c")).evicted == 1
    assert names(held, "at-risk") == ["b", "c"]


def test_a_list_that_was_asked_for_stays_in_order_through_every_change():
    held = Obligations(8)
    names(held, "at-risk")
    for number in range(60):
        name, due = f"{number * 7 % 13:02}", number * 11 % 5
        put(held, obligation(name, "open" if number % 4 == 0 else "at-risk", due=due))
        if number % 9 == 0:
            held.drop(f"{number % 13:02}")
        rows = [row for status in PENDING for row in held.of("s", status)]
        assert [row for status in PENDING for row in held.ordered(status)] == rows
        assert len(rows) == sum(held.count(status) for status in PENDING)


def test_tombstones_end_lines():
    console = ConsoleStage().play_lines(product(NOW, "lamp"), custom(NOW, "chair"))
    lines = console.state.model.lines
    assert [row.product_id for row in lines.products_of("s")] == ["chair", "lamp"]
    console.take("product-standing", None, "s/lamp")
    console.take("supplier-rights", None, "s")
    assert [row.product_id for row in lines.products_of("s")] == ["chair"] and lines.rights_of("s") is None
    console.take("product-standing", None, "s/lamp")


def test_products_that_need_work_come_first():
    console = ConsoleStage().play_lines(
        epr(NOW - DAY, "DE", "packaging"),
        product(NOW, "fine", abilities=["overseas-stock"]),
        product(NOW, "plain", info_score=1),
        product(NOW, "lacks", markets=["DE"], traits=["circuit"], abilities=["overseas-stock"]),
        product(NOW, "has", markets=["DE"], traits=["packaging"]),
        product(NOW, "unrated", industry="toys"),
    )
    rows = console.state.model.lines.products_of("s")
    assert [row.product_id for row in rows] == ["lacks", "plain", "has", "fine", "unrated"]


def test_of_a_certificate_the_event_with_the_largest_time_holds_and_of_equal_ones_the_last():
    console = ConsoleStage()
    for when, number in ((NOW, "1"), (NOW - DAY, "2"), (NOW, "3")):
        line = certificate(when, "fda", "c", number=number)
        console.state.model.ingest("certificate", b"s", msgspec.json.encode(line.value), NOW)
    (held,) = console.state.model.lines.certificates_of("s")
    assert held.number == "3"


def test_memory_is_bounded_in_every_store():
    bounds = ConsoleBounds(products=10, obligations=10, participations=10, certificates=10)
    console = ConsoleStage(bounds=bounds)
    stories = [product(NOW, f"p{n}") for n in range(15)] + [certificate(NOW, "fda", f"c{n}") for n in range(15)]
    console.play_lines(*stories)
    lines = console.state.model.lines
    assert (len(lines.products), len(lines.certificates), lines.products.evicted) == (10, 10, 5)


def test_lines_are_read_whole_however_old():
    read = backs(ConsoleSettings())
    lines = ("product-standing", "obligation", "participation", "supplier-rights", "certificate")
    assert {read[topic] for topic in lines} == {WHOLE_MS}
