"""The pages beside the wall: ladders, what would raise a score, the timeline's shapes, the words."""

from fractions import Fraction
from typing import get_args

import msgspec
import pytest

from tests.console.test_model import action
from tests.support.console_stories import RULEBOOK, START, simulated_console
from vigil.app.console.ingest.track import Track
from vigil.app.console.views.advice import cents, outlook
from vigil.app.console.views.canvas import LEFT, RIGHT, WIDTH, Window
from vigil.app.console.views.ladders import banned_until, ladders
from vigil.app.console.views.templates import link, visible
from vigil.app.console.views.text import WORDS, choose
from vigil.app.console.views.timeline import draw
from vigil.app.domain.industries.score import ScoreRules, share_points
from vigil.app.domain.rooms.rules.table import RULES
from vigil.app.domain.rulebook.hosts import FAMILIES
from vigil.app.messages import Language
from vigil.topics.rooms import Activity, FrameStatus
from vigil.topics.scores import SupplierScore

S = 1000
DAY = 86_400 * S


def reception(*days: float, status: str = "active") -> list:
    """Actions of the family reception, so many days after the start."""
    return [action(f"v{n}", at=round(day * DAY), status=status) for n, day in enumerate(days)]


def next_of(family: str, actions: list, day: float):
    return next(one for one in ladders(RULEBOOK, actions, START + round(day * DAY)) if one.family == family)


@pytest.mark.parametrize(
    "days, steps, ban",
    [
        ((), ("warn",), None),
        ((1,), ("close", "ban"), 7),
        ((1, 2), ("close", "ban"), 15),
        ((1, 2, 3), ("close", "ban"), 30),
        ((1, 2, 3, 4), ("close", "ban"), 30),
    ],
)
def test_the_next_violation_is_on_the_next_rung(days: tuple[float, ...], steps: tuple[str, ...], ban: int | None):
    ladder = next_of("reception", reception(*days), 10)
    assert (ladder.next.steps, ladder.next.ban_days, ladder.next.count) == (steps, ban, len(days) + 1)
    assert ladder.next_rung == min(len(days), 3)


@pytest.mark.parametrize("later_ms, counted", [(-1, 1), (0, 0)])
def test_a_violation_leaves_the_window_after_exactly_90_days(later_ms: int, counted: int):
    actions = reception(1)
    now = actions[0].at + 90 * DAY + later_ms
    ladder = next(one for one in ladders(RULEBOOK, actions, now) if one.family == "reception")
    assert len(ladder.counted) == counted and ladder.next.count == counted + 1
    assert all(one.leaves_at == one.action.at + 90 * DAY for one in ladder.counted)


def test_a_withdrawn_action_does_not_count_and_bans_nobody():
    actions = [action("v1", status="withdrawn", ban_days=7, ban_until=START + 30 * DAY)]
    assert next_of("reception", actions, 1).next.count == 1
    assert banned_until(actions, START) is None
    assert banned_until([action("v1", ban_days=7, ban_until=START + 30 * DAY)], START) == START + 30 * DAY
    assert banned_until([action("v1", ban_days=7, ban_until=START + 30 * DAY)], START + 30 * DAY) is None


def test_sleeping_is_always_closed():
    ladder = next_of("low-quality", [], 1)
    assert ladder.next.steps == ("warn",) and ladder.always["sleeping"].steps == ("close",)


def test_every_family_has_its_ladder():
    assert {one.family for one in ladders(RULEBOOK, [], START)} == set(FAMILIES)


def score(**changes: object) -> SupplierScore:
    fields = {
        "supplier_id": "s",
        "at": START + 10 * DAY,
        "industry": "toys",
        "membership": "standard",
        "stars": 3,
        "metrics": {
            "quotes_month": 4,
            "response_rate": 0.5,
            "reply_rate": 0.25,
            "gmv_90d": "480.50",
            "gmv_month": "480.50",
        },
        "points": {"quotes": 10, "response": 9, "reply": 12, "gmv": 2, "logins": 0, "bonus": 0},
        "ranks": {"quotes": {"rank": 5, "of": 10}, "response": {"rank": 6, "of": 10}},
        "predicted": 33,
        "assessed": None,
        "entitlements": None,
        "gmv_challenge_rights": 0,
        "counts": {"rfqs_quoted": 8, "rfqs_in_time": 4, "rfqs_quoted_30d": 8, "rfqs_replied_30d": 2},
        "rulebook": "2022-08-03",
    }
    return msgspec.convert(fields | changes, SupplierScore)


def advised(score: SupplierScore) -> dict[str, tuple[dict[str, str | int], int]]:
    return {one.name: (one.numbers, one.gain) for one in outlook(RULEBOOK, score).advice}


def test_the_next_reply_step_is_reached_by_so_many_more_replies_and_no_fewer():
    advice = advised(score())
    assert advice["reply.more"] == ({"more": 1, "quotes": 8}, 12)  # 3 of 8 are 37.5 %: 24 points in the place of 12
    limits = RULEBOOK.at("service-score", START + 10 * DAY).limits  # type: ignore[union-attr]
    assert share_points(limits.reply, 3, 8) == 24 and share_points(limits.reply, 2, 8) == 12


def test_the_next_gmv_step_is_given_to_the_cent():
    assert advised(score())["gmv.more"] == ({"amount": "19.50"}, 3)


def test_a_rate_that_grows_by_answering_in_time():
    (numbers, _) = advised(score())["response.share"]
    more = int(numbers["more"])
    assert Fraction(4 + more, 8 + more) >= Fraction(int(numbers["percent"]), 100) > Fraction(4 + more - 1, 8 + more - 1)


def test_the_verified_bonus_and_what_keeps_it():
    assert advised(score())["bonus.verified"][1] == 20
    assert advised(score(membership="verified"))["bonus.gmv"] == ({"amount": "519.50"}, 20)


def test_what_cannot_be_raised_is_not_advised():
    best = score(
        membership="verified",
        metrics={
            "quotes_month": 9,
            "response_rate": 1.0,
            "reply_rate": 1.0,
            "gmv_90d": "40000.00",
            "gmv_month": "1.00",
        },
        points={"quotes": 20, "response": 20, "reply": 30, "gmv": 30, "logins": 0, "bonus": 20},
        ranks={"quotes": {"rank": 1, "of": 10}, "response": {"rank": 1, "of": 10}},
        predicted=120,
        counts={"rfqs_quoted": 9, "rfqs_in_time": 9, "rfqs_quoted_30d": 9, "rfqs_replied_30d": 9},
    )
    result = outlook(RULEBOOK, best)
    assert result.advice == () and result.next_band is None
    assert [one.points for one in result.factors] == [one.most for one in result.factors] == [20, 20, 30, 30, 20]


def test_the_way_to_the_next_entitlements_and_the_next_prize():
    result = outlook(RULEBOOK, score())
    assert result.next_band is not None and (result.next_band.score, result.missing) == (60, 27)
    assert result.next_prize == ("19.50", 1)


def test_following_the_advice_gains_the_points_that_it_promises():
    model = simulated_console().state.model
    rules = ScoreRules(RULEBOOK)
    seen = 0
    for supplier_id in model.suppliers:
        score = model.score(supplier_id)
        assert score is not None and score.points is not None
        limits = RULEBOOK.at("service-score", score.at).limits  # type: ignore[union-attr]
        for one in outlook(RULEBOOK, score).advice:
            if one.name == "reply.more":
                after = score.counts.rfqs_replied_30d + int(one.numbers["more"])
                assert share_points(limits.reply, after, score.counts.rfqs_quoted_30d) - score.points.reply == one.gain
                seen += 1
    assert seen and rules.effective_date(START) == "2022-08-03"


def test_amounts():
    assert [cents(text) for text in ("0.00", "0.29", "1234567.89")] == [0, 29, 123456789]


# ---- the timeline


def window(until: int, now: int, language: Language = "en") -> Window:
    return Window(START, until, now, simulated_console().state.zone, WORDS[language])


def test_everything_is_drawn_inside_the_picture_and_evidence_on_its_verdict():
    console = simulated_console()
    model = console.state.model
    seen = set()
    for room_id, room in model.rooms.items():
        verdicts = model.verdicts_of(room.verdicts)
        timeline = draw(
            room,
            model.tracks.get(room_id),
            verdicts,
            Window(START + 200 * S, START + 500 * S, START + 480 * S, console.state.zone, WORDS["en"]),
            selected=verdicts[0].verdict_id if verdicts else None,
        )
        for shape in timeline.shapes:
            assert shape.x >= LEFT and shape.x + shape.width <= WIDTH - RIGHT + 2
            assert 0 <= shape.y < timeline.height
            seen.add((shape.kind, shape.look.split()[0]))
        drawn = sum(shape.kind == "tick" and shape.look.startswith("evidence") for shape in timeline.shapes)
        inside = [one for verdict in verdicts for one in verdict.evidence if timeline.since <= one.at <= timeline.until]
        assert drawn == len(inside)
    expected = {("bar", "live"), ("bar", "bad"), ("bar", "black"), ("bar", "violated"), ("bar", "risk")}
    expected |= {
        ("diamond", "violation"),
        ("tick", "said"),
        ("cross", "missed"),
        ("dot", "entered"),
        ("guide", "guide"),
    }
    assert expected <= seen


@pytest.mark.parametrize("silence, gaps", [(15, 0), (16, 1)])
def test_a_hole_of_more_than_frames_may_be_apart_is_a_gap(silence: int, gaps: int):
    track = Track(3600 * S, 15 * S)
    for second in (0, 1, 2, 2 + silence, 3 + silence):
        track.ingest(
            FrameStatus(room_id="r", host_id="h", at=START + second * S, stream="live", face=True, black=False)
        )
    end = START + (3 + silence) * S
    timeline = draw(None, track, [], window(end, end))
    live = [shape for shape in timeline.shapes if shape.look == "live"]
    assert (sum(shape.look == "gap" for shape in timeline.shapes), len(live)) == (gaps, 1 + gaps)


def test_a_signal_that_is_gone_is_a_gap_up_to_now():
    track = Track(3600 * S, 15 * S)
    track.ingest(FrameStatus(room_id="r", host_id="h", at=START, stream="live", face=True, black=False))
    now = START + 20 * S
    timeline = draw(None, track, [], window(now, now))
    (gap,) = [shape for shape in timeline.shapes if shape.look == "gap"]
    assert (gap.x, gap.x + gap.width) == (LEFT, WIDTH - RIGHT)


@pytest.mark.parametrize(
    "labels, look",
    [
        (("indoor",), "quiet"),
        (("rights",), "quiet"),  # no label of the rule: those begin with `rights:`
        (("indoor", "rights:logo"), "labelled"),
        (("minor",), "labelled"),
    ],
)
def test_only_labels_that_a_rule_judges_are_marked(labels: tuple[str, ...], look: str):
    track = Track(3600 * S, 15 * S)
    for at in (START, START + 5 * S):
        picture = {"stream": "live", "face": True, "black": False, "activity": "hosting", "labels": labels}
        track.ingest(FrameStatus(room_id="r", host_id="h", at=at, **picture))
    timeline = draw(None, track, [], window(START + 5 * S, START))
    lane = next(lane for lane in timeline.lanes if lane.name == WORDS["en"]("lane.activity"))
    (shape,) = [shape for shape in timeline.shapes if shape.y == lane.y]
    assert shape.look == look and "indoor" not in shape.hint


@pytest.mark.parametrize("activity", get_args(Activity))
def test_every_activity_is_drawn_with_its_name(activity: str):
    track = Track(3600 * S, 15 * S)
    for at in (START, START + 5 * S):
        picture = {"stream": "live", "face": True, "black": False, "activity": activity}
        track.ingest(FrameStatus(room_id="r", host_id="h", at=at, **picture))
    timeline = draw(None, track, [], window(START + 5 * S, START, "zh"))
    lane = next(lane for lane in timeline.lanes if lane.name == WORDS["zh"]("lane.activity"))
    (shape,) = [shape for shape in timeline.shapes if shape.y == lane.y]
    assert shape.look == ("quiet" if activity == "hosting" else "odd")
    assert shape.hint.endswith(WORDS["zh"](f"activity.{activity}")) and activity not in shape.hint


def test_an_empty_timeline_has_its_lanes():
    timeline = draw(None, None, [], window(START, START, "zh"))
    assert len(timeline.lanes) == 6 and not timeline.shapes


# ---- words


def test_every_rule_has_its_words_and_one_of_a_later_version_its_own_name():
    """A rule that the catalogue does not know is shown by its id."""
    assert set(WORDS["en"].rules()) == set(WORDS["zh"].rules()) == set(RULES)
    assert WORDS["zh"].rule("lens-covered") == "lens-covered"
    assert WORDS["zh"]("activity.juggling") == "juggling"


def test_rules_are_found_by_their_name_in_both_languages():
    assert WORDS["en"].rules_called("SOUND and") == WORDS["zh"].rules_called("音画") == {"av-desync"}
    assert WORDS["zh"].rules_called("black-scr") == {"black-screen"}
    assert WORDS["en"].rules_called(" ") == set()


@pytest.mark.parametrize("language", WORDS)
def test_every_activity_that_frames_may_show_has_its_words(language: str):
    assert set(WORDS[language].activities()) == set(get_args(Activity))


def test_scripts_get_the_names_of_rules_steps_and_bands():
    words = WORDS["zh"].script()
    assert words["rule.absence"] == "主播离开" and words["step.ban"] == "封禁直播权限" and words["band.calm"] == "正常"
    assert not any(code.endswith(".say") for code in words)


@pytest.mark.parametrize(
    "asked, accepted, expected",
    [
        (None, None, "en"),
        ("zh", "en", "zh"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "fr-FR,en;q=0.5", "en"),
        ("<script>", "de", "en"),
    ],
)
def test_which_language(asked: str | None, accepted: str | None, expected: str):
    assert choose(asked, accepted) == expected


def test_invisible_characters_are_made_visible():
    assert visible("a\u202eb\x00c\u200b中 文") == "a\\u{202e}b\\u{0}c\\u{200b}中 文"


def test_ids_are_one_value_of_the_query_whatever_they_hold():
    assert link("room", "../a b&c#?%/中") == "/room?id=..%2Fa%20b%26c%23%3F%25%2F%E4%B8%AD"
