"""How far the source topics were read, kept with the state: the group's own offsets expire while nobody is a member.

An offset says nothing of a topic that was deleted and created again. So each position has the identity of the last
record that was read: where another record stands there, the topic is read from its beginning.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.structs import TopicPartition

from vigil.app.engine.source_identity import RecordIdentity, identity_of

log: Final = structlog.get_logger("vigil.notify")

KEY_PREFIX: Final = "s:"
"""Begins the keys of the positions in the state topic: `s:TOPIC:PARTITION`, with the next offset as value, and
the timestamp (ms) and digest of the record before it where they are known."""
REMEMBERED_MS: Final = 26 * 60 * 60 * 1000
"""Of what was written in this time before the latest message that the state knows, it also knows what was published."""
MAX_OFFSET: Final = 2**63 - 1


COMPARE_S: Final = 10.0
"""Maximum time for reading the last known records again."""
POLL_MS: Final = 200


class ReadPosition(NamedTuple):
    """How far a partition was read."""

    offset: int
    """The next one."""
    last: RecordIdentity | None = None
    """The record before it; None if it is not known, as in the state of earlier versions."""


def after(records: Sequence[ConsumerRecord]) -> ReadPosition:
    """Return the position after records of one partition were read."""
    return ReadPosition(records[-1].offset + 1, identity_of(records[-1]))


def position_records(positions: Mapping[TopicPartition, ReadPosition]) -> Iterator[tuple[str, bytes]]:
    """Yield the state record of each position."""
    for partition, (offset, last) in positions.items():
        known = b"" if last is None else b" %d %b" % (last.timestamp, last.digest.hex().encode())
        yield f"{KEY_PREFIX}{partition.topic}:{partition.partition}", b"%d%b" % (offset, known)


def read_positions(records: Mapping[str, bytes]) -> tuple[dict[TopicPartition, ReadPosition], dict[str, str]]:
    """Return the positions that state records hold, and the names of those that hold none, each with why."""
    positions, unreadable = {}, {}
    for name, value in records.items():
        topic, colon, partition = name.removeprefix(KEY_PREFIX).rpartition(":")
        position = _position(value)
        if colon and position and partition.isascii() and partition.isdigit() and len(partition) < 10:
            positions[TopicPartition(topic, int(partition))] = position
        else:
            unreadable[name] = "no position"
    return positions, unreadable


def _position(value: bytes) -> ReadPosition | None:
    offset, *known = value.split(b" ")
    if not _is_offset(offset):
        return None
    if not known:
        return ReadPosition(int(offset))
    try:
        timestamp, digest = known
        return ReadPosition(
            int(offset), RecordIdentity(int(offset) - 1, int(timestamp), bytes.fromhex(digest.decode()))
        )
    except ValueError:
        return None


def _is_offset(value: bytes) -> bool:
    return value.isdigit() and len(value) < 20 and int(value) <= MAX_OFFSET


def covered_until(heard: int | None) -> int | None:
    """Return the wall-clock time before which every record was read, by a state whose latest message was read at
    `heard`."""
    return None if heard is None else heard - REMEMBERED_MS


class KnownPast:
    """Where a group goes on reading, as its stored state says."""

    def __init__(self, positions: Mapping[TopicPartition, ReadPosition], covered_ms: int | None) -> None:
        """`covered_ms`: `covered_until` of a state that may be older than its positions; None where it is empty."""
        self._positions = positions
        self._covered_ms = covered_ms

    async def seek(
        self, consumer: AIOKafkaConsumer, *, from_beginning: bool, optional: Collection[str] = ()
    ) -> dict[TopicPartition, ReadPosition]:
        """Set the positions of the partitions for which the group has no offset, and return them.

        A new group begins at the end of the topics, or with `from_beginning` at their beginning. So does a group that
        reads one of the `optional` topics for the first time. Any other partition that was added later is read from its
        beginning: it did not exist when the group began.
        """
        partitions = sorted(consumer.assignment())
        committed = {each: offset for each in partitions if (offset := await consumer.committed(each)) is not None}
        fresh = [each for each in partitions if each not in committed]
        stored = {each: self._positions[each].offset for each in fresh if each in self._positions}
        if stored:
            log.warning("the group's offsets have expired: it goes on from its stored state", partitions=len(stored))
        if known := committed | stored:
            await self._go_on(consumer, known)
            if not from_beginning:
                await self._begin_later(consumer, fresh, optional)
        elif len(fresh) == len(partitions) and self._covered_ms is not None:
            await self._read_again(consumer, fresh, self._covered_ms)
        elif len(fresh) == len(partitions) and not from_beginning:
            await consumer.seek_to_end(*fresh)
        return {partition: self._at(partition, await consumer.position(partition)) for partition in fresh}

    async def _begin_later(
        self, consumer: AIOKafkaConsumer, fresh: list[TopicPartition], optional: Collection[str]
    ) -> None:
        """Begin the optional topics of which nothing is known at their end."""
        known = {each.topic for each in self._positions}.union(
            each.topic for each in consumer.assignment() if each not in fresh
        )
        if first := [each for each in fresh if each.topic in optional and each.topic not in known]:
            await consumer.seek_to_end(*first)

    def _at(self, partition: TopicPartition, offset: int) -> ReadPosition:
        stored = self._positions.get(partition)
        return stored if stored is not None and stored.offset == offset else ReadPosition(offset)

    async def _go_on(self, consumer: AIOKafkaConsumer, known: Mapping[TopicPartition, int]) -> None:
        """Go on from known positions, or from the beginning of what retention has left.

        Where the topic ends before the position, it is another topic of that name: the consumer begins at its beginning
        by itself (auto_offset_reset).
        """
        begins = await consumer.beginning_offsets(list(known))
        remade = await self._created_again(consumer, begins)
        for partition, offset in known.items():
            if partition in remade:
                log.error(
                    "a topic was created again: it is read from its beginning",
                    topic=partition.topic, partition=partition.partition, read_before=offset,
                )  # fmt: skip
                consumer.seek(partition, begins[partition])
                continue
            if lost := max(begins[partition] - offset, 0):
                log.error(
                    "records were deleted before they were read",
                    topic=partition.topic, partition=partition.partition, records=lost,
                )  # fmt: skip
            consumer.seek(partition, max(offset, begins[partition]))

    async def _created_again(
        self, consumer: AIOKafkaConsumer, begins: Mapping[TopicPartition, int]
    ) -> set[TopicPartition]:
        """The partitions in which another record stands where the last one that was read stood.

        One whose record cannot be read in time, or was taken away by compaction, is taken for the same.
        """
        ends = await consumer.end_offsets(list(begins))
        last = {each: known for each in begins if (known := self._last(each)) is not None}
        there = {each: known for each, known in last.items() if begins[each] <= known.offset < ends[each]}
        records = await _records_at(consumer, {each: known.offset for each, known in there.items()})
        return {
            each
            for each, record in records.items()
            if record.offset == there[each].offset and identity_of(record) != there[each]
        }

    def _last(self, partition: TopicPartition) -> RecordIdentity | None:
        stored = self._positions.get(partition)
        return None if stored is None else stored.last

    async def _read_again(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition], since: int) -> None:
        """Read again, by the broker's times, what a state without positions may not cover."""
        log.warning("the group's offsets have expired: reads again what its state may not cover", since=since)
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
        for partition in partitions:
            at = found.get(partition)
            if at is None or at.timestamp < 0:  # no record is that late: None, or -1 from the embedded broker
                await consumer.seek_to_end(partition)
            else:
                consumer.seek(partition, at.offset)


async def _records_at(
    consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]
) -> dict[TopicPartition, ConsumerRecord]:
    """The first record of each partition at or above an offset, of those that come in time. Moves the positions."""
    for partition, offset in offsets.items():
        consumer.seek(partition, offset)
    found: dict[TopicPartition, ConsumerRecord] = {}
    until = time.monotonic() + COMPARE_S
    while (left := offsets.keys() - found.keys()) and time.monotonic() < until:
        fetched = await consumer.getmany(*left, timeout_ms=POLL_MS)
        found |= {partition: records[0] for partition, records in fetched.items()}
    return found
