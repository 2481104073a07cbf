"""Records topics into lines that `vigil replay` reads, merged in time, with a bounded number of them in memory.

    rulebook ──▶ all publications, first
    partitions ──▶ a queue each, in the order of offsets ──merge──▶ lines
                   └ time of a message: the largest event time of its partition so far

With that time the merge keeps the order of each partition, and no message comes after one that is ahead of it by more
than its own partition's disorder: what was in time for the workers is in time in a replay, and what was late is late.
"""

import heapq
from collections import Counter, deque
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.clients import new_consumer
from vigil.app.kafka.dead_letters import TOPIC as DEAD_LETTER
from vigil.app.kafka.dead_letters import decode_dead_letter
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_reader import MAX_EMPTY_POLLS, records
from vigil.app.runtime.rulebooks.history_file import lines_of
from vigil.app.runtime.rulebooks.log import read_history
from vigil.topics.catalog import BY_NAME, inputs
from vigil.topics.decoder import nobody
from vigil.topics.diagnosis import unframed
from vigil.topics.fields import InvalidEvent
from vigil.topics.read_back import ForeignMessageError
from vigil.topics.rooms import ROOM_TOPICS
from vigil.topics.rulebooks import RULEBOOK

FETCH_BYTES: Final = 256 * 1024
"""Bytes of a partition that are fetched at a time: what is in memory is a few of these for each partition."""

LEFT_OUT_REASONS: Final = ("misrouted", "future")
"""A replay checks neither: messages that workers rejected for these reasons would be judged after all."""

Place = tuple[str, int, int]


class Selection(NamedTuple):
    """What is recorded."""

    topics: tuple[str, ...] = inputs()
    since: int | None = None
    """Messages that were written at this time (ms) or later, by Kafka's timestamps; compacted topics from their
    beginning, because they hold what was known before."""
    until: int | None = None
    """Messages that were written before this time."""
    rooms: frozenset[str] = frozenset()
    """Only these rooms, of the room topics; empty for everything."""
    everything: bool = False
    """True to record messages, too, that workers rejected as misrouted or ahead of the clock."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The topics that can have what is selected."""
        return tuple(topic for topic in self.topics if not self.rooms or topic in ROOM_TOPICS)


class Recorded(NamedTuple):
    """One message as it is written."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


def event_time(topic: str, key: bytes | None, value: bytes | None, written_at: int) -> int | None:
    """The time of an event that a worker accepts; None of any other message: it moves no clock."""
    decode = BY_NAME[topic].decode
    if decode is None or value is None:
        return None
    try:
        return int(decode(key, value, written_at, nobody).at)
    except InvalidEvent:
        return None


def line_of(message: Recorded) -> bytes:
    """Return a message as one line of a recording: the value as it is where it is JSON, else a line that is not JSON.

    A value that is not JSON was rejected by the worker as malformed, and so is its line by a replay.
    """
    key = b"null" if message.key is None else orjson.dumps(message.key.decode(errors="replace"))
    return b'{"topic":%b,"key":%b,"value":%b,"partition":%d,"offset":%d}\n' % (
        orjson.dumps(message.topic),
        key,
        _on_one_line(message.value),
        message.partition,
        message.offset,
    )


def _on_one_line(value: bytes | None) -> bytes:
    if value is None:
        return b"null"
    value = unframed(value)
    if b"\n" not in value and b"\r" not in value:
        return value or b'""'
    try:
        return bytes(msgspec.json.format(value, indent=-1))
    except (msgspec.DecodeError, RecursionError):
        return value.replace(b"\r", b" ").replace(b"\n", b" ")


class Source:
    """One partition that is being recorded."""

    def __init__(self, topic: str, tp: TopicPartition, begin: int, end: int) -> None:
        self.topic = topic
        self.tp = tp
        self.begin = begin
        self.end = end
        """The offset at which the recording of it ends."""
        self.queue: deque[tuple[int, Recorded]] = deque()
        """Messages with the times by which they are merged."""
        self._newest = 0

    def add(self, record: ConsumerRecord) -> None:
        """Add the next record of the partition."""
        at = event_time(self.topic, record.key, record.value, record.timestamp)
        self._newest = max(self._newest, at or 0)
        message = Recorded(self.topic, record.partition, record.offset, record.key, record.value)
        self.queue.append((self._newest, message))


def merge(sources: Collection[Source], done: Collection[TopicPartition]) -> Iterable[Recorded]:
    """Yield messages in the order of time for as long as no source that is not done has an empty queue."""
    heap = []
    for index, source in enumerate(sources):
        if source.queue:
            heap.append((source.queue[0][0], index, source))
        elif source.tp not in done:
            return
    heapq.heapify(heap)
    while heap:
        _, index, source = heap[0]
        yield source.queue.popleft()[1]
        if source.queue:
            heapq.heapreplace(heap, (source.queue[0][0], index, source))
        elif source.tp in done:
            heapq.heappop(heap)
        else:
            return


class Recorder:
    """One recording; its counts are complete once every line was read."""

    def __init__(self, settings: Settings, selection: Selection) -> None:
        self._settings = settings
        self._selection = selection
        self.total = 0
        """Offsets that are to be read."""
        self.read = 0
        """Offsets that were read."""
        self.written: Counter[str] = Counter()
        """Lines by topic."""
        self.left_out: Counter[str] = Counter()
        """Messages by the reason for which workers rejected them."""
        self._rejected: dict[Place, str] = {}

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the lines, published rulebooks first; raise SettingsError where the topics cannot be read."""
        consumer = new_consumer(self._settings, "record", fetch_max_wait_ms=50, max_partition_fetch_bytes=FETCH_BYTES)
        try:
            if not self._selection.everything:
                self._rejected = await self._rejections()
            partitions = await self._partitions()
            await consumer.start()
            sources = await self._sources(consumer, partitions)
            self.total = sum(source.end - source.begin for source in sources)
            for line in lines_of(await read_history(self._settings)):
                self.written[RULEBOOK] += 1
                yield line
            async for message in self._merged(consumer, sources):
                if self._of_wanted_room(message):
                    self.written[message.topic] += 1
                    yield line_of(message)
        except (KafkaError, OSError) as error:
            raise SettingsError(f"the topics cannot be read: {error}") from error
        finally:
            await consumer.stop()

    def _of_wanted_room(self, message: Recorded) -> bool:
        rooms = self._selection.rooms
        return not rooms or (message.key is not None and message.key.decode(errors="replace") in rooms)

    async def _rejections(self) -> dict[Place, str]:
        """What workers rejected, and a replay would not."""
        found: dict[Place, str] = {}
        try:
            async for record in records(self._settings, DEAD_LETTER, since=self._selection.since):
                if record.value is not None and any(f'"{name}"'.encode() in record.value for name in LEFT_OUT_REASONS):
                    self._add_rejection(record.value, found)
        except SettingsError as error:
            if "does not exist" not in str(error):  # no worker has run yet
                raise
        return found

    def _add_rejection(self, value: bytes, found: dict[Place, str]) -> None:
        try:
            letter = decode_dead_letter(value).envelope
        except ForeignMessageError:
            return
        where = (letter.topic, letter.partition, letter.offset)
        if letter.reason in LEFT_OUT_REASONS and None not in where:
            found[where] = letter.reason  # type: ignore[index]

    async def _partitions(self) -> dict[str, int]:
        """The partitions of each wanted topic that exists."""
        names = TopicNames.of(self._settings)
        wanted = {names.on_cluster(topic): topic for topic in self._selection.wanted}
        async with Cluster(self._settings) as cluster:
            counts = await cluster.partitions(wanted)
        if not counts:
            raise SettingsError(f"none of the topics {', '.join(wanted)} exists on {self._settings.broker}")
        return counts

    async def _sources(self, consumer: AIOKafkaConsumer, counts: Mapping[str, int]) -> list[Source]:
        in_catalogue = TopicNames.of(self._settings).in_catalogue
        tps = [TopicPartition(name, number) for name, count in sorted(counts.items()) for number in range(count)]
        consumer.assign(tps)
        begins = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        if self._selection.since is not None:
            events = [tp for tp in tps if not BY_NAME[in_catalogue(tp.topic)].compacted]
            begins |= await _offsets_at(consumer, events, self._selection.since, ends)
        if self._selection.until is not None:
            ends = await _offsets_at(consumer, tps, self._selection.until, ends)
        sources = [Source(in_catalogue(tp.topic), tp, begins[tp], ends[tp]) for tp in tps if begins[tp] < ends[tp]]
        for source in sources:
            consumer.seek(source.tp, source.begin)
        consumer.pause(*(tp for tp in tps if begins[tp] >= ends[tp]))
        return sources

    async def _merged(self, consumer: AIOKafkaConsumer, sources: Collection[Source]) -> AsyncIterator[Recorded]:
        done: set[TopicPartition] = set()
        by_tp = {source.tp: source for source in sources}
        empty_polls = 0
        while len(done) < len(by_tp):
            needed = [source.tp for source in sources if not source.queue and source.tp not in done]
            batches = await consumer.getmany(*needed, timeout_ms=1000)
            for tp, batch in batches.items():
                self._add(by_tp[tp], batch)
            read = await _read_to_their_ends(consumer, [by_tp[tp] for tp in needed])
            empty_polls = 0 if batches or read else empty_polls + 1
            if empty_polls > MAX_EMPTY_POLLS:
                raise SettingsError(
                    f"{needed[0].topic}: the broker does not return its messages; is a partition offline?"
                )
            done |= read
            consumer.pause(*read)
            for message in merge(sources, done):
                yield message

    def _add(self, source: Source, batch: Iterable[ConsumerRecord]) -> None:
        for record in batch:
            if record.offset >= source.end:
                return
            self.read += 1
            reason = self._rejected.get((source.topic, record.partition, record.offset))
            if reason is None:
                source.add(record)
            else:
                self.left_out[reason] += 1


async def _read_to_their_ends(consumer: AIOKafkaConsumer, sources: Iterable[Source]) -> set[TopicPartition]:
    """Those of the partitions that were read to their end."""
    return {source.tp for source in sources if await consumer.position(source.tp) >= source.end}


async def _offsets_at(
    consumer: AIOKafkaConsumer, tps: Iterable[TopicPartition], at: int, ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """The offset of the first message of each partition that was written at a time (ms) or later."""
    wanted: dict[TopicPartition, Any] = dict.fromkeys(tps, at)
    found = await consumer.offsets_for_times(wanted) if wanted else {}
    return {tp: ends[tp] if (each := found.get(tp)) is None or each.timestamp < 0 else each.offset for tp in wanted}
