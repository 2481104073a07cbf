"""Delivers what is owed to one target: in order for each incident, at a bounded rate, again with growing waits.

Later ─▶ again after 1 s, 2 s, 4 s … 5 min, each between half of it and all of it; when the target says how long,
         it is left alone for so long (15 min at most)
Refused, or `give_up_after_s` since the first try ─▶ a letter in `notify-dead-letter`
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final

import structlog

from vigil.app.notify.metrics import NotifyMetrics
from vigil.app.notify.outbox import Delivery, Outbox
from vigil.app.notify.routes import Sending
from vigil.app.notify.senders import DeliveryRejected, Later, Outcome, Sender, Sent

log: Final = structlog.get_logger("vigil.notify")

FIRST_WAIT_MS: Final = 1000
LONGEST_WAIT_MS: Final = 5 * 60 * 1000
LONGEST_PAUSE_MS: Final = 15 * 60 * 1000
"""However long a target asks for."""


def wait_ms(attempts: int, chance: float, first_ms: int = FIRST_WAIT_MS) -> int:
    """How long to wait after so many failed tries (1 is the first); `chance`: 0–1."""
    whole = min(first_ms << min(attempts - 1, 20), LONGEST_WAIT_MS)
    return round(whole * (0.5 + chance / 2))


class RateLimiter:
    """At most so many a minute: a tenth of them at once, then evenly."""

    def __init__(self, per_minute: int, now: int) -> None:
        self._each_ms = 60_000 / per_minute
        self._burst_ms = max(6_000.0, self._each_ms)
        self._full_at = float(now)
        """When nothing of the burst will be used up any more."""

    def ready_at(self, now: int) -> int:
        """When the next may go."""
        return max(now, round(self._full_at + self._each_ms - self._burst_ms))

    def take(self, now: int) -> None:
        self._full_at = max(self._full_at, float(now)) + self._each_ms


class Deliverer:
    """The way of all changes to one target."""

    def __init__(
        self,
        name: str,
        sending: Sending,
        sender: Sender,
        outbox: Outbox,
        metrics: NotifyMetrics,
        wall_ms: Callable[[], int],
        changed: Callable[[], None],
        chance: Callable[[], float] = random.random,
        first_wait_ms: int = FIRST_WAIT_MS,
    ) -> None:
        """`changed`: called when the outbox has something to be stored."""
        self.name = name
        self._sending = sending
        self._sender = sender
        self._outbox = outbox
        self._metrics = metrics
        self._wall_ms = wall_ms
        self._changed = changed
        self._chance = chance
        self._first_wait_ms = first_wait_ms
        self._pace = RateLimiter(sending.per_minute, wall_ms())
        self._paused_until = 0
        self._warned_at = 0
        self._wake = asyncio.Event()
        self._under_way = 0
        self._closing = False

    def wake(self) -> None:
        """There may be something to deliver."""
        self._wake.set()

    async def close(self, within_s: float) -> None:
        """Begin nothing more, and wait for what is under way."""
        self._closing = True
        until = asyncio.get_running_loop().time() + within_s
        while self._under_way and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)

    async def run(self) -> None:
        """Deliver until cancelled; what is under way then is owed still."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                now = self._wall_ms()
                due = self._outbox.next_at(self.name)
                if due is None or self._closing or self._under_way >= self._sending.parallel:
                    await self._wake.wait()
                    continue
                start = max(due, self._paused_until, self._pace.ready_at(now))
                if start > now:
                    await self._sleep(start - now)
                    continue
                deliveries = self._outbox.due(self.name, now, self._sender.batch)
                self._pace.take(now)
                self._under_way += 1
                tasks.create_task(self._send(deliveries))

    async def _sleep(self, for_ms: int) -> None:
        try:
            # Not for ever: the wall clock may be set meanwhile.
            async with asyncio.timeout(min(for_ms, 10_000) / 1000):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _send(self, deliveries: list[Delivery]) -> None:
        outcomes: list[Outcome] = []
        try:
            outcomes = await self._sender.send([delivery.change for delivery in deliveries])
        finally:
            self._under_way -= 1
            if not outcomes:
                for delivery in deliveries:
                    self._outbox.back(delivery)
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            self._take(delivery, outcome)
        self._changed()
        self._wake.set()

    def _take(self, delivery: Delivery, outcome: Outcome) -> None:
        now = self._wall_ms()
        self._metrics.tries.labels(self.name, type(outcome).__name__.lower()).inc()
        first_at = delivery.progress.first_at or now
        match outcome:
            case Sent():
                self._outbox.done(delivery)
                self._metrics.delivered.labels(self.name).inc()
                self._metrics.delay.labels(self.name).observe(max(now - first_at, 0) / 1000)
            case DeliveryRejected(why):
                self._give_up(delivery, why)
            case Later(why, after_s):
                if after_s is not None:
                    self._paused_until = max(self._paused_until, now + min(round(after_s * 1000), LONGEST_PAUSE_MS))
                if now - first_at >= self._sending.give_up_after_s * 1000:
                    self._give_up(delivery, f"given up after {delivery.progress.attempts + 1} tries: {why}")
                    return
                again = now + wait_ms(delivery.progress.attempts + 1, self._chance(), self._first_wait_ms)
                if now - self._warned_at >= 60_000:  # a target that is down fails often
                    self._warned_at = now
                    log.warning("not delivered, will be tried again", target=self.name, why=why)
                self._outbox.again(delivery, again)

    def _give_up(self, delivery: Delivery, why: str) -> None:
        log.error("given up", target=self.name, change=delivery.change.id, why=why)
        self._metrics.dead.labels(self.name).inc()
        self._outbox.dead(delivery, why)
