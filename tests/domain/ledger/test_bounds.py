"""Of one supplier so much is remembered at most: one more is a dead letter, and changes nothing."""

from typing import Any

import pytest

from tests.support import line_stories as lines
from tests.support.line_stories import product
from tests.support.supplier_stories import DAY, HOUR, Chain, Line, at, tick
from vigil.app.domain.ledger import bounds, forget
from vigil.app.domain.suppliers import lines_part

NOW = at("2022-09-10")
MOST = 3


def letters(chain: Chain) -> list[tuple[str, str, str]]:
    """Topic, reason and detail of each dead letter."""
    return [(body["topic"], body["reason"], body["detail"]) for body in chain.sent("dead-letter")]


def lower(monkeypatch: pytest.MonkeyPatch, name: str, most: int = MOST) -> None:
    for module in (bounds, forget, lines_part):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, most)


def products_of(chain: Chain) -> dict[str, int]:
    chain.checkpoint()
    return {key.partition("/")[2]: body["at"] for key, body in chain.states("product-standing").items()}


STORIES: dict[str, tuple[str, str, Any, Any, str]] = {
    "products": (
        "MOST_PRODUCTS",
        "product",
        lambda n: product(NOW + n, f"p{n}"),
        lambda: product(NOW + 9, "p0", info_score=5.0),
        "3 products,",
    ),
    "certificates": (
        "MOST_CERTIFICATES",
        "certificate",
        lambda n: lines.certificate(NOW + n, "fda", f"c{n % 2}"),
        lambda: lines.certificate(NOW, "fda", "c0", status="withdrawn"),
        "3 events of certificates,",
    ),
    "measures": (
        "MOST_MEASURES",
        "activity",
        lambda n: lines.measure(NOW + n, "leads", n),
        lambda: lines.measure(NOW, "leads", 7),
        "3 values of the measure 'leads',",
    ),
    "claims": (
        "MOST_CLAIMS",
        "activity",
        lambda n: lines.claim(NOW + n, "check-in"),
        lambda: lines.claim(NOW, "check-in"),
        "3 claims of 'check-in', 2022-09,",
    ),
    "duties": (
        "MOST_DUTIES",
        "activity",
        lambda n: lines.done(NOW + n, "epr-declaration", f"DE/eee/2022-0{n + 1}"),
        lambda: lines.ask(NOW, "epr-declaration", "DE/eee/2022-01"),
        "3 duties that were asked for or done,",
    ),
}
"""Bound, topic, the event number n that takes room, one that does not although it comes last, the words."""


@pytest.mark.parametrize("what", STORIES)
def test_one_more_than_the_bound_is_a_dead_letter_and_what_is_known_may_change(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, topic, event, known, words = STORIES[what]
    lower(monkeypatch, name)
    chain = Chain().play(*(event(n) for n in range(MOST)))
    assert letters(chain) == [], "as many as the bound"
    chain.play(event(MOST), known(), event(MOST + 1)).crash()
    expected = (topic, "too-many", f"the supplier has {words} and no more are remembered")
    assert letters(chain) == [expected, expected]
    assert chain.collector.counts[f"refused:{topic}:too-many"] == 2
    chain.play(event(MOST))
    assert letters(chain)[2:] == [expected], "after a restart, too"


def test_an_event_that_is_refused_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def lines_after(*story: Line) -> tuple[Any, ...]:
        chain = Chain().play(*(product(NOW + n, f"p{n}") for n in range(MOST)), *story).checkpoint()
        return chain.states("product-standing"), chain.states("supplier-rights"), chain.scores

    lower(monkeypatch, "MOST_PRODUCTS")
    assert lines_after(tick(NOW + HOUR)) == lines_after(product(NOW + HOUR, "other", info_score=5.0))


def test_products_that_are_deleted_make_room_after_a_month_where_there_are_as_many_as_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lower(monkeypatch, "MOST_PRODUCTS")
    chain = Chain().play(*(product(NOW + n, f"p{n}") for n in range(MOST)), product(NOW + 10, "p0", deleted=True))
    chain.play(tick(NOW + 29 * DAY), product(NOW + 29 * DAY, "p8"))
    assert [reason for _, reason, _ in letters(chain)] == ["too-many"]
    chain.play(tick(NOW + 36 * DAY), lines.measure(NOW + 36 * DAY, "leads", 1), product(NOW + 36 * DAY, "p9"))
    assert len(letters(chain)) == 1
    assert set(products_of(chain)) == {"p1", "p2", "p9"}
    assert set(products_of(chain.crash())) == {"p1", "p2", "p9"}


def test_of_states_of_a_product_the_oldest_goes_and_since_when_it_is_selected_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lower(monkeypatch, "MOST_STATES")
    chain = Chain().play(*(product(NOW + n * HOUR, abilities=["new"], delivery_days=n) for n in range(1, 10)))
    (body,) = chain.checkpoint().states("product-standing").values()
    assert body["selection"]["listed_at"] == NOW + HOUR + 2 * DAY
    supplier = chain.shards[0].states.get("s")
    assert len(supplier._lines.ledger.products["p"].states) == MOST
    assert letters(chain) == []


def test_a_replay_refuses_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    lower(monkeypatch, "MOST_PRODUCTS")
    said = lines.lines_of(*(product(NOW + n, f"p{n}") for n in range(MOST + 2)))["product-standing"]
    assert [line["product_id"] for line in said] == ["p0", "p1", "p2"]
