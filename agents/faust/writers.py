"""The ports that write: changelogs and outputs, on aiokafka's producer."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from aiokafka.errors import MessageSizeTooLargeError

from vigil.agents.faust.table import MirrorTable
from vigil.agents.faust.transport import changelog_batch
from vigil.agents.ports import OutputRecord
from vigil.app.engine.changelog import ChangelogRecord
from vigil.topics.catalog import SubjectName

LOG_APPEND_TIME: Final = 1
"""The timestamp type of a topic whose records bear the broker's time."""


ENCODED_AT_ONCE: Final = 500
"""Outputs that are encoded before other tasks run: it takes some 3 µs each."""

OutputBatch = tuple[str, int, Any, list[OutputRecord]]
"""Topic on the cluster, partition, the batch as it is sent, and the outputs in it."""


class FaustPendingAppend:
    """Batches on their way to a changelog. Implements `PendingAppend`."""

    def __init__(self, batches: Sequence[tuple["asyncio.Future[Any]", int]]) -> None:
        """`batches`: the acknowledgement of each, with its number of records."""
        self._batches = batches
        self.appended_at: int | None = None

    async def acknowledged(self) -> int:
        end = 0
        for acknowledgement, records in self._batches:
            metadata = await acknowledgement
            end = metadata.offset + records
            self.appended_at = metadata.timestamp if metadata.timestamp_type == LOG_APPEND_TIME else None
        return end


class FaustChangelogWriter:
    """Writes each checkpoint of a shard in as few batches as possible. Implements `ChangelogWriter`."""

    def __init__(
        self,
        producer: Callable[[], Any],
        tables: Mapping[SubjectName, MirrorTable],
        marker_alone: bool = False,
        new_batch: Callable[[], Any] = changelog_batch,
    ) -> None:
        """`producer`: the app's current aiokafka producer. `new_batch`: an empty batch for a changelog.

        `marker_alone`: write the marker in a batch of its own. A broker that reports the first offset of the last batch
        as the end of the log (the embedded one) needs that; elsewhere a checkpoint of usual size is one batch, which
        the log has as a whole or not at all.
        """
        self._producer = producer
        self._tables = tables
        self._marker_alone = marker_alone
        self._new_batch = new_batch

    async def append(
        self, subject: SubjectName, partition: int, records: Sequence[ChangelogRecord]
    ) -> FaustPendingAppend:
        topic = self._tables[subject].changelog_topic_name
        sent = []
        for batch in self._batches(records):
            future = await self._producer().send_batch(batch, topic, partition=partition)
            sent.append((future, batch.record_count()))
        return FaustPendingAppend(sent)

    def _batches(self, records: Sequence[ChangelogRecord]) -> Iterator[Any]:
        batch = self._new_batch()
        for number, record in enumerate(records, start=1):
            alone = self._marker_alone and number == len(records) > 1
            if alone or not _append(batch, record):
                yield batch
                batch = self._new_batch()
                _append(batch, record)
        yield batch

    def known_end(self, subject: SubjectName, partition: int) -> int:
        return self._tables[subject].store.ends.get(partition, 0)

    def confirm_end(self, subject: SubjectName, partition: int, end: int) -> None:
        self._tables[subject].store.ends[partition] = end


class FaustOutputSender:
    """Publishes outputs. Implements `OutputSender`."""

    def __init__(self, producer: Callable[[], Any], on_cluster: Callable[[str], str] = str) -> None:
        """`producer`: the app's current aiokafka producer. `on_cluster`: a topic's name on the cluster."""
        self._producer = producer
        self._on_cluster = on_cluster

    async def send(self, records: Sequence[OutputRecord]) -> list[OutputRecord]:
        producer = self._producer()
        for topic in {record.topic for record in records}:
            await producer.partitions_for(self._on_cluster(topic))  # the client learns where keys belong
        sent = []
        places: dict[tuple[str, bytes | None], tuple[str, int]] = {}
        for begin in range(0, len(records), ENCODED_AT_ONCE):
            portion = records[begin : begin + ENCODED_AT_ONCE]
            for topic, partition, batch, outputs in self._batches(portion, producer, places):
                sent.append((await producer.send_batch(batch, topic, partition=partition), outputs))
            await asyncio.sleep(0)  # these are on their way while the next are encoded
        too_large: list[OutputRecord] = []
        for acknowledgement, outputs in sent:
            try:
                await acknowledgement
            except MessageSizeTooLargeError:
                too_large += outputs
        return too_large

    def _batches(
        self, records: Sequence[OutputRecord], producer: Any, places: dict[tuple[str, bytes | None], tuple[str, int]]
    ) -> list[OutputBatch]:
        """Put outputs into as few batches as possible: given to the producer one by one, each costs some three times.

        The outputs of a key in a topic keep their order. `places`: where keys are known to belong; more are added.
        """
        open_: dict[tuple[str, int], OutputBatch] = {}
        batches = []
        for record in records:
            place = places.get((record.topic, record.key))
            if place is None:
                topic = self._on_cluster(record.topic)
                place = topic, producer._partition(topic, None, None, None, record.key, None)
                places[record.topic, record.key] = place
            last = open_.get(place)
            if last is None or not _append(last[2], record):
                last = open_[place] = (*place, producer.create_batch(), [])
                batches.append(last)
                _append(last[2], record)
            last[3].append(record)
        return batches


def _append(batch: Any, record: ChangelogRecord | OutputRecord) -> bool:
    return batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers)) is not None
