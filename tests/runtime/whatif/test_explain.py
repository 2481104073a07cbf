"""One verdict in words: every number from the rulebook, the evidence or the action; nothing that a terminal obeys."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from tests.support.run_command import run
from tests.support.stories import (
    MIN,
    NEXT_DAY,
    ROOM,
    RULEBOOK,
    START,
    S,
    as_message,
    buyer_comment,
    comment,
    entry,
    frame,
    frames,
    in_order,
    layout,
    rulebook_with,
)
from vigil.app.domain.rooms.rules.frame_conditions import bad_layout
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.reader import BUILT_IN, parse_rulebook
from vigil.app.messages import CATALOGUES, LANGUAGES, Language
from vigil.app.runtime.replay import replay
from vigil.app.runtime.whatif.explain import Explanation, explain
from vigil.app.runtime.whatif.patch import patched
from vigil.app.runtime.whatif.sources import raws_of
from vigil.app.runtime.whatif.story import layout_faults
from vigil.topics.rooms import Intent, Layout, RoomEvent, Stream
from vigil.topics.verdicts import Action, Step, Verdict


def recording(*story: RoomEvent | Iterable[RoomEvent]) -> list[bytes]:
    return [msgspec.json.encode(as_message(event)) for event in in_order(*story)]


def explained(
    *story: RoomEvent | Iterable[RoomEvent],
    rule: str,
    rulebook: Rulebook = RULEBOOK,
    number: int = -1,
    language: Language = "en",
) -> Explanation:
    """The last verdict of a rule (or its `number`th), explained with all there is."""
    lines = recording(*story)
    outputs = replay(lines, rulebook)
    verdicts = [output.body for output in outputs["verdict"] if isinstance(output.body, Verdict)]
    actions = [output.body for output in outputs["enforcement"] if isinstance(output.body, Action)]
    chosen = [verdict for verdict in verdicts if verdict.rule == rule][number]
    return explain(chosen, verdicts, actions, rulebook, raws_of(lines, ROOM, {}), language)


def text(answer: Explanation) -> str:
    return " ".join([answer.happened, *answer.prevented, *answer.follows, *answer.caveats])


MISSED = (frames(0, 70 * S), entry(10 * S, "ann", "L2"), entry(20 * S, "ben"), entry(30 * S, "cho"))
"""Started at 16:06:40 of the marketplace's day."""


class TestPrevention:
    """Each rule says its own remedy, with the numbers that judged it."""

    def test_greeting_names_the_three_times_in_which_a_reception_would_have_done(self) -> None:
        answer = explained(*MISSED, rule="greeting-miss")
        assert "within 10 s of any one of the 3 entries" in answer.prevented[0]
        assert (
            "from 16:06:49 to 16:07:00; or from 16:06:59 to 16:07:10; or from 16:07:09 to 16:07:20"
            in answer.prevented[0]
        )
        assert "L1 and above" in answer.prevented[1]

    def test_another_number_of_the_rulebook_is_shown(self) -> None:
        answer = explained(*MISSED, rule="greeting-miss", rulebook=patched(RULEBOOK, ["greeting-miss.within_s=7"]))
        assert "within 7 s" in answer.prevented[0]
        assert answer.limits is not None
        assert answer.limits.numbers["within_s"] == "7 s"

    def test_a_reception_at_the_edge_of_the_given_time_does_prevent_it(self) -> None:
        """What it says is held against the rules: in time on the stroke, too late a moment after."""
        for at, verdicts in ((20 * S, 0), (20 * S + 1, 0), (40 * S, 0), (40 * S + 1, 1)):
            outputs = replay(recording(*MISSED, comment(at)), RULEBOOK)
            assert len(outputs["verdict"]) == verdicts, at

    @pytest.mark.parametrize(
        ("rule", "story", "words"),
        [
            ("absence", frames(0, 301 * S, face=False), "the run would have ended before it had lasted 5 min"),
            ("black-screen", frames(0, 121 * S, black=True), "a picture that is not black"),
            ("av-desync", frames(0, 301 * S, av_offset_ms=200), "sound from -90 to 185 ms after the picture"),
            ("dead-air", frames(0, 301 * S, activity="signed-off"), "End button"),
            ("sleeping", frames(0, 11 * S, activity="sleeping"), "the host awake"),
            ("no-content", frames(0, 301 * S, activity="eating"), "the host hosting"),
            ("layout", frames(0, 11 * S, layout=layout(materials=3)), "materials at most 2, videos at most 1"),
            ("minor", frames(0, 4 * S, labels=("minor",)), "no label 'minor'"),
            ("rights", frames(0, 4 * S, labels=("rights:x",)), "no label 'rights:x'"),
            ("prohibited-goods", [frame(0), comment(S, labels=("prohibited:x",))], "is a violation at once"),
            ("harassment", [frame(0), comment(S, labels=("abuse",))], "again in this room 1 h later, from 17:06:41"),
        ],
    )  # fmt: skip
    def test_each_rule_has_its_remedy(self, rule: str, story: list[RoomEvent], words: str) -> None:
        assert words in " ".join(explained(story, rule=rule).prevented)

    def test_absence_is_prevented_by_a_reception_as_well(self) -> None:
        assert "A reception by the host" in text(explained(frames(0, 301 * S, face=False), rule="absence"))

    def test_repeated_comments_have_four_remedies(self) -> None:
        said = [comment(at * S, "buy this red machine now") for at in range(1, 6)]
        (words,) = explained(frame(0), said, rule="harassment").prevented
        assert "more than 1 min apart, less than 90 % alike, narrower than 12 columns" in words


class TestLimits:
    def test_since_when_and_by_whose_word(self) -> None:
        limits = explained(*MISSED, rule="greeting-miss").limits
        assert limits is not None
        assert (limits.effective, limits.until) == ("2022-07-19", None)
        assert limits.source.startswith("Live-broadcast rules of July 2022")
        assert limits.numbers == {
            "within_s": "10 s",
            "in_a_row": "3",
            "at_risk_misses": "2",
            "early_s": "1 s",
            "greeting_alone_counts": "no",
        }

    def test_until_others_come_into_force(self) -> None:
        book = rulebook_with("greeting-miss", within_s=5)
        limits = explained(*MISSED, rule="greeting-miss", rulebook=book).limits
        assert limits is not None
        assert limits.until == NEXT_DAY

    def test_the_words_are_those_of_the_limits_that_judged(self) -> None:
        text = BUILT_IN.read_text(encoding="utf-8") + (
            '[black-screen.from.2022-08-08]\nlasts_s = 90\nsays = "A minute and a half."\nsource = "a test"\n'
        )
        story = frames(0, 91 * S, black=True)
        limits = explained(story, rule="black-screen", rulebook=parse_rulebook(text, "test.toml")).limits
        assert limits is not None
        assert (limits.says, limits.numbers["lasts_s"]) == ("A minute and a half.", "90 s")

    def test_a_rulebook_that_did_not_judge_it_is_a_caveat(self) -> None:
        book = rulebook_with("greeting-miss", "2022-08-01", within_s=10)
        lines = recording(*MISSED)
        (verdict,) = [output.body for output in replay(lines, book)["verdict"]]
        assert isinstance(verdict, Verdict)
        answer = explain(verdict, [verdict], [], RULEBOOK)
        assert answer.limits is None
        assert answer.prevented == []
        assert "--rulebook" in answer.caveats[0]


THRICE = [[*frames(n * 10 * MIN, n * 10 * MIN + 121 * S, black=True), frame(n * 10 * MIN + 122 * S)] for n in range(3)]


class TestLadder:
    def test_the_count_and_what_counts_with_it(self) -> None:
        answer = explained(*THRICE, rule="black-screen")
        assert answer.ladder.count == 3
        assert [verdict.at - START for verdict in answer.ladder.counted] == [2 * MIN, 12 * MIN]
        assert answer.ladder.window == "90 days"
        assert answer.ladder.rung == "close, ban 15 d"
        assert answer.ladder.next == "close, ban 30 d"

    def test_what_follows_is_the_published_action(self) -> None:
        answer = explained(*THRICE, rule="black-screen", number=1)
        assert "Recommended: close, ban 7 d." in answer.follows
        assert any(words.startswith("The host is banned until 2022-08-15 16:18:40 -0700") for words in answer.follows)
        assert any("is number 3: close, ban 15 d" in words for words in answer.follows)

    def test_a_choice_is_the_moderators(self) -> None:
        answer = explained(*THRICE, rule="black-screen", number=0)
        assert "A moderator may choose: warn or close; the mildest is recommended." in answer.follows

    def test_sleeping_is_always_closed(self) -> None:
        answer = explained(frames(0, 11 * S, activity="sleeping"), rule="sleeping")
        assert "Recommended: close." in answer.follows
        assert answer.ladder.rung == "close (after sleeping always)"

    def test_an_overturned_one_does_not_count(self) -> None:
        lines = recording(*THRICE, frame(29 * MIN))
        verdicts = [output.body for output in replay(lines, RULEBOOK)["verdict"]]
        review = {
            "topic": "review",
            "value": {
                "verdict_id": verdicts[1].verdict_id, "host_id": verdicts[1].host_id, "decision": "overturned",  # type: ignore[union-attr]
                "by": "mod", "reason": "", "at": START + 30 * MIN,
            },
        }  # fmt: skip
        outputs = replay([*lines, msgspec.json.encode(review)], RULEBOOK)
        known: list[Any] = [output.body for output in outputs["verdict"]]
        actions: list[Any] = [output.body for output in outputs["enforcement"]]
        gone = explain(known[1], known, actions, RULEBOOK)
        assert gone.ladder.count is None
        assert "overturned" in gone.follows[0]
        after = explain(known[2], known, actions, RULEBOOK)
        assert (after.ladder.count, len(after.ladder.counted)) == (2, 1)
        assert "It is revision 2: a late verdict or a review changed what it says." in after.follows
        assert after.caveats == []

    def test_counts_that_do_not_fit_the_published_action_are_a_caveat(self) -> None:
        outputs = replay(recording(*THRICE), RULEBOOK)
        last: Any = outputs["verdict"][-1].body
        answer = explain(
            last,
            [last],
            [output.body for output in outputs["enforcement"] if isinstance(output.body, Action)],
            RULEBOOK,
        )
        assert "counts it as number 3; of the verdicts known here it is number 1" in answer.caveats[0]


class TestTimeline:
    def test_frames_that_look_alike_are_one_moment(self) -> None:
        answer = explained(
            frames(0, 9 * S), frames(10 * S, 140 * S, black=True), frames(141 * S, 150 * S), rule="black-screen"
        )
        assert [(moment.at - START, moment.words, moment.evidence) for moment in answer.timeline] == [
            (0, "10 frames: live, a face", False),
            (10 * S, "131 frames: live, a face, black picture", True),
            (141 * S, "5 frames: live, a face", False),
        ]

    def test_a_gap_is_seen(self) -> None:
        answer = explained(frames(0, 10 * S), frames(30 * S, 151 * S, black=True), rule="black-screen")
        assert [moment.at - START for moment in answer.timeline] == [0, 30 * S]
        answer = explained(frames(0, 10 * S, black=True), frames(30 * S, 151 * S, black=True), rule="black-screen")
        assert [moment.at - START for moment in answer.timeline] == [0, 30 * S], "also between frames that look alike"

    def test_what_is_wrong_with_a_layout_is_shown_with_its_measures(self) -> None:
        small = [frame(at * S, layout=layout(camera_share=0.2 if at < 5 else 0.25)) for at in range(9)]
        many = [frame(at * S, layout=layout(materials=4, camera_in_safe_area=False)) for at in range(9, 12)]
        answer = explained(small, many, rule="layout")
        assert [moment.words for moment in answer.timeline] == [
            "9 frames: live, a face, bad layout: the camera too small "
            "(camera 20 % to 25 %, uncovered 0 %, materials 1, videos 0)",
            "3 frames: live, a face, bad layout: too many materials and the camera outside the safe area "
            "(camera 80 %, uncovered 0 %, materials 4, videos 0)",
        ]

    def test_what_was_not_measured_of_a_layout_is_not_shown(self) -> None:
        unknown = layout(camera_share=None, materials=None, uncovered_share=0.4)
        answer = explained([frame(at * S, layout=unknown) for at in range(12)], rule="layout")
        assert [moment.words for moment in answer.timeline] == [
            "12 frames: live, a face, bad layout: too much uncovered (uncovered 40 %, videos 0)"
        ]

    @given(
        st.builds(
            layout,
            camera_share=st.sampled_from([None, 0.0, 1 / 3, 0.34]),
            uncovered_share=st.sampled_from([None, 0.0, 0.02, 0.021]),
            materials=st.none() | st.integers(0, 4),
            camera_in_safe_area=st.sampled_from([None, True, False]),
            videos=st.integers(0, 3),
        )
    )
    def test_a_layout_has_a_fault_exactly_where_it_is_judged_bad(self, canvas: Layout) -> None:
        limits: Any = RULEBOOK.versions("layout")[0].limits
        assert bool(layout_faults(canvas, limits)) == bad_layout(canvas, limits)

    def test_entries_and_receptions_are_shown_for_a_greeting(self) -> None:
        story = (*MISSED, comment(35 * S, "nice day", intent="chat"), buyer_comment(36 * S))
        answer = [
            moment.words
            for moment in explained(*story, rule="greeting-miss").timeline
            if moment.topic != "frame-status"
        ]
        assert answer == [
            "buyer ann (L2) entered",
            "buyer ben (no tier) entered",
            "buyer cho (no tier) entered",
            "the host wrote 'nice day' (chat, no reception)",
        ]

    def test_late_and_repeated_messages_are_not_taken_for_judged(self) -> None:
        lines = recording(*MISSED)
        outputs = replay(lines, RULEBOOK)
        verdict: Any = outputs["verdict"][0].body
        late = msgspec.json.encode(as_message(comment(15 * S, "too late")))
        raws = raws_of([*lines, late], ROOM, {("comment", None, len(lines) + 1): "late"})
        answer = explain(verdict, [], [], RULEBOOK, raws)
        assert [moment.words for moment in answer.timeline if moment.topic == "comment"] == [
            "came too late to be judged"
        ]

    def test_what_was_late_in_another_partition_is_not_taken_for_the_room_s(self) -> None:
        lines = [msgspec.json.encode(as_message(comment(number * S), partition=number, offset=7)) for number in (1, 2)]
        raws = raws_of(lines, ROOM, {("comment", 1, 7): "late"})
        assert [raw.rejected for raw in raws] == ["late", None]

    def test_no_events_of_the_room_are_a_caveat(self) -> None:
        outputs = replay(recording(*MISSED), RULEBOOK)
        verdict: Any = outputs["verdict"][0].body
        assert "None of the room's events" in explain(verdict, [], [], RULEBOOK, []).caveats[0]

    def test_rooms_with_names_that_json_writes_in_many_ways_are_found(self) -> None:
        name = 'zimmer "ü\\'
        line = json.dumps(as_message(frame(0, room=name))).encode()
        assert len(list(raws_of([line], name, {}))) == 1


# ---- as it is typed ----------------------------------------------------------------------------------------------

HOSTILE = "buyer\x1b[31m\x9b2J\u202e"


@pytest.fixture
def replayed(tmp_path: Path) -> tuple[Path, Path, str]:
    """A recording, what a replay wrote of it, and the verdict's identity."""
    events = tmp_path / "events.jsonl"
    story = (frames(0, 70 * S), [entry(at * S, HOSTILE + str(at)) for at in (10, 20, 30)], comment(60 * S, HOSTILE))
    events.write_bytes(b"\n".join(recording(*story)) + b"\n")
    out = tmp_path / "out"
    assert run("replay", str(events), "--out", str(out)).exit_code == 0
    verdict = json.loads((out / "verdict.jsonl").read_text())
    return events, out, verdict["verdict_id"]


def command(replayed: tuple[Path, Path, str], *options: str, id_: str | None = None) -> Result:
    events, out, verdict_id = replayed
    return run("explain", id_ or verdict_id, "--from", str(out), "--events", str(events), *options)


def test_it_shows_all_of_it(replayed: tuple[Path, Path, str]) -> None:
    result = command(replayed)
    assert result.exit_code == 0, result.output
    for heading in (
        "Limits and their source", "Evidence", "Timeline", "What would have prevented it",
        "Place in the ladder", "What follows",
    ):  # fmt: skip
        assert f"\n{heading}\n" in result.stdout
    assert "Live-broadcast rules of July 2022" in result.stdout


def test_texts_from_events_cannot_harm_a_terminal(replayed: tuple[Path, Path, str]) -> None:
    for options in ((), ("--json",)):
        shown = command(replayed, *options).stdout
        assert "buyer" in shown
        assert not set(shown) & set("\x1b\x9b\u202e")


def test_the_first_digits_are_enough(replayed: tuple[Path, Path, str]) -> None:
    answer = json.loads(command(replayed, "--json", id_=replayed[2][:8]).stdout)
    assert answer["verdict"]["verdict_id"] == replayed[2]
    assert answer["ladder"]["count"] == 1
    assert answer["timeline"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["ffffffff", "--from", "OUT"], 1, "no verdict ffffffff"),
        (["fff", "--from", "OUT"], 2, "at least 6"),
        (["ffffffff", "--from", "/nowhere"], 1, "vigil replay --out"),
        (["ffffffff", "--events", "EVENTS"], 2, "--from"),
        (["ffffffff", "--broker", "127.0.0.1:1"], 1, "127.0.0.1:1"),
    ],
)
def test_what_cannot_be_is_refused(replayed: tuple[Path, Path, str], words: list[str], status: int, said: str) -> None:
    events, out, _ = replayed
    result = run("explain", *({"OUT": str(out), "EVENTS": str(events)}.get(word, word) for word in words))
    assert result.exit_code == status, result.output
    assert said in result.output


def test_an_output_that_somebody_changed_is_named(replayed: tuple[Path, Path, str]) -> None:
    file = replayed[1] / "enforcement.jsonl"
    file.write_text(file.read_text() + "{}\n")
    result = command(replayed)
    assert result.exit_code == 1
    assert "enforcement.jsonl, line 2" in result.output


@pytest.mark.ci
def test_the_topics_give_the_same_explanation(judged: str) -> None:
    from vigil.topics.contracts.examples import STORY

    lines = [msgspec.json.encode(line) for line in STORY]
    verdict = replay(lines, RULEBOOK)["verdict"][0]
    result = run("explain", verdict.id[:10], "--json", "--broker", judged)
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["verdict"]["verdict_id"] == verdict.id
    assert answer["action"]["action_id"] == verdict.id
    assert answer["timeline"]
    assert answer["caveats"] == []


def test_events_that_a_topic_no_longer_has_are_a_caveat(judged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from vigil.topics.contracts.examples import STORY

    verdict = replay([msgspec.json.encode(line) for line in STORY], RULEBOOK)["verdict"][0]

    async def deleted(_: object, topic: str) -> int | None:
        return verdict.at if topic == "comment" else None

    monkeypatch.setattr("vigil.app.runtime.whatif.sources.deleted_before", deleted)
    answer = json.loads(run("explain", verdict.id, "--json", "--broker", judged).stdout)
    (caveat,) = answer["caveats"]
    assert caveat.startswith("comment no longer has all messages from before 2022-09-01")


class TestChinese:
    """No English is left but ids, quotations, names of rules and units."""

    DATA = re.compile(r"'[^']*'|[a-z]+(-[a-z]+)+|\b(room|host|ann|ben|cho|absence|layout|sleeping|min|OBS)\b")

    def check(self, answer: Explanation) -> None:
        ladder = answer.ladder
        said = [answer.happened, ladder.window, ladder.rung, *answer.prevented, *answer.follows, *answer.caveats]
        for words in [*said, *(moment.words for moment in answer.timeline)]:
            assert words is not None
            assert re.search("[A-Za-z]{2,}", self.DATA.sub("", words)) is None, words
            assert re.search("[\u4e00-\u9fff]", words), words

    def test_frames_of_every_kind(self) -> None:
        fit = layout(camera_share=0.2, uncovered_share=0.5, materials=4, camera_in_safe_area=False, videos=2)
        for rule, shown in {
            "black-screen": {"black": True, "face": False},
            "sleeping": {"activity": "sleeping"},
            "no-content": {"activity": "none", "labels": ("indoor",)},
            "dead-air": {"activity": "signed-off", "face": False},
            "av-desync": {"av_offset_ms": 300},
            "layout": {"layout": fit},
        }.items():
            self.check(explained(frames(0, 310 * S, **shown), frame(311 * S), rule=rule, language="zh"))

    def test_entries_and_what_the_host_says(self) -> None:
        said = [comment(n * S, "well", intent=intent) for n, intent in enumerate(("chat", "chat"), start=35)]
        self.check(explained(*MISSED, *said, rule="greeting-miss", language="zh"))

    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_what_follows(self, number: int) -> None:
        self.check(explained(*THRICE, rule="black-screen", number=number, language="zh"))

    def test_caveats(self) -> None:
        outputs = replay(recording(*THRICE), RULEBOOK)
        verdict: Any = outputs["verdict"][-1].body
        self.check(explain(verdict, [], [output.body for output in outputs["enforcement"]], RULEBOOK, [], "zh"))  # type: ignore[misc]


@pytest.mark.parametrize("language", LANGUAGES)
def test_whatever_a_moment_shows_has_words(language: Language) -> None:
    """What is chosen by the value of a field."""
    faults = layout_faults(layout(camera_share=0, uncovered_share=1, materials=9, camera_in_safe_area=False, videos=9),
                           RULEBOOK.versions("layout")[0].limits)  # fmt: skip
    named = [f"stream-{stream}" for stream in get_args(Stream)] + [f"intent-{intent}" for intent in get_args(Intent)]
    assert len(faults) == 5
    for code in (*named, *(f"layout-{fault}" for fault in faults)):
        assert f"explain.moment.{code}" in CATALOGUES[language]
    for step in get_args(Step):
        assert f"step.{step}" in CATALOGUES[language]
