"""Records in the wrong partition and events from the future: what is rejected, in which order, and after a restart."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lives import ENTRY, LOOK, Life, Recording, at
from tests.support.toys import Event, SourceRecord, message
from vigil.app.engine.admission import MAX_KNOWN_KEYS, KeyPlacement
from vigil.app.engine.output_collector import MAX_REMEMBERED, OutputCollector
from vigil.app.engine.watermark import MAX_AHEAD_RUNS, SourcePosition
from vigil.topics.event_time import check_ahead
from vigil.topics.fields import MAX_AHEAD_MS, InvalidEvent

HOUR = 3_600_000
NOW = 1_662_048_000_000


def by_length(key: bytes) -> int:
    return len(key)


def by_first_byte(key: bytes) -> int:
    return key[0]


PARTITIONERS = {"murmur2": by_length, "crc32": by_first_byte}
CHECKED: Any = {"partition": 1, "partitioner": "murmur2", "partitioners": PARTITIONERS}


def letters(life: Life) -> list[tuple[int, str, str]]:
    """(offset, reason, detail) of each dead letter sent."""
    sent = [msgspec.json.decode(o.payload) for o in life.sent if o.topic == "dead-letter" and o.payload]
    return [(letter["offset"], letter["reason"], letter["detail"]) for letter in sent]


# ---- ahead of the clock ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead, rejected", [(MAX_AHEAD_MS, False), (MAX_AHEAD_MS + 1, True)])
def test_an_event_may_be_ahead_of_the_clock_by_max_ahead_and_not_by_more(ahead: int, rejected: bool) -> None:
    life = Life(Recording())
    life.shard.ingest(ENTRY, at(NOW + ahead), NOW)
    life.checkpoint()
    assert [reason for _, reason, _ in letters(life)] == ["future"] * rejected


def test_an_event_from_the_future_moves_no_clock() -> None:
    life = Life(toy := Recording())
    life.shard.ingest(ENTRY, at(NOW, NOW + 8 * HOUR, NOW + 50, NOW + 60), NOW)
    assert life.shard.sources[ENTRY].max_event_time == NOW + 60
    life.shard.advance_watermark(NOW + 100)
    life.checkpoint()
    assert [call[0] for call in toy.calls] == [NOW, NOW + 50, NOW + 60]
    assert [reason for _, reason, _ in letters(life)] == ["future"]


def test_what_the_own_shards_write_may_be_ahead_of_the_clock() -> None:
    life = Life(Recording(), inputs=("remark",))
    life.shard.ingest(ENTRY, at(NOW + 8 * HOUR), NOW)
    life.checkpoint()
    assert letters(life) == []


@pytest.mark.parametrize(
    "ahead, hinted",
    [
        (8 * HOUR, True),
        (8 * HOUR + 90_000, True),
        (8 * HOUR - 90_000, True),
        (8 * HOUR + 90_001, False),
        (8 * HOUR - 90_001, False),
        (5 * HOUR + 45 * 60_000, True),
        (15 * 60_000, True),
        (14 * HOUR + 90_000, True),
        (14 * HOUR + 15 * 60_000, False),
        (61_000, False),
        (24 * HOUR, False),
    ],
)
def test_whole_quarter_hours_ahead_are_called_local_time(ahead: int, hinted: bool) -> None:
    with pytest.raises(InvalidEvent) as caught:
        check_ahead(NOW + ahead, NOW, 60_000)
    assert ("local time seems to be sent as UTC" in caught.value.detail) is hinted
    assert caught.value.reason == "future"


def test_the_detail_says_how_far_ahead() -> None:
    with pytest.raises(InvalidEvent) as caught:
        check_ahead(NOW + 8 * HOUR + 1234, NOW, 60_000)
    assert caught.value.detail == (
        f"at {NOW + 8 * HOUR + 1234} is 8 h 00 min ahead of the clock, {NOW}; accepted are up to 1 min; "
        "that is a whole number of quarter hours: local time seems to be sent as UTC"
    )


@given(
    st.lists(st.tuples(st.integers(-2000, 150_000), st.integers(1, 4)), min_size=1, max_size=12),
    st.integers(0, 11),
)
def test_reading_again_gives_every_record_the_same_fate(story: list[tuple[int, int]], waits_from: int) -> None:
    """Each read of some records has a clock of its own, so that the same event may be ahead in one and not in another.

    A restart reads again what waited and what was rejected besides, with a clock that has gone on by hours.
    """
    records = at(*(NOW + ahead for ahead, _ in story))
    life = Life(toy := Recording(), lateness=200_000)
    place = wall = 0
    for _, size in story:
        life.shard.ingest(ENTRY, records[place : place + size], NOW + wall)
        place, wall = place + size, wall + 7000
    accepted = [pending[4].at for pending in life.shard.reorder_buffer]
    life.checkpoint()
    rejected = letters(life)
    for _ in range(2):
        life.restart(200_000)
        life.shard.ingest(ENTRY, records[:waits_from], NOW + HOUR)
        life.checkpoint()
    life.shard.ingest(ENTRY, records, NOW + HOUR)
    life.shard.advance_watermark(NOW + HOUR)
    assert sorted(call[0] for call in toy.calls) == sorted(accepted)
    life.checkpoint()
    assert sorted(set(letters(life))) == sorted(rejected)


def test_what_a_source_remembers_of_events_ahead_is_bounded_and_forgotten_with_its_records() -> None:
    source = SourcePosition(stored_max_event_time=10**9)
    for number in range(3 * MAX_AHEAD_RUNS):
        source.note_ahead(number, latest=number)
        source.note_ahead(number, latest=number)
    assert len(source.ahead) == MAX_AHEAD_RUNS
    assert all(source.was_ahead(number, 10**6) for number in range(3 * MAX_AHEAD_RUNS))
    source.forget_ahead(3 * MAX_AHEAD_RUNS - 1)
    assert source.ahead == [(3 * MAX_AHEAD_RUNS - 1, 3 * MAX_AHEAD_RUNS, 3 * MAX_AHEAD_RUNS - 1)]


# ---- in the wrong partition ------------------------------------------------------------------------------------------


def test_a_record_in_the_wrong_partition_is_not_judged_and_moves_no_clock() -> None:
    life = Life(toy := Recording(), **CHECKED)
    life.shard.ingest(ENTRY, [*at(1000), *at(9000, key="AB", first=1), *at(1001, first=2)])
    assert life.shard.sources[ENTRY].max_event_time == 1001
    life.shard.advance_watermark(9001)
    life.checkpoint()
    assert [call[0] for call in toy.calls] == [1000, 1001]
    assert [(offset, reason) for offset, reason, _ in letters(life)] == [(1, "misrouted")]


@pytest.mark.parametrize(
    "key, partition, in_force, words",
    [
        (b"abc", 97, "murmur2", "belongs in partition 3; librdkafka's default, CRC32, puts it in 97: set "
         "`partitioner=murmur2_random` in the producer"),
        (b"abc", 3, "crc32", "belongs in partition 97; the default of Kafka's Java client, murmur2, puts it in 3"),
        (b"abc", 0, "murmur2", "belongs in partition 3; no usual partitioner puts it in 0"),
    ],
)  # fmt: skip
def test_the_detail_names_the_right_partition_and_the_likely_cause(
    key: bytes, partition: int, in_force: str, words: str
) -> None:
    with pytest.raises(InvalidEvent) as caught:
        KeyPlacement(in_force, partition, PARTITIONERS).check(key)
    assert f"in partition {partition}; by {in_force} its key {words}" in caught.value.detail
    assert caught.value.reason == "misrouted"


def test_nothing_is_checked_without_a_partitioner_or_for_what_the_own_shards_write() -> None:
    unchecked = Life(Recording(), **{**CHECKED, "partitioner": "unchecked"})
    internal = Life(Recording(), **CHECKED, inputs=("look",))
    for life in (unchecked, internal):
        life.shard.ingest(ENTRY, at(1000, key="AB"))
        life.checkpoint()
        assert letters(life) == []
    internal.shard.ingest(LOOK, at(1000, key="AB"))
    internal.checkpoint()
    assert [reason for _, reason, _ in letters(internal)] == ["misrouted"]


def test_of_several_faults_the_first_in_order_gives_the_reason() -> None:
    life = Life(Recording(), **CHECKED)
    life.shard.ingest(ENTRY, at(NOW), NOW)
    life.shard.ingest(
        ENTRY, [message(1, None), *at(NOW + HOUR, 5, key="AB", first=2), *at(NOW + HOUR, 5, first=4)], NOW
    )
    life.checkpoint()
    assert [reason for _, reason, _ in letters(life)] == ["malformed", "misrouted", "misrouted", "future", "late"]


class Noting(Recording):
    """Publishes what it notes of misrouted events."""

    def on_misrouted(self, event: Event, collector: OutputCollector) -> None:
        collector.emit_once("noted", event.key, event.id, event.at, None)


def test_the_machine_notes_a_misrouted_event_that_could_be_judged_elsewhere() -> None:
    life = Life(Noting(), **CHECKED)
    records = [*at(NOW, key="AB"), *at(NOW + MAX_AHEAD_MS, key="AB", first=1), *at(NOW + 1, first=2)]
    life.shard.ingest(ENTRY, [*records, message(3, None), *at(NOW + MAX_AHEAD_MS + 1, key="AB", first=4)], NOW)
    life.checkpoint()
    assert life.published("noted") == [f"{NOW}", f"{NOW + MAX_AHEAD_MS}"]
    assert [offset for offset, reason, _ in letters(life) if reason == "misrouted"] == [0, 1, 4]


class WrongKeys(Noting):
    """Rejects events whose key is not theirs, with the event."""

    def decode(self, source_index: int, record: SourceRecord, *others: Any) -> Event:
        event = super().decode(source_index, record, *others)
        if record.key != b"A":
            raise InvalidEvent("the key is not its", event=event)
        return event


def test_the_machine_notes_an_event_with_a_wrong_key_as_one_in_the_wrong_partition() -> None:
    life = Life(WrongKeys())
    records = [*at(NOW), *at(NOW + 1, NOW + MAX_AHEAD_MS + 1, key="B", first=1), message(3, None)]
    life.shard.ingest(ENTRY, records, NOW)
    life.checkpoint()
    assert life.published("noted") == [f"{NOW + 1}"]
    assert [(offset, reason) for offset, reason, _ in letters(life)] == [(n, "malformed") for n in (1, 2, 3)]


def test_of_recorded_data_nothing_is_noted() -> None:
    life = Life(Noting(), **CHECKED)
    life.shard.ingest(ENTRY, at(NOW, key="AB"))
    life.checkpoint()
    assert life.published("noted") == []


def test_what_was_noted_is_in_the_outbox_and_not_noted_again() -> None:
    """The dead letter and what is published of it are stored together, and sent again together."""
    life = Life(Noting(), **CHECKED)
    records = [*at(NOW), *at(NOW, key="AB", first=1)]
    life.shard.ingest(ENTRY, records, NOW)
    life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, records, NOW)
    life.checkpoint()
    assert life.published("noted") == [f"{NOW}", f"{NOW}"]
    assert life.published("dead-letter") == ["entry/1/1", "entry/1/1"]


def test_many_messages_of_one_identity_are_published_once() -> None:
    collector = OutputCollector()
    for number in range(3 * MAX_REMEMBERED):
        collector.emit_once("noted", "k", f"{number // 2}", 0, None)
    assert len(collector.outputs) == 3 * MAX_REMEMBERED // 2
    assert len(collector._emitted_once) <= MAX_REMEMBERED


@pytest.mark.parametrize("then", ["murmur2", "crc32", "unchecked"])
def test_what_was_misrouted_stays_so_when_it_is_read_again_under_another_setting(then: str) -> None:
    records = [*at(1000), *at(1001, key="AB", first=1), *at(1002, first=2)]
    life = Life(toy := Recording(), **CHECKED)
    life.shard.ingest(ENTRY, records)
    life.checkpoint()
    for _ in range(2):
        life.options["partitioner"] = then
        life.restart()
        life.shard.ingest(ENTRY, records[:1])
        life.checkpoint()
    life.shard.ingest(ENTRY, records)
    life.shard.advance_watermark(2000)
    assert [call[0] for call in toy.calls] == [1000, 1002]


def test_state_of_an_earlier_version_has_accepted_every_partition() -> None:
    records = [*at(1000), *at(1001, key="AB", first=1)]
    life = Life(toy := Recording())
    life.shard.ingest(ENTRY, records)
    life.checkpoint()
    life.options |= CHECKED
    life.restart()
    life.shard.ingest(ENTRY, [*records, *at(1002, key="AB", first=2)])
    life.shard.advance_watermark(2000)
    assert [call[0] for call in toy.calls] == [1000, 1001]


def test_the_partition_of_each_key_is_computed_once_and_few_are_remembered() -> None:
    asked: list[bytes] = []

    def partition_of(key: bytes) -> int:
        asked.append(key)
        return 1

    placement = KeyPlacement("murmur2", 1, {"murmur2": partition_of})
    for _ in range(3):
        assert not placement.misplaced(b"room")
    assert asked == [b"room"]
    for number in range(MAX_KNOWN_KEYS + 10):
        placement.misplaced(b"%d" % number)
    assert placement.own_keys is not None and len(placement.own_keys) <= MAX_KNOWN_KEYS


# ---- lateness by topic -----------------------------------------------------------------------------------------------


def test_each_source_has_its_own_allowed_lateness() -> None:
    life = Life(Recording(), lateness_by_topic={"look": 500})
    life.shard.ingest(ENTRY, at(1000, 901, 899))
    life.shard.ingest(LOOK, at(1000, 501, 499))
    life.checkpoint()
    assert [(offset, reason) for offset, reason, _ in letters(life)] == [(2, "late"), (2, "late")]


def test_what_waited_is_judged_after_the_lateness_of_its_topic_was_reduced() -> None:
    records = at(1000, 600)
    life = Life(toy := Recording(), lateness_by_topic={"look": 500})
    life.shard.ingest(LOOK, records)
    life.checkpoint()
    life.options["lateness_by_topic"] = {}
    life.restart()
    assert life.shard.reader.lateness_was_reduced
    life.shard.advance_watermark(900)
    life.shard.ingest(LOOK, records)
    life.shard.advance_watermark(2000)
    assert [call[0] for call in toy.calls] == [600, 1000]
