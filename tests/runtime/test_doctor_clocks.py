"""Clocks that are ahead of others, and backlogs: what `vigil doctor --producers` must not take for late events."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest

from vigil.app.kafka.settings import Settings
from vigil.app.runtime.doctor.check import Check
from vigil.app.runtime.doctor.lateness import Lateness, MeasuredLateness, lateness_checks, lateness_remedy
from vigil.app.runtime.doctor.producers.grades import Expected, grade
from vigil.app.runtime.doctor.producers.measures import Sampled, TopicMeasures
from vigil.app.runtime.doctor.producers.stamps import Stamped
from vigil.app.runtime.doctor.producers.timing import timing

S = 1000
MIN = 60 * S
NOW = 1_700_000_000_000
ROOMS = [f"room-{number}" for number in range(8)]


class Sent(NamedTuple):
    """An event as its producer sends it, after NOW."""

    room: str
    at: int
    sent: int
    """By a correct clock."""
    stamped: int
    """By the clock that gives the record its timestamp."""
    fields: dict[str, Any] = {}  # noqa: RUF012 - never changed


def checks(topic: str, events: Iterable[Sent], until: int | None = None, **expected: Any) -> list[Check]:
    """The checks of clocks and lateness; all rooms share a partition. `until`: when the sample is read."""
    measures = TopicMeasures(topic, 1)
    for event in sorted(events, key=lambda each: each.sent):
        value = {"room_id": event.room, "host_id": "h", "at": NOW + event.at, **event.fields}
        value |= (
            {"comment_id": f"{event.room}/{event.at}", "author_id": "h", "author_role": "host", "text": "hello"}
            if topic == "comment"
            else {"stream": "live", "face": True, "black": False}
        )
        measures.add(Sampled(0, NOW + event.stamped, event.room.encode(), json.dumps(value).encode()))
    measures.read_at = None if until is None else NOW + until
    limits = {"partitioner": "murmur2", "allowed_ms": 2000, "max_frame_gap_ms": 15_000, "live": True, **expected}
    return [check for check in grade(measures, Expected(**limits)) if check.name in ("clock", "lateness")]


def live(rooms: Iterable[str] = ROOMS, lasts_s: int = 120, **fields: Any) -> list[Sent]:
    """An event a second of each room, sent and stamped 100 ms later."""
    return [
        Sent(room, at := second * S + 7 * number, at + 100, at + 100, fields)
        for second in range(lasts_s)
        for number, room in enumerate(rooms)
    ]


def shifted(events: Iterable[Sent], room: str, at: int, stamped: int) -> list[Sent]:
    """The same events, with the clocks of one room ahead by `at` and `stamped`."""
    return [
        each._replace(at=each.at + at, stamped=each.stamped + stamped) if each.room == room else each for each in events
    ]


def levels(found: list[Check]) -> list[tuple[str, str]]:
    return [(check.name, check.level) for check in found]


@pytest.mark.parametrize("stamped", [0, 30 * S], ids=["stamped by the broker", "stamped by the same clock"])
def test_a_clock_that_is_ahead_is_named_and_makes_no_recommendation(stamped: int) -> None:
    found = checks("frame-status", shifted(live(), "room-3", 30 * S, stamped))
    assert levels(found) == [("clock", "fail"), ("clock", "ok"), ("lateness", "ok")]
    assert found[0].words.startswith("frame-status: the clock of 1 room ahead: 'room-3' by ")
    assert round(float(found[0].words.split(" by ")[1].split(" s")[0])) in (29, 30)
    assert "NTP" in found[0].remedy
    assert not any("allowed_lateness_ms" in check.remedy for check in found)


def test_several_clocks_are_named_those_furthest_ahead_first() -> None:
    events = live()
    for room, ahead in zip(ROOMS[:5], (10 * S, 40 * S, 20 * S, 30 * S, 50 * S), strict=True):
        events = shifted(events, room, ahead, 0)
    words = checks("frame-status", events)[0].words
    assert [name for name in ROOMS if f"'{name}'" in words] == ["room-1", "room-3", "room-4"]
    assert "the clocks of 5 rooms ahead: 'room-4' by 49.9 s, 'room-1'" in words
    assert "and 2 more" in words


@pytest.mark.parametrize(("ahead", "level"), [(1100, None), (1101, "warn"), (2100, "warn"), (2101, "fail")])
def test_what_is_ahead_by_more_than_is_allowed_is_a_fault(ahead: int, level: str | None) -> None:
    found = checks("frame-status", shifted(live(), "room-3", ahead, 0))
    assert [check.level for check in found if "ahead" in check.words] == ([level] if level else [])


def test_one_of_the_far_future_is_rejected_and_makes_nobody_late() -> None:
    found = checks("frame-status", shifted(live(), "room-3", 8 * 60 * MIN, 8 * 60 * MIN))
    assert "'room-3' by 8 h; workers reject them as `future`" in found[0].words


def test_events_that_are_rejected_as_ahead_are_named_by_room() -> None:
    found = checks("frame-status", shifted(live(), "room-3", 8 * 60 * MIN, 0))
    assert found[0].words.endswith(
        "such events are rejected; it looks like local time sent as UTC; by room: 'room-3' (120)"
    )


def test_of_all_clocks_none_is_ahead_of_the_others() -> None:
    found = checks("frame-status", [each._replace(at=each.at + 30 * S) for each in live()])
    assert levels(found) == [("clock", "warn")]
    assert "29.9 s ahead of the time of writing, usually" in found[0].words


@pytest.mark.parametrize(("until", "level"), [(121 * S, "fail"), (10 * MIN, None), (None, None)])
def test_of_two_rooms_the_one_ahead_of_the_present_is_wrong(until: int | None, level: str | None) -> None:
    """Otherwise nobody knows: the other one may be slow."""
    found = checks("frame-status", shifted(live(ROOMS[:2]), "room-1", 30 * S, 30 * S), until)
    assert [check.level for check in found if "'room-1'" in check.words] == ([level] if level else [])


@pytest.mark.parametrize("behind", [ROOMS[3:4], ROOMS[3:5], ROOMS[3:7]])
def test_rooms_that_are_behind_make_no_other_room_ahead(behind: list[str]) -> None:
    events = live()
    for room in behind:
        events = shifted(events, room, -5 * S, -5 * S)
    found = checks("frame-status", events)
    assert not [check for check in found if "ahead" in check.words]
    assert [check.level for check in found if check.name == "lateness"] == ["fail"]


@pytest.mark.parametrize("stamped", [0, -40 * S], ids=["stamped by the broker", "stamped by the same clock"])
@pytest.mark.parametrize("rooms", [ROOMS[3:4], ROOMS[3:6]])
def test_rooms_that_are_behind_are_named_and_make_no_recommendation(rooms: list[str], stamped: int) -> None:
    events = live()
    for room in rooms:
        events = shifted(events, room, -40 * S, stamped)
    found = checks("frame-status", events)
    assert levels(found) == [("clock", "fail"), ("clock", "ok"), ("lateness", "ok")]
    number = "1 room" if len(rooms) == 1 else "3 rooms"
    assert found[0].words.startswith(f"frame-status: the events of {number} behind those of the others: ")
    assert [room for room in ROOMS if f"{room!r} by 40." in found[0].words or f"{room!r} by 39." in found[0].words] == (
        rooms
    )
    assert "do not raise the allowed lateness" in found[0].remedy
    assert not any("allowed_lateness_ms" in check.remedy for check in found)


@pytest.mark.parametrize(("until", "level"), [(121 * S, "fail"), (10 * MIN, None), (None, None)])
def test_of_two_rooms_of_a_partition_one_is_behind_the_other_that_is_of_the_present(
    until: int | None, level: str | None
) -> None:
    """Otherwise nobody knows: the other one may be ahead."""
    room, other = ROOMS[:2]
    partitions = [shifted(live([room, other]), room, -40 * S, -40 * S), live(ROOMS[2:4]), live(ROOMS[4:6])]
    stamps = [
        [Stamped(each.room, "", each.at, each.stamped) for each in sorted(events, key=lambda each: each.sent)]
        for events in partitions
    ]
    assert list(timing(stamps, until).behind) == ([room] if level else [])


def test_rooms_that_are_all_as_late_are_not_behind_each_other() -> None:
    found = checks("comment", [each._replace(at=each.at - 40 * S) for each in live()])
    assert not [check for check in found if "behind those" in check.words]


def test_slow_speech_is_not_behind_what_is_typed() -> None:
    spoken = live(ROOMS[:2], via="speech")
    events = live(ROOMS[2:]) + [each._replace(at=each.at - 7 * S) for each in spoken]
    assert not [check for check in checks("comment", events) if "behind those" in check.words]


def test_a_room_that_was_slow_for_once_is_not_behind() -> None:
    events = [
        each._replace(at=each.at - 40 * S) if each.room == "room-3" and each.at < 90 * S else each for each in live()
    ]
    found = checks("frame-status", events)
    assert not [check for check in found if "behind those" in check.words]
    assert [check.level for check in found if check.name == "lateness"] == ["fail"]


def test_a_few_events_accuse_no_clock() -> None:
    found = checks("frame-status", shifted(live(lasts_s=2), "room-3", 30 * S, 30 * S))
    assert not [check for check in found if "ahead" in check.words]


@pytest.mark.parametrize("stamped_as", ["at", "sent"])
def test_slow_speech_makes_no_prompt_room_ahead(stamped_as: str) -> None:
    """Whatever the timestamp of its record is, a transcript of 4 s needs an allowance."""
    typed = live(ROOMS[:4])
    spoken = [each._replace(sent=each.sent + 4 * S, fields={"via": "speech"}) for each in live(ROOMS)]
    spoken = [each._replace(stamped=each.at if stamped_as == "at" else each.sent) for each in spoken]
    found = checks("comment", [*typed, *spoken])
    assert not [check for check in found if "ahead" in check.words]
    assert f"comment = {4000 if stamped_as == 'at' else 4500}" in "".join(check.remedy for check in found)


def test_a_room_without_speech_is_not_ahead_of_those_that_speak_slowly() -> None:
    spoken = [
        each._replace(sent=each.sent + 4 * S, stamped=each.at, fields={"via": "speech"}) for each in live(ROOMS[1:])
    ]
    found = checks("comment", [*live(ROOMS[:1]), *spoken])
    assert not [check for check in found if "ahead" in check.words]
    assert "comment = 4000" in "".join(check.remedy for check in found)


@pytest.mark.parametrize("slow", [ROOMS[3:4], ROOMS[:7]])
def test_rooms_whose_events_were_slow_for_once_make_no_other_ahead(slow: list[str]) -> None:
    """Their timestamps are those of the first try."""
    events = [
        each._replace(sent=50_100) if each.room in slow and 20 * S <= each.at < 50 * S else each for each in live()
    ]
    found = checks("frame-status", events)
    assert not [check for check in found if "ahead" in check.words]
    assert found[-1].level == "fail"


@pytest.mark.parametrize(("rooms", "prompt_every"), [(ROOMS, 20), (ROOMS[:5], 3)])
def test_rooms_that_are_prompt_at_times_make_no_other_ahead(rooms: list[str], prompt_every: int) -> None:
    """They are stamped with their event time, so that only their order shows what is late."""
    late = [
        each._replace(sent=each.sent + 4 * S) if each.room in rooms and each.at // S % prompt_every else each
        for each in live()
    ]
    found = checks("frame-status", [each._replace(stamped=each.at) for each in late])
    assert not [check for check in found if "ahead" in check.words]
    assert "frame-status = " in found[-1].remedy


def test_what_waited_half_a_minute_for_its_producer_is_late() -> None:
    events = [each._replace(sent=50_100, stamped=50_100) if 20 * S <= each.at < 50 * S else each for each in live()]
    found = checks("frame-status", events)
    assert levels(found) == [("clock", "ok"), ("lateness", "fail")]


@pytest.mark.parametrize("ago", [4 * S, 60 * 24 * 365 * MIN], ids=["just now", "a year ago"])
def test_a_backlog_that_is_sent_at_once_does_not_show_how_late_events_come(ago: int) -> None:
    recorded = [each._replace(sent=number, stamped=ago + 120 * S + number // 10) for number, each in enumerate(live())]
    found = checks("frame-status", recorded)
    assert levels(found) == [("clock", "ok"), ("lateness", "ok")]
    assert "960 events are a backlog: 119.0 s of events, written in 0.1 s" in found[0].words


@pytest.mark.parametrize(("late_ms", "level"), [(0, "ok"), (3 * S, "fail")])
def test_what_is_sent_live_after_a_backlog_is_measured(late_ms: int, level: str) -> None:
    """The backlog ends four seconds before it is sent."""
    backlog = [
        each._replace(at=each.at - 124 * S, sent=-9000 + number, stamped=-1000 + number // 10)
        for number, each in enumerate(live())
    ]
    found = checks("frame-status", [*backlog, *(each._replace(at=each.at - late_ms) for each in live())])
    assert levels(found) == [("clock", "ok"), ("clock", "ok"), ("lateness", level)]
    assert level == "ok" or "frame-status = 3500" in found[2].remedy


def test_disorder_within_a_backlog_is_still_lateness() -> None:
    recorded = [each._replace(sent=each.at, stamped=10 * MIN) for each in live()]
    swapped = [each._replace(at=each.at - 5 * S) if each.at % (10 * S) < 100 else each for each in recorded]
    assert [check.level for check in checks("frame-status", swapped) if check.name == "lateness"] == ["fail"]


def test_old_events_sent_at_the_speed_of_life_are_judged_late() -> None:
    found = checks("frame-status", [each._replace(at=each.at - 10 * MIN) for each in live()])
    assert levels(found) == [("clock", "fail")]
    assert "rooms are judged as late as that" in found[0].words


def test_with_a_clock_ahead_doctor_recommends_no_lateness_measured_by_workers() -> None:
    kind = Lateness("frame-status", "", 1000, 30_000, 30_000)
    measured = MeasuredLateness("by a test", [kind], {"frame-status": "the clock of 1 room ahead: 'f-3' by 30.0 s"})
    clock, lateness = lateness_checks(measured, Settings())
    assert (clock.name, clock.level) == ("clock", "warn")
    assert "'f-3' by 30.0 s; other rooms of the partition are late by as much" in clock.words
    assert "allowed_lateness_ms" not in lateness.remedy
    assert "'f-3'" in lateness_remedy("frame-status", measured.needed("frame-status", 2000))
    assert "frame-status = 30000" in lateness_remedy(
        "frame-status", measured._replace(ahead={}).needed("frame-status", 2000)
    )


def test_with_a_room_behind_doctor_recommends_no_lateness_measured_by_workers() -> None:
    kind = Lateness("frame-status", "", 1000, 40_000, 40_000)
    words = "the events of 1 room behind those of the others: 'f-3' by 40.0 s"
    measured = MeasuredLateness("by a test", [kind], behind={"frame-status": words})
    clock, lateness = lateness_checks(measured, Settings())
    assert (clock.name, clock.level, clock.words) == ("clock", "fail", f"frame-status: {words}")
    assert "allowed_lateness_ms" not in lateness.remedy
    assert "'f-3'" in lateness_remedy("frame-status", measured.needed("frame-status", 2000))
