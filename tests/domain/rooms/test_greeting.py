"""greeting-miss: three consecutive entries without a reception within ten seconds, and what leads there."""

import pytest

from tests.support.stories import (
    FIRST_DAY,
    MIDNIGHT,
    START,
    S,
    buyer_comment,
    comment,
    entry,
    frame,
    frames,
    notices,
    played,
    rulebook_with,
    violations,
)
from vigil.app.domain.rooms import RoomMachine
from vigil.topics.rooms import RoomEvent
from vigil.topics.verdicts import ReceptionSeconds, identity

NoticeRow = tuple[str, str | None, int, int, int | None]


def missed(*entries: int) -> list[NoticeRow]:
    return [("entry-missed", "greeting-miss", at, at + 10 * S, None) for at in entries]


def at_risk(since: int, at: int) -> NoticeRow:
    return ("at-risk", "greeting-miss", since, at, None)


def cleared(since: int, at: int) -> NoticeRow:
    return ("risk-cleared", "greeting-miss", since, at, None)


LIVE = frames(0, 120 * S)


def test_three_misses_in_a_row_are_one_violation_at_the_third_deadline() -> None:
    stage = played(LIVE, entry(1 * S), entry(5 * S), entry(20 * S))
    assert violations(stage) == [("greeting-miss", 1 * S, 30 * S)]
    assert notices(stage, "entry-missed") == missed(1 * S, 5 * S, 20 * S)


def test_two_misses_are_no_violation() -> None:
    assert violations(played(LIVE, entry(1 * S), entry(5 * S))) == []


def test_the_verdict_has_every_field() -> None:
    story = [entry(1 * S, "ann", "L2"), entry(5 * S, "bob"), entry(20 * S, "cy", "L0")]
    (verdict,) = played(LIVE, story).verdicts
    since, at = START + 1 * S, START + 30 * S
    assert verdict.verdict_id == identity("greeting-miss", None, "room-1", since, at)
    assert (verdict.rule, verdict.family, verdict.subject) == ("greeting-miss", "reception", None)
    assert (verdict.room_id, verdict.host_id, verdict.rulebook) == ("room-1", "host-1", "2022-07-19")
    assert (verdict.since, verdict.at, verdict.published_at) == (since, at, None)
    assert [(item.topic, item.at - START, item.note) for item in verdict.evidence] == [
        ("buyer-entry", 1 * S, "buyer ann (L2) entered and had no reception within 10 s"),
        ("buyer-entry", 5 * S, "buyer bob (no tier) entered and had no reception within 10 s"),
        ("buyer-entry", 20 * S, "buyer cy (L0) entered and had no reception within 10 s"),
    ]


def test_the_verdict_is_published_by_room_and_by_host() -> None:
    stage = played(LIVE, entry(1 * S), entry(5 * S), entry(20 * S))
    sent = [(out.topic, out.key, out.id, out.at) for out in stage.outputs if out.topic.startswith("verdict")]
    (verdict,) = stage.verdicts
    assert sent == [
        ("verdict", b"room-1", verdict.verdict_id, verdict.at),
        ("verdict-by-host", b"host-1", verdict.verdict_id, verdict.at),
    ]


@pytest.mark.parametrize(("greeted", "expected"), [(50 * S, []), (50 * S + 1, [("greeting-miss", 1 * S, 50 * S)])])
def test_a_reception_on_the_tenth_second_is_in_time(greeted: int, expected: list[object]) -> None:
    story = played(LIVE, entry(1 * S), entry(20 * S), entry(40 * S), comment(greeted))
    assert violations(story) == expected


def test_the_deadline_of_a_time_comes_after_a_comment_of_that_time_and_before_the_next_millisecond() -> None:
    assert notices(played(LIVE, entry(20 * S), comment(30 * S))) == []
    assert notices(played(LIVE, entry(20 * S), comment(30 * S + 1))) == missed(20 * S)


def test_a_reception_at_the_time_of_the_entry_counts() -> None:
    stage = played(LIVE, entry(5 * S), comment(5 * S))
    assert notices(stage) == []
    status = stage.status(60 * S)
    assert (status.entries, status.received, status.missed) == (1, 1, 0)


@pytest.mark.parametrize("intent", [None, "introduce", "answer", "greet-ask"])
def test_a_reception_up_to_a_second_before_the_entry_counts(intent: str | None) -> None:
    """The services that stamp entries and comments have clocks of their own."""
    stage = played(LIVE, comment(4 * S, intent=intent), entry(5 * S))
    assert notices(stage) == []
    status = stage.status(60 * S)
    assert (status.entries, status.received, status.missed) == (1, 1, 0)
    assert status.reception_seconds == ReceptionSeconds(p50=0, p95=0)
    assert notices(played(LIVE, comment(4 * S - 1, intent=intent), entry(5 * S))) == missed(5 * S)


def test_a_reception_counts_wherever_in_the_life_of_the_room_it_falls() -> None:
    """Before the first frame, and while the stream is disconnected."""
    assert notices(played(comment(4 * S), frame(4 * S + 500), entry(5 * S), until=20 * S), "entry-missed") == []
    gone = [frame(0), frame(1 * S, "disconnected"), comment(4 * S), *frames(4 * S + 500, 20 * S)]
    assert notices(played(gone, entry(5 * S)), "entry-missed") == []


def greeting(*said: tuple[int, str]) -> list[RoomEvent]:
    return [comment(at, intent=intent) for at, intent in said]


@pytest.mark.parametrize(
    ("said", "received_after"),
    [
        (greeting((6 * S, "greet")), None),
        (greeting((6 * S, "ask")), None),
        (greeting((6 * S, "greet"), (7 * S, "greet")), None),
        (greeting((6 * S, "greet"), (9 * S, "ask")), 4),
        (greeting((6 * S, "ask"), (9 * S, "greet")), 4),
        (greeting((4 * S, "ask"), (9 * S, "greet")), 4),
        (greeting((4 * S - 1, "ask"), (9 * S, "greet")), None),
        (greeting((4 * S, "ask"), (4 * S + 500, "greet")), 0),
        (greeting((6 * S, "greet"), (15 * S, "ask")), 10),
        (greeting((6 * S, "greet"), (15 * S + 1, "ask")), None),
        (greeting((6 * S, "greet"), (7 * S, "chat"), (9 * S, "answer")), 4),
        (greeting((6 * S, "greet-ask"), (7 * S, "ask")), 1),
    ],
)
def test_a_greeting_and_a_question_receive_together(said: list[RoomEvent], received_after: int | None) -> None:
    status = played(LIVE, entry(5 * S), said).status(60 * S)
    assert (status.received, status.missed) == ((0, 1) if received_after is None else (1, 0))
    if received_after is not None:
        assert status.reception_seconds == ReceptionSeconds(p50=received_after, p95=received_after)


def test_a_pair_receives_the_entries_whose_span_holds_both() -> None:
    story = [entry(5 * S, "ann"), comment(6 * S, intent="ask"), entry(7 * S, "bob"), entry(7 * S + 1, "cy")]
    stage = played(LIVE, story, comment(8 * S, intent="greet"))
    assert [(notice.buyer_id, notice.kind) for notice in stage.notices] == [("cy", "entry-missed")]


def test_a_greeting_alone_counts_where_the_rulebook_says_so() -> None:
    machine = RoomMachine(rulebook_with("greeting-miss", greeting_alone_counts=True))
    live = frames(MIDNIGHT - 30 * S, MIDNIGHT + 30 * S)
    said = [comment(MIDNIGHT - 9 * S, intent="greet"), comment(MIDNIGHT + 2 * S, intent="greet")]
    entries = [entry(at, f"b{at}") for at in (MIDNIGHT - 10 * S, MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 1 * S)]
    stage = played(live, entries, said, machine=machine)
    missed_ones = [notice.buyer_id for notice in stage.notices if notice.kind == "entry-missed"]
    assert missed_ones == [f"b{MIDNIGHT - 10 * S}", f"b{MIDNIGHT - 1}"]
    status = stage.status(MIDNIGHT + 30 * S)
    assert (status.received, status.missed) == (2, 2)


def test_misses_are_counted_in_the_order_of_entry_where_a_later_one_is_received_first() -> None:
    """Only from midnight on does a greeting alone receive: what entered before is decided after what came later."""
    machine = RoomMachine(rulebook_with("greeting-miss", greeting_alone_counts=True))
    live = frames(MIDNIGHT - 30 * S, MIDNIGHT + 40 * S)
    entries = [entry(at, f"b{at}") for at in (MIDNIGHT - 2, MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 5 * S, MIDNIGHT + 6 * S)]
    stage = played(live, entries, comment(MIDNIGHT + 1 * S, intent="greet"), machine=machine)
    # Two misses, one received, two misses: never three in a row.
    assert violations(stage) == []
    assert [kind for kind, *_ in notices(stage, "at-risk", "risk-cleared")] == ["at-risk", "risk-cleared", "at-risk"]


def test_one_reception_serves_every_entry_within_ten_seconds_before() -> None:
    stage = played(LIVE, entry(5 * S), entry(10 * S), entry(15 * S), comment(15 * S))
    assert stage.status(60 * S).received == 3
    stage = played(LIVE, entry(5 * S - 1), entry(10 * S), entry(15 * S), comment(15 * S))
    assert (stage.status(60 * S).received, notices(stage, "entry-missed")) == (2, missed(5 * S - 1))


@pytest.mark.parametrize(
    ("said", "received"),
    [
        (comment(8 * S), True),
        (comment(8 * S, intent="greet"), False),
        (comment(8 * S, intent="ask"), False),
        (comment(8 * S, intent="greet-ask"), True),
        (comment(8 * S, intent="introduce"), True),
        (comment(8 * S, intent="answer"), True),
        (comment(8 * S, intent="chat"), False),
        (comment(8 * S, via="speech"), True),
        (comment(8 * S, via="auto"), False),
        (comment(8 * S, via="auto", intent="answer"), False),
        (comment(8 * S, text="\u200b"), False),
        (comment(8 * S, text=""), False),
        (comment(8 * S, text=" \t\n"), False),
        (buyer_comment(8 * S), False),
    ],
)
def test_what_is_a_reception(said: object, received: bool) -> None:
    assert (notices(played(LIVE, entry(5 * S), [said])) == []) is received  # type: ignore[list-item]


def test_a_received_entry_sets_the_count_to_0() -> None:
    story = [entry(1 * S), entry(5 * S), entry(20 * S), comment(25 * S), entry(40 * S), entry(45 * S)]
    assert violations(played(LIVE, story)) == []
    assert violations(played(LIVE, story, entry(50 * S))) == [("greeting-miss", 40 * S, 60 * S)]


def test_a_reception_that_receives_nobody_leaves_the_count() -> None:
    story = [entry(1 * S), entry(5 * S), comment(20 * S), entry(30 * S)]
    assert violations(played(LIVE, story)) == [("greeting-miss", 1 * S, 40 * S)]


def test_after_a_violation_the_count_starts_at_0() -> None:
    story = [entry(at * S) for at in range(1, 7)]
    assert violations(played(LIVE, story)) == [
        ("greeting-miss", 1 * S, 13 * S),
        ("greeting-miss", 4 * S, 16 * S),
    ]
    assert len(violations(played(LIVE, story[:5]))) == 1


def test_violations_of_one_identity_are_one() -> None:
    story = [entry(5 * S, buyer) for buyer in "abcdefghi"]
    stage = played(LIVE, story)
    assert violations(stage) == [("greeting-miss", 5 * S, 15 * S)]
    assert stage.status(60 * S).verdicts == 1
    assert stage.status(60 * S).missed == 9
    assert notices(stage, "at-risk") == [at_risk(5 * S, 15 * S)]


@pytest.mark.parametrize(
    ("again", "entries"),
    [
        (14 * S, 1),  # undecided
        (15 * S, 1),  # the deadline of a time comes after its events
        (15 * S + 1, 2),  # missed by then
    ],
)
def test_a_buyer_with_an_undecided_entry_does_not_count_again(again: int, entries: int) -> None:
    stage = played(LIVE, entry(5 * S, "ann"), entry(again, "ann"))
    assert stage.status(60 * S).entries == entries
    assert len(notices(stage, "entry-missed")) == entries


def test_a_received_buyer_counts_again() -> None:
    stage = played(LIVE, entry(5 * S, "ann"), comment(6 * S - 1), entry(7 * S, "ann"))
    assert stage.status(60 * S).entries == 2
    assert notices(stage) == missed(7 * S)


@pytest.mark.parametrize("tier", [None, "L0", "L1", "L2", "L3", "L4"])
def test_high_quality_buyers_have_priority(tier: str | None) -> None:
    (notice,) = played(LIVE, entry(5 * S, "ann", tier)).notices
    assert notice.priority == ("normal" if tier in (None, "L0") else "high")
    assert (notice.kind, notice.rule, notice.buyer_id) == ("entry-missed", "greeting-miss", "ann")
    assert notice.notice_id == identity("entry-missed", "greeting-miss", "ann", "room-1", START + 5 * S, START + 15 * S)


# Not live ------------------------------------------------------------------------------------------------------


def test_an_entry_before_the_first_frame_is_not_judged() -> None:
    stage = played(entry(5 * S), frame(5 * S))
    assert stage.until(60 * S).status(60 * S).entries == 0
    assert played(entry(5 * S, "a")).until(60 * S).notices == []


@pytest.mark.parametrize("stream", ["disconnected", "ended"])
def test_entries_while_not_live_are_not_judged(stream: str) -> None:
    stage = played(frame(0), frame(1 * S, stream), entry(2 * S)).until(60 * S)
    assert stage.status(60 * S).entries == 0
    assert notices(stage, "entry-missed") == []


@pytest.mark.parametrize("stream", ["disconnected", "ended"])
def test_undecided_entries_are_cancelled_when_the_stream_is_not_live(stream: str) -> None:
    stage = played(frames(0, 10 * S), entry(5 * S), frame(15 * S, stream)).until(60 * S)
    assert notices(stage, "entry-missed") == []
    status = stage.status(60 * S)
    assert (status.entries, status.received, status.missed, status.waiting) == (1, 0, 0, ())


def test_an_entry_missed_just_before_the_stream_stops_is_missed() -> None:
    stage = played(frames(0, 10 * S), entry(5 * S), frame(15 * S + 1, "disconnected")).until(60 * S)
    assert notices(stage, "entry-missed") == missed(5 * S)


def test_the_count_starts_at_0_when_the_stream_is_not_live() -> None:
    story = [entry(1 * S), entry(2 * S), entry(30 * S)]
    back = [frame(20 * S, "disconnected"), *frames(21 * S, 60 * S)]
    assert violations(played(frames(0, 60 * S), story)) == [("greeting-miss", 1 * S, 40 * S)]
    stage = played(frames(0, 19 * S), back, story)
    assert violations(stage) == []
    assert notices(stage, "at-risk", "risk-cleared") == [at_risk(1 * S, 12 * S), cleared(1 * S, 20 * S)]


def test_a_gap_in_frames_leaves_entries_and_misses_alone() -> None:
    story = [frame(0), entry(1 * S), entry(40 * S), entry(80 * S)]
    assert violations(played(story).until(120 * S)) == [("greeting-miss", 1 * S, 90 * S)]


# At risk -------------------------------------------------------------------------------------------------------


def test_the_second_miss_puts_the_room_at_risk() -> None:
    stage = played(LIVE, entry(1 * S), entry(5 * S))
    assert notices(stage, "at-risk") == [at_risk(1 * S, 15 * S)]


def test_a_reception_clears_the_risk() -> None:
    stage = played(LIVE, entry(1 * S), entry(5 * S), entry(20 * S), comment(22 * S))
    assert notices(stage, "at-risk", "risk-cleared") == [at_risk(1 * S, 15 * S), cleared(1 * S, 22 * S)]


def test_a_violation_clears_no_risk() -> None:
    stage = played(LIVE, entry(1 * S), entry(5 * S), entry(20 * S), comment(31 * S), entry(32 * S), comment(33 * S))
    assert notices(stage, "at-risk", "risk-cleared") == [at_risk(1 * S, 15 * S)]


def test_a_room_that_expires_clears_the_risk() -> None:
    day = 24 * 3600 * S
    stage = played(frame(0), entry(1 * S), entry(5 * S)).until(5 * S + day)
    assert notices(stage, "at-risk", "risk-cleared") == [at_risk(1 * S, 15 * S), cleared(1 * S, 5 * S + day)]


# In force ------------------------------------------------------------------------------------------------------


def test_an_entry_before_the_rule_came_into_force_is_not_judged() -> None:
    entries = [entry(FIRST_DAY + at) for at in (-1, 0, 1, 2)]
    stage = played(frame(FIRST_DAY - 10 * S), frames(FIRST_DAY, FIRST_DAY + 20 * S), entries)
    assert violations(stage) == [("greeting-miss", FIRST_DAY, FIRST_DAY + 2 + 10 * S)]
    assert stage.status(FIRST_DAY + 20 * S).entries == 3


def test_an_entry_is_judged_by_the_limits_at_its_time() -> None:
    """Twelve seconds from midnight on: entries on either side have their own."""
    machine = RoomMachine(rulebook_with("greeting-miss", within_s=12))
    at = MIDNIGHT
    stage = played(frames(at - 9 * S, at + 60 * S), entry(at - 1), entry(at), entry(at + 1 * S), machine=machine)
    assert [notice.at - START for notice in stage.notices if notice.kind == "entry-missed"] == [
        at - 1 + 10 * S,
        at + 12 * S,
        at + 13 * S,
    ]
    (verdict,) = stage.verdicts
    assert (verdict.since - START, verdict.at - START, verdict.rulebook) == (at - 1, at + 13 * S, "2022-08-09")
    assert verdict.evidence[0].note.endswith("within 10 s")
    assert verdict.evidence[1].note.endswith("within 12 s")


class TestALimitThatIsShortenedAtMidnight:
    """Three seconds from midnight on: a later entry is due before an earlier one, and counted after it."""

    machine = RoomMachine(rulebook_with("greeting-miss", within_s=3))
    before = MIDNIGHT - 1 * S
    """An entry then is due at nine seconds past midnight."""

    def test_misses_are_counted_in_the_order_of_entry(self) -> None:
        after = [entry(MIDNIGHT + at * S) for at in (0, 1)]
        stage = played(frames(self.before - S, MIDNIGHT + 20 * S), entry(self.before), after, machine=self.machine)
        assert [notice.at - MIDNIGHT - START for notice in stage.notices if notice.kind == "entry-missed"] == [
            3 * S,
            4 * S,
            9 * S,
        ]
        assert violations(stage) == [("greeting-miss", self.before, MIDNIGHT + 4 * S)]

    def test_a_reception_of_the_earlier_one_comes_before_the_later_misses(self) -> None:
        after = [entry(MIDNIGHT + at * S) for at in (0, 1)]
        story = [entry(self.before), *after, comment(MIDNIGHT + 5 * S - 1), entry(MIDNIGHT + 6 * S)]
        stage = played(frames(self.before - S, MIDNIGHT + 20 * S), story, machine=self.machine)
        assert violations(stage) == [("greeting-miss", MIDNIGHT, MIDNIGHT + 9 * S)]
        status = stage.status(MIDNIGHT + 20 * S)
        assert (status.entries, status.received, status.missed) == (4, 1, 3)

    def test_three_later_misses_make_a_violation_once_the_earlier_one_is_decided(self) -> None:
        after = [entry(MIDNIGHT + at * S) for at in (0, 1, 2)]
        story = [entry(self.before), *after, comment(MIDNIGHT + 6 * S)]
        stage = played(frames(self.before - S, MIDNIGHT + 20 * S), story, machine=self.machine)
        assert violations(stage) == [("greeting-miss", MIDNIGHT, MIDNIGHT + 5 * S)]

    def test_cancelling_the_earlier_one_does_not_cancel_misses(self) -> None:
        after = [entry(MIDNIGHT + at * S) for at in (0, 1, 2)]
        live = frames(self.before - S, MIDNIGHT + 5 * S)
        gone = frame(MIDNIGHT + 6 * S, "disconnected")
        stage = played(live, gone, entry(self.before), after, machine=self.machine)
        assert violations(stage) == [("greeting-miss", MIDNIGHT, MIDNIGHT + 5 * S)]

    def test_a_buyer_missed_early_may_count_again(self) -> None:
        story = [entry(self.before, "ann"), entry(MIDNIGHT, "bob"), entry(MIDNIGHT + 4 * S, "bob")]
        stage = played(frames(self.before - S, MIDNIGHT + 20 * S), story, machine=self.machine)
        assert stage.status(MIDNIGHT + 20 * S).missed == 3


def test_the_number_of_misses_may_change_at_midnight() -> None:
    machine = RoomMachine(rulebook_with("greeting-miss", in_a_row=2, at_risk_misses=1))
    at = MIDNIGHT
    story = [entry(at - 20 * S), entry(at - 10 * S), entry(at)]
    stage = played(frames(at - 30 * S, at + 60 * S), story, machine=machine)
    assert violations(stage) == [("greeting-miss", at - 10 * S, at + 10 * S)]
