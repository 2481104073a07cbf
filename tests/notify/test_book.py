"""Steps wait for their target: in order for each alert, bounded in number, and each leaves once whatever happens."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.notify_stories import PARTITION, T0, TO_HOOK, Desk, S, acted, over, violation, warning
from vigil.app.notify.alerts import AlertChange
from vigil.app.notify.book import AlertBook
from vigil.app.notify.deliverer import backoff_ms
from vigil.app.notify.kept import AlertMessage, Delivery
from vigil.app.notify.rate_limiter import RateLimiter
from vigil.topics.incidents import IncidentStatus

BOTH = TO_HOOK.replace('["hook"]', '["hook", "chat"]')


def book(routes: str = TO_HOOK, targets: str | None = None) -> AlertBook:
    desk = Desk(routes) if targets is None else Desk(routes, targets=targets)
    return desk.book


def publish(alerts: AlertBook, *said: IncidentStatus, now: int = T0, offset: int = 1) -> None:
    for one in said:
        alerts.publish(AlertMessage(f"incident:{one.incident_id}", one, PARTITION, offset, now), now)


def take(alerts: AlertBook, target: str = "hook", now: int = T0, limit: int = 10) -> list[Delivery]:
    """What may be sent, once what is staged is stored."""
    found = alerts.take_due(target, now, limit)
    if alerts.has_staged:
        alerts.release(alerts.take_staged(), now)
        found += alerts.take_due(target, now, limit)
    return found


def test_nothing_begins_before_that_is_stored() -> None:
    alerts = book()
    publish(alerts, warning())
    assert alerts.take_due("hook", T0, 10) == []
    staged = alerts.take_staged()
    [(_, _, value)] = alerts.marks.changed()
    assert value == b'{"hook":{"end":"due"}}'
    assert alerts.take_due("hook", T0, 10) == []
    alerts.release(staged, T0)
    assert len(alerts.take_due("hook", T0, 10)) == 1


def test_what_is_stored_as_begun_and_never_sent_is_taken_back() -> None:
    for end in ("cleared", "close"):
        alerts = book()
        publish(alerts, warning())
        alerts.take_due("hook", T0, 10)
        alerts.release(alerts.take_staged(), T0)
        if end == "cleared":
            publish(alerts, over(warning(), "cleared"))
            assert take(alerts) == []
        else:
            alerts.close()
        assert [value for *_, value in alerts.marks.changed()] == [b'{"hook":{}}']


def test_what_a_target_has_certainly_not_received_has_no_end_and_what_it_may_have_received_has_one() -> None:
    for untaken, events in ((True, []), (False, ["resolved"])):
        alerts = book()
        publish(alerts, warning())
        [first] = take(alerts)
        alerts.retry(first, T0 + S, T0, untaken=untaken)
        publish(alerts, over(warning(), "cleared"))
        assert [one.change.event for one in take(alerts, now=T0 + S)] == events


def test_one_step_of_an_incident_at_a_time_and_the_others_do_not_wait_for_it() -> None:
    alerts = book()
    publish(alerts, warning(), warning(room_id="room-2"))
    first = take(alerts)
    assert [one.change.event for one in first] == ["opened", "opened"]
    publish(alerts, violation(), violation(room_id="room-2"))
    assert take(alerts) == []
    alerts.retry(first[0], T0 + 1000, T0)
    alerts.complete(first[1], T0)
    assert [one.change.event for one in take(alerts)] == ["violation"]
    assert alerts.next_at("hook") == T0 + 1000


def test_targets_do_not_wait_for_each_other() -> None:
    alerts = book(BOTH)
    publish(alerts, warning())
    [slow], [fast] = take(alerts, "chat"), take(alerts, "hook")
    alerts.complete(fast, T0)
    assert (alerts.count("hook"), alerts.count("chat")) == (0, 1)
    alerts.complete(slow, T0)
    assert alerts.count("chat") == 0


def test_what_waits_is_late_since_it_was_due() -> None:
    alerts = book()
    publish(alerts, warning())
    publish(alerts, warning(room_id="room-2"), now=T0 + 5 * S)
    assert alerts.waiting_since() == {"hook": T0}
    [first, second] = take(alerts, now=T0 + 60 * S)
    alerts.retry(first, T0 + 120 * S, T0 + 60 * S)
    alerts.complete(second, T0 + 60 * S)
    assert alerts.waiting_since() == {"hook": T0 + 60 * S}, "from its first try on"


def test_a_step_that_is_given_up_is_a_dead_letter_and_the_next_step_follows() -> None:
    alerts = book()
    publish(alerts, warning())
    [first] = take(alerts)
    publish(alerts, violation())
    alerts.give_up(first, "HTTP 410", T0)
    [letter] = alerts.take_undelivered()
    assert (letter.target, letter.change.event, letter.detail) == ("hook", "opened", "HTTP 410")
    assert [one.change.event for one in take(alerts)] == ["violation"]


def test_what_would_be_too_much_for_a_target_is_a_dead_letter_and_has_no_end() -> None:
    few = '[targets.hook]\nkind = "webhook"\nurl = "https://h/"\nsecret = "h"\nmost_owed = 2\n'
    alerts = book(targets=few)
    rooms = [warning(room_id=f"room-{number}") for number in range(4)]
    publish(alerts, *rooms)
    assert [one.detail for one in alerts.take_undelivered()] == ["too much is owed to this target"] * 2
    for one in take(alerts):
        alerts.complete(one, T0)
    publish(alerts, *(over(one, "cleared") for one in rooms))
    assert len(take(alerts)) == 2


class Play:
    """A book through whatever happens to its deliveries, with what has left it."""

    def __init__(self) -> None:
        self.alerts, self.now = book(BOTH), T0
        self.left: list[tuple[str, str, AlertChange]] = []
        """Target, room and step of each that was delivered or given up."""

    def deliver(self, what: str, delivery: Delivery) -> None:
        if what == "retry":
            self.alerts.retry(delivery, self.now + 500, self.now)
        elif what == "put_back":
            self.alerts.put_back(delivery)
        else:
            room_id = delivery.change.alert.room_id  # type: ignore[union-attr]
            self.left.append((delivery.target, room_id, delivery.change))
            if what == "give_up":
                self.alerts.give_up(delivery, "why", self.now)
            else:
                self.alerts.complete(delivery, self.now)

    def step(self, what: str, limits: Callable[[], int]) -> None:
        self.now += 1000
        for target in ("hook", "chat"):
            for delivery in take(self.alerts, target, self.now, limits()):
                self.deliver(what, delivery)


def story(room_id: str) -> list[IncidentStatus]:
    found = violation(room_id=room_id)
    return [warning(room_id=room_id), found, acted(found), over(acted(found))]


@given(st.lists(st.sampled_from(["complete", "retry", "give_up", "put_back", "publish"]), max_size=40), st.data())
def test_each_step_leaves_once_and_in_order_whatever_happens(steps: list[str], data: st.DataObject) -> None:
    play, rest = Play(), [*story("room-1"), *story("room-2")]
    for what in [*steps, *["publish"] * 8, *["complete"] * 20]:
        if what == "publish":
            publish(play.alerts, *rest[:1], now=play.now)
            rest = rest[1:]
        else:
            play.step(what, lambda what=what: 2 if what == "complete" else data.draw(st.integers(1, 2)))  # type: ignore[misc]
    assert play.alerts.low_water() == {}
    for target in ("hook", "chat"):
        for room_id in ("room-1", "room-2"):
            changes = [change for name, room, change in play.left if (name, room) == (target, room_id)]
            events = [change.event for change in changes]
            assert len({change.id for change in changes}) == len(changes)
            assert events[-1] == "resolved"
            assert events.count("opened") <= 1
            last = changes[-1].alert
            assert isinstance(last, IncidentStatus)
            assert last.action is not None


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
