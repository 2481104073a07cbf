"""The worker: the one place that connects settings, shards, the Faust adapter, metrics and health, and runs them."""

import asyncio
import functools
import time
from collections.abc import Mapping
from typing import Final, NoReturn

import structlog

from vigil.agents.checkpointer import Checkpointer, in_time
from vigil.agents.faust.adapter import FaustAdapter, SubjectTopics
from vigil.agents.faust.shutdown import CRASH_GRACE_S, ShutdownGuard
from vigil.agents.shard_manager import ShardManager
from vigil.agents.shard_runner import ShardEnvironment
from vigil.agents.wall_clock import wall_ms
from vigil.agents.worker_clock import WorkerClock
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.subject import AnyStateMachine
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings
from vigil.app.observability.health import HealthServer
from vigil.app.runtime.broker_checks import BrokerChecks
from vigil.app.runtime.clock_guard import ClockGuard
from vigil.app.runtime.interpreter import PacedCollector
from vigil.app.runtime.metrics_reporter import MetricsReporter, WorkerView, worker_metrics
from vigil.app.runtime.preparations import prepare_cluster, tune_process
from vigil.app.runtime.rulebooks.follower import RulebookFollower
from vigil.app.runtime.rulebooks.log import in_force
from vigil.app.runtime.rulebooks.takeover import RulebookTakeover
from vigil.app.runtime.shard_restorer import ShardRestorer
from vigil.app.runtime.source_watch import SourceWatch
from vigil.app.runtime.start_line import log_start
from vigil.app.runtime.stop_reasons import log_stop
from vigil.app.runtime.ticks import tick_s
from vigil.app.runtime.upstream_watcher import UpstreamWatcher
from vigil.app.runtime.watchdog import EventLoopWatchdog
from vigil.app.runtime.worker_health import WorkerHealth
from vigil.app.runtime.worker_settings import app_settings, checkpoint_settings, watermark_policy
from vigil.topics.catalog import SubjectName

log: Final = structlog.get_logger("vigil.worker")

LAST_CHECKPOINT_S: Final = 10.0
"""Maximum time for the last checkpoint before shards are revoked: a broker that takes longer is not waited for."""

SHUTDOWN_CHECKPOINT_S: Final = 2.5
"""The same before the worker ends, which has 5 s in all."""

ASK_FOR_TIME_S: Final = 1.0
"""How often a worker whose clock differs from the broker's looks whether they agree by now."""

TOPIC_POLL_S: Final = 0.5
"""How often missing topics are asked for. Kafka's client would ask within five minutes; until then the partitions of
those topics belong to nobody."""


class Worker:
    """One process of the group. Implements `MembershipListener`."""

    def __init__(
        self,
        settings: Settings,
        rulebook: Rulebook,
        partitions: Mapping[SubjectName, int],
        machines: Mapping[SubjectName, AnyStateMachine] | None = None,
        candidate: Rulebook | None = None,
    ) -> None:
        """`partitions` of each subject, as `ensure_topics` returns them; `machines` replace Vigil's own in tests, until
        a rulebook is published. `candidate`: a rulebook that judges rooms in shadow."""
        self.settings = settings
        self.metrics = worker_metrics()
        self.health = health = WorkerHealth()
        self._clock = WorkerClock()
        live = settings.clock == "live"
        make_machines = functools.partial(
            REGISTRY.machines, review_wait_ms=settings.largest_lateness_ms() if live else None, candidate=candidate
        )
        self.machines = dict(machines or make_machines(rulebook))
        self.rulebooks = RulebookFollower(settings, rulebook, self._clock.now)
        names = TopicNames.of(settings)
        self._changelogs = {subject: names.changelog(subject) for subject in self.machines}
        self._sources = {subject: names.all_on_cluster(machine.topics) for subject, machine in self.machines.items()}
        topics = {
            subject: SubjectTopics(sources, self._changelogs[subject], partitions[subject])
            for subject, sources in self._sources.items()
        }
        self.adapter = FaustAdapter(app_settings(settings), topics, names.on_cluster)
        self._ports = ports = self.adapter.ports
        self._broker_checks = BrokerChecks(
            ports.membership,
            ports.feed.beginnings,
            topics,
            settings.state_lost,
            SourceWatch(ports.feed, lambda: self.manager.shards.values()),
        )
        upstream = {subject: names.all_on_cluster(topics) for subject, topics in REGISTRY.upstream.items()}
        self._upstream = UpstreamWatcher(settings, ports.feed, upstream, lambda: health.ready)
        self.manager = ShardManager(
            ports.membership,
            ShardEnvironment(
                ports.feed,
                watermark_policy(settings),
                self._upstream.written_at,
                REGISTRY.latency_promised,
                self._clock.now,
                self.metrics.observe_step,
                self.rulebooks.known_until,
            ),
            self._sources,
            ShardRestorer(
                settings, self.rulebooks, self.adapter, self.machines, partitions, self._sources, self._changelogs
            ),
        )
        self._clock_guard = ClockGuard(self._clock, self.manager, health, settings.max_ahead_ms) if live else None
        view = WorkerView(
            self.manager,
            health.not_ready,
            self.adapter.standby_lag,
            lambda: self._clock.ahead_of_broker,
            self.rulebooks.known_until,
        )
        self._reporter = MetricsReporter(self.metrics, view, settings, rulebook)
        self.checkpoints = Checkpointer(self.manager, ports, checkpoint_settings(settings), self._reporter, self._clock)
        self._takeover = RulebookTakeover(self.rulebooks, self.machines, make_machines, self._reporter.use)
        self.rulebooks.on_record = self._reporter.published
        self._watchdog = EventLoopWatchdog(
            settings.session_timeout_ms, self.metrics.loop_gap.observe, lambda: health.ready
        )
        self._web = HealthServer(
            settings, self.metrics.registry, health.not_live, health.not_ready, self._reporter.refresh
        )
        self._collector = PacedCollector()
        self._shutdown_guard = ShutdownGuard(lambda: health.exit_code)
        self._assigned_once = False
        self._recovery_began = time.monotonic()
        self._connect(live)

    def _connect(self, live: bool) -> None:
        tasks = [
            self._run_web,
            self._tick,
            self._run_watchdog,
            self._report,
            self._watch_topics,
            self._watch_partitions,
            self._follow_rulebook,
        ]
        if not live:
            tasks.append(self._watch_upstream)
        self.adapter.connect(self, self.manager, self.fail_fast, tasks)
        self.adapter.on_restored(lambda subject, records: self.metrics.restored.labels(subject).inc(records))

    def run(self) -> NoReturn:
        """Run until a signal or an error ends it; exit status 1 after an error.

        Raise SettingsError if another program has the port of its web server.
        """
        self._web.bind()
        self.adapter.run(self._shutdown_guard)

    def _stopping(self) -> bool:
        return self.adapter.stopping or self.health.error is not None

    # ---- errors of ours ---------------------------------------------------------------------------------------

    async def fail_fast(self, error: BaseException) -> None:
        """Stop the worker, so that a restart replays: nothing that it holds in memory is written any more."""
        if self.health.error is None:
            self.health.error = error
            log_stop(error)
        self._shutdown_guard.within(CRASH_GRACE_S)
        self._release()
        await self.adapter.crash(error)

    def _release(self) -> None:
        self.health.ready = False
        self.checkpoints.invalidate()
        self.manager.release()

    # ---- ownership --------------------------------------------------------------------------------------------

    async def on_revoked(self) -> None:
        self.health.ready = False
        self._recovery_began = time.monotonic()
        held = len(self.manager.shards)
        if self.health.error is None:
            await in_time(self.checkpoints.write_last(), LAST_CHECKPOINT_S, "the last checkpoint")
        self._release()
        if held:  # a worker that joins the group is asked for its partitions before it has any
            log.info("partitions revoked", shards=held)

    async def on_assigned(self) -> None:
        if self.health.error is not None:
            return
        self._ports.membership.pause_flow()
        self._assigned_once = True
        assignment = self.checkpoints.assignment
        missing = await self._missing_topics()
        if missing:
            # A broker that was restarted: the leader assigned partitions by its reply, and left some to nobody.
            log.warning("waiting for topics", why="the broker does not report all of them yet", missing=sorted(missing))
            return
        await self._takeover.before_assignment()
        await self._broker_checks.partitions()
        await self.manager.assign()
        await self._broker_checks.stored_state(self.manager.shards.values())
        if assignment == self.checkpoints.assignment:
            await self.checkpoints.acquire()
        if assignment != self.checkpoints.assignment:  # another rebalance began: this is called again for it
            self.manager.release()
            return
        if self._clock_guard is not None:
            self._clock_guard.assigned()
        self._collector.full()  # nothing is judged yet
        self.health.ready = True
        for finding in self.manager.findings:
            log.warning("source changed", what=finding.words)
        self._log_assignment()

    def _log_assignment(self) -> None:
        seconds = time.monotonic() - self._recovery_began
        self.metrics.recovery.set(seconds)
        owned = dict.fromkeys(self.machines, 0)
        keys = 0
        for (subject, _), runner in self.manager.shards.items():
            owned[subject] += 1
            keys += len(runner.shard.states)
        log.info(
            "partitions assigned", shards=owned, keys=keys, seconds=round(seconds, 3), backlog=self.manager.backlog()
        )

    async def on_shutdown(self) -> None:
        self.health.ready = False
        if self.health.error is None:
            await in_time(self.checkpoints.write_last(), SHUTDOWN_CHECKPOINT_S, "the last checkpoint")
            self.manager.release()
            self.health.finished = True
            log.info("stopping in order")
        await self._web.stop()

    # ---- background tasks -------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Watermarks, checkpoints, evictions."""
        while not self._stopping():
            self.health.last_tick = asleep = time.monotonic()
            pause = tick_s(len(self.manager.shards))
            await asyncio.sleep(pause)
            self._watchdog.check(time.monotonic() - asleep - pause)
            self.adapter.apply_pending()
            if self._clock_guard is not None:
                self._clock_guard.look()
            if self.health.ready and self.health.held:
                await self._ask_for_time()
            elif self.health.ready:
                self.manager.tick()
                await self.checkpoints.write_if_due()
                await self._takeover.exchange(self.manager, self.checkpoints)
                for runner in self.manager.shards.values():
                    runner.shard.evict(self.settings.max_loaded_keys)
            self._collector.look()

    async def _ask_for_time(self) -> None:
        """Write a checkpoint, from which the worker learns the broker's time; nothing else is written meanwhile."""
        await asyncio.sleep(ASK_FOR_TIME_S)
        if self.health.ready:
            await self.checkpoints.write(list(self.manager.shards.values())[:1], commit=False)

    async def _run_watchdog(self) -> None:
        await self._watchdog.run(self._stopping)

    async def _report(self) -> None:
        """Log once a minute which messages were refused; as an error if they are many."""
        while not self.adapter.stopping:
            await asyncio.sleep(60)
            self._reporter.minute()

    async def _missing_topics(self) -> set[str]:
        topics = {*self._changelogs.values()}.union(*self._sources.values())
        return await self._ports.membership.missing_topics(topics)

    async def _watch_topics(self) -> None:
        """Ask again for topics that the broker did not report: once it does, the group assigns partitions again."""
        while not self.adapter.stopping:
            await asyncio.sleep(TOPIC_POLL_S)
            if self.health.finished or self.adapter.stopping:
                return  # the client may be gone: to ask it must not turn an orderly end into a crash
            if self.manager.has_gaps():
                await self.manager.count_skipped()
            if self._assigned_once and await self._missing_topics():
                await self._ports.membership.request_topics()

    async def _watch_partitions(self) -> None:
        await self._broker_checks.watch(lambda: self._stopping() or self.health.finished)

    async def _follow_rulebook(self) -> None:
        await self.rulebooks.run(lambda: self._stopping() or self.health.finished, self.fail_fast)

    async def _watch_upstream(self) -> None:
        await self._upstream.run(lambda: self.adapter.stopping)

    async def _run_web(self) -> None:
        await self._web.start()
        log.info("serving metrics and health", host=self.settings.web_host, port=self._web.port)


def run_worker(settings: Settings, rulebook: Rulebook, candidate: Rulebook | None = None) -> NoReturn:
    """Create missing topics, then run a worker until it ends; raise SettingsError if it cannot start.

    `candidate`: a rulebook that judges rooms in shadow.
    """
    tune_process()
    log_start(settings, rulebook, wall_ms())
    partitions = asyncio.run(prepare_cluster(settings))
    Worker(settings, asyncio.run(in_force(settings, rulebook)), partitions, candidate=candidate).run()
