"""What detectors, transcribers and people really send about rooms, from a recording to the verdicts."""

from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from tests.support.stories import START, S, as_message, comment, entry, frame, frames, in_order, rulebook_with
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.runtime.replay import Outputs, Replay
from vigil.app.runtime.replay_clocks import AllowedLateness
from vigil.topics.rooms import RoomEvent
from vigil.topics.verdicts import Notice, Verdict

RULEBOOK = load_rulebook()


def replayed(lines: Iterable[dict[str, Any]], rulebook: Rulebook = RULEBOOK, **by_topic: int) -> Outputs:
    run = Replay(rulebook, AllowedLateness(2000, by_topic))
    run.feed(orjson.dumps(line) for line in lines)
    return run.end()


def played(*story: RoomEvent | Iterable[RoomEvent], rulebook: Rulebook = RULEBOOK) -> Outputs:
    return replayed(map(as_message, in_order(*story)), rulebook)


def verdicts(outputs: Outputs) -> list[tuple[str, str | None]]:
    return [(output.body.rule, output.body.subject) for output in outputs["verdict"]]  # type: ignore[union-attr]


INSULT = "this buyer is a cheat and everybody should laugh at him"


def full_width(text: str, every: int) -> str:
    """The text with some letters in their full-width form, which are others for each number."""
    return "".join(chr(ord(c) + 0xFEE0) if c.isalpha() and ord(c) % 7 == every else c for c in text)


SPELLINGS = {
    "plain": [INSULT] * 7,
    "with zero-width characters": [INSULT[:at] + "\u200b\ufeff\u2062\u2068"[at % 4] + INSULT[at:] for at in range(7)],
    "in full-width letters": [full_width(INSULT, at) for at in range(7)],
    "in Chinese": ["你这个骗子快滚出直播间"] * 9,
}


@pytest.mark.parametrize("texts", SPELLINGS.values(), ids=SPELLINGS)
def test_the_same_insult_again_and_again_is_harassment_however_it_is_spelt(texts: list[str]) -> None:
    said = [comment(1 + at * S, text) for at, text in enumerate(texts)]
    assert verdicts(played(frame(0), said)) == [("harassment", None)]


def test_a_zero_width_space_every_ten_seconds_is_no_reception() -> None:
    story: list[RoomEvent] = [*frames(0, 400 * S, face=False), *(entry(at * S + 100) for at in range(5, 400, 10))]
    blanks = [comment(at * S + 200, "\u200b") for at in range(8, 400, 10)]
    nothing, blank = played(story), played(story, blanks)
    assert len(nothing["verdict"]) == 14
    assert blank["verdict"] == nothing["verdict"]
    assert blank["enforcement"] == nothing["enforcement"]


def test_one_statement_is_one_violation_however_its_label_is_spelt() -> None:
    spellings = [
        *("abuse", "Abuse", "abuse ", "ABUSE"),
        *("prohibited:medicine", "Prohibited:medicine", "prohibited: medicine", "prohibited：medicine"),
        *("prohibited medicine", "prohibited_medicine", "right:trademark", "abuse:hate"),
        *("prohibited:", "rights:trademark"),
    ]
    said = [comment(1000 + at, "x y z", labels=(label,)) for at, label in enumerate(spellings)]
    outputs = played(frames(0, 30 * S, labels=("Minor",)), said)
    assert sorted(verdicts(outputs)) == [
        ("harassment", "abuse"),
        ("minor", "minor"),
        ("prohibited-goods", "prohibited:medicine"),
        ("prohibited-goods", "prohibited:unspecified"),
        ("rights", "rights:trademark"),
    ]
    unknown = {name: number for name, number in outputs.counts.items() if name.startswith("unknown_label")}
    assert unknown == {
        "unknown_label:prohibited-medicine": 2,
        "unknown_label:right:trademark": 1,
        "unknown_label:abuse:hate": 1,
    }


def test_one_bad_frame_in_a_hundred_hides_a_black_screen_unless_the_rulebook_tolerates_it() -> None:
    flicker = [frame(at * S, black=at % 100 != 99) for at in range(600)]
    tolerant = rulebook_with("black-screen", "2022-08-01", tolerate_s=3, tolerate_share=0.05)
    assert verdicts(played(flicker)) == []
    assert verdicts(played(flicker, rulebook=tolerant)) == [("black-screen", None)]


def transcribed(delay_ms: int, intent: str) -> list[dict[str, Any]]:
    """A buyer enters every 11 s; the host speaks 1.5 s later, and the transcript arrives so much later."""
    events: list[tuple[int, RoomEvent]] = [(at.at, at) for at in frames(0, 60 * S)]
    events += [(START + at * S, entry(at * S)) for at in range(1, 50, 11)]
    for at in range(1, 50, 11):
        said = comment(at * S + 1500, "hello and welcome", via="speech", intent=intent)
        events.append((said.at + delay_ms, said))
    return [as_message(event) for _, event in sorted(events, key=lambda arrival: arrival[0])]


def contested(outputs: Outputs) -> list[tuple[int, int]]:
    """`since` and `at` of the notices that contest the only verdict."""
    notices = [output.body for output in outputs["notice"] if isinstance(output.body, Notice)]
    verdict_ids = {output.id for output in outputs["verdict"]}
    found = [notice for notice in notices if notice.kind == "verdict-contested"]
    assert {notice.verdict_id for notice in found} <= verdict_ids
    return [(notice.since - START, notice.at - START) for notice in found]


def test_slow_transcripts_are_judged_where_comments_are_given_the_time() -> None:
    assert verdicts(replayed(transcribed(5000, "greet-ask"), comment=7000)) == []


@pytest.mark.parametrize("intent", ["greet-ask", "greet"])
@pytest.mark.parametrize(("delay_ms", "expected"), [(1000, []), (3000, [(2500, 33_000)]), (5000, [(2500, 33_000)])])
def test_transcripts_that_come_too_late_contest_the_verdict_with_its_publication(
    delay_ms: int, expected: list[tuple[int, int]], intent: str
) -> None:
    """All of them arrive before the deadlines of their entries."""
    outputs = replayed(transcribed(delay_ms, intent))
    assert outputs.counts.get("refused:comment:late", 0) == (5 if expected else 0)
    assert contested(outputs) == expected


@pytest.mark.parametrize("intent", ["greet-ask", "greet"])
def test_a_transcript_that_comes_after_the_verdict_contests_it(intent: str) -> None:
    """Also a bare greeting: it may be half of what was said. One that came before has contested the verdict already."""
    outputs = replayed(transcribed(15_000, intent))
    (verdict,) = (output.body for output in outputs["verdict"])
    assert isinstance(verdict, Verdict)
    assert (verdict.since - START, verdict.at - START) == (1 * S, 33 * S)
    assert contested(outputs) == [(2500, 33 * S), (24_500, 37 * S)]
    assert len(outputs.rejected) == 5
