"""How far the source topics were read, kept with the state: the group's own offsets expire while nobody is a member."""

from collections.abc import Iterator, Mapping
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

log: Final = structlog.get_logger("vigil.notify")

KEY_PREFIX: Final = "s:"
"""Begins the keys of the positions in the state topic: `s:TOPIC:PARTITION`, with the next offset as value."""
REMEMBERED_MS: Final = 26 * 60 * 60 * 1000
"""Of what was written in this time before the latest message that the state knows, it also knows what was published."""
MAX_OFFSET: Final = 2**63 - 1


def position_records(offsets: Mapping[TopicPartition, int]) -> Iterator[tuple[str, bytes]]:
    """Yield the state record of each position."""
    for partition, offset in offsets.items():
        yield f"{KEY_PREFIX}{partition.topic}:{partition.partition}", b"%d" % offset


def read_positions(records: Mapping[str, bytes]) -> tuple[dict[TopicPartition, int], dict[str, str]]:
    """Return the positions that state records hold, and the names of those that hold none, each with why."""
    positions, unreadable = {}, {}
    for name, value in records.items():
        topic, colon, partition = name.removeprefix(KEY_PREFIX).rpartition(":")
        is_number = value.isdigit() and partition.isascii() and partition.isdigit() and len(partition) < 10
        if colon and is_number and len(value) < 20 and int(value) <= MAX_OFFSET:
            positions[TopicPartition(topic, int(partition))] = int(value)
        else:
            unreadable[name] = "no position"
    return positions, unreadable


def covered_until(heard: int | None) -> int | None:
    """Return the wall-clock time before which every record was read, by a state whose latest message was read at
    `heard`."""
    return None if heard is None else heard - REMEMBERED_MS


class KnownPast:
    """Where a group goes on reading, as its stored state says."""

    def __init__(self, positions: Mapping[TopicPartition, int], covered_ms: int | None) -> None:
        """`covered_ms`: `covered_until` of a state that may be older than its positions; None where it is empty."""
        self._positions = positions
        self._covered_ms = covered_ms

    async def seek(self, consumer: AIOKafkaConsumer, *, from_beginning: bool) -> dict[TopicPartition, int]:
        """Set the positions of the partitions for which the group has no offset, and return them.

        A new group begins at the end of the topics, or with `from_beginning` at their beginning. A partition that was
        added later is read from its beginning: it did not exist when the group began.
        """
        partitions = sorted(consumer.assignment())
        committed = {each: offset for each in partitions if (offset := await consumer.committed(each)) is not None}
        fresh = [each for each in partitions if each not in committed]
        stored = {each: self._positions[each] for each in fresh if each in self._positions}
        if stored:
            log.warning("the group's offsets have expired: it goes on from its stored state", partitions=len(stored))
        if known := committed | stored:
            await self._go_on(consumer, known)
        elif len(fresh) == len(partitions) and self._covered_ms is not None:
            await self._read_again(consumer, fresh, self._covered_ms)
        elif len(fresh) == len(partitions) and not from_beginning:
            await consumer.seek_to_end(*fresh)
        return {partition: await consumer.position(partition) for partition in fresh}

    async def _go_on(self, consumer: AIOKafkaConsumer, known: Mapping[TopicPartition, int]) -> None:
        """Go on from known positions, or from the beginning of what retention has left.

        Where the topic ends before the position, it is another topic of that name: the consumer begins at its beginning
        by itself (auto_offset_reset).
        """
        begins = await consumer.beginning_offsets(list(known))
        for partition, offset in known.items():
            if lost := max(begins[partition] - offset, 0):
                log.error(
                    "records were deleted before they were read",
                    topic=partition.topic, partition=partition.partition, records=lost,
                )  # fmt: skip
            consumer.seek(partition, max(offset, begins[partition]))

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
