"""What the gauges of rooms say, by the statuses that were published."""

import orjson

from tests.support.stories import MIDNIGHT, RULEBOOK, START, rulebook_with
from vigil.app.domain.rooms.live_rooms import LiveRoomGauges
from vigil.topics.envelope import encode_body
from vigil.topics.verdicts import CommentCounts, OpenCondition, RoomStatus, WaitingEntry

S = 1000


def status(stream: str | None = "live", *, runs: tuple = (), tiers: tuple = ()) -> bytes:
    """A status as the worker publishes it."""
    status_json = encode_body(
        RoomStatus(
            room_id="r", host_id="h", at=0, stream=stream, entries=0, received=0, missed=0, reception_seconds=None,
            buyers_now=0, engaged_buyers=0, comments=CommentCounts(host=0, buyer=0), on_air_seconds=0, absent_seconds=0,
            black_seconds=0, verdicts=0,
            open=tuple(OpenCondition(rule=rule, since=since, due=due) for rule, since, due in runs),
            waiting=tuple(WaitingEntry(buyer_id="b", buyer_tier=tier, since=0, due=10 * S) for tier in tiers),
        )
    )  # fmt: skip
    assert status_json is not None
    return status_json


def test_a_room_counts_from_its_first_live_status_to_the_one_that_is_not():
    rooms = LiveRoomGauges(RULEBOOK)
    rooms.update("a", status())
    rooms.update("b", status("disconnected"))
    assert rooms.totals()["on_air"] == 1
    rooms.update("a", status("ended"))
    assert rooms.totals()["on_air"] == 0


def test_a_room_off_air_without_conditions_takes_no_memory():
    rooms = LiveRoomGauges(RULEBOOK)
    for number in range(100):
        rooms.update(f"r{number}", status())
        rooms.update(f"r{number}", status("ended") if number % 2 else None)
    assert rooms._rooms == {}


def test_a_disconnected_room_with_dead_air_is_open_but_not_on_air():
    rooms = LiveRoomGauges(RULEBOOK)
    rooms.update("a", status("disconnected", runs=(("dead-air", 0, 300 * S),)))
    assert rooms.totals() == {"on_air": 0, "open": 1, "normal": 0, "high": 0}


def test_a_condition_is_at_risk_from_its_half_on():
    rooms = LiveRoomGauges(RULEBOOK)
    rooms.update("a", status(runs=(("absence", 10 * S, 310 * S), ("black-screen", 0, 120 * S))))
    assert sorted(rooms.at_risk(60 * S - 1)) == []
    assert sorted(rooms.at_risk(60 * S)) == ["black-screen"]
    assert sorted(rooms.at_risk(160 * S)) == ["absence", "black-screen"]


def test_a_condition_of_less_than_a_minute_is_never_at_risk():
    rooms = LiveRoomGauges(RULEBOOK)
    rooms.update("a", status(runs=(("sleeping", 0, 10 * S),)))
    assert list(rooms.at_risk(9 * S)) == []
    assert rooms.totals()["open"] == 1


def test_the_rulebook_decides_what_is_at_risk_as_it_does_for_the_notice():
    rooms = LiveRoomGauges(rulebook_with("rooms", day="2022-08-09", at_risk_from_s=10, at_risk_share=0.9))
    before, since = START, START + MIDNIGHT
    rooms.update("a", status(runs=(("black-screen", before, before + 60 * S), ("sleeping", since, since + 10 * S))))
    assert list(rooms.at_risk(before + 30 * S - 1)) == []
    assert list(rooms.at_risk(since + 9 * S - 1)) == ["black-screen"]
    assert sorted(rooms.at_risk(since + 9 * S)) == ["black-screen", "sleeping"]


def test_two_labels_of_one_rule_are_one_room_at_risk():
    rooms = LiveRoomGauges(RULEBOOK)
    rooms.update("a", status(runs=(("no-content", 0, 300 * S), ("no-content", 1, 301 * S))))
    assert list(rooms.at_risk(200 * S)) == ["no-content"]


def test_buyers_wait_by_priority():
    rooms = LiveRoomGauges(RULEBOOK)
    rooms.update("a", status(tiers=(None, "L0", "L1", "L4")))
    assert (rooms.totals()["normal"], rooms.totals()["high"]) == (2, 2)


def test_unknown_fields_of_a_status_are_skipped():
    rooms = LiveRoomGauges(RULEBOOK)
    rooms.update("a", orjson.dumps({**orjson.loads(status()), "new": [1, {"a": 2}]}))
    assert rooms.totals()["on_air"] == 1
