"""Stored states: read by later versions, written in small chunks, deleted in time, sufficient to continue."""

import json
from typing import Any

import msgspec
import pytest

from tests.support import golden_suppliers as golden
from tests.support.supplier_stories import (
    DAY,
    HOUR,
    RULEBOOK,
    Chain,
    Line,
    at,
    payment,
    profile,
    quote,
    replied,
    tick,
)
from vigil.app.domain.suppliers.machine import SupplierMachine
from vigil.app.domain.suppliers.supplier import SupplierState
from vigil.topics.decoder import nobody

NOON = at("2022-08-20 12:00")


def supplier(chain: Chain) -> SupplierState:
    state = chain.shards[0].states.get("s")
    assert isinstance(state, SupplierState)
    return state


# read by later versions ----------------------------------------------------------------------------------------------

STORED = {
    key: {name.encode(): bytes.fromhex(part) for name, part in chunks.items()}
    for key, chunks in json.loads(golden.FILE.read_text()).items()
}


def test_the_stored_form_is_that_of_its_version() -> None:
    """If this fails, the stored form has changed. If a field or total was added at the end, run
    `python -m tests.support.golden_suppliers`; otherwise raise the version, and keep reading the old one."""
    assert golden.stored() == json.loads(golden.FILE.read_text())


def test_a_stored_supplier_continues() -> None:
    state = golden.MACHINES[0].load("s", STORED["s"])
    [month, entry, rights] = [output.body for output in state.pending_outputs(golden.UNTIL, True)]
    assert rights.membership == "verified"  # type: ignore[union-attr]
    assert month.month == "2022-08"  # type: ignore[union-attr]
    current: Any = msgspec.to_builtins(entry)
    assert current["figures"] == {
        "quotes_month": 1,
        "rfqs_quoted": 1,
        "rfqs_in_time": 1,
        "rfqs_quoted_30d": 1,
        "rfqs_replied_30d": 0,
        "quotes_submitted_month": 1,
        "login_days": 0.0,
        "gmv_90d": 99951,
        "gmv_month": 0,
        "prior_gmv_90d": 100001,
    }
    assert (current["standing"]["month"], current["standing"]["score"]) == ("2022-08", 20 + 20 + 30 + 10 + 20)


def test_a_stored_industry_continues() -> None:
    state = golden.MACHINES[1].load("toys", STORED["toys"])
    current: Any = {output.key: output.body for output in state.pending_outputs(golden.UNTIL, True)}
    assert current[b"s"].assessed.score == 100
    assert current[b"t"].ranks.quotes is None


def test_a_stored_rfq_continues() -> None:
    state = golden.MACHINES[2].load("rfq", STORED["rfq"])
    assert state._main.granted == 1  # type: ignore[attr-defined]
    again = Chain().play(quote(NOON, kind="pinned", id_="q1", rfq="rfq"))
    event = golden.MACHINES[2].decode(
        0, again._messages["quote"][0]._replace(key=b"rfq"), 0, lambda record: (0, 0), nobody
    )
    assert state.is_duplicate(event)


@pytest.mark.parametrize("number", range(3))
def test_a_state_of_an_unknown_version_is_not_read(number: int) -> None:
    main = msgspec.msgpack.decode(STORED[golden.KEYS[number]][b""])
    main[0] = 99
    with pytest.raises(ValueError, match="unknown version 99"):
        golden.MACHINES[number].load(golden.KEYS[number], {b"": msgspec.msgpack.encode(main)})


# written in small chunks ---------------------------------------------------------------------------------------------


def test_a_supplier_with_thousands_of_quotes_stores_only_what_changed() -> None:
    chain = Chain().play(*(quote(NOON + number) for number in range(5000)), payment(NOON, "paid", 5)).checkpoint()
    state = supplier(chain)
    chain.play(quote(NOON + 6000), payment(NOON + 6001, "settled", 1))
    changed = {name: len(part or b"") for name, part in state.dump_changes().items()}
    assert len(changed) == 4
    assert sum(changed.values()) < 5000


def test_new_entries_after_a_restart_do_not_overwrite_stored_ones() -> None:
    chain = Chain()
    for batch in range(4):
        chain.play(*(quote(NOON + 100 * batch + n, id_=f"q{batch}-{n}") for n in range(40))).crash()
    chain.play(*(replied(NOON + HOUR, f"q{batch}-{n}") for batch in range(4) for n in range(40)))
    counts = chain.end().scores["s"]["counts"]
    assert (counts["rfqs_quoted_30d"], counts["rfqs_replied_30d"]) == (160, 160)


def test_no_chunk_is_large() -> None:
    chain = Chain().play(*(quote(NOON + number, rfq=f"{number % 700}" * 30) for number in range(3000))).checkpoint()
    stored = chain.shards[0].store
    assert max(map(len, [*stored.main.values(), *stored.chunks["s"].values()])) < 10_000


# deleted in time -----------------------------------------------------------------------------------------------------


def test_expired_entries_are_deleted() -> None:
    story: list[Line] = [profile(NOON)]
    for day in range(50):
        story += [quote(NOON + day * DAY + n) for n in range(20)] + [payment(NOON + day * DAY, "paid", 1)]
    chain = Chain().play(*story).checkpoint()
    assert len(chain.shards[0].store.chunks["s"]) > 100
    chain.play(tick(NOON + (50 + 95 + 31) * DAY)).checkpoint()
    assert not any(name[:1] in b"qr" for name in chain.shards[0].store.chunks["s"])
    chain.play(tick(NOON + (50 + 125 + 31) * DAY)).checkpoint()
    assert set(chain.shards[0].store.chunks["s"]) == {b"L", b"Y0"}, "its rights are a line still"
    assert list(chain.end().scores) == ["s"]


def test_an_rfq_that_is_quoted_on_again_and_again_remembers_its_first_quote() -> None:
    chain = Chain()
    for month in range(6):
        chain.play(quote(NOON + month * 60 * DAY, rfq="r"), tick(NOON + (month * 60 + 20) * DAY)).crash()
    assert chain.end().scores["s"]["counts"] == {
        "rfqs_quoted": 0,
        "rfqs_in_time": 0,
        "rfqs_quoted_30d": 1,
        "rfqs_replied_30d": 0,
    }


def test_month_end_totals_of_long_ago_are_not_kept() -> None:
    chain = Chain()
    for month in range(12):
        chain.play(payment(NOON + month * 30 * DAY, "settled", 5)).checkpoint()
    metrics = supplier(chain)._metrics
    assert metrics is not None
    assert len(metrics.totals.month_ends.totals) <= 3


def test_the_next_timer_is_when_a_total_changes_next() -> None:
    chain = Chain().play(quote(at("2022-08-05")), tick(at("2022-08-05 01:00")))
    assert supplier(chain).next_timer() == at("2022-09-01")
    chain.play(tick(at("2022-09-01 12:00")))
    assert supplier(chain).next_timer() == at("2022-09-03")
    chain.play(tick(at("2022-09-03 12:00")))
    assert supplier(chain).next_timer() == at("2022-09-04")  # 30 days after the quote
    chain.play(tick(at("2022-09-04 12:00")))
    assert supplier(chain).next_timer() == at("2022-10-01")


# sufficient to continue ----------------------------------------------------------------------------------------------


def test_totals_are_the_same_after_a_restart_where_rules_change_within_a_window() -> None:
    story = [
        quote(at("2022-07-25"), id_="a", after=20 * HOUR),
        replied(at("2022-07-26"), "a"),
        quote(at("2022-07-25"), id_="b", after=2 * HOUR),
    ]
    for now, in_time in (("2022-08-02", 2), ("2022-08-04", 1)):
        chain = Chain().play(*story).crash().play(tick(at(now))).crash()
        assert chain.end().scores["s"]["counts"]["rfqs_in_time"] == in_time


def test_a_supplier_whose_only_event_was_too_old_is_not_stored() -> None:
    chain = Chain().play(tick(NOON + 200 * DAY), quote(NOON)).checkpoint()
    assert not chain.shards[0].states
    assert SupplierMachine(RULEBOOK).load("s", {}).expired()
