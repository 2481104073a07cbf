"""A brake delivers so many new violations of a rule in a time; what is beyond waits for a decision."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.notify_stories import T0, TO_HOOK, Desk, S, acted, over, violation, warning
from vigil.app.notify.brakes import KEPT_MS, BrakeClaim, BrakeDecision, BrakeLedger, decode_brake
from vigil.topics.read_back import ForeignMessageError

FLOOD = '[[routes]]\nname = "flood"\nto = ["hook"]\nbrake = { per_rule = 2, every_s = 3600 }\n'
HOUR = 3600 * S


def rooms(first: int, last: int, rule: str = "black-screen") -> list[object]:
    return [violation(room_id=f"room-{number}", rule=rule, verdict_id=f"v{number}") for number in range(first, last)]


def test_beyond_the_limit_violations_are_held_and_one_alert_says_so_at_once() -> None:
    desk = Desk(FLOOD)
    assert desk.say(*rooms(0, 2)) == ["opened violation"] * 2
    assert desk.say(*rooms(2, 3)) == ["opened brake"]
    assert desk.say(*rooms(3, 9)) == []
    assert list(desk.ledger.held()) == [("flood", "black-screen", 7)]
    assert desk.say(*rooms(0, 2, "absence")) == ["opened violation"] * 2, "each rule has its own"


@pytest.mark.parametrize("decision", ["release", "discard"])
def test_a_decision_sends_or_drops_what_is_held_by_then_and_the_count_begins_again(decision: str) -> None:
    desk = Desk(FLOOD)
    desk.say(*rooms(0, 5))
    said = desk.decide(decision)
    assert said[0] == f"resolved {decision}"
    assert said[1:] == (["opened violation"] * 3 if decision == "release" else [])
    assert desk.say(*rooms(5, 8)) == ["opened violation"] * 2 + ["opened brake"]
    assert desk.decide(decision, rule="absence") == []
    assert len(set(desk.ids())) == len(desk.sent)


def test_what_is_held_is_sent_as_it_is_when_it_is_released() -> None:
    desk = Desk(FLOOD)
    desk.say(*rooms(0, 2))
    first, second, third = rooms(2, 5)
    desk.say(first, second, third)
    assert desk.say(acted(first), over(acted(first)), over(second, "withdrawn")) == []  # type: ignore[arg-type]
    assert desk.decide("release") == [
        "resolved release", "opened violation", "opened violation", "resolved room-ended",
    ]  # fmt: skip
    assert desk.say(acted(third)) == ["action action"]  # type: ignore[arg-type]


def test_what_is_discarded_says_nothing_any_more() -> None:
    desk = Desk(FLOOD)
    desk.say(*rooms(0, 3))
    desk.decide("discard")
    [last] = rooms(2, 3)
    assert desk.say(acted(last), over(acted(last))) == []  # type: ignore[arg-type]


def test_warnings_are_not_held_and_their_end_is_sent_although_their_violation_is_held() -> None:
    desk = Desk(FLOOD)
    desk.say(*rooms(0, 2))
    assert desk.say(warning(room_id="room-2")) == ["opened at-risk"]
    [held] = rooms(2, 3)
    assert desk.say(held) == ["opened brake"]
    assert desk.say(over(held)) == ["resolved room-ended"]  # type: ignore[arg-type]


def test_the_time_is_a_window_that_moves() -> None:
    desk = Desk(FLOOD)
    desk.say(*rooms(0, 1))
    desk.now = T0 + HOUR // 2
    desk.say(*rooms(1, 2))
    desk.now = T0 + HOUR - 1
    assert desk.say(*rooms(2, 3)) == ["opened brake"]
    desk.now = T0 + HOUR
    assert desk.say(*rooms(3, 4)) == ["opened violation"], "the first one counts no more"
    assert desk.say(*rooms(4, 5)) == []
    assert len(desk.decide("release")) == 3


def test_another_route_without_a_brake_still_delivers() -> None:
    desk = Desk(FLOOD + '[[routes]]\nto = ["chat"]\n')
    assert desk.say(*rooms(0, 3))[-2:] == ["chat opened violation", "opened brake"]
    both = Desk(FLOOD + TO_HOOK)
    assert both.say(*rooms(0, 4)) == ["opened violation"] * 4


def test_quiet_hours_do_not_hold_back_the_alert_about_a_brake() -> None:
    desk = Desk(FLOOD + 'quiet = [{ from = "00:00", until = "23:59", then = "hold" }]\n')
    assert desk.say(*rooms(0, 3)) == []
    at = desk.book.next_at("hook")
    assert at is not None
    assert sorted(desk.wait(at)) == ["opened brake", "opened violation", "opened violation"]


def test_an_alertmanager_receives_a_brake_again_until_somebody_decides() -> None:
    desk = Desk(FLOOD.replace("hook", "ops"))
    desk.say(*rooms(0, 5))
    [brake] = [alert for alert in desk.book.firing("ops") if hasattr(alert, "route")]
    assert (brake.rule, brake.held, brake.decided_at) == ("black-screen", 3, None)
    desk.decide("discard")
    assert [alert for alert in desk.book.firing("ops") if hasattr(alert, "route")] == []
    assert len(desk.book.firing("ops")) == 2


def test_a_claim_that_is_repeated_counts_once_and_old_ones_are_forgotten() -> None:
    ledger = BrakeLedger()
    assert ledger.apply(claim("a"), T0) == ["a"]
    assert ledger.apply(claim("a"), T0 + 1) == []
    ledger.apply(claim("b"), T0 + 2)
    ledger.apply(claim("c"), T0 + 3)
    assert [ledger.state("r", "x", name) for name in "abcd"] == ["granted", "granted", "held", None]
    ledger.apply(claim("d"), T0 + KEPT_MS + 4)
    assert [ledger.state("r", "x", name) for name in "abcd"] == [None, None, None, "granted"]
    assert list(ledger.held()) == []
    assert ledger.begun_by("c") == []


@pytest.mark.parametrize("value", [b"", b"{}", b'{"what":"claim"}', b'{"what":"x"}', b"\xff", b"[" * 3000])
def test_what_is_no_record_of_brakes_is_refused(value: bytes) -> None:
    with pytest.raises(ForeignMessageError):
        decode_brake(value)


def claim(incident_id: str, per_rule: int = 2, every_s: int = 3600) -> BrakeClaim:
    return BrakeClaim(route="r", rule="x", incident_id=incident_id, per_rule=per_rule, every_s=every_s)


@dataclass
class Naive:
    """The same, counted from the whole past each time."""

    per_rule: int
    every_ms: int

    def states(self, log: list[tuple[int, str]]) -> dict[str, str]:
        found: dict[str, str] = {}
        since = -1
        granted: list[tuple[int, int]] = []
        for number, (at, what) in enumerate(log):
            if what in ("release", "discard"):
                if any(state == "held" for state in found.values()):
                    found = {
                        k: ("granted" if what == "release" else "discarded") if v == "held" else v
                        for k, v in found.items()
                    }
                since = number
            elif what not in found:
                recent = [1 for index, when in granted if index > since and when > at - self.every_ms]
                found[what] = "granted" if len(recent) < self.per_rule else "held"
                if found[what] == "granted":
                    granted.append((number, at))
        return found


@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from([*"abcdefghij", "release", "discard"])), max_size=30),
    st.integers(1, 3),
)
def test_the_ledger_is_what_counting_the_whole_log_gives(steps: list[tuple[int, str]], per_rule: int) -> None:
    ledger, log, at = BrakeLedger(), [], T0
    for wait, what in steps:
        at += wait * S
        log.append((at, what))
        if what in ("release", "discard"):
            ledger.apply(BrakeDecision(route="r", rule="x", decision=what), at)  # type: ignore[arg-type]
        else:
            ledger.apply(claim(what, per_rule, 60), at)
    expected = Naive(per_rule, 60 * S).states(log)
    assert {name: ledger.state("r", "x", name) for name in expected} == expected
