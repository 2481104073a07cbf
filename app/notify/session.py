"""The work of a process from one rebalance to the next: read ─▶ plan ─▶ deliver ─▶ marks ─▶ offsets.

A process owns the partitions that the group has assigned to it, and the marks of their alerts. At a rebalance it starts
no more requests, waits for those in flight, and stores what was delivered before the next owner reads it.
"""

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Final, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition

from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.notify.book import AlertBook
from vigil.app.notify.brake_log import BrakeLog
from vigil.app.notify.brakes import BrakeLedger
from vigil.app.notify.deliverer import Channel, Deliverer, DeliveryTiming
from vigil.app.notify.marks import Begun
from vigil.app.notify.metrics import NotifyMetrics
from vigil.app.notify.records import apply_record, malformed_letter, undelivered_letter
from vigil.app.notify.routes import Routing
from vigil.app.notify.senders import AnySender
from vigil.app.notify.senders.alertmanager import AlertmanagerSender
from vigil.app.notify.senders.outcome import OUTCOME_LABELS, DeliveryRejected
from vigil.app.notify.store import DeadLetter, MarkStore
from vigil.topics.fields import InvalidEvent

log: Final = structlog.get_logger("vigil.notify")

MAX_POLL_RECORDS: Final = 1000
POLL_MS: Final = 200
"""How long a poll waits for records. An orderly end waits for it."""
FLUSH_S: Final = 0.1
"""How long the progress of deliveries is collected before it is stored. A crash repeats what was delivered in this
time."""
TICK_S: Final = 1.0
"""How often digests and what is open for too long are looked at, and how often the lease is renewed at least."""
CLOSE_S: Final = 4.0
"""How long an orderly end waits for requests in flight. Supervisors kill a process some seconds after they asked it."""


class SessionContext(NamedTuple):
    """What a session works with."""

    consumer: AIOKafkaConsumer
    store: MarkStore
    routing: Routing
    senders: Mapping[str, AnySender]
    metrics: NotifyMetrics
    names: TopicNames
    ledger: BrakeLedger
    brakes: BrakeLog | None
    """None where no route has a brake."""


class Session:
    """Alerts and deliverers of the partitions that this process owns."""

    def __init__(self, context: SessionContext, partitions: frozenset[TopicPartition], all_partitions: int) -> None:
        """`all_partitions`: how many the group reads; a target's limit is divided by them."""
        self._context = context
        self.partitions = partitions
        self.book = AlertBook(context.routing, context.ledger)
        self.active = False
        """True while it reads and delivers."""
        self.polled_at = time.monotonic()
        self._tick_s = min(TICK_S, context.store.lease.lasts_s / 4)
        self._positions: dict[TopicPartition, int] = {}
        """The next offset to be applied."""
        self._letters: list[DeadLetter] = []
        self._dirty = asyncio.Event()
        self._storing = asyncio.Lock()
        self._closing = asyncio.Event()
        self._closed = asyncio.Event()
        timing = DeliveryTiming(
            wall_ms, share=len(partitions) / max(all_partitions, 1), may_send=context.store.lease.valid
        )
        self._deliverers = [
            Deliverer(Channel(name, target, context.senders[name]), self.book, context.metrics, self._dirty.set, timing)
            for name, target in context.routing.targets.items()
        ]

    async def run(self, *, from_beginning: bool) -> None:
        """Restore the marks; then read, deliver and store until `close`. Raise KafkaError."""
        try:
            await self._begin(from_beginning=from_beginning)
            self.active = True
            try:
                await self._notify()
            finally:
                self.active = False
                self.book.close()
                await self._store()
        finally:
            self._closed.set()

    async def close(self) -> None:
        """End the session in order, and return when its progress is stored, or cannot be."""
        self._closing.set()
        await self._closed.wait()

    async def _begin(self, *, from_beginning: bool) -> None:
        """Restore the marks, and set where reading begins.

        A partition of which neither offsets nor marks are known begins at its end, or with `from_beginning` at its
        beginning. One whose offsets have expired is read again from its beginning: the marks know what was said.
        """
        consumer = self._context.consumer
        for partition, records in (await self._context.store.read(self.partitions)).items():
            for name, why in self.book.marks.load(partition, records).items():
                self._context.metrics.refused.labels("notify-state").inc()
                log.error("left out a state record that vigil notify did not write", key=name[:200], why=why)
        ends = await consumer.end_offsets(list(self.partitions))
        begins = await consumer.beginning_offsets(list(self.partitions))
        for partition in self.partitions:
            first = begins[partition] if from_beginning else ends[partition]
            committed = await consumer.committed(partition)
            start = first if self._begin_targets(partition, first, from_beginning) else begins[partition]
            if committed is not None and begins[partition] <= committed <= ends[partition]:
                start = committed
            consumer.seek(partition, start)
            self._positions[partition] = start
        await self._store()

    def _begin_targets(self, partition: TopicPartition, first: int, from_beginning: bool) -> bool:
        """Let the targets that are new in a partition begin; return whether nothing was known of it at all."""
        marks, now = self.book.marks, 0 if from_beginning else wall_ms()
        known = marks.begun(partition)
        for target in set(self._context.routing.targets) - known:
            marks.begin(partition, target, Begun(first, now))
        return not known

    async def _notify(self) -> None:
        """Read, deliver and store until `close`."""
        if self._context.brakes is not None:
            self._context.brakes.on_decided = self._decided
        tasks = [asyncio.create_task(work) for work in self._work()]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # waiting for the end is the only work that ends; what other work raises goes on
            await asyncio.gather(*(deliverer.close(CLOSE_S) for deliverer in self._deliverers))
        finally:
            async with self._storing:  # a write that has begun is finished
                for task in tasks:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _work(self) -> list[Coroutine[None, None, object]]:
        resending = [
            self._resend(name, sender)
            for name, sender in self._context.senders.items()
            if isinstance(sender, AlertmanagerSender)
        ]
        delivering = [deliverer.run() for deliverer in self._deliverers]
        return [*delivering, *resending, self._flush(), self._read(), self._closing.wait()]

    def _decided(self, incident_ids: list[str]) -> None:
        self.book.decided(incident_ids, wall_ms())
        self._wake()

    def _wake(self) -> None:
        """Make every deliverer look for deliveries, and store what has changed."""
        self._dirty.set()
        for deliverer in self._deliverers:
            deliverer.wake()

    async def _read(self) -> None:
        ticked = 0.0
        while True:
            self.polled_at = time.monotonic()
            batches = await self._context.consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_POLL_RECORDS)
            due = time.monotonic() - ticked >= self._tick_s
            if due:
                ticked = time.monotonic()
                self.book.tick(wall_ms())
            if batches or due:
                self._apply(batches)
                self._wake()
            if self._context.brakes is not None and (claims := self.book.take_claims()):
                await self._context.brakes.claim(claims)

    def _apply(self, batches: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> None:
        now = wall_ms()
        for partition, records in batches.items():
            topic = self._context.names.in_catalogue(partition.topic)
            self._context.metrics.messages.labels(topic).inc(len(records))
            for record in records:
                try:
                    apply_record(self.book, topic, record, now)
                except InvalidEvent as error:
                    self._context.metrics.refused.labels(topic).inc()
                    self._letters.append(malformed_letter(topic, record, error.detail, now))
            self._positions[partition] = records[-1].offset + 1

    async def _flush(self) -> None:
        """Store the progress of deliveries, soon after each."""
        while True:
            await self._dirty.wait()
            if not self.book.has_staged:
                await asyncio.sleep(FLUSH_S)
            self._dirty.clear()
            await self._store()
            for deliverer in self._deliverers:
                deliverer.wake()

    async def _store(self) -> None:
        """Write marks and dead letters, then commit how far all is settled."""
        async with self._storing:
            letters, self._letters = self._letters, []
            for one in self.book.take_undelivered():
                self._context.metrics.dead.labels(one.target).inc()
                letters.append(undelivered_letter(one, wall_ms()))
            staged = self.book.take_staged()
            marks, offsets = list(self.book.marks.changed()), {**self._positions, **self.book.low_water()}
            await self._context.store.write(letters, marks)
            self.book.release(staged, wall_ms())
            await self._context.store.commit(self._context.consumer, offsets)

    async def _resend(self, name: str, sender: AlertmanagerSender) -> None:
        """Keep an Alertmanager's alerts active while they are open."""
        metrics = self._context.metrics
        while True:
            if self._context.store.lease.valid():
                async for outcome, sent, refused in sender.resend(lambda: self.book.firing(name)):
                    metrics.tries.labels(name, f"resend_{OUTCOME_LABELS[type(outcome)]}").inc()
                    metrics.resent.labels(name).inc(sent)
                    if refused is not None and isinstance(outcome, DeliveryRejected):
                        metrics.resend_refused.labels(name).inc()
                        log.error(
                            "an open alert is not sent again: refused", target=name, alert=refused, why=outcome.why
                        )
            await asyncio.sleep(sender.resend_s)
