"""One process of `vigil notify`: it joins the group, stands by or is active, and shows its health and metrics."""

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, ProducerFenced

from vigil.app.domain.rulebook.book import Rulebook
from vigil.app.kafka.acls import check_rights
from vigil.app.kafka.clients import new_consumer, words_of
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.notify.active import ActiveSession, NotifyContext
from vigil.app.notify.assignor import SingleActiveAssignor
from vigil.app.notify.group_watch import GroupWatch, RebalancedError
from vigil.app.notify.incidents import IncidentBounds, Incidents
from vigil.app.notify.line_records import LINE_TOPICS
from vigil.app.notify.line_routes import wants_lines
from vigil.app.notify.metrics import NotifyMetrics
from vigil.app.notify.records import SOURCE_TOPICS
from vigil.app.notify.routes import Routing
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders import AnySender, make_sender
from vigil.app.notify.senders.http import HttpPoster
from vigil.app.notify.state_topic import NotifyNames, ensure_topics, required_acls
from vigil.app.notify.store import IncidentStore
from vigil.app.observability.health import HealthServer

log: Final = structlog.get_logger("vigil.notify")

MAX_SILENT_S: Final = 60
"""A process that has not asked the broker for this long is stuck: it is reported as not live, to be restarted."""


class NotifyService:
    """One process of `vigil notify`."""

    def __init__(
        self,
        settings: Settings,
        routing: Routing,
        secrets: Secrets,
        rulebook: Rulebook,
        *,
        from_beginning: bool = False,
    ) -> None:
        """`rulebook` is that of the workers. With `from_beginning`, a new group reads what is in the topics now."""
        self.settings = settings
        self._names = TopicNames.of(settings)
        self._routing = routing
        self._sources = (*SOURCE_TOPICS, *LINE_TOPICS) if wants_lines(routing) else SOURCE_TOPICS
        self._secrets = secrets
        self._rulebook = rulebook
        self._from_beginning = from_beginning
        self.metrics = NotifyMetrics()
        self.metrics.initialize(routing.targets)
        self._watch = GroupWatch(self._on_rebalance)
        self._session: ActiveSession | None = None
        self.web = HealthServer(settings, self.metrics.registry, self._not_live, self._not_ready, self.refresh_metrics)

    @property
    def active(self) -> bool:
        """True while this process is the one that notifies."""
        return self._session is not None

    def _not_live(self) -> str | None:
        silent_s = self._watch.silent_s
        return None if silent_s < MAX_SILENT_S else f"the broker was not asked for records for {silent_s:.0f} s"

    def _not_ready(self) -> str | None:
        return None if self._watch.joined else "has not joined its consumer group yet"

    def refresh_metrics(self) -> None:
        """Set the gauges. A process that stands by has no incidents and nothing pending."""
        session = self._session
        self.metrics.active.set(session is not None)
        self.metrics.open.set(len(session.incidents.open) if session else 0)
        self.metrics.remembered.set(len(session.incidents) if session else 0)
        self.metrics.open_lines.set(len(session.lines.open) if session else 0)
        self.metrics.remembered_lines.set(len(session.lines) if session else 0)
        since, now = session.outbox.waiting_since() if session else {}, wall_ms()
        for name in self._routing.targets:
            self.metrics.pending.labels(name).set(session.outbox.count(name) if session else 0)
            self.metrics.late.labels(name).set(max(now - since.get(name, now), 0) / 1000)

    def _on_rebalance(self) -> None:
        if self._session is not None:
            self._session.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Notify until `stop`; raise SettingsError where it cannot begin, KafkaError where the broker is lost."""
        timeout = aiohttp.ClientTimeout(total=None)  # each target has its own
        # One connection pool for all targets. Cookies that a target sets are not kept.
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            http = HttpPoster(session, self._secrets)
            senders = {
                name: make_sender(name, target, self._secrets, http, wall_ms)
                for name, target in self._routing.targets.items()
            }
            await ensure_topics(self.settings, self._sources)
            await check_rights(
                self.settings,
                required_acls(self.settings.app_id, self._sources, self.settings.topic_prefix),
                "vigil notify",
            )
            await self.web.start()
            consumer = self._consumer()
            try:
                await consumer.start()
                consumer.subscribe(self._names.all_on_cluster(self._sources), listener=self._watch)
                while not stop.is_set():
                    try:
                        await self._stand_by(consumer, stop)
                        if not stop.is_set():
                            await self._notify(consumer, senders, stop)
                    except RebalancedError:
                        log.info("group rebalanced")
            finally:
                await consumer.stop()
                await self.web.stop()

    def _consumer(self) -> AIOKafkaConsumer:
        return new_consumer(
            self.settings,
            "notify",
            group_id=NotifyNames.of(self.settings.app_id).group,
            auto_offset_reset="earliest",
            partition_assignment_strategy=(SingleActiveAssignor,),
            session_timeout_ms=self.settings.session_timeout_ms,
            heartbeat_interval_ms=max(self.settings.session_timeout_ms // 5, 200),
            fetch_max_wait_ms=100,
        )

    async def _stand_by(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        """Wait until this process is assigned the partitions."""
        while not stop.is_set() and not consumer.assignment():
            self._watch.polled()
            await asyncio.sleep(0.1)

    async def _notify(self, consumer: AIOKafkaConsumer, senders: Mapping[str, AnySender], stop: asyncio.Event) -> None:
        """Be the active process until `stop` or a rebalance."""
        rebalances = self._watch.rebalances
        store = IncidentStore(self.settings)
        bounds = IncidentBounds(signal_hold_ms=self._routing.signal_hold_s * 1000)
        context = NotifyContext(consumer, self._watch, store, self._routing, senders, self.metrics, self._names)
        try:
            session = ActiveSession(context, Incidents(self._rulebook, bounds), await store.open())
            await session.begin(from_beginning=self._from_beginning)
            self._session = session
            log.info("this process is active now", incidents=len(session.incidents), pending=len(session.outbox))
            await session.run(rebalances, stop)
        except (CommitFailedError, IllegalStateError) as error:
            raise RebalancedError from error  # the group has rebalanced, and the listener was not called yet
        finally:
            self._session = None
            await store.close()


async def run_notify(service: NotifyService, stop: asyncio.Event) -> None:
    """Run until `stop`; raise SettingsError with a message for the operator."""
    try:
        await service.run(stop)
    except ProducerFenced as error:
        raise SettingsError(
            "another vigil notify of this app_id became active while this process was suspended"
        ) from error
    except (KafkaError, OSError) as error:
        raise SettingsError(f"broker: {words_of(service.settings, error)}") from error
