"""A changelog, a group and workers in memory, all driven by one seed: crashes, zombies and compaction at any instant.

    sources ─▶ a worker's life (a generator that stops at every instant) ─▶ log, outputs, committed offsets
                    ├─ crash: it is dropped         ├─ stall: it continues later, as a zombie
                    └─ fault: one safeguard is removed, to show that the checks notice

A worker does here what the real one does (agents/checkpointer.py): restore, acquire, then ingest and checkpoint; after
each checkpoint it looks whether anybody else wrote to its log, and stops if so.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final, Literal, NamedTuple

from tests.support.toys import THROTTLE, Outcome, SourceRecord, Toy, drops_late, event_of
from vigil.app.engine.changelog import NO_CHECKPOINT, ChangelogRecord, OutboxMessage, marker_record
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shards import make_shard
from vigil.app.engine.snapshot import Snapshot
from vigil.app.engine.watermark import SourcePosition

Fault = Literal[
    "offsets before state",
    "no fence",
    "buffer not covered",
    "no repair",
    "nobody looks for others",
    "compaction at once",
    "outbox not sent again",
    "state outputs not sent again",
]

MOST_TROUBLE: Final = 14
"""Crashes and stalls in one run."""


def watermark_of(sources: Sequence[SourcePosition], holds: Sequence[bool], lateness: int) -> int | None:
    """The watermark by the sources that hold it back (as agents/shard_runner.py has it); None if none does."""
    held = [source.max_event_time for source, hold in zip(sources, holds, strict=True) if hold]
    return min(held) - lateness if held else None


class AppliesPiecemeal(ChangelogStore):
    """Applies a few records at a time, as a store that has read a large checkpoint does."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng

    def apply_pending(self, limit: int = 0) -> None:
        super().apply_pending(self._rng.randint(0, 5))


class Unfenced(ChangelogStore):
    """Accepts whatever is in the log."""

    def read(self, records: Any) -> None:
        for record in records:
            self._highest_id = self._committed_id = NO_CHECKPOINT
            super().read([record])


class Logged(NamedTuple):
    offset: int
    record: ChangelogRecord


class World:
    """What outlives a worker."""

    def __init__(
        self,
        toy: Toy,
        sources: list[list[SourceRecord]],
        lateness: int,
        live: bool = False,
        faults: frozenset[Fault] = frozenset(),
    ) -> None:
        self.toy = toy
        self.sources = sources
        self.lateness = lateness
        self.faults = faults
        self.log: list[Logged] = []
        self.end = 0
        self.safe = 0
        """Below this offset the log holds nothing foreign or unfinished that is not repaired."""
        self.committed = [0] * len(sources)
        self.outputs: dict[tuple[str, str], bytes | None] = {}
        self.state_outputs: dict[str, bytes | None] = {}
        self.published_by: dict[str, tuple[int, int]] = {}
        self.readers = 0
        """How many workers are in the middle of the log: tombstones outlast them (delete.retention.ms)."""
        self.owner: object = None
        self.last = max((event.at for source in sources for event in map(event_of, source) if event), default=0)
        """The largest event time there will be."""
        self.live = live
        self.until = self.last + 2 * THROTTLE if live else self.last
        """Where the watermark stops: recorded data ends with its last event, while the wall clock continues."""
        self.done = False

    def append(self, record: ChangelogRecord) -> None:
        self.log.append(Logged(self.end, record))
        self.end += 1

    def publish(self, checkpoint_id: tuple[int, int], output: OutboxMessage) -> None:
        """Send one output of a checkpoint."""
        assert output.key is not None
        if output.topic == "status":
            # A zombie that sends what it had written after its successor has sent more is not fenced: its state output
            # is the last one until the next change. The checks leave it out.
            key = output.key.decode()
            if checkpoint_id >= self.published_by.get(key, NO_CHECKPOINT):
                self.published_by[key] = checkpoint_id
                self.state_outputs[key] = output.payload
            return
        known = self.outputs.setdefault((output.topic, output.id), output.payload)
        assert known == output.payload, f"two contents under one identity: {output}, {known!r}"

    def compact(self, rng: Random) -> None:
        """Keep the last record of each key below some offset; tombstones there are removed, too, sometimes."""
        below = rng.randint(0, self.end if "compaction at once" in self.faults else self.safe)
        last = {logged.record.key: logged.offset for logged in self.log if logged.offset < below}
        tombstones_too = rng.random() < 0.5 and not self.readers
        self.log = [
            logged
            for logged in self.log
            if logged.offset >= below
            or (last[logged.record.key] == logged.offset and not (tombstones_too and logged.record.value is None))
        ]

    def restored(self, rng: Random) -> Iterator[ChangelogStore]:
        """A store that reads the log to its end, some records at a time; the last one is finalized."""
        store = Unfenced() if "no fence" in self.faults else AppliesPiecemeal(Random(rng.random()))
        offset = 0
        self.readers += 1
        try:
            while some := [logged for logged in self.log if logged.offset >= offset][: rng.randint(1, 40)]:
                store.read([logged.record for logged in some])
                offset = some[-1].offset + 1
                yield store
        finally:
            self.readers -= 1
        store.finalize_restore()
        yield store

    def outcome(self) -> Outcome:
        """The result, as a restart finds it."""
        *_, store = self.restored(Random(0))
        states = {key: self.toy.load(key, store.payloads(key)).everything() for key in store.main}
        return Outcome(self.outputs, self.state_outputs, states)


class FencedError(Exception):
    """Somebody else wrote to the log."""


class Worker:
    """One ownership of the shard."""

    def __init__(self, world: World, rng: Random) -> None:
        """The new owner of the world's shard."""
        self.world = world
        self.rng = rng
        self.known = 0
        """The end of the log as far as this worker knows."""
        world.owner = self

    def live(self) -> Iterator[None]:
        """Everything from restore to the end of the input; each yield is an instant at which it may stop."""
        world, rng, toy = self.world, self.rng, self.world.toy
        for restored in world.restored(rng):
            store = restored
            self.known = world.end
            yield
        if "no repair" in world.faults:
            store.keys_to_repair.clear()
        if "outbox not sent again" in world.faults:
            store.outbox.clear()
        if "state outputs not sent again" in world.faults:
            store.main = {key: value[:20] + bytes([value[20] & ~2]) + value[21:] for key, value in store.main.items()}
        shard = make_shard(toy, world.lateness, partition=0, store=store)
        yield from self.checkpoint(shard, shard.acquire(), commit=False)
        position = [min(c, s.committed_offset) for c, s in zip(world.committed, shard.sources, strict=True)]
        if "offsets before state" in world.faults:
            position = list(world.committed)
        while unread := [
            source_index for source_index, source in enumerate(world.sources) if position[source_index] < len(source)
        ]:
            source_index = rng.choice(unread)
            count = rng.randint(1, 6)
            shard.ingest(
                source_index, world.sources[source_index][position[source_index] : position[source_index] + count]
            )
            position[source_index] = min(position[source_index] + count, len(world.sources[source_index]))
            self.move(shard, position)
            yield
            if rng.random() < 0.25:
                yield from self.checkpoint(shard, shard.snapshot(between=rng.random() < 0.5))
        if world.live:
            for watermark in (world.last + 1, world.until + 1):
                shard.advance_watermark(watermark)
                yield from self.checkpoint(shard, shard.snapshot())
        else:
            shard.end_of_input(world.until)
            yield from self.checkpoint(shard, shard.snapshot(final=True))
        world.done = world.owner is self

    def move(self, shard: AnyShard, position: list[int]) -> None:
        """Advance the watermark as a worker does: a source that was read to its end may be idle."""
        rng, sources = self.rng, shard.sources
        ends = [len(source) for source in self.world.sources]
        holds = [p < end or rng.random() < 0.5 for p, end in zip(position, ends, strict=True)]
        watermark = watermark_of(sources, holds, self.world.lateness)
        reread = all(source.read_offset >= source.stored_read_offset for source in sources)
        if reread and not drops_late(self.world.toy) and rng.random() < 0.2:
            # The records that were read so far may have been all there were for a while.
            watermark = min(
                max(source.max_event_time for source in sources) + rng.randint(0, 3000), self.world.last + 1
            )
        if watermark is not None and rng.random() < 0.7:
            shard.advance_watermark(watermark, None if shard.event_time_order else rng.randint(1, 4))

    def checkpoint(self, shard: AnyShard, snapshot: Snapshot, commit: bool = True) -> Iterator[None]:
        world, rng = self.world, self.rng
        if "buffer not covered" in world.faults:
            marker = snapshot.marker
            reached = tuple(
                type(stored)(source.read_offset, stored.read_offset, source.max_event_time, stored.read_max_event_time)
                for stored, source in zip(marker.sources, shard.sources, strict=True)
            )
            fields = {name: getattr(marker, name) for name in marker.__struct_fields__}
            snapshot = snapshot._replace(marker=type(marker)(**{**fields, "sources": reached}))
        else:
            for _, source_index, offset, *_ in shard.reorder_buffer:
                assert offset >= snapshot.committed_offsets[source_index], "committed past an event that still waits"
        if "offsets before state" in world.faults and commit:
            self.commit(snapshot)
            yield
        began = world.end
        records = snapshot.changelog()
        assert records[-1] == marker_record(snapshot.marker)
        for record in records:
            world.append(record)
            yield
        if world.end - self.known != len(records) and "nobody looks for others" not in world.faults:
            raise FencedError
        gap = began != self.known or world.end - began != len(records)
        self.known = world.end
        shard.confirm(snapshot)
        if world.owner is self and not gap:
            world.safe = world.end
        yield
        for output in snapshot.outputs:
            world.publish(snapshot.marker.checkpoint_id, output)
            yield
        if commit:
            self.commit(snapshot)
            yield
        if rng.random() < 0.3:
            shard.evict(rng.randint(0, 3))

    def commit(self, snapshot: Snapshot) -> None:
        """The group accepts commits from the owner only."""
        if self.world.owner is not self:
            raise FencedError
        self.world.committed = list(snapshot.committed_offsets)


def run(world: World, seed: int, *, trouble: int = MOST_TROUBLE) -> Outcome:
    """Process the sources with up to `trouble` crashes and stalls; the same seed gives the same run."""
    rng = Random(seed)
    calm = rng.choice((5, 20, 60))
    zombies: list[Iterator[None]] = []
    life = Worker(world, rng).live()
    while not world.done:
        if zombies and rng.random() < 0.1:
            zombie = rng.choice(zombies)
            for _ in range(rng.randint(1, 12)):
                if not step(zombie):
                    zombies.remove(zombie)
                    break
        if trouble and rng.random() < 1 / calm:
            trouble -= 1
            if rng.random() < 0.4:
                zombies.append(life)
            life = Worker(world, rng).live()
        if rng.random() < 0.05:
            world.compact(rng)
        if not step(life) and not world.done:
            life = Worker(world, rng).live()
    for zombie in zombies:
        while step(zombie):
            pass
    if zombies:
        world.done = False
        while not world.done:
            life = Worker(world, rng).live()
            while step(life):
                pass
        for _ in range(3):
            world.compact(rng)
    return world.outcome()


def step(life: Iterator[None]) -> bool:
    """Continue to the next instant; False once the life is over."""
    try:
        next(life)
    except (StopIteration, FencedError):
        return False
    return True
