"""A worker with all subjects over a recording in an in-memory broker: several partitions, any batches, crashes.

    lines ─▶ partitions of the inputs ─▶ shards ─▶ checkpoints ─▶ outputs, internal topics ─▶ shards …
                 ▲ in any order and portions          │
                 └── restart from what is stored ◀── crash at an acknowledgement

Shards, checkpoints and the watch on committed offsets are the worker's own; only the broker and the clock are not.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, Final
from zlib import crc32

from tests.support.comparison import Consumed
from tests.support.fakes import (
    Acknowledgements,
    FakeChangelogWriter,
    FakeMembership,
    FakeOutputSender,
    FakeSourceFeed,
    Fetched,
    restored,
)
from tests.support.harness import OUTPUTS
from tests.support.supplier_stories import RULEBOOK, Line
from vigil.agents.checkpointer import Checkpointer, CheckpointSettings
from vigil.agents.ports import Batch, OutputRecord, Ports, TopicPartition
from vigil.agents.shard_manager import ShardManager
from vigil.agents.shard_runner import ShardEnvironment, ShardRunner
from vigil.agents.source_tracker import WatermarkPolicy
from vigil.app.domain.registry import REGISTRY
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shards import make_shard
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.upstream_watcher import UpstreamWatcher
from vigil.topics.catalog import SubjectName

LATENESS: Final = 2000
STILL_ROUNDS: Final = 6
"""Rounds without a change after which nothing more comes: more than a subject waits for those before it."""
MOST_ROUNDS: Final = 100
"""Rounds within which everything is read and nothing more comes."""


class Crash(Exception):
    """The worker is gone."""


class _Topics(FakeOutputSender):
    """Sends outputs to the partitions of the broker."""

    def __init__(self, broker: "Broker", acknowledgements: Acknowledgements) -> None:
        super().__init__(acknowledgements)
        self._broker = broker

    async def send(self, records: Sequence[OutputRecord]) -> list[OutputRecord]:
        for record in records:
            self._broker.append(record.topic, record.key, record.value)
        return await super().send(records)


class _Silent:
    """Observes nothing."""

    def written(self, seconds: float, records: int) -> None: ...

    def sent(self, runner: ShardRunner, outputs: Any, now: int) -> None: ...

    def step(self, step: Any, seconds: float) -> None: ...


class Broker:
    """What outlives a worker: logs, changelogs, commits, outputs."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.now = 1_700_000_000_000
        diary: list[str] = []
        self.acknowledgements = Acknowledgements(diary)
        tps = [TopicPartition(topic, number) for topic in REGISTRY.readers for number in range(partitions)]
        self.feed = feed = FakeSourceFeed()
        feed.tps = set(tps)
        feed.reported_ends, feed.first = dict.fromkeys(tps, 0), dict.fromkeys(tps, 0)
        feed.logs = {tp: [] for tp in tps}
        self.changelogs: dict[SubjectName, str] = {subject: f"{subject}-state" for subject in REGISTRY.subjects}
        self.changelog = FakeChangelogWriter(self.changelogs, self.acknowledgements)
        self.membership = FakeMembership(tps, diary)
        self.outputs = _Topics(self, self.acknowledgements)
        self.ports = Ports(feed, self.membership, self.changelog, self.outputs)
        self.consumed: Consumed = {topic: [] for topic in OUTPUTS}

    def append(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Append a record to the partition of its key."""
        if topic in self.consumed:
            self.consumed[topic].append((key, None if value is None else json.loads(value)))
        if topic in REGISTRY.readers:
            tp = TopicPartition(topic, crc32(key or b"") % self.partitions)
            log = self.feed.logs[tp]
            log.append(Fetched(*tp, len(log), self.now, key, value))

    async def all_ends(self, topics: Iterable[str]) -> dict[TopicPartition, int]:
        wanted = set(topics)
        return {tp: len(log) for tp, log in self.feed.logs.items() if tp.topic in wanted}

    async def list_consumer_group_offsets(self, group: str, partitions: Any) -> dict[Any, Any]:
        committed = await self.membership.committed(self.feed.tps)
        return {tp: SimpleNamespace(offset=offset) for tp, offset in committed.items()}

    def state(self) -> Any:
        """What changes as long as anything happens."""
        ends = {tp: len(log) for tp, log in self.feed.logs.items()}
        return ends, len(self.outputs.sent), {tp: o for commit in self.membership.commits for tp, o in commit.items()}


class RecordedGroup:
    """A worker that reads a recording, and its successors."""

    def __init__(self, lines: Iterable[Line], partitions: int, seed: int, crashes: int = 0) -> None:
        """`crashes`: at most so many."""
        self._rng = Random(seed)
        self._crashes = crashes
        self.broker = Broker(partitions)
        self.broker.acknowledgements.fails = self._crash_or_not
        self._machines = REGISTRY.machines(RULEBOOK)
        self._until = 0
        self._calm = True
        for line in lines:
            self._until = max(self._until, line.at)
            if line.topic:
                value = None if line.value is None else json.dumps(line.value).encode()
                self.broker.append(line.topic, line.key.encode(), value)

    async def run(self) -> Mapping[str, Any]:
        """Read everything to its end; return what consumers have."""
        await self._start()
        self._calm = False
        for _ in range(self._rng.randint(0, 150)):
            await self._surviving(self._anything)
        self._calm = True
        still, before = 0, None
        for _ in range(MOST_ROUNDS):
            await self._surviving(self._round)
            state = self.broker.state()
            still, before = still + 1 if state == before else 0, state
            if still == STILL_ROUNDS:
                return self.broker.consumed
        raise AssertionError("after the end of the input the worker goes on writing")

    def _crash_or_not(self, topic: str) -> BaseException | None:
        if self._calm or not self._crashes or self._rng.random() > 0.2:
            return None
        self._crashes -= 1
        return Crash()

    async def _surviving(self, step: Any) -> None:
        try:
            await step()
        except Crash:
            await self._start()

    async def _start(self) -> None:
        """Start a worker from what is stored. It does not crash while it acquires its shards."""
        broker, calm, self._calm = self.broker, self._calm, True
        policy = WatermarkPolicy(idle_after_ms=0, live=False, recorded_until=self._until)
        self._watcher = UpstreamWatcher(Settings(), broker, REGISTRY.upstream, lambda: True, lambda: broker.now)  # type: ignore[arg-type]
        environment = ShardEnvironment(
            broker.feed, policy, self._watcher.written_at, wall_ms=lambda: broker.now, step=lambda step, seconds: None
        )
        self._manager = ShardManager(broker.membership, environment, REGISTRY.sources, self._shard)
        self._checkpoints = Checkpointer(self._manager, broker.ports, CheckpointSettings(recorded=True), _Silent())
        for subject, topic in broker.changelogs.items():
            for number in range(broker.partitions):
                broker.changelog.ends[subject, number] = len(broker.changelog.logs.get((topic, number), ()))
        await self._manager.assign()
        await self._checkpoints.acquire()
        self._calm = calm

    def _shard(self, subject: SubjectName, partition: int) -> AnyShard:
        log = self.broker.changelog.logs.get((self.broker.changelogs[subject], partition), [])
        return make_shard(self._machines[subject], LATENESS, partition=partition, store=restored(log))

    async def _anything(self) -> None:
        """One of the things that a worker does, in any order."""
        rng = self._rng
        runners = list(self._manager.shards.values())
        what = rng.choice(("fetch", "fetch", "fetch", "tick", "checkpoint", "watch"))
        if what == "fetch":
            for source in rng.choice(runners).sources:
                self._fetch(source.tp, rng.choice((1, 2, 5, 100)))
        elif what == "tick":
            self._tick()
        elif what == "checkpoint":
            await self._checkpoints.write(rng.sample(runners, rng.randint(1, len(runners))))
        else:
            await self._watch()

    async def _round(self) -> None:
        """Everything once."""
        for runner in self._manager.shards.values():
            for source in runner.sources:
                self._fetch(source.tp, 1000)
        self._tick()
        await self._checkpoints.write(self._manager.shards.values())
        await self._watch()

    def _fetch(self, tp: TopicPartition, most: int) -> None:
        """The broker answers a fetch: at most so many records, or that nothing more is there."""
        feed, log, now = self.broker.feed, self.broker.feed.logs[tp], self._pass_time()
        begin = self._manager.positions()[tp]
        feed.reported_ends[tp], feed.answers[tp] = len(log), now
        feed.confirmed[tp] = feed.delivered[tp] = begin
        rest: Batch | None = Batch(tp, log[begin : begin + most], begin) if begin < len(log) else None
        while rest is not None:
            rest = self._manager.ingest(rest)

    def _tick(self) -> None:
        self._pass_time()
        self._manager.tick()

    async def _watch(self) -> None:
        self._pass_time()
        await self._watcher._poll(self.broker)  # type: ignore[arg-type]

    def _pass_time(self) -> int:
        self.broker.now += 1
        return self.broker.now
