"""`vigil notify`: read ─▶ incidents ─▶ routes ─▶ owed, stored with the offsets ─▶ delivered ─▶ stored.

Offsets are committed together with what the messages make Vigil owe, and what is owed is let go only once it was
delivered or lies in `notify-dead-letter`. So a target that is down holds nobody else up, and a crash at any instant
loses nothing; what it may repeat has the same idempotency key.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, ProducerFenced
from aiokafka.structs import TopicPartition

from vigil.app.kafka.acls import check_rights
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.notify.assignor import SingleActiveAssignor
from vigil.app.notify.changes import Incident, IncidentChange
from vigil.app.notify.deliverer import Deliverer
from vigil.app.notify.incidents import IncidentBounds, Incidents
from vigil.app.notify.metrics import NotifyMetrics
from vigil.app.notify.outbox import Outbox
from vigil.app.notify.records import READ, letter, refusal, take
from vigil.app.notify.routes import Routing
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders import AlertmanagerSender, Http, Sent, make_sender
from vigil.app.notify.store import IncidentStore, Names, ensure_topics, needed
from vigil.app.observability.health import HealthServer
from vigil.topics.fields import InvalidEvent

log: Final = structlog.get_logger("vigil.notify")

AT_ONCE: Final = 1000
FLUSH_S: Final = 0.1
TICK_S: Final = 1.0
CLOSE_S: Final = 4.0
"""How long an orderly end waits for requests that are under way."""


class Moved(Exception):
    """The partitions went to another process, or come anew."""


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, moved: Callable[[], None]) -> None:
        self._moved = moved

    async def on_partitions_revoked(self, revoked: Any) -> None:
        self._moved()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._moved()


class Notify:
    """One process of `vigil notify`."""

    def __init__(
        self,
        settings: Settings,
        routing: Routing,
        secrets: Secrets,
        families: Mapping[str, str],
        *,
        from_beginning: bool = False,
        bounds: IncidentBounds | None = None,
    ) -> None:
        """`from_beginning`: where the group is new, begin with what is there, and not with what comes."""
        self._settings = settings
        self._routing = routing
        self._secrets = secrets
        self._families = families
        self._from_beginning = from_beginning
        self._bounds = bounds
        self.metrics = NotifyMetrics()
        self.metrics.begin(routing.targets)
        self._incidents = Incidents(families, bounds)
        self._outbox = Outbox()
        self._moves = 0
        self._active = False
        self._last_poll = time.monotonic()
        self._joined = False
        self._dirty = asyncio.Event()
        self._writing = asyncio.Lock()
        self._deliverers: list[Deliverer] = []
        self.web = HealthServer(settings, self.metrics.registry, self._not_live, self._not_ready, self._refresh)

    # For the machines around it.

    def _not_live(self) -> str | None:
        silent = time.monotonic() - self._last_poll
        return None if silent < 60 else f"nothing was asked of the broker for {silent:.0f} s"

    def _not_ready(self) -> str | None:
        return None if self._joined else "the group was not joined yet"

    def _refresh(self) -> None:
        self.metrics.active.set(self._active)
        self.metrics.open.set(len(self._incidents.open) if self._active else 0)
        self.metrics.remembered.set(len(self._incidents) if self._active else 0)
        since, now = self._outbox.since() if self._active else {}, wall_ms()
        for name in self._routing.targets:
            self.metrics.owed.labels(name).set(self._outbox.owed_to(name) if self._active else 0)
            self.metrics.late.labels(name).set(max(now - since.get(name, now), 0) / 1000)

    # The run.

    async def run(self, stop: asyncio.Event) -> None:
        """Tell until `stop`; raise SettingsError where that cannot begin, KafkaError where the broker is gone."""
        timeout = aiohttp.ClientTimeout(total=None)
        # One worker's pool for all targets; cookies of a target are nothing to keep.
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            http = Http(session, self._secrets)
            senders = {
                name: make_sender(name, target, self._secrets, http, wall_ms)
                for name, target in self._routing.targets.items()
            }
            await ensure_topics(self._settings, READ)
            await check_rights(self._settings, needed(self._settings.app_id, READ), "vigil notify")
            await self.web.start()
            consumer = self._consumer()
            try:
                await consumer.start()
                consumer.subscribe(list(READ), listener=_Listener(self._moved))
                while not stop.is_set():
                    try:
                        await self._stand_by(consumer, stop)
                        if not stop.is_set():
                            await self._tell(consumer, senders, stop)
                    except Moved:
                        log.info("the partitions moved")
            finally:
                await consumer.stop()
                await self.web.stop()

    def _consumer(self) -> Any:
        return AIOKafkaConsumer(
            client_id=f"{self._settings.app_id}-notify",
            group_id=Names.of(self._settings.app_id).group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=(SingleActiveAssignor,),
            session_timeout_ms=self._settings.session_timeout_ms,
            heartbeat_interval_ms=max(self._settings.session_timeout_ms // 5, 200),
            fetch_max_wait_ms=100,
            **self._settings.kafka(),
        )

    def _moved(self) -> None:
        self._moves += 1
        self._joined = True
        for deliverer in self._deliverers:
            deliverer.wake()

    async def _stand_by(self, consumer: Any, stop: asyncio.Event) -> None:
        """Wait until the partitions are ours."""
        while not stop.is_set() and not consumer.assignment():
            self._last_poll = time.monotonic()
            await asyncio.sleep(0.1)

    async def _tell(self, consumer: Any, senders: Mapping[str, Any], stop: asyncio.Event) -> None:
        moves = self._moves
        store = IncidentStore(self._settings)
        try:
            records = await store.open()
            self._load(records)
            await self._begin(consumer, store)
            self._active = True
            log.info("telling", incidents=len(self._incidents), owed=len(self._outbox))
            self._deliverers = [
                Deliverer(name, target, senders[name], self._outbox, self.metrics, wall_ms, self._dirty.set)
                for name, target in self._routing.targets.items()
            ]
            helpers = [asyncio.create_task(deliverer.run()) for deliverer in self._deliverers]
            helpers.append(asyncio.create_task(self._flush(consumer, store)))
            helpers += [
                asyncio.create_task(self._resend(name, sender))
                for name, sender in senders.items()
                if isinstance(sender, AlertmanagerSender)
            ]
            reading = asyncio.create_task(self._read(consumer, store, moves, stop))
            try:
                done, _ = await asyncio.wait([reading, *helpers], return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # only `_read` ends by itself; what another raises is ours
                await asyncio.gather(*(deliverer.close(CLOSE_S) for deliverer in self._deliverers))
            finally:
                async with self._writing:  # a write that has begun is finished: what it says is said nowhere else
                    for task in (reading, *helpers):
                        task.cancel()
                await asyncio.gather(reading, *helpers, return_exceptions=True)
                self._deliverers = []
            await self._write(consumer, store, [], {})  # what was delivered in the last moment
        except (CommitFailedError, IllegalStateError) as error:
            raise Moved from error  # the group moved on before we saw it
        finally:
            self._active = False
            await store.close()

    def _load(self, records: Mapping[str, bytes]) -> None:
        owed = {name: raw for name, raw in records.items() if name.startswith("o:")}
        self._outbox, self._incidents = Outbox(), Incidents(self._families, self._bounds)
        self._incidents.load({name: raw for name, raw in records.items() if name not in owed})
        self._outbox.load(owed, wall_ms())
        for name in self._outbox.targets():
            if name not in self._routing.targets:
                self._give_up_all(name)

    def _give_up_all(self, target: str) -> None:
        """What is owed to a target that the routing file does not name any more."""
        while deliveries := self._outbox.due(target, 1 << 62, 1000):
            for delivery in deliveries:
                self.metrics.dead.labels(target).inc()
                self._outbox.dead(delivery, "the routing file has no such target any more")
        log.warning("the routing file lacks a target that was owed changes", target=target)

    async def _begin(self, consumer: Any, store: IncidentStore) -> None:
        """Where the group never was, write down where it begins, so that a restart begins there too."""
        places = sorted(consumer.assignment())
        known = {place: await consumer.committed(place) for place in places}
        fresh = [place for place, offset in known.items() if offset is None]
        if not fresh:
            return
        # A partition that was added later is read from its beginning: nothing of it was there before.
        if not self._from_beginning and len(fresh) == len(places):
            await consumer.seek_to_end(*fresh)
        offsets = {place: await consumer.position(place) for place in fresh}
        await store.write([], [], offsets, consumer)

    async def _read(self, consumer: Any, store: IncidentStore, moves: int, stop: asyncio.Event) -> None:
        ticked = 0.0
        while not stop.is_set():
            if self._moves != moves:
                raise Moved
            self._last_poll = time.monotonic()
            batches = await consumer.getmany(timeout_ms=200, max_records=AT_ONCE)
            if self._moves != moves:
                raise Moved
            if batches or time.monotonic() - ticked >= TICK_S:
                ticked = time.monotonic()
                await self._take(batches, consumer, store)

    async def _take(self, batches: Mapping[TopicPartition, Sequence[Any]], consumer: Any, store: IncidentStore) -> None:
        now, letters, offsets = wall_ms(), [], {}
        async with self._writing:
            changes = self._incidents.tick(now)
            # What was fetched together: a verdict goes before the end of its room, an action after its verdict.
            for place, records in sorted(batches.items(), key=lambda batch: READ.index(batch[0].topic)):
                self.metrics.messages.labels(place.topic).inc(len(records))
                offsets[place] = records[-1].offset + 1
                for record in records:
                    try:
                        changes += take(self._incidents, record, now)
                    except InvalidEvent as refused:
                        self.metrics.refused.labels(place.topic).inc()
                        letters.append(refusal(record, refused.detail, now))
            changes += self._incidents.tick(now)
            for change in changes:
                self.metrics.changes.labels(change.kind).inc()
                self._owe(change, now)
            await self._store(consumer, store, letters, offsets)
            self._outbox.release(now)
        if changes:
            for deliverer in self._deliverers:
                deliverer.wake()

    async def _flush(self, consumer: Any, store: IncidentStore) -> None:
        """Store what came of deliveries."""
        while True:
            await self._dirty.wait()
            await asyncio.sleep(FLUSH_S)
            self._dirty.clear()
            await self._write(consumer, store, [], {})

    async def _write(self, consumer: Any, store: IncidentStore, letters: list[Any], offsets: Mapping[Any, int]) -> None:
        async with self._writing:
            await self._store(consumer, store, letters, offsets)

    async def _store(self, consumer: Any, store: IncidentStore, letters: list[Any], offsets: Mapping[Any, int]) -> None:
        now = wall_ms()
        letters = [*letters, *(letter(one, now) for one in self._outbox.letters())]
        records = [*self._outbox.changed(), *self._incidents.changed()]
        await store.write(letters, records, offsets, consumer)

    def _owe(self, change: IncidentChange, now: int) -> None:
        """Owe a change to whom the routes say."""
        known = self._incidents.get(change.incident.id) or change.incident  # the targets told may be more by now
        where, ends = self._routing.where(change, known.end_targets, now)
        for name in [name for name in where if self._outbox.owed_to(name) >= self._routing.targets[name].most_owed]:
            del where[name]
            self.metrics.dead.labels(name).inc()
            self._outbox.refuse(change, name, "too much is owed to this target")
        self._incidents.add_end_targets(change.incident.id, tuple(name for name in ends if name in where))
        self._outbox.add(change, where, now)

    async def _resend(self, name: str, sender: AlertmanagerSender) -> None:
        """Keep an Alertmanager's alerts on while their incidents are open."""
        while True:
            async for number, outcome in sender.resend(lambda: self._sounding(name)):
                self.metrics.tries.labels(name, f"resend_{type(outcome).__name__.lower()}").inc()
                if isinstance(outcome, Sent):
                    self.metrics.resent.labels(name).inc(number)
            await asyncio.sleep(sender.resend_s)

    def _sounding(self, name: str) -> list[Incident]:
        return [
            incident
            for incident in self._incidents.open.values()
            if name in incident.end_targets and not self._outbox.waits(name, incident.id)
        ]


async def tell(notify: Notify, stop: asyncio.Event) -> None:
    """Run until `stop`; raise SettingsError with words for the operator."""
    try:
        await notify.run(stop)
    except ProducerFenced as error:
        raise SettingsError("another vigil notify of this app_id took over while this one stood still") from error
    except (KafkaError, OSError) as error:
        raise SettingsError(f"broker: {error}") from error
