"""One process of `vigil notify`: it joins the group, owns its share of the partitions, and shows its health."""

import asyncio
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Final

import aiohttp
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import InconsistentGroupProtocolError, KafkaError
from aiokafka.structs import TopicPartition

from vigil.app.kafka.acls import check_rights
from vigil.app.kafka.clients import new_consumer, new_producer, words_of
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.notify.brake_log import BrakeLog
from vigil.app.notify.brakes import BrakeLedger
from vigil.app.notify.line_alerts import LineAlert
from vigil.app.notify.metrics import NotifyMetrics
from vigil.app.notify.routes import Routing
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders import AnySender, make_sender
from vigil.app.notify.senders.http import HttpPoster
from vigil.app.notify.session import Session, SessionContext
from vigil.app.notify.store import MAX_REQUEST_BYTES, MEMBER_ERRORS, MarkStore
from vigil.app.notify.topics import NotifyNames, ensure_topics, required_acls, sources_of
from vigil.app.observability.health import HealthServer

log: Final = structlog.get_logger("vigil.notify")

MAX_SILENT_S: Final = 60
"""A process that has not asked the broker for this long is stuck: it is reported as not live, to be restarted."""
LEAVE_S: Final = 8.0
"""How long a rebalance waits for the end of a session. Others of the group wait with it."""


class NotifyService(ConsumerRebalanceListener):  # type: ignore[misc]
    """One process of `vigil notify`."""

    def __init__(self, settings: Settings, routing: Routing, secrets: Secrets, *, from_beginning: bool = False) -> None:
        """With `from_beginning`, a new group or target receives what is in the topics now."""
        self.settings = settings
        self._names = TopicNames.of(settings)
        self._own = NotifyNames.of(settings.app_id, settings.topic_prefix)
        self._routing = routing
        self._sources = sources_of(routing)
        self._secrets = secrets
        self._from_beginning = from_beginning
        self.metrics = NotifyMetrics()
        self.metrics.initialize(routing.targets)
        self.ledger = BrakeLedger()
        self.session: Session | None = None
        """The work on the partitions that are assigned; None between two assignments."""
        self._assigned = asyncio.Event()
        self._joined = False
        self._seen_at = time.monotonic()
        self.web = HealthServer(settings, self.metrics.registry, self._not_live, self._not_ready, self.refresh_metrics)

    @property
    def active(self) -> bool:
        """True while this process owns partitions and delivers."""
        return self.session is not None and self.session.active

    def _not_live(self) -> str | None:
        seen_at = self.session.polled_at if self.session is not None and self.session.active else self._seen_at
        silent_s = time.monotonic() - seen_at
        return None if silent_s < MAX_SILENT_S else f"the broker was not asked for records for {silent_s:.0f} s"

    def _not_ready(self) -> str | None:
        return None if self._joined else "has not joined its consumer group yet"

    def refresh_metrics(self) -> None:
        """Set the gauges: those of the partitions that this process owns."""
        session = self.session if self.active else None
        self.metrics.active.set(session is not None)
        self.metrics.partitions.set(len(session.partitions) if session else 0)
        alerts = session.book.open_alerts() if session else []
        lines = sum(isinstance(alert, LineAlert) for alert in alerts)
        self.metrics.open.set(len(alerts) - lines)
        self.metrics.open_lines.set(lines)
        self.metrics.remembered.set(len(session.book.marks) if session else 0)
        since, now = session.book.waiting_since() if session else {}, wall_ms()
        for name in self._routing.targets:
            self.metrics.pending.labels(name).set(session.book.count(name) if session else 0)
            self.metrics.late.labels(name).set(max(now - since.get(name, now), 0) / 1000)
        self.metrics.held.clear()
        for route, rule, count in self.ledger.held():
            self.metrics.held.labels(route, rule).set(count)

    # ---- the group

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Called by aiokafka before a rebalance: store what was delivered before others read it."""
        self._assigned.clear()
        if self.session is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await self.session.close()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Called by aiokafka after a rebalance."""
        self._joined = True
        self._assigned.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Notify until `stop`; raise SettingsError where it cannot begin, KafkaError where the broker is lost."""
        timeout = aiohttp.ClientTimeout(total=None)  # each target has its own
        # One connection pool for all targets. Cookies that a target sets are not kept.
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http_session:
            http = HttpPoster(http_session, self._secrets)
            senders = {
                name: make_sender(name, target, self._secrets, http, wall_ms)
                for name, target in self._routing.targets.items()
            }
            brakes = self._routing.has_brakes
            counts = await ensure_topics(self.settings, self._sources, brakes=brakes)
            acls = required_acls(self.settings.app_id, self._sources, self.settings.topic_prefix, brakes=brakes)
            await check_rights(self.settings, acls, "vigil notify")
            await self.web.start()
            producer = self._producer()
            consumer = self._consumer()
            log_ = BrakeLog(self.settings, producer, self.ledger) if brakes else None
            try:
                await producer.start()
                if log_ is not None:
                    await log_.start()
                context = self._context(consumer, producer, senders, log_)
                await consumer.start()
                consumer.subscribe(self._names.all_on_cluster(self._sources), listener=self)
                await self._until(stop, context, sum(counts.values()))
            finally:
                await consumer.stop()
                if log_ is not None:
                    await log_.stop()
                await producer.stop()
                await self.web.stop()

    def _consumer(self) -> AIOKafkaConsumer:
        return new_consumer(
            self.settings,
            "notify",
            group_id=self._own.group,
            auto_offset_reset="earliest",
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            session_timeout_ms=self.settings.session_timeout_ms,
            heartbeat_interval_ms=max(self.settings.session_timeout_ms // 5, 200),
            rebalance_timeout_ms=max(self.settings.session_timeout_ms, round((LEAVE_S + 2) * 1000)),
            fetch_max_wait_ms=100,
        )

    def _producer(self) -> AIOKafkaProducer:
        return new_producer(
            self.settings,
            "notify",
            enable_idempotence=self.settings.idempotent_producer,
            max_request_size=MAX_REQUEST_BYTES,
            linger_ms=5,
        )

    def _context(
        self,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        senders: Mapping[str, AnySender],
        brakes: BrakeLog | None,
    ) -> SessionContext:
        marks = {self._names.on_cluster(source): self._own.marks(source) for source in self._sources}
        store = MarkStore(self.settings, producer, marks)
        return SessionContext(consumer, store, self._routing, senders, self.metrics, self._names, self.ledger, brakes)

    async def _until(self, stop: asyncio.Event, context: SessionContext, all_partitions: int) -> None:
        """Follow the log of brakes, and begin a session after each rebalance, until `stop`."""
        stopping = asyncio.create_task(stop.wait())
        following = asyncio.create_task(context.brakes.run() if context.brakes is not None else stop.wait())
        try:
            while not stop.is_set():
                assigned = asyncio.create_task(self._assigned.wait())
                self._seen_at = time.monotonic()
                await asyncio.wait({stopping, following, assigned}, timeout=1, return_when=asyncio.FIRST_COMPLETED)
                assigned.cancel()
                if following.done():
                    following.result()
                if self._assigned.is_set() and not stop.is_set():
                    await self._one_session(context, all_partitions, {stopping, following})
        finally:
            stopping.cancel()
            following.cancel()
            await asyncio.gather(stopping, following, return_exceptions=True)

    async def _one_session(self, context: SessionContext, all_partitions: int, ends: set["asyncio.Task[Any]"]) -> None:
        """Own the assigned partitions until a rebalance or one of `ends`."""
        self._assigned.clear()
        partitions = frozenset(context.consumer.assignment())
        if not partitions:
            return
        session = self.session = Session(context, partitions, all_partitions)
        work = asyncio.create_task(session.run(from_beginning=self._from_beginning))
        try:
            log.info("this process is active now", partitions=len(partitions))
            await asyncio.wait({work, *ends}, return_when=asyncio.FIRST_COMPLETED)
            await session.close()
            await work
        except MEMBER_ERRORS as error:
            log.info("group rebalanced", why=type(error).__name__)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            self.session = None


async def run_notify(service: NotifyService, stop: asyncio.Event) -> None:
    """Run until `stop`; raise SettingsError with a message for the operator."""
    try:
        await service.run(stop)
    except InconsistentGroupProtocolError as error:
        raise SettingsError(
            "the group has a vigil notify of an earlier version: stop it first, once it owes nothing "
            "(vigil_notify_owed), then start this one"
        ) from error
    except (KafkaError, OSError) as error:
        raise SettingsError(f"broker: {words_of(service.settings, error)}") from error
