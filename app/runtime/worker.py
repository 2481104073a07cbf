"""The worker: the one place that wires settings, shards, agents, metrics and health to each other, and runs them."""

import asyncio
import faulthandler
import gc
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn

import faust
import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from aiokafka.structs import TopicPartition
from faust.types import TP

from vigil.agents.checkpointer import Checkpointer, in_time
from vigil.agents.faust.agent import attach
from vigil.agents.faust.batches import BatchApp, FaustSourceFeed, MirrorTable, TransportSettings, batches
from vigil.agents.faust.shutdown import CRASHED_S, ShutdownGuard, WorkerProcess
from vigil.agents.shard_manager import ShardManager, TopicMismatch, WatermarkPolicy
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.changelog import ChangelogStore, StoredStateError
from vigil.app.engine.shard import Shard
from vigil.app.engine.subject import StateMachine
from vigil.app.kafka.acls import check_rights, needed
from vigil.app.kafka.admin import changelog_of, ensure_topics
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.observability.health import HealthServer
from vigil.app.observability.logs import silence_libraries
from vigil.app.runtime.metrics_reporter import MetricsReporter, worker_metrics
from vigil.topics.catalog import SubjectName

log: Final = structlog.get_logger("vigil.worker")

FORBIDDEN: Final = TopicAuthorizationFailedError | GroupAuthorizationFailedError
"""What a worker meets whose rights were taken away while it ran."""

TICK_S: Final = 0.01
"""How often clocks and due checkpoints are looked at."""

LONGEST_TICK_S: Final = 0.05
"""The same where there are many shards."""

SHARDS_A_TICK: Final = 200
"""So many are looked at in a millisecond: more of them less often, so that idle ones do not take a core."""

STALLED: Final = 0.8
"""A process that stood still for this share of the session is taken to have lost its shards."""

PULSE_S: Final = 0.02
"""How often it is looked whether the process stood still, and for how long the event loop came round to nothing."""

LAST_CHECKPOINT_S: Final = 10.0
"""Before shards go elsewhere: a broker that does not take it in this time is not waited for."""

PARTING_S: Final = 2.5
"""The same before the worker ends: it has 5 s for all of that."""


class Worker:
    """One process of the group."""

    def __init__(
        self,
        settings: Settings,
        rulebook: Rulebook,
        partitions: Mapping[SubjectName, int],
        machines: Mapping[SubjectName, StateMachine] | None = None,
    ) -> None:
        """`partitions` of each group, as `ensure_topics` tells; `logics` in the place of Vigil's own, for tests."""
        self.settings = settings
        self.rulebook = rulebook
        self.metrics = worker_metrics()
        live = settings.clock == "live"
        self.machines = dict(machines or REGISTRY.machines(rulebook, settings.allowed_lateness_ms if live else None))
        self.broken: BaseException | None = None
        """Why the worker stops, where it stops for an error."""
        self.app = _faust_app(settings)
        self.feed = FaustSourceFeed(self.app)
        self.tables = {
            group: MirrorTable(
                self.app,
                name=f"{group}-state",
                partitions=partitions[group],
                new_mirror=ChangelogStore,
                group=group,
                changelog=changelog_of(settings.app_id, group),
            )
            for group in self.machines
        }
        self.owner = ShardManager(
            self.feed,
            WatermarkPolicy(
                lateness_ms=settings.allowed_lateness_ms,
                idle_after_ms=settings.idle_after_ms,
                live=live,
                recorded_until=settings.recorded_until,
                max_buffered=settings.max_buffered_events,
                fetch_wait_ms=settings.fetch_wait_ms,
                exact_ends=settings.idempotent_producer,  # all but the embedded broker
            ),
            {group: machine.topics for group, machine in self.machines.items()},
            self._new_shard,
            REGISTRY.upstream,
        )
        self.report = MetricsReporter(
            self.metrics, self.owner, settings, rulebook, self.not_ready, self.feed.standby_lag
        )
        self.checkpoints = Checkpointer(
            self.owner,
            self.feed,
            self.tables,
            lambda: self.app.producer._producer,
            recorded=not live,
            marker_alone=not settings.idempotent_producer,  # the embedded broker
            interval_ms=settings.checkpoint_interval_ms,
            on_sent=self.report.sent,
            on_written=self.report.written,
        )
        self.app.hooks.positions = self.owner.positions
        self.app.hooks.failed = self.crash
        self.app.hooks.restored = lambda group, records: self.metrics.restored.labels(group).inc(records)
        self.web = HealthServer(settings, self.metrics.registry, self.not_live, self.not_ready, self.report.refresh)
        self.parted = False
        """The last checkpoint is written: nothing is left to do."""
        self.parting = ShutdownGuard(lambda: 0 if self.parted and self.broken is None else 1)
        self._dealt = False
        """The group has dealt its partitions out at least once."""
        self._ready = False
        self._last_tick = time.monotonic()
        self._recovery_began = time.monotonic()
        self._topics = {topic for machine in self.machines.values() for topic in machine.topics}
        self._topics.update(changelog_of(settings.app_id, group) for group in self.machines)
        for group, machine in self.machines.items():
            attach(self.app, group, batches(self.app, *machine.topics), self.owner.take, self.crash)
        self.app.on_partitions_revoked.connect(self._guard(self._revoked))
        self.app.on_rebalance_complete.connect(self._guard(self._assigned))
        self.app.on_before_shutdown.connect(self._guard(self._shutting_down))
        beside = [self._run_web, self._ticking, self._pulse, self._watch, self._watch_topics]
        if not live:
            beside.append(self._watch_upstream)
        self.app.hooks.beside = [self._guard(step) for step in beside]

    def run(self) -> NoReturn:
        """Run until a signal or an error ends it; exit status 1 after an error.

        Raise SettingsError where another program has the port of its pages.
        """
        self.web.bind()
        worker = WorkerProcess(
            self.app,
            self.parting,
            quiet=True,
            redirect_stdouts=False,
            override_logging=False,
            loglevel=logging.WARNING,
            daemon=True,
        )
        worker.spinner = None  # it writes control characters into the log
        worker.execute_from_commandline()
        raise SystemExit(1)  # not reached: it exits itself

    # ---- errors of ours ---------------------------------------------------------------------------------------

    async def crash(self, error: BaseException) -> None:
        """Stop the worker, so that a restart replays: nothing of what it holds in memory is written any more."""
        if self.broken is None:
            self.broken = error
            told = isinstance(error, StoredStateError | SettingsError | TopicMismatch | FORBIDDEN)
            words = str(error) or repr(error)
            if isinstance(error, FORBIDDEN):
                words = f"the broker does not permit it any more: {words}; docs/security.md has the rights of a worker"
            log.critical("stopped", error=words, exc_info=None if told else error)
            if told:
                silence_libraries()
        self.parting.within(CRASHED_S)
        self._ready = False
        self.checkpoints.dropped()
        self.owner.drop()
        await self.app.crash(error)

    def _guard(self, step: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Faust logs what its callbacks raise, and goes on; here it stops the worker."""

        async def guarded(*args: Any, **options: Any) -> None:
            try:
                await step()
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                await self.crash(error)

        guarded.__name__ = step.__name__
        return guarded

    # ---- ownership --------------------------------------------------------------------------------------------

    def _new_shard(self, group: SubjectName, partition: int) -> Shard:
        mirrors = self.tables[group].store
        changelog = TP(changelog_of(self.settings.app_id, group), partition)
        if changelog not in self.feed.assigned({changelog.topic}):
            raise RuntimeError(f"partition {partition} of {changelog.topic}, the state of the shard, was not dealt out")
        if partition in mirrors.broken:
            raise mirrors.broken[partition]
        store: ChangelogStore = mirrors.mirror(partition)
        store.finalize_restore()
        self._check_rulebook(store)
        return Shard(
            self.machines[group],
            self.settings.allowed_lateness_ms,
            partition=partition,
            store=store,
            rulebook=self.rulebook.digest,
        )

    def _check_rulebook(self, store: ChangelogStore) -> None:
        marker = store.marker
        if marker is None or marker.rulebook == self.rulebook.digest or self.settings.rulebook_changed:
            return
        raise SettingsError(
            f"rulebook: this worker's rulebook ({self.rulebook.digest[:12]}) is not the one that the group runs "
            f"({marker.rulebook[:12]}); give every worker the same file, or, where the change is meant, stop all "
            "workers and start them once with rulebook_changed = true (VIGIL_RULEBOOK_CHANGED=1)"
        )

    async def _revoked(self) -> None:
        self._ready = False
        self._recovery_began = time.monotonic()
        if self.broken is None:
            await in_time(self.checkpoints.last(), LAST_CHECKPOINT_S, "the last checkpoint")
        self.checkpoints.dropped()
        self.owner.drop()
        log.info("revoked")

    async def _assigned(self) -> None:
        if self.broken is not None:
            return
        self.feed.stand_still()
        self._dealt = True
        epoch = self.checkpoints.epoch
        missing = await self.feed.missing(self._topics)
        if missing:
            # A broker that has just come back: whoever dealt the partitions out on its word left some to nobody.
            log.warning("waiting", why="the broker does not tell of all topics yet", missing=sorted(missing))
            return
        await self.owner.assign()
        if epoch == self.checkpoints.epoch:
            await self.checkpoints.take_over()
        if epoch != self.checkpoints.epoch:  # dealt out anew meanwhile: another call of this will follow
            self.owner.drop()
            return
        self._ready = True
        seconds = time.monotonic() - self._recovery_began
        self.metrics.recovery.set(seconds)
        owned = dict.fromkeys(self.machines, 0)
        keys = 0
        for group, _ in self.owner.shards:
            owned[group] += 1
        for held in self.owner.shards.values():
            keys += len(held.shard.keys)
        log.info("assigned", shards=owned, keys=keys, seconds=round(seconds, 3), backlog=self.owner.backlog())

    async def _shutting_down(self) -> None:
        self._ready = False
        if self.broken is None:
            await in_time(self.checkpoints.last(), PARTING_S, "the last checkpoint")
            self.owner.drop()
            self.parted = True
            log.info("stopping")
        await self.web.stop()

    # ---- time -------------------------------------------------------------------------------------------------

    async def _ticking(self) -> None:
        """Clocks and checkpoints."""
        while not self.app.should_stop and self.broken is None:
            self._last_tick = asleep = time.monotonic()
            pause = tick_s(len(self.owner.shards))
            await asyncio.sleep(pause)
            self._check_stall(time.monotonic() - asleep - pause)
            for table in self.tables.values():
                table.store.apply_pending()
            if self._ready:
                self.owner.tick()
                await self.checkpoints.when_due()
                self._shrink()

    async def _pulse(self) -> None:
        """The guard against a process that was stopped and wakes up in the middle of a checkpoint.

        It also sees what the clocks and checkpoints themselves hold up.
        """
        while not self.app.should_stop and self.broken is None:
            asleep = time.monotonic()
            await asyncio.sleep(PULSE_S)
            gap = time.monotonic() - asleep - PULSE_S
            self.metrics.loop_gap.observe(max(gap, 0))
            self._check_stall(gap)

    def _check_stall(self, gap: float) -> None:
        """A checkpoint that waits for a broker that is away is no stall: the group is heard of meanwhile."""
        if gap > STALLED * self.settings.session_timeout_ms / 1000 and self._ready:
            raise RuntimeError(
                f"the worker stood still for {gap:.1f} s, and the group may have given its shards away: "
                "it starts anew rather than write what is not its to write"
            )

    def _shrink(self) -> None:
        most = self.settings.max_loaded_keys
        for held in self.owner.shards.values():
            held.shard.evict(most)

    async def _watch(self) -> None:
        """Say every minute what went wrong with messages, loudly where it is a flood."""
        while not self.app.should_stop:
            await asyncio.sleep(60)
            self.report.minute()

    async def _watch_topics(self) -> None:
        """Ask anew for topics that the broker did not tell of: once it does, the group deals its partitions out again.

        Kafka's client would ask within five minutes; until then the partitions belong to nobody.
        """
        while not self.app.should_stop:
            await asyncio.sleep(0.5)
            if self.parted or self.app.should_stop:
                return  # whom it would ask may be gone: that must not turn an orderly end into a crash
            if self.owner.gaps:
                await self.owner.count_gone()
            if self._dealt and await self.feed.missing(self._topics):
                await self.feed.ask_for_topics()

    async def _watch_upstream(self) -> None:
        """Recorded data: learn by what is committed when all that flows into a group has been written."""
        admin = AIOKafkaAdminClient(client_id=f"{self.settings.app_id}-watch", **self.settings.kafka())
        await admin.start()
        done: dict[SubjectName, int] = {}
        upstream = {topic for topics in REGISTRY.upstream.values() for topic in topics}
        self.owner.upstream_done = done.get
        try:
            while not self.app.should_stop:
                await asyncio.sleep(0.2)
                if not self._ready:
                    done.clear()
                    continue
                began = wall_ms()
                try:
                    ends = await self.feed.all_ends(upstream)
                    partitions = [TopicPartition(topic, partition) for topic, partition in ends]
                    committed = await admin.list_consumer_group_offsets(self.settings.app_id, partitions=partitions)
                except KafkaError as error:  # away: asked again when it is back
                    log.debug("upstream", why=str(error))
                    ends = {}
                if not upstream <= {topic for topic, _ in ends}:
                    done.clear()
                    continue
                offsets = {(tp.topic, tp.partition): told.offset for tp, told in committed.items()}
                for group, topics in REGISTRY.upstream.items():
                    whole = all(
                        end == 0 or offsets.get((topic, partition), -1) >= end
                        for (topic, partition), end in ends.items()
                        if topic in topics
                    )
                    if not whole:
                        done.pop(group, None)
                    else:
                        done.setdefault(group, began)
        finally:
            await admin.close()

    # ---- health -----------------------------------------------------------------------------------------------

    async def _run_web(self) -> None:
        await self.web.start()
        log.info("web", host=self.settings.web_host, port=self.web.port)

    def not_live(self) -> str | None:
        """What is wrong with the process; None where it is alive."""
        if self.broken is not None:
            return str(self.broken) or repr(self.broken)
        still = time.monotonic() - self._last_tick
        return f"the clocks have not been looked at for {still:.0f} s" if still > 30 else None

    def not_ready(self) -> str | None:
        """Why the worker does not judge; None where it does."""
        return self.not_live() or (None if self._ready else "recovering, or waiting for the group")


def tick_s(shards: int) -> float:
    """How often the clocks of so many shards are looked at."""
    return min(TICK_S * max(1.0, shards / SHARDS_A_TICK), LONGEST_TICK_S)


def _faust_app(settings: Settings) -> BatchApp:
    session = settings.session_timeout_ms / 1000
    return BatchApp(
        settings.app_id,
        transfer=TransportSettings(fetch_wait_ms=settings.fetch_wait_ms, idempotent=settings.idempotent_producer),
        broker=[f"kafka://{server.strip()}" for server in settings.broker.split(",")],
        broker_credentials=_credentials(settings),
        broker_max_poll_records=settings.max_poll_records,
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 4,
        broker_request_timeout=max(40.0, 2 * session),
        broker_commit_livelock_soft_timeout=3600.0 * 24 * 365,  # commits are ours: see agents/faust/batches.py
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=1024 * 1024,
        store="memory://",
        table_standby_replicas=settings.standbys,
        topic_allow_declare=False,  # app/kafka/admin.py has made them
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        stream_buffer_maxsize=16,  # in batches
        stream_wait_empty=False,  # True can hang a shutdown for minutes
        recovery_consistency_check=False,  # our own markers tell more, and the embedded broker's answers are off
        web_enabled=False,
        autodiscover=False,
    )


def _credentials(settings: Settings) -> Any:
    if settings.security_protocol == "PLAINTEXT":
        return None
    context = settings.ssl_context()
    if settings.security_protocol == "SSL":
        return faust.SSLCredentials(context=context)
    return faust.SASLCredentials(
        username=settings.sasl_username,
        password=settings.password(),
        mechanism=settings.sasl_mechanism,
        ssl_context=context,
    )


def _tune() -> None:
    """What a process of many long-lived objects and few cycles needs from the runtime."""
    if sys.platform != "win32":
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    faulthandler.enable()  # what falls over in a library's C says where
    gc.freeze()  # what is imported stays
    gc.set_threshold(100_000, 50, 100)  # states are looked through again and again in vain


async def _prepare(settings: Settings) -> dict[SubjectName, int]:
    partitions = await ensure_topics(settings, REGISTRY.sources)
    await check_rights(settings, needed(settings.app_id, REGISTRY.sources))
    return partitions


def run_worker(settings: Settings, rulebook: Rulebook, candidate: Rulebook | None = None) -> NoReturn:
    """Make sure of the topics, then run a worker until it ends; raise SettingsError where it cannot start.

    `candidate`: a rulebook that judges rooms in shadow.
    """
    _tune()
    machines = REGISTRY.machines(
        rulebook, settings.allowed_lateness_ms if settings.clock == "live" else None, candidate
    )
    partitions = asyncio.run(_prepare(settings))
    Worker(settings, rulebook, partitions, machines).run()
