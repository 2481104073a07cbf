"""Delivers pending changes to one target: in order for each incident, at a limited rate, with growing waits on failure.

RetryLater ─▶ try again after 1 s, 2 s, 4 s … 5 min, each spread between half and all of it; where the target says
              how long to wait, it gets no request for that time (15 min at most)
DeliveryRejected, or `give_up_after_s` since the first try ─▶ a dead letter in `notify-dead-letter`
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from vigil.app.notify.book import AlertBook
from vigil.app.notify.kept import Delivery
from vigil.app.notify.line_alerts import LineAlert
from vigil.app.notify.metrics import NotifyMetrics
from vigil.app.notify.rate_limiter import RateLimiter
from vigil.app.notify.senders.outcome import (
    OUTCOME_LABELS,
    DeliveryRejected,
    RetryLater,
    Sender,
    SendOutcome,
    Sent,
)
from vigil.app.notify.targets import Sending

log: Final = structlog.get_logger("vigil.notify")

FIRST_WAIT_MS: Final = 1000
MAX_WAIT_MS: Final = 5 * 60 * 1000
"""A target that comes back gets what waits for it at most this much later."""
MAX_PAUSE_MS: Final = 15 * 60 * 1000
"""The longest Retry-After that is obeyed. Without it, one bad header could silence a target for days."""
MEMBER_POLL_MS: Final = 200
"""How soon it is looked again whether this process still owns its partitions."""
MAX_SLEEP_MS: Final = 10_000
"""The wall clock may be set while a deliverer sleeps, so it looks again after this time."""
WARN_EVERY_MS: Final = 60_000
"""A target that is down fails with each message; one line a minute says so."""


class Channel(NamedTuple):
    """A target as its deliverer needs it: name, limits, and sender."""

    name: str
    limits: Sending
    sender: Sender


class DeliveryTiming(NamedTuple):
    """The clock and the chance that a deliverer uses, and its share of a target's limit; tests pass their own."""

    wall_ms: Callable[[], int]
    chance: Callable[[], float] = random.random
    first_wait_ms: int = FIRST_WAIT_MS
    share: float = 1.0
    """Of the requests a minute: as large as this process's share of the partitions."""
    may_send: Callable[[], bool] = lambda: True
    """False while the process may have lost its partitions."""

    def wait_ms(self, attempts: int) -> int:
        """Return how long to wait after this number of failed tries (1 after the first)."""
        return backoff_ms(attempts, self.chance(), self.first_wait_ms)


def backoff_ms(attempts: int, chance: float, first_ms: int = FIRST_WAIT_MS) -> int:
    """Return the wait after a number of failed tries, doubled for each; `chance` (0 to 1) spreads its second half.

    Without the spread, all messages that failed together would come back together.
    """
    whole = min(first_ms << min(attempts - 1, 20), MAX_WAIT_MS)
    return round(whole * (0.5 + chance / 2))


class Deliverer:
    """Sends everything that the book has for one target."""

    def __init__(
        self,
        channel: Channel,
        book: AlertBook,
        metrics: NotifyMetrics,
        on_progress: Callable[[], None],
        timing: DeliveryTiming,
    ) -> None:
        """`on_progress` is called when the book has something new to be stored."""
        self._name, self._limits, self._sender = channel
        self._book = book
        self._metrics = metrics
        self._on_progress = on_progress
        self._timing = timing
        self._rate = RateLimiter(self._limits.per_minute * timing.share, timing.wall_ms())
        self._paused_until = 0
        self._warned_at = 0
        self._wakeup = asyncio.Event()
        self._in_flight = 0
        self._closing = False

    def wake(self) -> None:
        """Look again for deliveries: there may be new ones."""
        self._wakeup.set()

    async def close(self, within_s: float) -> None:
        """Start no more requests, and wait up to `within_s` for those in flight."""
        self._closing = True
        until = asyncio.get_running_loop().time() + within_s
        while self._in_flight and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)

    async def run(self) -> None:
        """Deliver until cancelled; requests that are in flight then stay pending."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wakeup.clear()
                now = self._timing.wall_ms()
                due = self._book.next_at(self._name)
                if due is None or self._closing or self._in_flight >= self._limits.parallel:
                    await self._wakeup.wait()
                    continue
                start = max(due, self._paused_until, self._rate.ready_at(now))
                if start > now:
                    await self._sleep(start - now)
                    continue
                if not self._timing.may_send():
                    await self._sleep(MEMBER_POLL_MS)
                    continue
                deliveries = self._book.take_due(self._name, now, self._sender.batch)
                if not deliveries:
                    self._on_progress()  # what begins must be stored first
                    continue
                self._rate.take(now)
                self._in_flight += 1
                tasks.create_task(self._send(deliveries))

    async def _sleep(self, for_ms: int) -> None:
        try:
            async with asyncio.timeout(min(for_ms, MAX_SLEEP_MS) / 1000):
                await self._wakeup.wait()
        except TimeoutError:
            return

    async def _send(self, deliveries: list[Delivery]) -> None:
        outcomes: list[SendOutcome] = []
        try:
            outcomes = await self._sender.send([delivery.change for delivery in deliveries])
        finally:
            self._in_flight -= 1
            if not outcomes:
                for delivery in deliveries:
                    self._book.put_back(delivery)
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            self._record(delivery, outcome)
        self._on_progress()
        self._wakeup.set()

    def _record(self, delivery: Delivery, outcome: SendOutcome) -> None:
        now = self._timing.wall_ms()
        self._metrics.tries.labels(self._name, OUTCOME_LABELS[type(outcome)]).inc()
        first_at = delivery.work.first_at or now
        match outcome:
            case Sent():
                self._book.complete(delivery, now)
                self._metrics.delivered.labels(self._name).inc()
                self._metrics.changes.labels(delivery.change.kind).inc()
                if isinstance(line := delivery.change.alert, LineAlert) and line.count:
                    self._metrics.digested.labels(line.kind).inc(line.count)
                self._metrics.delay.labels(self._name).observe(max(now - first_at, 0) / 1000)
            case DeliveryRejected(why):
                self._give_up(delivery, why, now)
            case RetryLater(why, after_s, _):
                if after_s is not None:
                    self._paused_until = max(self._paused_until, now + min(round(after_s * 1000), MAX_PAUSE_MS))
                if now - first_at >= self._limits.give_up_after_s * 1000:
                    self._give_up(delivery, f"given up after {delivery.work.attempts + 1} tries: {why}", now)
                else:
                    self._retry(delivery, outcome, now)

    def _retry(self, delivery: Delivery, outcome: RetryLater, now: int) -> None:
        if now - self._warned_at >= WARN_EVERY_MS:
            self._warned_at = now
            log.warning("delivery failed, will retry", target=self._name, why=outcome.why)
        at = now + self._timing.wait_ms(delivery.work.attempts + 1)
        self._book.retry(delivery, at, now, untaken=outcome.untaken)

    def _give_up(self, delivery: Delivery, why: str, now: int) -> None:
        log.error("delivery given up", target=self._name, change=delivery.change.id, why=why)
        self._book.give_up(delivery, why, now)
