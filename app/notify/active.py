"""The work of the active process: read ─▶ incidents ─▶ routes ─▶ pending, stored with the offsets ─▶ deliver ─▶ store.

Offsets are committed together with the deliveries that follow from the messages, and a delivery is removed only once it
was made or lies in `notify-dead-letter`. So a target that is down holds up no other, and a crash at any instant loses
nothing. What it may repeat has the same idempotency key.
"""

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Final, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition

from vigil.app.engine.watermark import MAX_TIME
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.notify.alerts import Alert, AlertChange
from vigil.app.notify.changes import IncidentChange
from vigil.app.notify.deliverer import Channel, Deliverer, DeliveryTiming
from vigil.app.notify.group_watch import GroupWatch
from vigil.app.notify.incidents import Incidents
from vigil.app.notify.line_book import KEY_PREFIXES as LINE_KEYS
from vigil.app.notify.line_book import LineBook, ScheduledChange
from vigil.app.notify.line_records import LINE_TOPICS, apply_line
from vigil.app.notify.metrics import NotifyMetrics
from vigil.app.notify.outbox import KEY_PREFIXES as OUTBOX_KEYS
from vigil.app.notify.outbox import Outbox
from vigil.app.notify.positions import KEY_PREFIX as POSITION_KEYS
from vigil.app.notify.positions import KnownPast, ReadPosition, after, covered_until, position_records, read_positions
from vigil.app.notify.records import SOURCE_TOPICS, apply_record, malformed_letter, undelivered_letter
from vigil.app.notify.routes import Routing
from vigil.app.notify.senders import AnySender
from vigil.app.notify.senders.alertmanager import AlertmanagerSender
from vigil.app.notify.senders.outcome import OUTCOME_LABELS, DeliveryRejected
from vigil.app.notify.store import DeadLetter, IncidentStore
from vigil.topics.fields import InvalidEvent

log: Final = structlog.get_logger("vigil.notify")

MAX_POLL_RECORDS: Final = 1000
"""Records that one write covers. More delay the first delivery; fewer cost more transactions."""
POLL_MS: Final = 200
"""How long a poll waits for records. An orderly end waits for it."""
FLUSH_S: Final = 0.1
"""How long the progress of deliveries is collected before it is stored. A crash repeats what was delivered in this
time."""
TICK_S: Final = 1.0
"""How often incidents that wait for a time (an action without its verdict, expiry) are looked at while nothing is
read."""
CLOSE_S: Final = 4.0
"""How long an orderly end waits for requests in flight. Supervisors kill a process some seconds after they asked it."""
STATE_LABEL: Final = "notify-state"
"""The `topic` of records of the own state in metrics; the topic's name begins with the `app_id`."""
TOPICS: Final = (*SOURCE_TOPICS, *LINE_TOPICS)
"""In the order in which records that were fetched together are applied."""


class NotifyContext(NamedTuple):
    """What an active session works with."""

    consumer: AIOKafkaConsumer
    watch: GroupWatch
    store: IncidentStore
    routing: Routing
    senders: Mapping[str, AnySender]
    metrics: NotifyMetrics
    names: TopicNames


class ActiveSession:
    """Incidents, outbox and deliverers of the active process, from one rebalance to the next."""

    def __init__(self, context: NotifyContext, incidents: Incidents, records: Mapping[str, bytes]) -> None:
        """`incidents` is empty; `records` is the whole content of the store."""
        self._consumer, self._watch, self._store, self._routing, self._senders, self._metrics, self._names = context
        self.incidents = incidents
        self.lines = LineBook(self._routing)
        self.outbox = Outbox()
        self._dirty = asyncio.Event()
        """Set when deliveries have changed what must be stored."""
        self._writing = asyncio.Lock()
        """Held from the first change by a batch until all of it is stored: no write contains half of a batch."""
        self._past = self._restore(records)
        timing = DeliveryTiming(wall_ms)
        self._deliverers = [
            Deliverer(Channel(name, target, self._senders[name]), self.outbox, self._metrics, self._dirty.set, timing)
            for name, target in self._routing.targets.items()
        ]

    def _restore(self, records: Mapping[str, bytes]) -> KnownPast:
        """Restore the state; return where it says that reading goes on."""
        pending = {key: value for key, value in records.items() if key.startswith(OUTBOX_KEYS)}
        read = {key: value for key, value in records.items() if key.startswith(POSITION_KEYS)}
        lines = {key: value for key, value in records.items() if key.startswith(LINE_KEYS)}
        unreadable = self.outbox.load(pending) | self.lines.load(lines)
        others = {key: value for key, value in records.items() if key not in pending | read | lines}
        unreadable |= self.incidents.load(others)
        positions, no_positions = read_positions(read)
        for key, why in (unreadable | no_positions).items():
            self._metrics.refused.labels(STATE_LABEL).inc()
            log.error("left out a state record that vigil notify did not write", key=key[:200], why=why)
        self._give_up_unknown()
        return KnownPast(positions, covered_until(self.incidents.heard))

    def _give_up_unknown(self) -> None:
        for name in self.outbox.targets():
            if name not in self._routing.targets:
                self._give_up_all(name)

    def _give_up_all(self, target: str) -> None:
        """Give up what is pending for a target that the routing file no longer names."""
        while deliveries := self.outbox.take_due(target, MAX_TIME, 1000):
            for delivery in deliveries:
                self._metrics.dead.labels(target).inc()
                self.outbox.give_up(delivery, "the routing file has no such target any more")
        log.warning("gave up deliveries to a target that the routing file no longer names", target=target)

    def wake(self) -> None:
        """Make every deliverer look for deliveries."""
        for deliverer in self._deliverers:
            deliverer.wake()

    async def begin(self, *, from_beginning: bool) -> None:
        """Set where reading begins, and store it, so that a restart begins there too.

        A group that is new, with neither offsets nor state, begins at the end of the topics; with `from_beginning`, at
        their beginning. So does one whose routes ask for suppliers' lines for the first time, with those topics.
        """
        lines = self._names.all_on_cluster(LINE_TOPICS)
        positions = await self._past.seek(self._consumer, from_beginning=from_beginning, optional=lines)
        await self._store_all([], positions)

    async def run(self, rebalances: int, stop: asyncio.Event) -> None:
        """Read, deliver and store until `stop`; raise RebalancedError once there were more than these rebalances."""
        tasks = [asyncio.create_task(work) for work in self._work(rebalances, stop)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # reading is the only work that ends; what other work raises is a bug
            await asyncio.gather(*(deliverer.close(CLOSE_S) for deliverer in self._deliverers))
        finally:
            async with self._writing:  # a write that has begun is finished: its content exists nowhere else
                for task in tasks:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._write([], {})  # what was delivered since the last flush

    def _work(self, rebalances: int, stop: asyncio.Event) -> list[Coroutine[None, None, None]]:
        resending = [
            self._resend(name, sender)
            for name, sender in self._senders.items()
            if isinstance(sender, AlertmanagerSender)
        ]
        delivering = [deliverer.run() for deliverer in self._deliverers]
        return [*delivering, self._flush(), *resending, self._read(rebalances, stop)]

    async def _read(self, rebalances: int, stop: asyncio.Event) -> None:
        ticked = 0.0
        while not stop.is_set():
            self._watch.check(rebalances)
            self._watch.polled()
            batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_POLL_RECORDS)
            self._watch.check(rebalances)
            if batches or time.monotonic() - ticked >= TICK_S:
                ticked = time.monotonic()
                await self._apply(batches)

    async def _apply(self, batches: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> None:
        """Apply records to the incidents, and store what follows from them together with their offsets."""
        now = wall_ms()
        async with self._writing:
            changes = self.incidents.tick(now)
            scheduled = self.lines.tick(now)
            letters: list[DeadLetter] = []
            positions = {partition: after(records) for partition, records in batches.items()}
            # Of what was fetched together, a verdict goes before the end of its room, an action after its verdict.
            for topic, records in self._in_order(batches):
                self._metrics.messages.labels(topic).inc(len(records))
                for record in records:
                    try:
                        if topic in LINE_TOPICS:
                            scheduled += apply_line(self.lines, topic, record, now)
                        else:
                            changes += apply_record(self.incidents, topic, record, now)
                    except InvalidEvent as error:
                        self._metrics.refused.labels(topic).inc()
                        letters.append(malformed_letter(topic, record, error.detail, now))
            changes += self.incidents.tick(now)
            for change in changes:
                self._metrics.changes.labels(change.kind).inc()
                self._schedule(change, now)
            for one in scheduled:
                self._schedule_line(one, now)
            await self._store_all(letters, positions)
            self.outbox.mark_stored(now)
        if changes or scheduled:
            self.wake()

    def _in_order(
        self, batches: Mapping[TopicPartition, Sequence[ConsumerRecord]]
    ) -> list[tuple[str, Sequence[ConsumerRecord]]]:
        """Return the batches in the order in which they are applied, with their topics as in the catalogue."""
        by_topic = [(self._names.in_catalogue(partition.topic), records) for partition, records in batches.items()]
        return sorted(by_topic, key=lambda batch: TOPICS.index(batch[0]))

    def _schedule(self, change: IncidentChange, now: int) -> None:
        """Add a change to the outbox for the targets of the routes that match it."""
        # The change holds its incident as it was then; further end targets may have been added since.
        incident = self.incidents.get(change.incident.id) or change.incident
        when, ends = self._routing.schedule(change, incident.end_targets, now)
        self._reject_what_is_too_much(change, when)
        self.incidents.add_end_targets(change.incident.id, tuple(name for name in ends if name in when))
        self.outbox.add(change, when, now)

    def _schedule_line(self, scheduled: ScheduledChange, now: int) -> None:
        """Add a change of an alert about lines to the outbox for its targets."""
        change, when = scheduled
        self._metrics.changes.labels(change.kind).inc()
        if change.line.count:
            self._metrics.digested.labels(change.line.kind).inc(change.line.count)
        self._reject_what_is_too_much(change, when)
        self.outbox.add(change, when, now)

    def _reject_what_is_too_much(self, change: AlertChange, when: dict[str, int]) -> None:
        """Take the targets out of `when` for which too many changes are pending."""
        for name in list(when):
            if self.outbox.count(name) >= self._routing.targets[name].max_pending:
                del when[name]
                self._metrics.dead.labels(name).inc()
                self.outbox.reject(change, name, "too much is owed to this target")

    async def _flush(self) -> None:
        """Store the progress of deliveries, soon after each."""
        while True:
            await self._dirty.wait()
            await asyncio.sleep(FLUSH_S)
            self._dirty.clear()
            await self._write([], {})

    async def _write(self, letters: list[DeadLetter], positions: Mapping[TopicPartition, ReadPosition]) -> None:
        async with self._writing:
            await self._store_all(letters, positions)

    async def _store_all(self, letters: list[DeadLetter], positions: Mapping[TopicPartition, ReadPosition]) -> None:
        now = wall_ms()
        letters = [*letters, *(undelivered_letter(one, now) for one in self.outbox.take_undelivered())]
        alerts = [*self.lines.changed(), *self.incidents.changed()]
        records = [*self.outbox.changed(), *alerts, *position_records(positions)]
        offsets = {partition: position.offset for partition, position in positions.items()}
        await self._store.write(letters, records, offsets, self._consumer)

    async def _resend(self, name: str, sender: AlertmanagerSender) -> None:
        """Keep an Alertmanager's alerts active while their incidents are open."""
        while True:
            async for outcome, sent, refused in sender.resend(lambda: self._firing(name)):
                self._metrics.tries.labels(name, f"resend_{OUTCOME_LABELS[type(outcome)]}").inc()
                self._metrics.resent.labels(name).inc(sent)
                if refused is not None and isinstance(outcome, DeliveryRejected):
                    self._metrics.resend_refused.labels(name).inc()
                    log.error(
                        "an open alert is not sent again: refused", target=name, incident=refused, why=outcome.why
                    )
            await asyncio.sleep(sender.resend_s)

    def _firing(self, name: str) -> list[Alert]:
        """Return the open alerts that this target knows, and that no change waits for."""
        alerts: list[Alert] = [*self.incidents.open.values(), *self.lines.open.values()]
        return [alert for alert in alerts if name in alert.end_targets and not self.outbox.has_pending(name, alert.id)]
