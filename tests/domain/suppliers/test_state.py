"""What is stored: readable later, written in small pieces, given up in time, and enough to go on from."""

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

NOON = at("2022-08-20 12:00")


def supplier(chain: Chain) -> SupplierState:
    state = chain.shards[0]._state("s", chain.shards[0].keys["s"])
    assert isinstance(state, SupplierState)
    return state


# readable later ------------------------------------------------------------------------------------------------------

STORED = {
    key: {name.encode(): bytes.fromhex(part) for name, part in parts.items()}
    for key, parts in json.loads(golden.FILE.read_text()).items()
}


def test_the_stored_form_is_that_of_its_version() -> None:
    """Where this fails, the stored form has changed: raise its version, and keep reading the old one."""
    assert golden.stored() == json.loads(golden.FILE.read_text())


def test_a_stored_supplier_goes_on() -> None:
    state = golden.LOGICS[0].load("s", STORED["s"])
    [month, line] = [output.body for output in state.pending_outputs(golden.UNTIL, True)]
    assert month.month == "2022-08"  # type: ignore[union-attr]
    told: Any = msgspec.to_builtins(line)
    assert told["figures"] == {
        "quotes_month": 1,
        "rfqs_quoted": 1,
        "rfqs_in_time": 1,
        "quotes": 1,
        "quotes_replied": 0,
        "gmv_90d": 99951,
        "gmv_month": 0,
        "prior_gmv_90d": 100001,
    }
    assert (told["standing"]["month"], told["standing"]["score"]) == ("2022-08", 20 + 20 + 30 + 10 + 20)


def test_a_stored_industry_goes_on() -> None:
    state = golden.LOGICS[1].load("toys", STORED["toys"])
    told: Any = {output.key: output.body for output in state.pending_outputs(golden.UNTIL, True)}
    assert told[b"s"].assessed.score == 100
    assert told[b"t"].ranks.quotes is None


def test_a_stored_rfq_goes_on() -> None:
    state = golden.LOGICS[2].load("rfq", STORED["rfq"])
    assert state._main.granted == 1  # type: ignore[attr-defined]
    again = Chain().play(quote(NOON, kind="pinned", id_="q1", rfq="rfq"))
    event = golden.LOGICS[2].decode(0, b"rfq", again._messages["quote"][0].value, 0)
    assert golden.LOGICS[2].is_duplicate(state, event)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", range(3))
def test_a_state_of_an_unknown_version_is_not_read(number: int) -> None:
    main = msgspec.msgpack.decode(STORED[golden.KEYS[number]][b""])
    main[0] = 99
    with pytest.raises(ValueError, match="unknown version 99"):
        golden.LOGICS[number].load(golden.KEYS[number], {b"": msgspec.msgpack.encode(main)})


# written in small pieces ---------------------------------------------------------------------------------------------


def test_a_supplier_with_thousands_of_quotes_stores_only_what_changed() -> None:
    chain = Chain().play(*(quote(NOON + number) for number in range(5000)), payment(NOON, "paid", 5)).checkpoint()
    state = supplier(chain)
    chain.play(quote(NOON + 6000), payment(NOON + 6001, "settled", 1))
    changed = {name: len(part or b"") for name, part in state.dump_changes().items()}
    assert len(changed) == 4
    assert sum(changed.values()) < 5000


def test_what_a_restart_finds_is_not_written_over_by_what_comes_next() -> None:
    chain = Chain()
    for batch in range(4):
        chain.play(*(quote(NOON + 100 * batch + n, id_=f"q{batch}-{n}") for n in range(40))).crash()
    chain.play(*(replied(NOON + HOUR, f"q{batch}-{n}") for batch in range(4) for n in range(40)))
    counts = chain.end().scores["s"]["counts"]
    assert (counts["quotes"], counts["quotes_replied"]) == (160, 160)


def test_no_record_is_large() -> None:
    chain = Chain().play(*(quote(NOON + number, rfq=f"{number % 700}" * 30) for number in range(3000))).checkpoint()
    stored = chain.shards[0]._store
    assert max(map(len, [*stored.main.values(), *stored.parts["s"].values()])) < 10_000


# given up in time ----------------------------------------------------------------------------------------------------


def test_what_is_not_remembered_any_more_is_deleted() -> None:
    story: list[Line] = [profile(NOON)]
    for day in range(50):
        story += [quote(NOON + day * DAY + n) for n in range(20)] + [payment(NOON + day * DAY, "paid", 1)]
    chain = Chain().play(*story).checkpoint()
    assert len(chain.shards[0]._store.parts["s"]) > 100
    chain.play(tick(NOON + (50 + 95 + 31) * DAY)).checkpoint()
    assert not any(name[:1] in b"qr" for name in chain.shards[0]._store.parts["s"])
    chain.play(tick(NOON + (50 + 125 + 31) * DAY)).checkpoint()
    assert "s" not in chain.shards[0]._store.parts
    assert list(chain.end().scores) == ["s"]


def test_an_rfq_that_is_quoted_on_again_and_again_remembers_its_first_quote() -> None:
    chain = Chain()
    for month in range(6):
        chain.play(quote(NOON + month * 60 * DAY, rfq="r"), tick(NOON + (month * 60 + 20) * DAY)).crash()
    assert chain.end().scores["s"]["counts"] == {
        "rfqs_quoted": 0,
        "rfqs_in_time": 0,
        "quotes": 1,
        "quotes_replied": 0,
    }


def test_months_that_ended_long_ago_are_not_kept() -> None:
    chain = Chain()
    for month in range(12):
        chain.play(payment(NOON + month * 30 * DAY, "settled", 5)).checkpoint()
    metrics = supplier(chain)._metrics
    assert metrics is not None
    assert len(metrics.month_end_totals) <= 3


def test_a_state_asks_to_be_called_when_a_figure_changes_next() -> None:
    chain = Chain().play(quote(at("2022-08-05")), tick(at("2022-08-05 01:00")))
    assert supplier(chain).next_timer() == at("2022-09-01")
    chain.play(tick(at("2022-09-01 12:00")))
    assert supplier(chain).next_timer() == at("2022-09-03")
    chain.play(tick(at("2022-09-03 12:00")))
    assert supplier(chain).next_timer() == at("2022-09-04")  # 30 days after the quote
    chain.play(tick(at("2022-09-04 12:00")))
    assert supplier(chain).next_timer() == at("2022-10-01")


# enough to go on from ------------------------------------------------------------------------------------------------


def test_figures_are_the_same_after_a_restart_where_rules_change_in_the_middle_of_a_window() -> None:
    story = [
        quote(at("2022-07-25"), id_="a", after=20 * HOUR),
        replied(at("2022-07-26"), "a"),
        quote(at("2022-07-25"), id_="b", after=2 * HOUR),
    ]
    for now, in_time in (("2022-08-02", 2), ("2022-08-04", 1)):
        chain = Chain().play(*story).crash().play(tick(at(now))).crash()
        assert chain.end().scores["s"]["counts"]["rfqs_in_time"] == in_time


def test_a_supplier_that_never_was_is_not_stored() -> None:
    chain = Chain().play(tick(NOON + 200 * DAY), quote(NOON)).checkpoint()
    assert chain.shards[0].keys == {}
    assert SupplierMachine(RULEBOOK).load("s", {}).expired()
