"""Pending changes leave in order for each incident and target, survive restarts, and are tried a bounded time."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.notify_stories import RULEBOOK, T0, S, action, notice, verdict
from vigil.app.notify.changes import IncidentChange
from vigil.app.notify.deliverer import backoff_ms
from vigil.app.notify.incidents import Incidents
from vigil.app.notify.outbox import Delivery, Outbox
from vigil.app.notify.rate_limiter import RateLimiter


def steps(room_id: str = "room-1") -> list[IncidentChange]:
    """Opened, violation, action, resolved."""
    incidents, found = Incidents(RULEBOOK), verdict(room_id=room_id)
    return [
        *incidents.notice(notice("at-risk", room_id=room_id), T0),
        *incidents.verdict(found, T0),
        *incidents.action(action(found), T0),
        *incidents.room(room_id, T0 + 400 * S, True, T0),
    ]


def filled(*changes: IncidentChange, target: str = "hook", at: int = T0) -> Outbox:
    outbox = Outbox()
    for change in changes:
        outbox.add(change, {target: at}, T0)
    outbox.mark_stored(T0)
    return outbox


def test_nothing_goes_out_before_it_is_stored() -> None:
    outbox = Outbox()
    outbox.add(steps()[0], {"hook": T0}, T0)
    assert outbox.take_due("hook", T0, 10) == []
    outbox.mark_stored(T0)
    assert len(outbox.take_due("hook", T0, 10)) == 1


def test_one_step_of_an_incident_at_a_time_and_the_others_wait_for_it() -> None:
    outbox = filled(*steps(), *steps("room-2"))
    first = outbox.take_due("hook", T0, 10)
    assert [(one.change.event, one.change.incident.room_id) for one in first] == [
        ("opened", "room-1"), ("opened", "room-2"),
    ]  # fmt: skip
    assert outbox.take_due("hook", T0, 10) == []
    outbox.retry(first[0], T0 + 1000)
    outbox.complete(first[1])
    assert [one.change.event for one in outbox.take_due("hook", T0, 10)] == ["violation"]
    assert outbox.next_at("hook") == T0 + 1000


def test_targets_do_not_wait_for_each_other() -> None:
    outbox = Outbox()
    outbox.add(steps()[0], {"slow": T0, "fast": T0}, T0)
    outbox.mark_stored(T0)
    [slow] = outbox.take_due("slow", T0, 1)
    [fast] = outbox.take_due("fast", T0, 1)
    outbox.complete(fast)
    assert (outbox.count("fast"), outbox.count("slow")) == (0, 1)
    outbox.complete(slow)
    assert len(outbox) == 0


def test_what_quiet_hours_hold_back_is_sent_once_as_it_is_at_their_end() -> None:
    morning = T0 + 8 * 3_600_000
    outbox = filled(*steps(), at=morning)
    assert len(outbox) == 1
    assert outbox.take_due("hook", T0, 10) == []
    [last] = outbox.take_due("hook", morning, 10)
    assert (last.change.event, last.change.incident.violated_at) == ("resolved", T0 + 120 * S)


def test_what_waits_is_late_since_it_was_due_and_quiet_hours_do_not_count() -> None:
    morning = T0 + 8 * 3_600_000
    outbox = filled(steps()[0])
    outbox.add(steps("room-2")[0], {"hook": T0 + 5 * S, "held": morning}, T0 + 5 * S)
    outbox.mark_stored(T0 + 5 * S)
    assert outbox.waiting_since() == {"hook": T0, "held": morning}
    [first] = outbox.take_due("hook", T0 + 60 * S, 1)
    outbox.retry(first, T0 + 120 * S)
    assert outbox.waiting_since()["hook"] == T0 + 5 * S
    for one in outbox.take_due("hook", T0 + 61 * S, 1):
        outbox.complete(one)
    # A delivery that was tried counts from its first try, however often it is tried again and across restarts.
    stored = dict(outbox.changed())
    outbox = Outbox()
    outbox.load({name: value for name, value in stored.items() if value is not None})
    assert outbox.waiting_since() == {"hook": T0 + 60 * S, "held": morning}


def test_a_step_that_is_pending_already_is_not_added_twice() -> None:
    assert len(filled(steps()[0], steps()[0])) == 1


def test_a_step_that_is_given_up_is_a_dead_letter_and_the_next_step_follows() -> None:
    outbox = filled(*steps()[:2])
    [first] = outbox.take_due("hook", T0, 1)
    outbox.give_up(first, "HTTP 410")
    [letter] = outbox.take_undelivered()
    assert (letter.target, letter.change.event, letter.detail) == ("hook", "opened", "HTTP 410")
    assert [one.change.event for one in outbox.take_due("hook", T0, 1)] == ["violation"]


class Play:
    """An outbox through whatever happens to its deliveries, with what is stored of it and what has left it."""

    def __init__(self) -> None:
        self.outbox, self.now = Outbox(), T0
        self.stored: dict[str, bytes] = {}
        self.left: list[tuple[str, str, str]] = []
        """Target, room and event of each change that was delivered or given up."""

    def write(self) -> None:
        for name, value in self.outbox.changed():
            if value is None:
                self.stored.pop(name, None)
            else:
                self.stored[name] = value

    def restart(self) -> None:
        self.write()
        self.outbox = Outbox()
        self.outbox.load(self.stored)

    def deliver(self, what: str, delivery: Delivery) -> None:
        match what:
            case "retry":
                self.outbox.retry(delivery, self.now + 500)
                return
            case "put_back":
                self.outbox.put_back(delivery)
                return
            case "give_up":
                self.outbox.give_up(delivery, "why")
            case _:
                self.outbox.complete(delivery)
        self.left.append((delivery.target, delivery.change.incident.room_id, delivery.change.event))

    def step(self, what: str, limits: Callable[[], int]) -> None:
        self.now += 1000
        if what == "restart":
            self.restart()
            return
        for target in ("a", "b"):
            for delivery in self.outbox.take_due(target, self.now, limits()):
                self.deliver(what, delivery)


@given(st.lists(st.sampled_from(["complete", "retry", "give_up", "restart", "put_back"]), max_size=40), st.data())
def test_each_step_leaves_once_and_in_order_whatever_happens(story: list[str], data: st.DataObject) -> None:
    play = Play()
    for change in (*steps(), *steps("room-2")):
        play.outbox.add(change, {"a": T0, "b": T0}, T0)
    play.write()
    play.outbox.mark_stored(T0)
    for what in story:
        play.step(what, lambda what=what: 2 if what == "complete" else data.draw(st.integers(0, 2)))  # type: ignore[misc]
    for _ in range(100):
        play.step("complete", lambda: 2)
    play.write()
    assert (len(play.outbox), play.stored) == (0, {})
    for target in ("a", "b"):
        for room_id in ("room-1", "room-2"):
            events = [event for name, room, event in play.left if (name, room) == (target, room_id)]
            assert events == ["opened", "violation", "action", "resolved"]


def test_waits_grow_to_five_minutes_and_are_spread() -> None:
    assert [backoff_ms(n, 1.0) for n in (1, 2, 3, 9, 10, 1000)] == [1000, 2000, 4000, 256_000, 300_000, 300_000]
    assert backoff_ms(3, 0.0) == 2000


@pytest.mark.parametrize("per_minute", [1, 20, 600, 6000])
def test_the_limit_holds_over_any_minute(per_minute: int) -> None:
    limiter, now, gone = RateLimiter(per_minute, 0), 0, []
    while now < 300_000:
        if (ready := limiter.ready_at(now)) > now:
            now = ready
            continue
        limiter.take(now)
        gone.append(now)
    assert len(gone) >= 5 * per_minute
    most = max(sum(start <= at < start + 60_000 for at in gone) for start in gone[:: max(1, len(gone) // 50)])
    assert most <= per_minute * 1.1 + 1
