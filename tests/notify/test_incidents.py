"""What targets receive of an incident: each step once, in order, by what `incident` says of it."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from tests.support.notify_stories import (
    PARTITION,
    T0,
    TO_HOOK,
    Desk,
    S,
    acted,
    missed_entry,
    over,
    signal_lost,
    violation,
    warning,
)  # fmt: skip
from vigil.topics.incidents import IncidentStatus, Note

ALL = (
    TO_HOOK
    + 'kinds = ["at-risk", "violation", "action", "signal-lost", "verdict-contested", "still-live", "entry-missed"]\n'
)


def test_a_warning_becomes_a_violation_with_an_action_and_ends_with_its_room() -> None:
    desk, found = Desk(), violation()
    assert desk.say(warning()) == ["opened at-risk"]
    assert desk.say(found) == ["violation violation"]
    assert desk.say(acted(found)) == ["action action"]
    assert desk.say(over(acted(found))) == ["resolved room-ended"]
    assert len(set(desk.ids())) == 4


def test_what_is_published_again_says_nothing() -> None:
    desk, found = Desk(), acted(violation())
    desk.say(warning(), violation(), found, over(found))
    assert desk.say(warning(), found, over(found)) == []


def test_what_came_together_is_one_step_and_its_end_another() -> None:
    desk = Desk()
    assert desk.say(over(acted(violation()))) == ["opened violation", "resolved room-ended"]


def test_a_warning_that_is_read_after_its_end_is_not_sent_and_a_violation_always_is_unless_it_was_withdrawn() -> None:
    desk = Desk()
    assert desk.say(over(warning(), "cleared")) == []
    assert desk.say(over(violation(500, 620, verdict_id="v2"))) == ["opened violation", "resolved room-ended"]
    assert desk.say(over(violation(900, 1020, verdict_id="v3"), "withdrawn")) == []


@pytest.mark.parametrize("by", ["cleared", "withdrawn", "room-ended"])
def test_the_end_says_why(by: str) -> None:
    desk = Desk()
    desk.say(warning())
    assert desk.say(over(warning(), by)) == [f"resolved {by}"]


def test_what_ended_ends_once_and_an_action_that_comes_back_is_still_sent() -> None:
    desk, found = Desk(), acted(violation())
    desk.say(found)
    assert desk.say(over(found, "withdrawn")) == ["resolved withdrawn"]
    back = acted(found, 3, count=1)
    assert desk.say(back) == ["action action"]
    assert desk.say(over(back)) == []


def test_revisions_that_only_say_who_decided_are_not_sent_and_others_each_once() -> None:
    desk, found = Desk(), violation()
    desk.say(acted(found))
    assert desk.say(replace(acted(found, 2), decision="upheld", decided_at=T0 + 200 * S)) == []
    assert desk.say(acted(found, 3, status="held")) == ["action action"]
    assert desk.say(acted(found, 4)) == ["action action"], "the same content again is another step"
    assert desk.say(acted(found, 5, status="held")) == ["action action"]
    assert len(set(desk.ids())) == len(desk.sent)


def test_what_people_do_about_it_is_not_sent() -> None:
    desk, found = Desk(ALL), violation()
    desk.say(found)
    claimed = replace(found, claimed_by="ann", claimed_at=T0, first_claimed_at=T0, at=T0 + 130 * S)
    noted = replace(claimed, notes=(Note(by="ann", at=T0, text="called"),), appealed_at=T0 + 140 * S)
    assert desk.say(claimed, noted, found) == []


def test_a_contested_verdict_and_a_room_that_is_still_live_are_sent_once_each() -> None:
    desk, found = Desk(), acted(violation())
    desk.say(found)
    contested = replace(found, contested=True)
    assert desk.say(contested, contested) == ["noted verdict-contested"]
    live = replace(contested, still_live=True)
    assert desk.say(live, live) == ["noted still-live"]
    assert desk.say(over(live)) == ["resolved room-ended"]


def test_a_flapping_stream_is_one_alert() -> None:
    desk = Desk()
    assert desk.say(signal_lost()) == ["opened signal-lost"]
    assert desk.say(*(signal_lost(losses, at=15 * losses) for losses in range(2, 30))) == []
    [end] = [desk.say(over(signal_lost(30), "steady")), desk.changes()[-1]][1:]
    assert isinstance(end.alert, IncidentStatus)
    assert (end.event, end.alert.losses) == ("resolved", 30)


def test_an_entry_is_sent_once_to_whom_asks_for_it_and_has_no_end() -> None:
    desk = Desk(ALL)
    assert desk.say(missed_entry(), missed_entry(), over(missed_entry(), "passed", 70)) == ["noted entry-missed"]
    assert Desk().say(missed_entry()) == []


def test_a_snoozed_incident_is_sent_when_its_snooze_ends_or_when_it_gets_worse() -> None:
    desk = Desk()
    snoozed = replace(warning(), snoozed_until=T0 + 3600 * S)
    assert desk.say(snoozed) == []
    assert desk.say(violation()) == ["opened violation"], "it got worse"
    found = acted(violation())
    assert desk.say(replace(found, snoozed_until=T0 + 3600 * S)) == []
    assert desk.say(found) == ["action action"], "the snooze is over"


def test_the_end_of_what_was_sent_is_sent_although_it_was_snoozed_and_a_beginning_is_not() -> None:
    desk = Desk()
    desk.say(warning())
    assert desk.say(replace(over(warning(), "cleared"), snoozed_until=T0 + 3600 * S)) == ["resolved cleared"]
    other = violation(500, 620, verdict_id="v2")
    assert desk.say(replace(over(other), snoozed_until=T0 + 3600 * S)) == []
    assert desk.say(over(other)) == ["opened violation", "resolved room-ended"]


def test_each_target_knows_its_own() -> None:
    desk = Desk(
        TO_HOOK
        + 'kinds = ["violation"]\n[[routes]]\nto = ["chat"]\nends = false\n[[routes]]\nto = ["ops"]\nends = false'
    )
    assert sorted(desk.say(warning())) == ["chat opened at-risk", "ops opened at-risk"]
    said = desk.say(violation())
    assert sorted(said) == ["chat violation violation", "opened violation", "ops violation violation"]
    assert desk.say(over(violation())) == ["ops resolved room-ended", "resolved room-ended"]


def test_a_message_of_an_incident_that_was_deleted_while_it_went_on_ends_it() -> None:
    desk = Desk()
    desk.say(warning())
    assert desk.delete(warning()) == ["resolved withdrawn"]
    desk.say(over(violation(500, 620)))
    assert desk.delete(violation(500, 620)) == []
    assert len(desk.book.marks) == 0, "nothing is remembered of what is deleted"


def test_an_end_that_waits_is_sent_although_its_messages_were_deleted_and_a_beginning_is_not() -> None:
    desk = Desk(TO_HOOK + QUIET)
    desk.now = clock(2, 21)
    desk.say(warning())
    desk.now = clock(2, 23)
    other = over(violation(500, 620))
    desk.say(over(warning(), "cleared"), other)
    assert desk.delete(warning()) + desk.delete(other) == []
    assert desk.wait(clock(3, 8)) == ["resolved cleared"]
    assert len(desk.book.marks) == 0


def test_what_was_there_before_a_target_began_is_not_sent_until_it_changes() -> None:
    from vigil.app.notify.marks import Begun

    desk = Desk()
    desk.book.marks.begin(PARTITION, "hook", Begun(2, T0))
    assert desk.say(warning()) == []
    assert desk.say(violation()) == ["opened violation"]
    # A topic that was created again begins with offset 0, and later.
    desk.offset, desk.now = -1, T0 + 1
    assert desk.say(warning(500, room_id="room-2")) == ["opened at-risk"]


SHANGHAI = ZoneInfo("Asia/Shanghai")
QUIET = 'quiet = [{ from = "22:00", until = "08:00", time_zone = "Asia/Shanghai" }]\n'


def clock(day: int, hour: int) -> int:
    return int(datetime(2026, 3, day, hour, tzinfo=SHANGHAI).timestamp() * 1000)


def test_quiet_hours_hold_everything_back_and_then_say_it_as_it_is() -> None:
    desk = Desk(TO_HOOK + QUIET)
    desk.now = clock(2, 21)
    assert desk.say(warning()) == ["opened at-risk"]
    desk.now = clock(2, 23)
    assert desk.say(violation(), acted(violation()), over(acted(violation()))) == []
    assert desk.say(warning(500, 560), over(warning(500, 560), "cleared", 600)) == []
    assert desk.book.next_at("hook") == clock(3, 8)
    assert desk.wait(clock(3, 8)) == ["violation violation", "resolved room-ended"]


def test_quiet_hours_can_drop_what_happens_in_them_but_no_end() -> None:
    desk = Desk(TO_HOOK + QUIET.replace('" }', '", then = "drop" }'))
    desk.now = clock(2, 21)
    desk.say(warning())
    desk.now = clock(2, 23)
    other = violation(500, 620)
    assert desk.say(over(warning(), "cleared"), other) == ["resolved cleared"]
    desk.now = clock(3, 9)
    assert desk.say(other, over(other)) == []


def test_a_route_that_is_awake_goes_first() -> None:
    desk = Desk(TO_HOOK + QUIET + TO_HOOK + 'kinds = ["violation"]\n')
    desk.now = clock(2, 23)
    assert desk.say(warning()) == []
    assert desk.say(violation()) == ["opened violation"]
    assert desk.say(acted(violation())) == []
    assert desk.wait(clock(3, 8)) == ["action action"]


def test_what_is_over_for_everybody_is_not_kept() -> None:
    desk = Desk()
    desk.say(violation())
    assert desk.book.low_water() == {PARTITION: 1}
    desk.say(warning(room_id="room-2"))
    desk.say(over(violation()))
    assert desk.book.low_water() == {PARTITION: 2}
    desk.say(over(warning(room_id="room-2"), "cleared"))
    assert desk.book.low_water() == {}
