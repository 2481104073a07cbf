"""Pins: three of an RFQ, first come first served by `at`, and never after a rejection."""

import json
from typing import Any

import pytest

from tests.support.supplier_stories import (
    DAY,
    RULEBOOK,
    SECOND,
    Chain,
    Ended,
    Line,
    Message,
    at,
    ended,
    pinned,
    quote,
    rejected,
    tick,
)
from vigil.app.domain.rfqs.machine import RfqMachine, RfqState
from vigil.app.engine.shards import make_shard
from vigil.topics.decoder import nobody
from vigil.topics.fields import InvalidEvent

NOON = at("2022-08-10 12:00")


def decisions(outcome: Ended) -> dict[str, Any]:
    """The place, or the reason, by quote."""
    return {one["quote_id"]: one["place"] or one["reason"] for one in outcome.pins}


def decided(*story: Line) -> dict[str, Any]:
    return decisions(ended(*story))


def test_at_most_three_quotes_of_an_rfq_are_pinned() -> None:
    story = [pinned(NOON + number, name) for number, name in enumerate("abcd")]
    assert decided(*story) == {"a": 1, "b": 2, "c": 3, "d": "full"}


def test_first_come_first_served_goes_by_time_not_by_arrival() -> None:
    story = [pinned(NOON + 1000 - number, name) for number, name in enumerate("abcd")]
    assert decided(*story) == {"d": 1, "c": 2, "b": 3, "a": "full"}


def test_at_one_instant_the_first_to_arrive_is_first() -> None:
    story = [pinned(NOON, name) for name in "bacd"]
    assert decided(*story) == {"b": 1, "a": 2, "c": 3, "d": "full"}


def test_each_rfq_has_places_of_its_own() -> None:
    story = [pinned(NOON, name, rfq=f"rfq {name}") for name in "abcd"]
    assert set(decided(*story).values()) == {1}


def test_quotes_of_many_suppliers_share_the_places_of_an_rfq() -> None:
    story = [pinned(NOON + number, "q", supplier=f"s{number}") for number in range(4)]
    assert [one["place"] for one in ended(*story).pins] == [1, 2, 3, None]


def test_a_pin_request_after_the_rejection_is_refused() -> None:
    assert decided(rejected(NOON, "a"), pinned(NOON + 1, "a")) == {"a": "rejected"}


def test_a_rejection_after_the_pin_leaves_the_pin() -> None:
    assert decided(pinned(NOON, "a"), rejected(NOON + 1, "a")) == {"a": 1}


@pytest.mark.parametrize(("first", "then", "expected"), [(rejected, pinned, "rejected"), (pinned, rejected, 1)])
def test_at_one_instant_arrival_decides_between_rejection_and_pin(first: Any, then: Any, expected: Any) -> None:
    assert decided(first(NOON, "a"), then(NOON, "a")) == {"a": expected}


def test_a_rejection_of_another_suppliers_quote_with_the_same_id_has_no_effect() -> None:
    assert decided(rejected(NOON, "a", supplier="t"), pinned(NOON + 1, "a")) == {"a": 1}


def test_rejected_is_tested_before_full() -> None:
    story = [pinned(NOON + number, name) for number, name in enumerate("abc")]
    assert decided(*story, rejected(NOON + 10, "d"), pinned(NOON + 11, "d"))["d"] == "rejected"


def test_a_refused_request_takes_no_place() -> None:
    story = [rejected(NOON, "a"), *(pinned(NOON + 1 + number, name) for number, name in enumerate("abcd"))]
    assert decided(*story) == {"a": "rejected", "b": 1, "c": 2, "d": 3}


def test_no_submission_need_be_known_and_a_submission_decides_nothing() -> None:
    assert decided(quote(NOON, id_="a", rfq="rfq"), pinned(NOON + 1, "b")) == {"b": 1}


def test_a_request_that_comes_twice_is_decided_once() -> None:
    outcome = ended(pinned(NOON, "a"), pinned(NOON + 5, "a"), pinned(NOON + 6, "b"))
    assert decisions(outcome) == {"a": 1, "b": 2}
    assert outcome.counts["duplicates:quote"] == 1


@pytest.mark.parametrize("decided_between", [False, True])
def test_a_request_that_a_supplier_shard_repeats_after_a_crash_is_decided_once(decided_between: bool) -> None:
    messages = [Message(n, b"rfq", json.dumps(pinned(NOON + n, name).value).encode()) for n, name in enumerate("ab")]
    shard = make_shard(RfqMachine(RULEBOOK), 0)
    shard.ingest(0, messages)
    if decided_between:
        shard.advance_watermark(NOON + 2)
    shard.ingest(0, [message._replace(offset=message.offset + 2) for message in messages])
    shard.advance_watermark(NOON + 10)
    assert [(output.body.quote_id, output.body.place) for output in shard.collector.outputs] == [("a", 1), ("b", 2)]


def test_a_decision_says_who_asked_when() -> None:
    granted, refused = ended(rejected(NOON, "a"), pinned(NOON + 1, "a"), pinned(NOON + 2, "b", supplier="t")).pins
    assert granted == {
        "rfq_id": "rfq", "quote_id": "a", "supplier_id": "s", "at": NOON + 1,
        "decision": "refused", "place": None, "reason": "rejected",
    }  # fmt: skip
    assert refused == {
        "rfq_id": "rfq", "quote_id": "b", "supplier_id": "t", "at": NOON + 2,
        "decision": "granted", "place": 1, "reason": None,
    }  # fmt: skip


@pytest.mark.parametrize(("later", "expected"), [(90 * DAY, "full"), (90 * DAY + 1, 1)])
def test_an_rfq_is_kept_for_90_days_after_its_last_event(later: int, expected: Any) -> None:
    story = [pinned(NOON + number, name) for number, name in enumerate("abc")]
    last = NOON + 2
    outcome = decisions(
        Chain().play(*story, tick(last + later - 1)).crash().play(pinned(last + later, "d")).crash().end()
    )
    assert outcome["d"] == expected


def test_an_expired_rfq_leaves_nothing_behind() -> None:
    chain = Chain().play(pinned(NOON, "a"), tick(NOON + 90 * DAY + 10 * SECOND)).crash()
    assert not chain.shards[2].states
    assert chain.shards[2].store.main == {}
    assert chain.shards[2].store.chunks == {}


# what comes later than the lateness ----------------------------------------------------------------------------------


def test_a_late_request_is_judged_on_arrival() -> None:
    story = [pinned(NOON + number, name) for number, name in enumerate("abc")]
    assert decided(*story, tick(NOON + DAY), pinned(NOON - 1, "d"))["d"] == "full"


def test_a_late_request_is_not_judged_against_a_rejection_that_happened_after_it() -> None:
    assert decided(rejected(NOON, "a"), tick(NOON + DAY), pinned(NOON - 1, "a")) == {"a": 1}


def test_a_late_event_does_not_shorten_how_long_an_rfq_is_kept() -> None:
    story = [pinned(NOON + number, name) for number, name in enumerate("abc")]
    late = [tick(NOON + 50 * DAY), rejected(NOON - 40 * DAY, "x"), tick(NOON + 80 * DAY)]
    assert decided(*story, *late, pinned(NOON + 80 * DAY, "d"))["d"] == "full"


def test_a_late_rejection_leaves_the_pin() -> None:
    assert decided(pinned(NOON, "a"), tick(NOON + DAY), rejected(NOON - 1, "a")) == {"a": 1}


# stored --------------------------------------------------------------------------------------------------------------


def test_an_rfq_with_thousands_of_rejections_stores_only_what_changed() -> None:
    chain = Chain()
    chain.play(*(rejected(NOON + number, f"q{number}") for number in range(3000)), tick(NOON + DAY)).checkpoint()
    state = chain.shards[2].states.get("rfq")
    assert isinstance(state, RfqState)
    chain.play(rejected(NOON + DAY, "one more"), tick(NOON + 2 * DAY))
    changed = state.dump_changes()
    assert len(changed) == 2
    assert sum(len(part or b"") for part in changed.values()) < 2000


def test_a_quote_event_that_decides_no_pin_is_rejected() -> None:
    value = b'{"supplier_id":"s","at":1660000000000,"kind":"replied","quote_id":"q","rfq_id":"r","buyer_id":"b"}'
    with pytest.raises(InvalidEvent, match="decides no pin"):
        RfqMachine(RULEBOOK).decode(0, Message(0, b"r", value), 0, lambda record: (0, 0), nobody)
