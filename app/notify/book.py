"""The alerts of the partitions that a process owns: what was published of them, and who still is to receive what. Pure.

    publish ─▶ plan for each target ─▶ queued ──take_due──▶ in flight ──▶ complete: a mark, and what comes next
                                        ▲                      │
                                        └── retry, put_back ───┤
                                                               └──▶ give_up: a dead letter, and a mark

An alert is kept for as long as a target is to receive something of it. Nothing of the queue is stored: where a process
ends, the next one reads again from `low_water` on, and the marks say what is left. Of each alert, a target has one step
in flight at a time, so that an end never arrives before its beginning.
"""

from collections.abc import Collection, Iterator
from typing import Final

from aiokafka.structs import TopicPartition

from vigil.app.notify.alerts import Alert, life_of, over_by_deletion
from vigil.app.notify.brakes import BrakeClaim, BrakeLedger, OpenClaims
from vigil.app.notify.intents import Intents
from vigil.app.notify.kept import AlertMessage, Delivery, Kept, Undelivered, lowest
from vigil.app.notify.line_alerts import LineAlert
from vigil.app.notify.line_digests import CountedLine, Digests
from vigil.app.notify.marks import Marks
from vigil.app.notify.plans import DUE, END, UNCHANGED, Mark, Plan, Planner, is_open
from vigil.app.notify.queue import TargetQueue
from vigil.app.notify.routes import Routing
from vigil.topics.incidents import IncidentStatus

LOOK_EVERY_MS: Final = 60_000
"""How often open obligations are looked through for those that are over: a pass over all that is kept."""


class AlertBook:
    """All alerts of a process's partitions."""

    def __init__(self, routing: Routing, ledger: BrakeLedger) -> None:
        self._routing = routing
        self._ledger = ledger
        self._planner = Planner(routing, ledger)
        self._digests = Digests(routing.digest_s * 1000)
        self._kept: dict[str, Kept] = {}
        self._claims = OpenClaims()
        self._undelivered: list[Undelivered] = []
        self._queues = {name: TargetQueue() for name in routing.targets}
        self._looked_at = 0
        self.marks = Marks()
        self._intents = Intents(self.marks)

    # ---- what is published

    def publish(self, published: AlertMessage, now: int) -> None:
        """Apply a message about an alert; `now`: the wall clock in ms."""
        known = self._kept.get(published.key)
        self._kept[published.key] = Kept(published, known.targets if known else set())
        self.look(published.key, now)

    def gone(self, key: str, partition: TopicPartition, at: int, now: int) -> None:
        """The messages about an alert were deleted at event time `at`: what is open ends, the rest is forgotten."""
        kept = self._kept.get(key)
        if kept is None:
            self.marks.forget(partition, key)
            return
        kept.gone = True
        if life_of(kept.published.alert).ends is None:
            kept.published = kept.published._replace(alert=over_by_deletion(kept.published.alert, at))
        self.look(key, now)

    def look(self, key: str, now: int) -> None:
        """Plan again what every target is to receive of an alert."""
        kept = self._kept.get(key)
        if kept is None:
            return
        for name in self._routing.targets:
            self._look(name, kept, now)
        if isinstance(kept.published.alert, IncidentStatus):
            self._look_at_brakes(kept.published, now)
        self._settle(key)

    def decided(self, incident_ids: Collection[str], now: int) -> None:
        """Plan again what brakes have decided about, by incident."""
        for alert in [alert for id_ in incident_ids for alert in self._ledger.begun_by(id_)]:
            if (kept := self._kept.get(f"brake:{alert.id}")) is not None:
                kept.published = kept.published._replace(alert=alert)
                self.look(kept.published.key, now)
        for incident_id in incident_ids:
            self.look(f"incident:{incident_id}", now)

    def tick(self, now: int) -> None:
        """The wall clock is at `now`: send digests whose window is over, end what is open for too long."""
        for key, group in self._digests.end(now):
            self._queues[group.target].push(key, now)
        if now - self._looked_at >= LOOK_EVERY_MS:
            self._looked_at = now
            lines = [key for key, kept in self._kept.items() if isinstance(kept.published.alert, LineAlert)]
            for key in lines:
                self.look(key, now)

    # ---- deliveries

    def next_at(self, target: str) -> int | None:
        """Return when the next delivery to a target is due; None where nothing waits to be sent."""
        return self._queues[target].next_at()

    def count(self, target: str) -> int:
        """Return the number of alerts that have something for a target."""
        return len(self._queues[target])

    def pending(self, target: str) -> Collection[str]:
        """Return the keys of the alerts that have something for a target."""
        return self._queues[target].keys()

    def waiting_since(self) -> dict[str, int]:
        """Return for each target since when its oldest delivery is due; the time may lie ahead."""
        return {name: at for name, queue in self._queues.items() if (at := queue.waiting_since()) is not None}

    def take_due(self, target: str, now: int, limit: int) -> list[Delivery]:
        """Return up to `limit` steps of different alerts, the longest due first: they are in flight now."""
        found: list[Delivery] = []
        queue = self._queues[target]
        while len(found) < limit and (taken := queue.take(now)) is not None:
            key, work = taken
            plan = self._plan_due(target, key, now)
            if plan.change is None or plan.mark is None:
                queue.drop(key)
                self.look(key, now)
            elif not self._stage(target, key, plan):
                found.append(Delivery(target, key, plan.change, plan.mark, work))
        return found

    @property
    def has_staged(self) -> bool:
        """True if something waits for the marks to be stored."""
        return bool(self._intents)

    def take_staged(self) -> list[tuple[str, str]]:
        """Return target and key of what may be sent once the marks are stored: then call `release`."""
        return self._intents.take()

    def release(self, staged: Collection[tuple[str, str]], now: int) -> None:
        """Let what was staged be sent."""
        for target, key in staged:
            self._queues[target].put_back(key)
            self.look(key, now)

    def close(self) -> None:
        """Take back that something may have begun which was not sent: this process sends no more."""
        self._intents.close()

    def complete(self, delivery: Delivery, now: int) -> None:
        """Record that a step was delivered, and plan the next one of its alert."""
        target, key = delivery.target, delivery.key
        self._queues[target].drop(key)
        self._digests.sent(target, key)
        if (group := self._digests.ended.pop(key, None)) is not None:
            for line, where in group.lines.items():
                self.marks.put(where.partition, line, target, {group.kind: group.status})
        elif (kept := self._kept.get(key)) is not None:
            self.marks.put(kept.published.partition, key, target, delivery.mark)
            self.look(key, now)

    def retry(self, delivery: Delivery, at: int, now: int, *, untaken: bool = False) -> None:
        """Try a delivery that failed again, from `at` on; `untaken`: the target has certainly not received it."""
        target, key, _, _, work = delivery
        work.attempts += 1
        if untaken and (kept := self._kept.get(key)) is not None:
            self._intents.untaken(target, key, kept.published.partition)
        self._queues[target].put_back(key, at)
        self.look(key, now)

    def put_back(self, delivery: Delivery) -> None:
        """Return a delivery that was not tried after all."""
        self._queues[delivery.target].put_back(delivery.key)

    def give_up(self, delivery: Delivery, detail: str, now: int) -> None:
        """Record that a step will never be delivered."""
        attempts = delivery.work.attempts + 1
        self._undelivered.append(Undelivered(delivery.target, delivery.change, attempts, detail))
        self.complete(delivery, now)

    # ---- what others must know

    def take_undelivered(self) -> list[Undelivered]:
        """Return what was given up since the last call."""
        undelivered, self._undelivered = self._undelivered, []
        return undelivered

    def take_claims(self) -> list[BrakeClaim]:
        """Return what brakes are to be asked, each claim once."""
        return self._claims.take(self._ledger)

    def low_water(self) -> dict[TopicPartition, int]:
        """Return for each partition the first message that must be read again if this process ends."""
        places = [(kept.published.partition, kept.published.offset) for kept in self._kept.values()]
        lines = [line for group in self._digests.groups() for line in group.lines.values()]
        return lowest(places + [(line.partition, line.offset) for line in lines])

    def firing(self, target: str) -> list[Alert]:
        """Return the open alerts that a target knows, and of which nothing waits to be sent to it."""
        return [alert for key, alert in self._open(target) if key not in self._queues[target]]

    def open_alerts(self) -> Collection[Alert]:
        """Return the alerts that some target knows and that go on."""
        return {key: alert for name in self._queues for key, alert in self._open(name)}.values()

    # ---- parts

    def _open(self, target: str) -> Iterator[tuple[str, Alert]]:
        """Yield key and alert of what goes on, as far as a target knows."""
        for key, kept in self._kept.items():
            if target in kept.targets and is_open(kept.published.alert, self._intents.known(target, key)):
                yield key, kept.published.alert

    def _look(self, target: str, kept: Kept, now: int) -> None:
        """Plan again what one target is to receive of an alert."""
        key, alert, partition, offset, written_at = kept.published
        queue, mark = self._queues[target], self._intents.known(target, key)
        begins = bool(mark) or self.marks.may_begin(target, partition, offset, written_at)
        if queue.in_flight(key) or not begins:  # what is in flight is planned again after that
            return
        plan = self._replan(target, kept, mark, now)
        if plan.change is None and plan.mark is not None:
            mark = plan.mark
            self.marks.put(partition, key, target, mark)
        at = self._due(target, kept.published, plan, now)
        if at is not None and self._is_full(target, key):
            at, mark = None, self._reject(target, kept.published, plan, mark)
        self._queue(target, key, at)
        waits = at is not None or plan.waits_for_brakes or is_open(alert, mark)
        kept.wait(target, waits)

    def _replan(self, target: str, kept: Kept, mark: Mark, now: int) -> Plan:
        """Return what a target is to receive, and note what brakes are to be asked."""
        if kept.gone and mark.get(END) != DUE:
            return UNCHANGED
        _, alert, _, _, written_at = kept.published
        plan = self._planner.plan(target, alert, mark, now, written_at)
        self._claims.add(plan.claims)
        return plan

    def _is_full(self, target: str, key: str) -> bool:
        queue = self._queues[target]
        return key not in queue and len(queue) >= self._routing.targets[target].max_pending

    def _queue(self, target: str, key: str, at: int | None) -> None:
        """Let an alert be looked at for a target from `at` on; None: there is nothing to be sent."""
        if at is not None:
            self._queues[target].push(key, at)
        else:
            self._queues[target].drop(key)
            self._intents.withdraw(target, key)

    def _due(self, target: str, published: AlertMessage, plan: Plan, now: int) -> int | None:
        """Return from when on there is something to be sent; None where there is nothing, or a digest counts it."""
        key, alert, partition, offset, _ = published
        if isinstance(alert, LineAlert):
            self._digests.leave_out(target, key, alert)
            if plan.line is not None:
                return self._digests.admit(target, alert, CountedLine(key, partition, offset), plan.line, now)
        return plan.later if plan.change is None else now

    def _stage(self, target: str, key: str, plan: Plan) -> bool:
        """Note that an alert may begin now; return whether that must be stored before."""
        kept = self._kept.get(key)
        return kept is not None and self._intents.stage(target, key, kept.published.partition, plan.mark or {})

    def _reject(self, target: str, published: AlertMessage, plan: Plan, mark: Mark) -> Mark:
        """Give up what would be too much for a target; return what counts as known: not that the end is due."""
        if plan.change is None or plan.mark is None:
            return mark
        self._undelivered.append(Undelivered(target, plan.change, 0, "too much is owed to this target"))
        known = {name: value for name, value in plan.mark.items() if name != END or name in mark}
        self.marks.put(published.partition, published.key, target, known)
        return known

    def _plan_due(self, target: str, key: str, now: int) -> Plan:
        """Return what is to be sent of an alert that is due."""
        if (group := self._digests.ended.get(key)) is not None:
            if not group.lines:
                del self._digests.ended[key]
                return UNCHANGED
            return Plan(group.digest(), {})
        kept = self._kept.get(key)
        if kept is None:
            return UNCHANGED
        _, alert, _, _, written_at = kept.published
        plan = self._planner.plan(target, alert, self._intents.known(target, key), now, written_at)
        if plan.line is not None and isinstance(alert, LineAlert):
            return plan if self._digests.may_send(target, key, alert, plan.line, now) else UNCHANGED
        return plan

    def _look_at_brakes(self, published: AlertMessage, now: int) -> None:
        """Plan the alerts about brakes that began to hold with an incident: its process sends them."""
        incident_id = life_of(published.alert).id
        for alert in self._ledger.begun_by(incident_id):
            key = f"brake:{alert.id}"
            known = self._kept.get(key)
            self._kept[key] = Kept(published._replace(key=key, alert=alert), known.targets if known else set())
            self.look(key, now)

    def _settle(self, key: str) -> None:
        """Forget an alert of which nobody is to receive anything more."""
        kept = self._kept[key]
        if kept.targets:
            return
        del self._kept[key]
        if kept.gone or key.startswith("brake:"):
            self.marks.forget(kept.published.partition, key)
