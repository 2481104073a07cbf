"""Sets stored clocks back that are ahead of the truth, with all workers stopped.

changelog ──read──▶ shard ──acquired: the broker's time is known──▶ clocks set back, rooms forgotten ──▶ changelog
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from vigil.agents.worker_clock import WorkerClock
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.changelog import ChangelogRecord
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shards import make_shard
from vigil.app.engine.snapshot import Snapshot
from vigil.app.engine.stored_clock import set_back, stored_clock
from vigil.app.engine.subject import AnyStateMachine
from vigil.app.kafka.clients import new_admin, new_producer, words_of
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_reader import partitions_of, records
from vigil.app.runtime.worker_settings import shard_options
from vigil.topics.catalog import SubjectName

ROOMS: Final = "rooms"
"""The subject whose keys are forgotten if their latest event lies in the future."""

MAX_REQUEST_BYTES: Final = 8 * 1024 * 1024


class RepairedShard(NamedTuple):
    """A shard whose clock was set back."""

    subject: SubjectName
    partition: int
    clock: int
    """What its clock was, ms."""
    set_to: int
    """What it is now, ms."""
    forgotten: list[str]
    """The rooms whose latest event lay in the future."""


class _Stored(NamedTuple):
    """One changelog as it was read."""

    store: ChangelogStore
    written_at: int
    """When its last record was written (ms)."""


async def repair_clocks(settings: Settings, rulebook: Rulebook) -> AsyncIterator[RepairedShard]:
    """Set back every stored clock that is more than `max_ahead_ms` ahead, and yield it.

    Raise SettingsError if a worker runs, or if this machine's clock and the broker's differ.
    """
    await _check_nobody_runs(settings)
    clock = WorkerClock()
    producer = new_producer(
        settings,
        "repair",
        enable_idempotence=settings.idempotent_producer,
        max_request_size=MAX_REQUEST_BYTES,
    )
    machines = REGISTRY.machines(rulebook, settings.largest_lateness_ms())
    await producer.start()
    try:
        for subject, machine in machines.items():
            topic = TopicNames.of(settings).changelog(subject)
            partitions = await partitions_of(settings, topic)
            for partition, stored in sorted((await _read(settings, topic)).items()):
                shard = restored_shard(settings, machine, partition, partitions, stored.store)
                was = stored_clock(shard)
                if was <= clock.now() + settings.max_ahead_ms:
                    continue
                log = _Changelog(producer, topic, partition, clock)
                forgotten = await repair_shard(shard, subject, stored.written_at, log)
                yield RepairedShard(subject, partition, was, stored_clock(shard), forgotten)
    finally:
        await producer.stop()


def restored_shard(
    settings: Settings, machine: AnyStateMachine, partition: int, partitions: int, store: ChangelogStore
) -> AnyShard:
    """Restore a shard as a worker with these settings does, under the rulebook of its state.

    `partitions`: their number. Raise StoredStateError.
    """
    options = shard_options(settings, partitions)
    options |= {
        "partition": partition,
        "store": store,
        "rulebook": "" if store.marker is None else store.marker.rulebook,
        "topics": TopicNames.of(settings).all_on_cluster(machine.topics),
    }
    return make_shard(machine, settings.allowed_lateness_ms, **options)


class RepairLog(Protocol):
    """Where the snapshots of a repaired shard are written."""

    async def write(self, shard: AnyShard, snapshot: Snapshot) -> None:
        """Write a snapshot as a whole."""

    def now(self) -> int:
        """This machine's time (ms); raise SettingsError if the broker's differs, as the snapshots written show."""


async def repair_shard(shard: AnyShard, subject: SubjectName, written_at: int, log: RepairLog) -> list[str]:
    """Set a shard back to when its last worker wrote; what that had not read yet is then not late.

    The first snapshot fences the former owner. Both keep its outbox, which the next worker sends, with the tombstones
    of the rooms that are forgotten. Return those.
    """
    await log.write(shard, shard.acquire(sends=False))
    now = log.now()
    latest_of = (lambda room: room.last_at) if subject == ROOMS else None
    forgotten = set_back(shard, min(written_at, now), now, latest_of)
    for room in forgotten:
        shard.collector.emit("room-status", room, f"{room}@{now}", now, None)
    await log.write(shard, shard.snapshot())
    return forgotten


class _Changelog:
    """One changelog partition."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int, clock: WorkerClock) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = partition
        self._clock = clock

    def now(self) -> int:
        if why := self._clock.differs():
            raise SettingsError(f"{why}; nothing was repaired")
        return self._clock.now()

    async def write(self, shard: AnyShard, snapshot: Snapshot) -> None:
        """Write a snapshot as a whole, and learn the broker's time from it."""
        began = self._clock.now()
        sent = [await self._send(record) for record in snapshot.changelog()]
        written = [await acknowledgement for acknowledgement in sent]
        shard.confirm(snapshot)
        if written[-1].timestamp_type == 1:
            self._clock.compare(began, written[-1].timestamp, self._clock.now())

    async def _send(self, record: ChangelogRecord) -> Any:
        return await self._producer.send(
            self._topic, record.value, key=record.key, partition=self._partition, headers=list(record.headers)
        )


async def _read(settings: Settings, topic: str) -> Mapping[int, _Stored]:
    """Read what is stored of each partition of a changelog."""
    stores: dict[int, ChangelogStore] = {}
    written_at: dict[int, int] = {}
    async for record in records(settings, topic):
        stores.setdefault(record.partition, ChangelogStore()).read([record])
        written_at[record.partition] = record.timestamp
    for store in stores.values():
        store.finalize_restore()
    return {partition: _Stored(store, written_at[partition]) for partition, store in stores.items()}


async def _check_nobody_runs(settings: Settings) -> None:
    admin = new_admin(settings, "repair")
    try:
        await admin.start()
        described: Any = (await admin.describe_consumer_groups([settings.app_id]))[0].groups[0]
    except (KafkaError, OSError) as error:
        raise SettingsError(
            f"broker: cannot ask Kafka for the group: {words_of(settings, error)}; is it running, and is the address "
            "right (VIGIL_BROKER, --broker, or broker in the settings file)?"
        ) from error
    finally:
        await admin.close()
    if members := len(described[5]):
        raise SettingsError(
            f"the group {settings.app_id} has {members} members: stop all workers first, and wait for as long as a "
            "session lasts (session_timeout_ms) if one was killed"
        )
