"""What producers write: how far the times of their newest events are from this machine's clock."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from aiokafka.structs import TopicPartition

from vigil.app.kafka.clients import new_consumer, started
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.topic_reader import records
from vigil.app.runtime.doctor.check import Check, first_few, span
from vigil.topics.fields import MAX_AHEAD_MS
from vigil.topics.rooms import ROOM_TOPICS

SILENT_MS: Final = 5 * 60 * 1000
"""Age of the newest room event above which the input counts as silent: rooms send a frame a second."""

NEEDED: Final = {
    "comment": "their hosts are judged as if they said nothing",
    "frame-status": "no room is judged without frames",
}
"""What follows where a topic is silent while buyers enter rooms."""

AHEAD_MS: Final = 5_000
"""By how much a producer's clock may be ahead of this machine's before it is reported."""

BEHIND_MS: Final = 60_000
"""By how much the newest event of a partition that is being written may be behind before it is a fault."""

SLOW_MS: Final = 10_000
"""By how much it may be behind before it is reported: no transcription takes that long."""

WATCH_S: Final = 1.5
"""How long the input is watched for new messages."""


class NewestEvent(NamedTuple):
    """The newest event of one partition."""

    at: int
    arriving: bool
    """True if the partition was written to while it was watched."""


async def check_input(settings: Settings, topics: Mapping[str, int], clock: Callable[[], int]) -> list[Check]:
    """Check the newest events. `topics`: input topics by catalogue name, with their partitions; `clock`: in ms."""
    if settings.clock != "live":
        return [Check("input", "ok", "recorded: no clock to compare with")]
    newest = await newest_events(settings, topics)
    now = clock()
    written: frozenset[TopicPartition] = frozenset()
    if any(now - at > SLOW_MS for at in newest.values()):
        before = await _ends(settings, topics)
        await asyncio.sleep(WATCH_S)
        after = await _ends(settings, topics)
        written = frozenset(tp for tp, end in after.items() if end > before.get(tp, end))
        newest = await newest_events(settings, topics)  # what has come meanwhile may be younger
        now = clock()
    return input_checks({tp: NewestEvent(at, tp in written) for tp, at in newest.items()}, now, settings.max_ahead_ms)


async def newest_events(settings: Settings, topics: Iterable[str]) -> dict[TopicPartition, int]:
    """The time (ms) of the last event of each partition, by the topics' names in the catalogue."""
    newest: dict[TopicPartition, int] = {}
    for topic in topics:
        async for record in records(settings, topic, 1):
            at = _at(record.value)
            if at is not None:
                newest[TopicPartition(topic, record.partition)] = at
    return newest


async def _ends(settings: Settings, topics: Mapping[str, int]) -> dict[TopicPartition, int]:
    on_cluster = TopicNames.of(settings).on_cluster
    names = {on_cluster(topic): topic for topic in topics}
    tps = [TopicPartition(name, number) for name, topic in names.items() for number in range(topics[topic])]
    async with started(new_consumer(settings, "doctor")) as consumer:
        ends = await consumer.end_offsets(tps) if tps else {}
    return {TopicPartition(names[tp.topic], tp.partition): end for tp, end in ends.items()}


def input_checks(
    newest: Mapping[TopicPartition, NewestEvent], now: int, max_ahead_ms: int = MAX_AHEAD_MS
) -> list[Check]:
    """Grade the newest events of all partitions. `max_ahead_ms`: by how much an event may be ahead to be judged."""
    if not newest:
        return [Check("input", "warn", "no events yet", "do producers write to this broker? vigil simulate would")]
    checks = _ahead(newest, now, max_ahead_ms) + _behind(newest, now) + _absent(newest, now, max_ahead_ms)
    rooms = [event.at for tp, event in newest.items() if tp.topic in ROOM_TOPICS]
    if rooms and now - max(rooms) > SILENT_MS and not any(check.level == "fail" for check in checks):
        words = f"the newest room event is {span(now - max(rooms))} old"
        checks.append(Check("input", "warn", words, "is no room on air, or do producers not write?"))
    youngest = max(event.at for event in newest.values())
    return checks or [Check("input", "ok", f"the newest event is {span(now - youngest)} old")]


def _ahead(newest: Mapping[TopicPartition, NewestEvent], now: int, max_ahead_ms: int) -> list[Check]:
    checks = []
    for topic in sorted({tp.topic for tp in newest}):
        ahead_ms = max(event.at for tp, event in newest.items() if tp.topic == topic) - now
        if ahead_ms > AHEAD_MS:
            rejected = ahead_ms > max_ahead_ms
            words = f"{topic}: the newest event is {span(ahead_ms)} ahead of this machine's clock"
            remedy = "set the producers' clocks, or this machine's (NTP): "
            remedy += "such events are refused" if rejected else "others are late by as much"
            checks.append(Check("input", "fail" if rejected else "warn", words, remedy))
    return checks


def _behind(newest: Mapping[TopicPartition, NewestEvent], now: int) -> list[Check]:
    """Partitions of the room topics that are being written with old times: they hold back their shards."""
    old = {
        tp: event
        for tp, event in newest.items()
        if tp.topic in ROOM_TOPICS and event.arriving and now - event.at > SLOW_MS
    }
    if not old:
        return []
    lines = _oldest_first(old, now)
    words = f"messages arrive with times of the past; their rooms are judged as late as that\n{lines}"
    fault = any(now - event.at > BEHIND_MS for event in old.values())
    remedy = "set the producers' clocks (NTP), or send without such a delay"
    return [Check("input", "fail" if fault else "warn", words, remedy)]


def _absent(newest: Mapping[TopicPartition, NewestEvent], now: int, max_ahead_ms: int) -> list[Check]:
    """Topics without which rooms are judged wrongly or not at all: nothing comes, although buyers enter."""
    latest: dict[str, int] = {}
    for tp, event in newest.items():
        if event.at <= now + max_ahead_ms:
            latest[tp.topic] = max(event.at, latest.get(tp.topic, 0))
    if now - latest.get("buyer-entry", 0) > SILENT_MS:
        return []
    checks = []
    for topic, then in NEEDED.items():
        at = latest.get(topic)
        if at is None or now - at > SILENT_MS:
            since = "no message at all" if at is None else f"the newest message is {span(now - at)} old"
            words = f"{topic}: {since}, although buyers enter rooms: {then}"
            remedy = "does its producer run, and does it write to this topic (topic_prefix, input_prefix)?"
            checks.append(Check("input", "fail", words, remedy))
    return checks


def _oldest_first(events: Mapping[TopicPartition, NewestEvent], now: int) -> str:
    ordered: Sequence[tuple[TopicPartition, NewestEvent]] = sorted(events.items(), key=lambda pair: pair[1].at)
    return first_few([f"{tp.topic}, partition {tp.partition}: {span(now - event.at)} old" for tp, event in ordered])


class _Timed(msgspec.Struct):
    at: int


def _at(value: bytes | None) -> int | None:
    try:
        return None if value is None else msgspec.json.decode(value, type=_Timed).at
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # a worker rejects it, which the check of rejected messages reports
