"""What `vigil doctor --producers` says of the messages of one topic."""

import asyncio
import json
import zlib
from collections.abc import Iterable
from typing import Any

import pytest
from aiokafka.partitioner import murmur2

from tests.support.harness import make_topics
from tests.support.run_command import run
from vigil.app.kafka.clients import new_producer
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.doctor.check import Check
from vigil.app.runtime.doctor.producers.grades import Expected, grade
from vigil.app.runtime.doctor.producers.measures import MOST_NAMES, Names, Sampled, TopicMeasures

S = 1000
H = 3600 * S
NOW = 1_700_000_000_000
PARTITIONS = 4


def by_murmur2(key: str) -> int:
    return (murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS


def by_crc32(key: str) -> int:
    return zlib.crc32(key.encode()) % PARTITIONS


def comment(number: int, room: str = "room-1", **fields: Any) -> dict[str, Any]:
    return {
        "room_id": room, "host_id": "h", "at": NOW + number * S, "comment_id": f"c{number}", "author_id": "h",
        "author_role": "host", "text": "hello", **fields,
    }  # fmt: skip


def frame(number: int, room: str = "room-1", every_ms: int = S, **fields: Any) -> dict[str, Any]:
    at = NOW + number * every_ms
    return {"room_id": room, "host_id": "h", "at": at, "stream": "live", "face": True, "black": False, **fields}


def graded(
    topic: str, messages: Iterable[dict[str, Any]], delay_ms: int = 100, place: Any = by_murmur2, **expected: Any
) -> dict[str, Check]:
    """The checks by name; messages are written `delay_ms` after their `at`."""
    measures = TopicMeasures(topic, PARTITIONS)
    for message in messages:
        key = message["room_id"]
        measures.add(Sampled(place(key), message["at"] + delay_ms, key.encode(), json.dumps(message).encode()))
    limits = {"partitioner": "murmur2", "allowed_ms": 2000, "max_frame_gap_ms": 5000, "live": True, **expected}
    return {check.name: check for check in grade(measures, Expected(**limits))}


ROOMS = [f"room-{number}" for number in range(40)]


@pytest.mark.parametrize(
    ("place", "expected", "level", "words"),
    [
        (by_murmur2, "murmur2", "ok", "murmur2, by"),
        (by_crc32, "murmur2", "fail", "placed by CRC-32, librdkafka's default"),
        (lambda key: 0, "murmur2", "fail", "placed by neither murmur2 nor CRC-32"),
        (by_crc32, "crc32", "ok", "crc32, by"),
        (by_murmur2, "crc32", "fail", "placed by murmur2"),
        (lambda key: 0, "unchecked", "ok", "not checked"),
    ],
)
def test_the_partitioner_is_recognised_by_where_keys_lie(place: Any, expected: str, level: str, words: str) -> None:
    check = graded("comment", [comment(0, room) for room in ROOMS], place=place, partitioner=expected)["partitioner"]
    assert check.level == level
    assert words in check.words


def test_a_single_misplaced_key_is_a_fault() -> None:
    stray = next(room for room in ROOMS if by_murmur2(room) not in (0, by_crc32(room)))
    check = graded("comment", [comment(0, room) for room in ROOMS], place=lambda k: 0 if k == stray else by_murmur2(k))
    assert check["partitioner"].level == "fail"
    assert "1 of " in check["partitioner"].words


@pytest.mark.parametrize(
    ("delay_ms", "level", "words"),
    [
        (0, "ok", ""),
        (-S, "ok", ""),
        (-S - 1, "warn", "ahead of"),
        (-60 * S, "warn", "ahead of"),
        (-60 * S - 1, "fail", "such events are rejected"),
        (-8 * H, "fail", "local time sent as UTC"),
        (60 * S, "ok", ""),
        (60 * S + 1, "fail", "behind"),
        (7 * H + 90 * S, "fail", "local time sent as UTC"),
    ],
)
def test_clocks_are_compared_with_the_time_of_writing(delay_ms: int, level: str, words: str) -> None:
    check = graded("comment", [comment(number) for number in range(30)], delay_ms)["clock"]
    assert check.level == level
    assert words in check.words


def test_one_event_of_the_future_makes_no_other_late() -> None:
    ahead = {**frame(30), "at": NOW + 8 * H}
    measures = TopicMeasures("frame-status", PARTITIONS)
    for message in [*(frame(number) for number in range(30)), ahead, *(frame(number) for number in range(31, 60))]:
        at = NOW + 30 * S if message is ahead else message["at"]
        measures.add(Sampled(by_murmur2("room-1"), at, b"room-1", json.dumps(message).encode()))
    checks = grade(measures, Expected("murmur2", 2000, 5000, True))
    assert [check.level for check in checks if check.name in ("clock", "lateness")] == ["fail", "ok", "ok"]
    assert "1 of 60 events are 8 h ahead" in checks[1].words
    assert "local time sent as UTC" in checks[1].words


def test_a_field_that_stands_twice_in_a_message_is_named() -> None:
    measures = TopicMeasures("comment", PARTITIONS)
    for raw in (b"", b',"at":%d' % (NOW + S), b',"extra":{"x":1,"x":2}'):
        value = json.dumps(comment(0)).encode()[:-1] + raw + b"}"
        measures.add(Sampled(by_murmur2("room-1"), NOW + 2 * S, b"room-1", value))
    (check,) = [one for one in grade(measures, Expected("murmur2", 2000, 5000, True)) if one.name == "fields"]
    assert check.level == "warn"
    assert "more than once: 'at' (1), 'x' (1)" in check.words


def test_a_recorded_clock_is_compared_with_nothing() -> None:
    assert "clock" not in graded("comment", [comment(0)], -8 * H, live=False)


@pytest.mark.parametrize(("delay_ms", "level"), [(2000, "ok"), (2001, "fail"), (3200, "fail")])
def test_slow_speech_gets_a_recommended_allowance(delay_ms: int, level: str) -> None:
    check = graded("comment", [comment(number, via="speech") for number in range(60)], delay_ms)["lateness"]
    assert check.level == level
    assert check.words.startswith("comment by speech: 99.9 % of 60 events")
    if delay_ms == 3200:
        assert "allowed_lateness_ms_by_topic: comment = 3500" in check.remedy


def test_a_few_late_events_are_a_hint() -> None:
    check = graded("comment", [comment(number, via="speech") for number in range(4)], 4503)["lateness"]
    assert (check.level, "comment = 5000" in check.remedy) == ("warn", True)


def test_disorder_within_a_partition_counts_as_lateness() -> None:
    times = [0, 10, 6, *range(11, 40)]
    check = graded("frame-status", [frame(number) for number in times], 0)["lateness"]
    assert check.level == "fail"
    assert "frame-status = 4000" in check.remedy


@pytest.mark.parametrize(
    ("every_ms", "level"), [(1000, "ok"), (2000, "ok"), (2001, "warn"), (5001, "fail"), (500, "ok"), (499, "warn")]
)
def test_the_rate_of_frames_is_graded(every_ms: int, level: str) -> None:
    assert graded("frame-status", [frame(n, every_ms=every_ms) for n in range(30)])["frames"].level == level


def test_labels_that_no_rule_knows_are_named() -> None:
    messages = [frame(number, labels=["theme-mismatch", "rights:logo", "blurry"]) for number in range(30)]
    check = graded("frame-status", messages)["labels"]
    assert (check.level, check.words) == ("warn", "frame-status: labels that no rule knows: 'blurry' (30)")


def test_messages_that_cannot_be_read_are_named() -> None:
    check = graded("comment", [comment(0), comment(1, author_role="robot")])["fields"]
    assert check.level == "fail"
    assert "1 of 2 messages cannot be read" in check.words


def test_optional_fields_that_cannot_be_read_are_named() -> None:
    messages = [frame(0), frame(1, activity="juggling"), frame(2, activity="juggling", av_offset_ms="late")]
    check = graded("frame-status", messages)["fields"]
    assert check.level == "warn"
    assert check.words.endswith("in 3 messages: 'activity' (2), 'av_offset_ms' (1)")


def test_labels_in_another_spelling_are_known() -> None:
    assert "labels" not in graded("frame-status", [frame(0, labels=["Theme Mismatch", " RIGHTS : Logo"])])


def test_names_are_bounded() -> None:
    names = Names()
    for number in range(1000):
        names.add(f"{number:04}" + "x" * 1000)
    assert len(names.counts) == MOST_NAMES + 1
    assert names.counts["other"] == 1000 - MOST_NAMES


@pytest.mark.slow
async def test_two_partitioners_on_one_topic_are_found_on_real_kafka(own_kafka: Any) -> None:
    broker = own_kafka.address
    await make_topics(broker, PARTITIONS)
    async with new_producer(Settings(broker=broker), "test") as producer:
        for number, room in enumerate(ROOMS):
            for topic, message, place in (
                ("comment", comment(number, room), by_crc32),
                ("frame-status", frame(number, room), by_murmur2),
            ):
                value = json.dumps(message).encode()
                await producer.send(topic, value, key=room.encode(), partition=place(room), timestamp_ms=message["at"])
        await producer.flush()
    shown = await asyncio.to_thread(run, "doctor", "--producers", "--json", "--broker", broker)
    assert shown.exit_code == 1, shown.output
    checks = {
        check["words"].split(":")[0]: check for check in json.loads(shown.stdout) if check["name"] == "partitioner"
    }
    assert (checks["comment"]["level"], checks["frame-status"]["level"]) == ("fail", "ok")
    assert "partitioner=murmur2_random" in checks["comment"]["remedy"]
