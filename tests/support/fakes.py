"""The ports of agents/ports.py in memory: no broker, no Faust. tests/agents/contract/test_ports.py holds them to it.

A test sets what the broker reports (`FakeSourceFeed.reported_ends`, `.answers`, …) or lets `FakeKafka.poll` do it.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tests.support.toys import Event, message
from vigil.agents.ports import Batch, BatchReceiver, FetchedRecord, OutputRecord, Ports, TopicPartition
from vigil.agents.wall_clock import wall_ms
from vigil.app.engine.changelog import ChangelogRecord
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.topics.catalog import SubjectName

StoredRecord = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]
"""Key, value and headers."""


class Fetched(NamedTuple):
    """A Kafka record as it was fetched."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def fetched(topic: str, offset: int, *ats: int, key: str = "k", partition: int = 0) -> list[Fetched]:
    """Records from `offset` on, one event each at these times."""
    made = [message(offset + n, Event(key, at, id=f"{topic} {offset + n}")) for n, at in enumerate(ats)]
    return [Fetched(topic, partition, record.offset, wall_ms(), record.key, record.value) for record in made]


def batch(records: Sequence[Any], expected_offset: int = 0) -> Batch:
    """The batch of these records."""
    return Batch(TopicPartition(records[0].topic, records[0].partition), records, expected_offset)


class FakeSourceFeed:
    """Implements `SourceFeed`."""

    def __init__(self, *topics: str, partition: int = 0) -> None:
        self.tps = {TopicPartition(topic, partition) for topic in topics}
        self.reported_ends: dict[TopicPartition, int] = dict.fromkeys(self.tps, 0)
        self.first: dict[TopicPartition, int] = dict.fromkeys(self.tps, 0)
        self.answers: dict[TopicPartition, int] = {}
        self.confirmed: dict[TopicPartition, int] = {}
        self.delivered: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.logs: dict[TopicPartition, list[Fetched]] = {tp: [] for tp in self.tps}
        """What the broker has of each partition."""

    async def ends(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.reported_ends[tp] for tp in tps}

    async def all_ends(self, topics: Iterable[str]) -> dict[TopicPartition, int]:
        wanted = set(topics)
        return {tp: end for tp, end in self.reported_ends.items() if tp.topic in wanted}

    async def beginnings(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.first[tp] for tp in tps}

    async def records_at(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, FetchedRecord]:
        found = {tp: [r for r in self.logs[tp] if r.offset >= offset] for tp, offset in offsets.items()}
        return {tp: records[0] for tp, records in found.items() if records}

    async def offsets_after(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        found = {tp: [r.offset for r in self.logs[tp] if r.timestamp > time] for tp, time in times.items()}
        return {tp: offsets[0] for tp, offsets in found.items() if offsets}

    def end(self, tp: TopicPartition) -> int:
        return self.reported_ends[tp]

    def answered_at(self, tp: TopicPartition) -> int:
        return self.answers.get(tp, 0)

    def confirmed_position(self, tp: TopicPartition) -> int:
        return self.confirmed.get(tp, 0)

    def delivered_offset(self, tp: TopicPartition) -> int:
        return self.delivered.get(tp, 0)

    def pause(self, tp: TopicPartition) -> None:
        assert tp not in self.paused
        self.paused.add(tp)

    def resume(self, tp: TopicPartition) -> None:
        self.paused.remove(tp)

    def answer_all(self, at: int | None = None) -> None:
        """The broker has answered a fetch of every partition, by default just now."""
        self.answers = dict.fromkeys(self.tps, wall_ms() if at is None else at)


class FakeMembership:
    """Implements `Membership`."""

    def __init__(self, tps: Iterable[TopicPartition], diary: list[str]) -> None:
        self.tps = set(tps)
        self.commits: list[dict[TopicPartition, int]] = []
        self.counts: dict[str, int] = {}
        """By topic: its number of partitions, where it is not 1."""
        self.member = True
        self.flowing = True
        self._diary = diary

    def assigned(self, topics: Collection[str]) -> set[TopicPartition]:
        return {tp for tp in self.tps if tp.topic in topics}

    def pause_flow(self) -> None:
        self.flowing = False

    async def missing_topics(self, topics: Iterable[str]) -> set[str]:
        return set(topics) - {tp.topic for tp in self.tps}

    async def request_topics(self) -> None:
        """Nothing is ever missing."""

    async def committed(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        merged = {tp: offset for commit in self.commits for tp, offset in commit.items()}
        return {tp: merged[tp] for tp in tps if tp in merged}

    async def partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        known = {tp.topic for tp in self.tps}
        return {topic: self.counts.get(topic, 1) for topic in topics if topic in known}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        self._diary.append("commit")
        if self.member:
            self.commits.append(dict(offsets))
        return self.member


class Acknowledgements:
    """When, and whether, the broker acknowledges: every acknowledgement can be held up, or fail."""

    def __init__(self, diary: list[str]) -> None:
        self.diary = diary
        self.appended_at: int | None = None
        """The broker's time, if it says it."""
        self.fails: Callable[[str], BaseException | None] = lambda topic: None
        self.gate = asyncio.Event()
        self.gate.set()

    async def wait(self, topic: str, what: str) -> None:
        await self.gate.wait()
        if error := self.fails(topic):
            raise error
        self.diary.append(f"{what} acked")


class FakePendingAppend:
    """Implements `PendingAppend`."""

    def __init__(self, acknowledgements: Acknowledgements, topic: str, end: int) -> None:
        self._acknowledgements = acknowledgements
        self._topic = topic
        self._end = end
        self.appended_at = acknowledgements.appended_at

    async def acknowledged(self) -> int:
        await self._acknowledgements.wait(self._topic, "state")
        return self._end


class FakeChangelogWriter:
    """Changelogs in memory. Implements `ChangelogWriter`."""

    def __init__(self, topics: Mapping[SubjectName, str], acknowledgements: Acknowledgements) -> None:
        self.logs: dict[tuple[str, int], list[StoredRecord]] = {}
        self.ends: dict[tuple[SubjectName, int], int] = {}
        self._topics = topics
        self._acknowledgements = acknowledgements

    async def append(
        self, subject: SubjectName, partition: int, records: Sequence[ChangelogRecord]
    ) -> FakePendingAppend:
        assert records, "a checkpoint without a marker"
        topic = self._topics[subject]
        log = self.logs.setdefault((topic, partition), [])
        log.extend((record.key, record.value, record.headers) for record in records)
        self._acknowledgements.diary.append("state")
        return FakePendingAppend(self._acknowledgements, topic, len(log))

    def known_end(self, subject: SubjectName, partition: int) -> int:
        return self.ends.get((subject, partition), 0)

    def confirm_end(self, subject: SubjectName, partition: int, end: int) -> None:
        self.ends[subject, partition] = end


class FakeOutputSender:
    """Topics in memory. Implements `OutputSender`."""

    def __init__(self, acknowledgements: Acknowledgements) -> None:
        self.sent: list[OutputRecord] = []
        self.limits: dict[str, int] = {}
        """By topic: the largest value that it takes."""
        self._acknowledgements = acknowledgements

    async def send(self, records: Sequence[OutputRecord]) -> list[OutputRecord]:
        too_large = []
        for record in records:
            assert dict(record.headers)["ce_id"]
            if len(record.value or b"") > self.limits.get(record.topic, 1 << 62):
                too_large.append(record)
            else:
                self.sent.append(record)
                self._acknowledgements.diary.append("output")
        for record in records:
            await self._acknowledgements.wait(record.topic, "output")
        return too_large


class FakeKafka:
    """All four ports, and a broker behind them that a test polls."""

    def __init__(self, *sources: str, changelogs: Mapping[SubjectName, str] | None = None) -> None:
        self.diary: list[str] = []
        """What was done, in order."""
        self.changelogs = dict(changelogs or {"rooms": "state"})
        self.feed = FakeSourceFeed(*sources)
        self.acknowledgements = Acknowledgements(self.diary)
        state = {TopicPartition(topic, 0) for topic in self.changelogs.values()}
        self.membership = FakeMembership(self.feed.tps | state, self.diary)
        self.changelog = FakeChangelogWriter(self.changelogs, self.acknowledgements)
        self.outputs = FakeOutputSender(self.acknowledgements)
        self.ports = Ports(self.feed, self.membership, self.changelog, self.outputs)
        self._records = self.feed.logs

    def produce(self, tp: TopicPartition, key: bytes | None, value: bytes | None) -> None:
        """Append a record to a source."""
        records = self._records[tp]
        records.append(Fetched(*tp, len(records), wall_ms(), key, value))

    def recreate(self, tp: TopicPartition) -> None:
        """Delete a source and create it again."""
        self._records[tp].clear()

    async def poll(self, receiver: BatchReceiver) -> None:
        """Answer one fetch of every source: deliver what is there, unless the source or the flow is paused."""
        feed = self.feed
        positions = receiver.positions()
        for tp in sorted(feed.tps):
            feed.reported_ends[tp] = len(self._records[tp])
            feed.answers[tp] = wall_ms()
            expected = begin = feed.delivered.setdefault(tp, positions.get(tp, 0))
            feed.confirmed[tp] = begin  # all of the polls before was delivered
            if begin > len(self._records[tp]):
                begin = 0  # another log, or one that has lost its end: the client starts again at its beginning
            if tp in feed.paused or not self.membership.flowing or begin == len(self._records[tp]):
                continue
            rest: Batch | None = Batch(tp, self._records[tp][begin:], expected)
            feed.delivered[tp] = len(self._records[tp])
            while rest is not None:
                rest = receiver.ingest(rest)
                await asyncio.sleep(0)


def restored(log: Sequence[StoredRecord]) -> ChangelogStore:
    """What a restart reads out of a changelog."""
    store = ChangelogStore()
    store.read([ChangelogRecord(key or b"", value, tuple(headers)) for key, value, headers in log])
    store.finalize_restore()
    return store
