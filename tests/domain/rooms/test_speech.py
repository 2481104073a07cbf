"""What the host says: labels that count at once, and the same thing said over and over."""

from typing import Any

import pytest

from tests.support.stories import (
    FIRST_DAY,
    HOUR,
    MIDNIGHT,
    START,
    S,
    buyer_comment,
    comment,
    frame,
    frames,
    played,
    rulebook_with,
    violations,
)
from vigil.app.domain.rooms import RoomMachine
from vigil.topics.rooms import Comment
from vigil.topics.verdicts import identity

SPAM = "buy this red machine now"
LABELS = [("harassment", "abuse"), ("rights", "rights:trademark"), ("prohibited-goods", "prohibited:medicine")]


def said(at: int, label: str, **rest: Any) -> Comment:
    return comment(at, "so there", labels=(label,), intent="chat", **rest)


def spam(*times: int, text: str = SPAM, **rest: Any) -> list[Comment]:
    return [comment(at, text, **{"intent": "chat", **rest}) for at in times]


# Labels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "label"), LABELS)
def test_a_label_on_a_host_comment_is_a_violation_at_once(rule: str, label: str) -> None:
    stage = played(frame(0), said(5 * S, label))
    (verdict,) = stage.verdicts
    assert (verdict.rule, verdict.subject, verdict.since, verdict.at) == (rule, label, START + 5 * S, START + 5 * S)
    assert verdict.verdict_id == identity(rule, label, "room-1", START + 5 * S, START + 5 * S)
    assert verdict.rulebook == "2022-07-19"
    (evidence,) = verdict.evidence
    assert (evidence.topic, evidence.at) == ("comment", START + 5 * S)
    assert evidence.note == f"comment comment@5000 labelled '{label}': 'so there'"


@pytest.mark.parametrize("label", ["abuses", "rights", "prohibited", "minor", "theme-mismatch", "Rights:x", ""])
def test_other_labels_are_no_violation(label: str) -> None:
    assert violations(played(frame(0), said(5 * S, label))) == []


@pytest.mark.parametrize(("rule", "label"), LABELS)
def test_speech_is_judged_as_text_is(rule: str, label: str) -> None:
    assert violations(played(frame(0), said(5 * S, label, via="speech"))) == [(rule, 5 * S, 5 * S)]


@pytest.mark.parametrize(("rule", "label"), LABELS)
def test_what_buyers_say_is_not_judged(rule: str, label: str) -> None:
    assert violations(played(frame(0), buyer_comment(5 * S, labels=(label,)))) == []


@pytest.mark.parametrize(("rule", "label"), LABELS)
def test_the_same_label_counts_again_from_exactly_an_hour_after_it_last_counted(rule: str, label: str) -> None:
    again = [said(5 * S + HOUR - 1, label), said(5 * S + HOUR, label), said(5 * S + 2 * HOUR - 1, label)]
    stage = played(frame(0), said(5 * S, label), again)
    assert violations(stage) == [(rule, 5 * S, 5 * S), (rule, 5 * S + HOUR, 5 * S + HOUR)]


def test_a_statement_repeated_within_the_hour_does_not_lengthen_it() -> None:
    stage = played(frame(0), [said(1 + minute * 60 * S, "abuse") for minute in range(61)])
    assert violations(stage) == [("harassment", 1, 1), ("harassment", 1 + HOUR, 1 + HOUR)]


def test_each_label_has_an_hour_of_its_own() -> None:
    stage = played(frame(0), comment(5 * S, labels=("rights:a", "rights:b", "rights:a")), said(6 * S, "rights:c"))
    assert [verdict.subject for verdict in stage.verdicts] == ["rights:a", "rights:b", "rights:c"]


def test_frames_do_not_share_the_hour() -> None:
    stage = played(frames(0, 10 * S, labels=("rights:a",)), said(5 * S, "rights:a"))
    assert violations(stage) == [("rights", 0, 3 * S), ("rights", 5 * S, 5 * S)]


def test_before_the_first_frame_nothing_is_judged_and_nothing_counts() -> None:
    stage = played(said(5 * S, "abuse"), frame(6 * S), said(7 * S, "abuse"))
    assert violations(stage) == [("harassment", 7 * S, 7 * S)]


@pytest.mark.parametrize("stream", ["disconnected", "ended"])
def test_after_the_first_frame_it_is_judged_live_or_not(stream: str) -> None:
    assert violations(played(frame(0, stream), said(7 * S, "abuse"))) == [("harassment", 7 * S, 7 * S)]


def test_the_rule_must_be_in_force() -> None:
    at = FIRST_DAY
    stage = played(frame(at - 10 * S), said(at - 1, "abuse"), said(at, "abuse"))
    assert violations(stage) == [("harassment", at, at)]


def test_the_hour_is_that_of_the_limits_at_the_comment() -> None:
    machine = RoomMachine(rulebook_with("rights", again_s=60))
    at = MIDNIGHT
    story = [
        said(at - 90 * S, "rights:a"),
        said(at - 1, "rights:a"),
        said(at, "rights:a"),
        said(at + 59 * S, "rights:a"),
    ]
    assert violations(played(frame(at - 100 * S), story, machine=machine)) == [
        ("rights", at - 90 * S, at - 90 * S),
        ("rights", at, at),
    ]


def test_evidence_repeats_the_beginning_of_a_long_text() -> None:
    (verdict,) = played(frame(0), comment(5 * S, "x" * 4096, labels=("abuse",))).verdicts
    assert verdict.evidence[0].note == f"comment comment@5000 labelled 'abuse': '{'x' * 79}…'"


def test_evidence_repeats_the_beginning_of_a_long_label() -> None:
    label = "rights:" + "y" * 5000
    for stage in (played(frame(0), said(5 * S, label)), played(frames(0, 3 * S, labels=(label,)))):
        (verdict,) = stage.verdicts
        assert verdict.subject == label
        assert all(len(item.note) < 200 for item in verdict.evidence)


# Near-identical ------------------------------------------------------------------------------------------------


def test_the_fifth_near_identical_comment_within_a_minute_is_a_violation() -> None:
    times = [1 * S, 10 * S, 20 * S, 30 * S, 61 * S]
    stage = played(frame(0), spam(*times))
    assert violations(stage) == [("harassment", 1 * S, 61 * S)]
    (verdict,) = stage.verdicts
    assert verdict.subject is None
    assert [(item.topic, item.at - START) for item in verdict.evidence] == [("comment", at) for at in times]
    assert verdict.evidence[4].note == f"comment comment@61000: '{SPAM}'"


def test_five_in_a_minute_and_a_millisecond_are_no_violation() -> None:
    assert violations(played(frame(0), spam(1 * S, 10 * S, 20 * S, 30 * S, 61 * S + 1))) == []


def test_four_near_identical_comments_are_no_violation() -> None:
    assert violations(played(frame(0), spam(1 * S, 2 * S, 3 * S, 4 * S))) == []


def test_other_comments_in_between_do_not_matter() -> None:
    others = [comment(500 + at * S, chr(ord("a") + at) * 20) for at in range(1, 9)]
    assert violations(played(frame(0), spam(1 * S, 3 * S, 5 * S, 7 * S, 9 * S), others)) == [
        ("harassment", 1 * S, 9 * S)
    ]


def test_with_more_than_five_it_is_the_latest_five() -> None:
    """After the hour, the comments of the last minute may be more than five: the nearest ones are evidence."""
    first = spam(*(second * S for second in range(1, 6)))
    again = spam(*(5 * S + HOUR + second * S for second in range(-7, 1)))
    stage = played(frame(0), first, again)
    assert violations(stage) == [("harassment", 1 * S, 5 * S), ("harassment", HOUR + 1 * S, HOUR + 5 * S)]


def test_repetition_is_a_violation_once_an_hour_a_room() -> None:
    assert len(violations(played(frame(0), spam(*(second * S for second in range(1, 3600, 6)))))) == 1
    times = [1 * S, 2 * S, 3 * S, 4 * S, 5 * S, *(HOUR + second * S for second in (1, 2, 3, 4))]
    assert violations(played(frame(0), spam(*times, 5 * S + HOUR - 1))) == [("harassment", 1 * S, 5 * S)]
    assert violations(played(frame(0), spam(*times, 5 * S + HOUR))) == [
        ("harassment", 1 * S, 5 * S),
        ("harassment", HOUR + 1 * S, HOUR + 5 * S),
    ]


def test_abuse_and_repetition_do_not_share_the_hour() -> None:
    stage = played(frame(0), said(500, "abuse"), spam(1 * S, 2 * S, 3 * S, 4 * S, 5 * S))
    assert [verdict.subject for verdict in stage.verdicts] == ["abuse", None]


@pytest.mark.parametrize("intent", ["greet", "ask", "greet-ask", "introduce", "answer"])
def test_receptions_are_no_harassment(intent: str) -> None:
    assert violations(played(frame(0), spam(*(second * S for second in range(1, 20)), intent=intent))) == []


@pytest.mark.parametrize("intent", [None, "chat"])
def test_what_is_not_labelled_a_reception_counts(intent: str | None) -> None:
    assert len(violations(played(frame(0), spam(1 * S, 2 * S, 3 * S, 4 * S, 5 * S, intent=intent)))) == 1


def test_a_reception_is_left_out_of_the_five() -> None:
    story = [*spam(1 * S, 2 * S, 3 * S, 5 * S), *spam(4 * S, intent="greet")]
    assert violations(played(frame(0), story)) == []


def test_speech_is_left_out() -> None:
    assert violations(played(frame(0), spam(*(second * S for second in range(1, 20)), via="speech"))) == []


def test_buyers_are_left_out() -> None:
    story = [buyer_comment(second * S, text=SPAM) for second in range(1, 20)]
    assert violations(played(frame(0), story)) == []


def test_comments_before_the_first_frame_are_left_out() -> None:
    assert violations(played(spam(1 * S), frame(2 * S), spam(3 * S, 4 * S, 5 * S, 6 * S))) == []


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("x" * 12, True),
        ("x" * 11, False),
        ("x" * 11 + "!!!", False),  # eleven once folded
        ("hello   world", False),
        ("hello  a world", True),
        ("你这个骗子快滚出直播间", True),  # eleven characters of two columns
        ("价" * 6, True),
        ("价" * 5 + "a", False),
        ("ｘ" * 6, False),  # full-width letters are narrow once folded
        ("e\u0301" * 11, False),
    ],
)
def test_short_comments_are_left_out(text: str, counts: bool) -> None:
    assert bool(violations(played(frame(0), spam(1, 2, 3, 4, 5, text=text)))) is counts


def test_small_changes_are_near_identical() -> None:
    texts = [
        "Buy this red machine now",
        "BUY THIS RED MACHINE NOW!!!",
        "buy   this red\tmachine, now…",
        "buy this red machine nov",
        "«buy» this-red machine now",
    ]
    story = [comment(at, text, intent="chat") for at, text in enumerate(texts, start=1)]
    assert len(violations(played(frame(0), story))) == 1


SAME_TO_THE_EYE = [
    "this buyer is a cheat",
    "th\u200bis bu\u2062yer\ufeff is a\u2068 cheat",
    "ｔhis ｂｕyer ｉs a ｃheat",
    "thîs büyer ìs â çhéat",
    "t\u0336his buyer i\u20dds a cheat",
    "THIS BUYER… IS A $CHEAT$",
    "this\u2800 buyer\u3164 is a \u115fcheat",
]


@pytest.mark.parametrize("text", SAME_TO_THE_EYE)
def test_an_insult_is_the_same_however_it_is_spelt(text: str) -> None:
    story = [comment(at, words) for at, words in enumerate([*SAME_TO_THE_EYE[:1] * 4, text], start=1)]
    assert violations(played(frame(0), story)) == [("harassment", 1, 5)]


def test_likeness_is_to_the_last_one_not_among_the_others() -> None:
    """The fifth is like each of four that are not like each other."""
    base = "abcdefghijklmnopqrst"  # 20: two changes are still near-identical
    four = ["XY" + base[2:], base[:5] + "XY" + base[7:], base[:10] + "XY" + base[12:], base[:-2] + "XY"]
    story = [comment(at, text, intent="chat") for at, text in enumerate([*four, base], start=1)]
    assert violations(played(frame(0), story)) == [("harassment", 1, 5)]
    assert violations(played(frame(0), [*story[:4], comment(5, "ZZ" + four[3][2:], intent="chat")])) == []


def test_the_first_of_five_must_be_made_under_the_rule() -> None:
    first = FIRST_DAY
    live = frame(first - 100 * S)
    assert violations(played(live, spam(*(first + at for at in (-1, 0, 1, 2, 3))))) == []
    assert violations(played(live, spam(*(first + at for at in (0, 1, 2, 3, 4))))) == [("harassment", first, first + 4)]


def test_what_is_too_short_by_the_limits_that_judge_does_not_count_though_later_limits_would_count_it() -> None:
    machine = RoomMachine(rulebook_with("harassment", shortest=5))
    for short, expected in (("x" * 11, []), ("x" * 12, [("harassment", 1 * S, 5 * S)])):
        story = [*spam(1 * S, 2 * S, 3 * S, 4 * S, text=short), *spam(5 * S, text="x" * 12)]
        assert violations(played(frame(0), story, machine=machine)) == expected


def test_the_limits_in_force_at_the_first_of_them_judge() -> None:
    machine = RoomMachine(rulebook_with("harassment", repeats=3))
    at = MIDNIGHT
    live = frame(at - 100 * S)
    assert violations(played(live, spam(at - 2, at - 1, at), machine=machine)) == []
    stage = played(live, spam(at - 2, at - 1, at, at + 1, at + 2), machine=machine)
    # Three since midnight by its limits come together with five by those of the day before, which go first.
    assert violations(stage) == [("harassment", at - 2, at + 2)]
    assert stage.verdicts[0].rulebook == "2022-07-19"
    stage = played(live, spam(at - 1, at, at + 1, at + 2), machine=machine)
    assert violations(stage) == [("harassment", at, at + 2)]
    assert stage.verdicts[0].rulebook == "2022-08-09"
