"""Which events are late or too far ahead, boundary by boundary (I-3)."""

from typing import Any

import pytest

from tests.support.lives import ENTRY, LATENESS, LOOK, Life, Recording, at
from tests.support.toys import ArrivalToy, Event, OrderedToy, PatientToy, Toy, message
from vigil.app.engine.lateness import BOUNDS_MS
from vigil.app.engine.shards import make_shard
from vigil.app.engine.subject import EventTime
from vigil.topics.fields import MAX_AHEAD_MS


def test_lateness_is_tested_record_by_record_within_a_batch() -> None:
    life = Life(Recording())
    life.shard.ingest(ENTRY, at(1000, 900, 899, 1200, 1099, 1100))
    life.checkpoint()
    assert life.rejected() == [(2, "late", 900), (4, "late", 1100)]


def test_lateness_does_not_depend_on_batches() -> None:
    whole, single = Life(Recording()), Life(Recording())
    story = at(1000, 880, 1300, 1190, 1210, 1199, 1201)
    whole.shard.ingest(ENTRY, story)
    for one in story:
        single.shard.ingest(ENTRY, [one])
    whole.checkpoint()
    single.checkpoint()
    assert whole.rejected() == single.rejected()


def test_an_event_below_the_watermark_of_another_source_is_not_late() -> None:
    life = Life(Recording())
    life.shard.ingest(LOOK, at(5000))
    life.shard.ingest(ENTRY, at(1000))
    life.checkpoint()
    assert life.rejected() == []


def test_after_idleness_an_event_below_the_watermark_is_late_and_one_at_it_is_not() -> None:
    life = Life(Recording())
    life.shard.ingest(ENTRY, at(1000))
    life.shard.advance_watermark(3000)  # every source was idle
    life.shard.ingest(ENTRY, at(2999, 3000, first=1))
    life.checkpoint()
    assert life.rejected() == [(1, "late", 3000)]


def test_a_rejected_record_does_not_advance_its_source() -> None:
    life = Life(Recording())
    life.shard.ingest(ENTRY, [message(0, Event("A", 1000)), message(1, None)])
    life.shard.ingest(ENTRY, at(2000 + MAX_AHEAD_MS, first=2), wall=1000)
    assert life.shard.sources[ENTRY].max_event_time == 1000
    life.checkpoint()
    assert life.rejected() == [(1, "malformed", 900), (2, "future", 900)]


def test_a_late_event_is_reported_to_its_key_with_the_watermark_at_its_arrival() -> None:
    life = Life(toy := Recording())
    life.shard.ingest(ENTRY, at(1000))
    life.shard.advance_watermark(2500)
    life.shard.ingest(ENTRY, at(2000, first=1))
    life.checkpoint()
    assert toy.calls == [(1000, "1000"), ("late", 2000, 2500)]
    assert [output.topic for output in life.sent] == ["dead-letter", "contested"]


def test_a_late_event_of_a_key_that_does_not_exist_is_reported_to_nobody() -> None:
    life = Life(toy := Recording())
    life.shard.advance_watermark(2500)
    life.shard.ingest(ENTRY, at(2000))
    life.checkpoint()
    assert toy.calls == []
    assert life.rejected() == [(0, "late", 2500)]


def test_a_late_event_is_reported_once_however_often_its_record_is_read_again() -> None:
    life = Life(toy := Recording())
    life.shard.ingest(ENTRY, at(1000))
    life.shard.advance_watermark(1100)
    story = at(3000, 2000, 1050, first=1)
    life.shard.ingest(ENTRY, story)
    life.checkpoint()
    reported = [("late", 2000, 1100), ("late", 1050, 1100)]
    assert toy.calls == [(1000, "1000"), *reported]
    life.restart()
    life.shard.ingest(ENTRY, story)
    assert toy.calls == [(1000, "1000"), *reported]


def test_what_is_due_is_judged_before_a_late_event_is_reported() -> None:
    toy = Recording()
    shard = make_shard(toy, LATENESS, clock=lambda: 2900)
    shard.ingest(ENTRY, [*at(1000, 3000), *at(2000, first=2)])
    assert toy.calls == [(1000, "1000"), ("late", 2000, 2900)]
    assert shard.watermark == 2900


def test_a_late_event_that_is_not_dropped_is_applied_on_arrival() -> None:
    life = Life(PatientToy())
    life.shard.ingest(ENTRY, at(1000))
    life.shard.advance_watermark(3000)
    life.shard.ingest(ENTRY, at(500, first=1))
    life.checkpoint()
    assert life.published("said") == ["said|1000", "said|500"]


@pytest.mark.parametrize("toy", [PatientToy(), ArrivalToy()])
def test_a_timer_that_has_passed_when_its_event_arrives_fires_at_once(toy: Toy) -> None:
    life = Life(toy)
    life.shard.advance_watermark(9000)
    life.shard.ingest(ENTRY, at(500))
    life.checkpoint()
    assert life.published("alarm") == ["alarm|500"]


# ---- sources that the watermark does not wait for --------------------------------------------------------------------


class Unawaiting(Recording):
    order = EventTime(drop_late=True, unawaited=frozenset({"look"}))


def test_a_late_event_of_a_source_that_is_not_awaited_is_applied_on_arrival() -> None:
    life = Life(toy := Unawaiting())
    life.shard.ingest(ENTRY, at(1000))
    life.shard.advance_watermark(900)
    life.shard.ingest(LOOK, at(500, 950, 300))
    assert [call[0] for call in toy.calls] == [500, 300]
    life.shard.advance_watermark(2000)
    assert [call[0] for call in toy.calls] == [500, 300, 950, 1000]
    life.checkpoint()
    assert life.rejected() == []


def test_what_waited_of_it_is_in_order_after_a_restart() -> None:
    life = Life(toy := Unawaiting())
    records = {ENTRY: at(1000, 1400), LOOK: at(950, 500)}
    for source, read in records.items():
        life.shard.ingest(source, read)
    life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, records[ENTRY])
    assert not life.shard.advance_watermark(1300)
    assert toy.calls == []  # it waits for what was read before
    life.shard.ingest(LOOK, records[LOOK])
    life.shard.advance_watermark(1300)
    assert [call[0] for call in toy.calls] == [500, 950, 1000]


# ---- how late events come ----


class Kinds(OrderedToy):
    """Its events are of the kind of their key."""

    def kind_of(self, event: Event) -> str:
        return event.key


def buckets(shard: Any, kind: str = "") -> dict[int | None, int]:
    """The number of entries by the upper bound of their bucket, without empty ones; None: above all bounds."""
    counted = shard.collector.lateness.by_bucket.get(("entry", kind), [])
    return {bound: number for bound, number in zip((*BOUNDS_MS, None), counted, strict=False) if number}


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        (0, {100: 3}),
        (100, {100: 3}),
        (101, {100: 2, 250: 1}),
        (250, {100: 2, 250: 1}),
        (60_000, {100: 2, 60_000: 1}),
        (60_001, {100: 2, None: 1}),
    ],
)
def test_events_are_counted_by_how_far_they_are_behind_late_ones_included(
    behind: int, expected: dict[int | None, int]
) -> None:
    shard = make_shard(OrderedToy(), 2000)
    shard.ingest(ENTRY, at(90_000, 100_000, 100_000 - behind), wall=100_000)
    assert buckets(shard) == expected
    assert shard.collector.lateness.total_ms[("entry", "")] == (behind if behind > 100 else 0)


def test_after_idleness_an_event_is_as_late_as_the_allowance_that_it_needs() -> None:
    """An allowance of 3 s would have held the clock back as far as its time."""
    shard = make_shard(OrderedToy(), 2000)
    shard.ingest(ENTRY, at(100_000), wall=100_000)
    shard.advance_watermark(105_000)
    shard.ingest(ENTRY, at(104_000, 104_001, first=1), wall=107_000)
    assert buckets(shard) == {100: 1, 3000: 2}


def test_lateness_is_counted_the_same_however_events_are_batched() -> None:
    whole, single = make_shard(OrderedToy(), 2000), make_shard(OrderedToy(), 2000)
    story = at(100_000, 99_000, 98_000, 101_000, 97_000, 102_000, 101_950)
    whole.ingest(ENTRY, story, wall=102_000)
    for one in story:
        single.ingest(ENTRY, [one], wall=102_000)
    assert buckets(whole) == buckets(single) == {100: 4, 1000: 1, 2000: 1, 4000: 1}


def test_the_kinds_of_a_topic_are_counted_apart() -> None:
    shard = make_shard(Kinds(), 2000)
    story = [Event("text", 100_000), Event("speech", 97_000), Event("text", 101_000)]
    shard.ingest(ENTRY, [message(number, event) for number, event in enumerate(story)], wall=101_000)
    assert buckets(shard, "speech") == {3000: 1}
    assert buckets(shard, "text") == {100: 2}


@pytest.mark.parametrize("toy", [PatientToy(), ArrivalToy()])
def test_where_no_event_is_dropped_none_is_counted(toy: Toy) -> None:
    shard = make_shard(toy, 2000)
    shard.ingest(ENTRY, at(100_000, 90_000), wall=100_000)
    assert shard.collector.lateness.by_bucket == {}


def test_what_is_read_again_after_a_restart_is_not_counted_again() -> None:
    life = Life(OrderedToy(), 2000)
    story = at(100_000, 99_000)
    life.shard.ingest(ENTRY, story, wall=100_000)
    life.checkpoint()
    life.restart(2000)
    life.shard.ingest(ENTRY, story, wall=100_000)
    assert buckets(life.shard) == {}
