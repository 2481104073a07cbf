"""What is owed goes out in order for each incident and target, survives restarts, and is bounded in its tries."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.notify_stories import T0, S, action, notice, verdict
from vigil.app.notify.changes import IncidentChange
from vigil.app.notify.deliverer import RateLimiter, wait_ms
from vigil.app.notify.incidents import Incidents
from vigil.app.notify.outbox import Outbox


def steps(room_id: str = "room-1") -> list[IncidentChange]:
    """Opened, violation, action, resolved."""
    incidents, found = Incidents({}), verdict(room_id=room_id)
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
    outbox.release(T0)
    return outbox


def test_nothing_goes_out_before_it_is_stored() -> None:
    outbox = Outbox()
    outbox.add(steps()[0], {"hook": T0}, T0)
    assert outbox.due("hook", T0, 10) == []
    outbox.release(T0)
    assert len(outbox.due("hook", T0, 10)) == 1


def test_one_step_of_an_incident_at_a_time_and_the_others_wait_for_it() -> None:
    outbox = filled(*steps(), *steps("room-2"))
    first = outbox.due("hook", T0, 10)
    assert [(one.change.event, one.change.incident.room_id) for one in first] == [
        ("opened", "room-1"), ("opened", "room-2"),
    ]  # fmt: skip
    assert outbox.due("hook", T0, 10) == []
    outbox.again(first[0], T0 + 1000)
    outbox.done(first[1])
    assert [one.change.event for one in outbox.due("hook", T0, 10)] == ["violation"]
    assert outbox.next_at("hook") == T0 + 1000


def test_targets_do_not_wait_for_each_other() -> None:
    outbox = Outbox()
    outbox.add(steps()[0], {"slow": T0, "fast": T0}, T0)
    outbox.release(T0)
    [slow] = outbox.due("slow", T0, 1)
    [fast] = outbox.due("fast", T0, 1)
    outbox.done(fast)
    assert (outbox.owed_to("fast"), outbox.owed_to("slow")) == (0, 1)
    outbox.done(slow)
    assert len(outbox) == 0


def test_what_is_held_back_is_told_as_it_stands_in_the_end() -> None:
    morning = T0 + 8 * 3_600_000
    outbox = filled(*steps(), at=morning)
    assert len(outbox) == 1
    assert outbox.due("hook", T0, 10) == []
    [last] = outbox.due("hook", morning, 10)
    assert (last.change.event, last.change.incident.violated_at) == ("resolved", T0 + 120 * S)


def test_what_waits_is_late_since_it_was_due_and_quiet_hours_do_not_count() -> None:
    morning = T0 + 8 * 3_600_000
    outbox = filled(steps()[0])
    outbox.add(steps("room-2")[0], {"hook": T0 + 5 * S, "held": morning}, T0 + 5 * S)
    outbox.release(T0 + 5 * S)
    assert outbox.since() == {"hook": T0, "held": morning}
    [first] = outbox.due("hook", T0 + 60 * S, 1)
    outbox.again(first, T0 + 120 * S)
    assert outbox.since()["hook"] == T0 + 5 * S
    for one in outbox.due("hook", T0 + 61 * S, 1):
        outbox.done(one)
    # Of what was tried: since then, however often it was tried again; a restart does not begin anew.
    stored = dict(outbox.changed())
    outbox = Outbox()
    outbox.load({name: value for name, value in stored.items() if value is not None}, T0 + 90 * S)
    assert outbox.since() == {"hook": T0 + 60 * S, "held": morning}


def test_a_step_owed_already_is_not_owed_twice() -> None:
    assert len(filled(steps()[0], steps()[0])) == 1


def test_what_is_given_up_is_a_letter_and_the_next_step_goes_on() -> None:
    outbox = filled(*steps()[:2])
    [first] = outbox.due("hook", T0, 1)
    outbox.dead(first, "HTTP 410")
    [letter] = outbox.letters()
    assert (letter.target, letter.change.event, letter.detail) == ("hook", "opened", "HTTP 410")
    assert [one.change.event for one in outbox.due("hook", T0, 1)] == ["violation"]


@given(st.lists(st.sampled_from(["done", "again", "dead", "restart", "back"]), max_size=40), st.data())
def test_whatever_happens_each_step_leaves_once_in_order(story: list[str], data: Any) -> None:
    outbox, store, left, now = Outbox(), {}, [], T0

    def write() -> None:
        for name, value in outbox.changed():
            store.pop(name, None) if value is None else store.__setitem__(name, value)

    for change in (*steps(), *steps("room-2")):
        outbox.add(change, {"a": now, "b": now}, now)
    write()
    outbox.release(now)
    for what in [*story, *["done"] * 100]:
        now += 1000
        if what == "restart":
            write()
            outbox = Outbox()
            outbox.load(store, now)
            continue
        for target in ("a", "b"):
            for one in outbox.due(target, now, data.draw(st.integers(0, 2)) if what != "done" else 2):
                if what == "again":
                    outbox.again(one, now + 500)
                elif what == "back":
                    outbox.back(one)
                else:
                    getattr(outbox, what)(*((one,) if what == "done" else (one, "why")))
                    left.append((target, one.change.incident.room_id, one.change.event))
    write()
    assert (len(outbox), store) == (0, {})
    for target in ("a", "b"):
        for room_id in ("room-1", "room-2"):
            mine = [event for name, room, event in left if (name, room) == (target, room_id)]
            assert mine == ["opened", "violation", "action", "resolved"]


def test_waits_grow_to_five_minutes_and_are_spread() -> None:
    assert [wait_ms(n, 1.0) for n in (1, 2, 3, 9, 10, 1000)] == [1000, 2000, 4000, 256_000, 300_000, 300_000]
    assert wait_ms(3, 0.0) == 2000


@pytest.mark.parametrize("per_minute", [1, 20, 600, 6000])
def test_the_pace_is_kept_over_any_minute(per_minute: int) -> None:
    pace, now, gone = RateLimiter(per_minute, 0), 0, []
    while now < 300_000:
        if (ready := pace.ready_at(now)) > now:
            now = ready
            continue
        pace.take(now)
        gone.append(now)
    assert len(gone) >= 5 * per_minute
    most = max(sum(start <= at < start + 60_000 for at in gone) for start in gone[:: max(1, len(gone) // 50)])
    assert most <= per_minute * 1.1 + 1
