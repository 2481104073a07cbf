"""One reading for many rulebooks says exactly what a replay under each of them says."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.harness import recorded
from tests.support.local_jobs import local_jobs
from tests.support.stories import RULEBOOK, rulebook_with
from vigil.app.domain.rooms.rules.table import RULES
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.reader import read_tables
from vigil.app.runtime.replay import replay
from vigil.app.runtime.whatif.multi_replay import MultiCandidateReplay
from vigil.app.runtime.whatif.outcome import Outcome, outcome
from vigil.app.runtime.whatif.patch import patched, tables
from vigil.app.runtime.whatif.replay_plan import affected, differing, plan
from vigil.app.simulate import Simulation

AUGUST_3 = 1_659_510_000_000
"""A new version of the service score comes into force."""


@cache
def recording(seed: int = 1) -> tuple[bytes, ...]:
    """A busy quarter of an hour over a midnight on which rules change, with duplicates, and reviews of verdicts."""
    simulation = Simulation(
        seed=seed, rooms=9, suppliers=5, start_ms=AUGUST_3 - 400_000, duration_s=800, malformed=0.0, history_days=10
    )
    lines = recorded(simulation.messages())
    lines[1000:1000] = [b"no line of a recording", b'{"topic": "quote", "value": {}}']
    comments = [line for line in lines if line.startswith(b'{"topic":"comment"')]
    result: list[tuple[int, bytes]] = []
    for number, output in enumerate(replay(lines, RULEBOOK)["verdict"][::4]):
        review: dict[str, Any] = {
            "verdict_id": output.body.verdict_id,  # type: ignore[union-attr]
            "host_id": output.body.host_id,  # type: ignore[union-attr]
            "decision": "upheld" if number % 5 == 4 else "overturned",
            "by": "moderator",
            "reason": "",
            "at": output.at + 1000 * (number % 50),
        }
        result.append((review["at"], orjson.dumps({"topic": "review", "value": review})))
    for line in comments:  # said again a while later: a duplicate, unless it is forgotten by then
        message = orjson.loads(line)
        message["value"]["at"] += 20_000
        result.append((message["value"]["at"], orjson.dumps(message)))
    result.sort()
    mixed: list[bytes] = []
    now = 0
    for line in lines:
        now = max(now, _at(line))
        while result and result[0][0] <= now:
            mixed.append(result.pop(0)[1])
        mixed.append(line)
    return tuple(mixed)


def _at(line: bytes) -> int:
    """The time of a frame."""
    at: int = orjson.loads(line)["value"]["at"] if line.startswith(b'{"topic":"frame-status"') else 0
    return at


@cache
def alone(change: tuple[str, ...], seed: int = 1) -> Outcome:
    """What a replay under the candidate alone gives."""
    return outcome(replay(recording(seed), patched(RULEBOOK, change) if change else RULEBOOK))


def together(candidates: Iterable[Rulebook], lines: Iterable[bytes] = ()) -> list[Outcome]:
    fan = MultiCandidateReplay(RULEBOOK, list(candidates))
    fan.feed(lines or recording())
    return fan.outcomes()


CHANGES = [
    "greeting-miss.within_s=14",
    "greeting-miss.in_a_row=2",
    "greeting-miss.in_a_row=5",
    "greeting-miss.early_s=9",
    "greeting-miss.greeting_alone_counts=true",
    "absence.lasts_s=150",
    "black-screen.tolerate_s=9",
    "black-screen.lasts_s=30",
    "av-desync.latest_ms=100",
    "dead-air.lasts_s=100",
    "sleeping.lasts_s=1",
    "no-content.lasts_s=61",
    "theme-mismatch.lasts_s=1",
    "layout.materials_over=0",
    "illegal-background.lasts_s=7",
    "rights.again_s=60",
    "harassment.repeats=2",
    "harassment.similarity=0.5",
    "minor.lasts_s=1",
    "prohibited-goods.again_s=10",
    "absence.family=low-quality",
    "rooms.max_frame_gap_s=2",
    "rooms.at_risk_share=0.25",
    "rooms.presence_s=10",
    "rooms.comment_memory_s=1",
    "rooms.forget_ended_s=5",
    "rooms.forget_silent_s=30",
    "ladder.reception.window_days=1",
    "ladder.low-quality.rungs[1].ban_days=70",
    "hosts.remember_days=1000",
    "suppliers.response_days=3",
    "suppliers.quote_memory_days=31",
    "service-score.quotes.top_points=40",
    "verified-bonus.points=7",
    "entitlements.bands[1].pinned_quotes=9",
    "gmv-challenge.prizes[0].at_least_usd=1",
    "pins.places=1",
]


@cache
def all_together() -> list[Outcome]:
    return together([patched(RULEBOOK, [change]) for change in CHANGES])


@pytest.mark.parametrize("number", range(len(CHANGES)), ids=CHANGES)
def test_one_change_is_judged_as_its_replay_judges_it(number: int) -> None:
    assert all_together()[0] == alone(())
    assert all_together()[number + 1] == alone((CHANGES[number],))


def test_the_changes_are_not_without_effect() -> None:
    """Else the tests above would hold whatever is judged: by kind of output, something must come out otherwise."""
    base = alone(())
    assert base.lines_rejected == 2
    for field in ("verdicts", "notices", "actions", "scores", "pins"):
        assert any(getattr(alone((change,)), field) != getattr(base, field) for change in CHANGES), field
    assert alone(("rooms.comment_memory_s=1",)) != base


CANDIDATES = st.lists(st.sampled_from(CHANGES), max_size=4, unique_by=lambda change: change.partition("=")[0])


# Not shrunk: a failure names the changes, and each example is a replay or several.
@settings(
    max_examples=examples(6),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],
)
@given(st.lists(CANDIDATES, min_size=1, max_size=4))
@example(
    [
        [
            "absence.tolerate_s=14",
            "absence.tolerate_share=0.9",
            "no-content.tolerate_s=9",
            "no-content.tolerate_share=1.0",
        ]
    ]
)
@example([[], ["absence.lasts_s=150"], ["rooms.forget_silent_s=30"], ["greeting-miss.in_a_row=2", "pins.places=1"]])
def test_any_candidates_together_are_judged_as_their_replays_judge_them(chosen: list[list[str]]) -> None:
    base, *outcomes = together([patched(RULEBOOK, changes) if changes else RULEBOOK for changes in chosen])
    assert base == alone(())
    for changes, result in zip(chosen, outcomes, strict=True):
        assert result == alone(tuple(changes)), changes


@pytest.mark.parametrize("seed", [2, 3])
def test_other_recordings_are_judged_alike(seed: int) -> None:
    changes = [("greeting-miss.within_s=6", "absence.lasts_s=60"), ("layout.lasts_s=3",), ("rights.lasts_s=1",)]
    _, *outcomes = together([patched(RULEBOOK, change) for change in changes], recording(seed))
    assert outcomes == [alone(change, seed) for change in changes]


def test_a_version_that_comes_into_force_in_the_middle_is_judged_as_its_replay_judges_it() -> None:
    """Entries and runs before the midnight are judged by the old numbers, those after it by the new."""
    candidate = rulebook_with("greeting-miss", "2022-08-03", within_s=5, in_a_row=2)
    (_, other) = together([candidate])
    assert other == outcome(replay(recording(), candidate))
    result = [verdict for verdict in other.verdicts.values() if verdict.rule == "greeting-miss"]
    assert result != [verdict for verdict in alone(()).verdicts.values() if verdict.rule == "greeting-miss"]
    assert all((verdict.at >= AUGUST_3 + 5000) == (verdict.rulebook == "2022-08-03") for verdict in result)


def test_another_time_zone_is_judged_apart() -> None:
    from vigil.app.domain.rulebook.reader import read_tables

    candidate = read_tables({**tables(RULEBOOK), "time_zone": "Asia/Shanghai"}, "test")
    assert plan(RULEBOOK, candidate).apart
    assert together([candidate])[1] == outcome(replay(recording(), candidate))


def test_how_lines_are_cut_into_feeds_changes_nothing() -> None:
    candidates = [patched(RULEBOOK, ["greeting-miss.in_a_row=2"]), patched(RULEBOOK, ["rooms.forget_ended_s=5"])]
    fan = MultiCandidateReplay(RULEBOOK, candidates)
    lines = recording()
    for start in range(0, len(lines), 777):
        fan.feed(lines[start : start + 777])
    assert fan.outcomes() == together(candidates)


def test_an_empty_recording_has_no_outcome() -> None:
    fan = MultiCandidateReplay(RULEBOOK, [patched(RULEBOOK, ["absence.lasts_s=150"])])
    fan.feed([])
    assert all(not result.verdicts and not result.scores for result in fan.outcomes())


class TestPlan:
    """Only what differs is judged again."""

    def test_equal_rulebooks_need_nothing(self) -> None:
        planned = plan(RULEBOOK, patched(RULEBOOK, []))
        assert planned == ((), frozenset(), False, frozenset(), False)

    def test_a_rule_needs_itself_and_the_ladders(self) -> None:
        planned = plan(RULEBOOK, patched(RULEBOOK, ["absence.lasts_s=150"]))
        assert planned.rules == {"absence"}
        assert planned.subjects == {"hosts"}

    def test_a_ladder_needs_no_room(self) -> None:
        planned = plan(RULEBOOK, patched(RULEBOOK, ["ladder.reception.window_days=1"]))
        assert not planned.rules
        assert planned.subjects == {"hosts"}

    def test_a_score_needs_no_room_and_no_ladder(self) -> None:
        planned = plan(RULEBOOK, patched(RULEBOOK, ["service-score.quotes.top_points=40"]))
        assert (planned.rules, planned.subjects) == (frozenset(), {"suppliers", "industries"})

    def test_the_frame_gap_needs_every_rule(self) -> None:
        planned = plan(RULEBOOK, patched(RULEBOOK, ["rooms.max_frame_gap_s=2"]))
        assert planned.rules == set(RULES)
        assert planned.signals

    def test_how_long_a_verdict_may_be_contested_needs_the_rules_about_receptions(self) -> None:
        planned = plan(RULEBOOK, patched(RULEBOOK, ["rooms.contested_s=0"]))
        assert planned.rules == {"greeting-miss", "absence"}

    def test_what_is_only_shown_needs_nothing(self) -> None:
        planned = plan(RULEBOOK, patched(RULEBOOK, ["rooms.status_every_s=9"]))
        assert (planned.rules, planned.subjects, planned.apart) == (frozenset(), frozenset(), False)

    def test_words_need_nothing(self) -> None:
        raw = tables(RULEBOOK)
        raw["absence"]["from"]["2022-07-19"]["source"] = "somebody else's word"
        assert differing(RULEBOOK, read_tables(raw, "test")) == ()

    def test_another_order_of_sections_that_lists_show_is_judged_again(self) -> None:
        raw = tables(RULEBOOK)
        raw["activity"] = dict(reversed(raw["activity"].items()))
        candidate = read_tables(raw, "test")
        assert set(differing(RULEBOOK, candidate)) == set(RULEBOOK.listed["activity"])
        assert "suppliers" in plan(RULEBOOK, candidate).subjects

    @pytest.mark.parametrize("section", RULEBOOK.sections)
    def test_every_section_is_planned_for(self, section: str) -> None:
        """A section that is added to the rulebook must say what it decides."""
        assert section in RULES or section == "rooms" or affected([section], rooms=False)


def test_jobs_change_no_outcome() -> None:
    """Rules in the jobs' panel, ranks judged again beside them, and what is replayed apart."""
    changes = ["black-screen.lasts_s=30", "service-score.quotes.top_points=40", "rooms.comment_memory_s=1"]
    candidates = [patched(RULEBOOK, [change]) for change in changes]
    with local_jobs(2) as jobs:
        fan = MultiCandidateReplay(RULEBOOK, candidates, jobs=jobs)
        fan.feed(recording())
        outcomes = fan.outcomes()
    assert outcomes == together(candidates)
    assert all(outcome_ != outcomes[0] for outcome_ in outcomes[1:])
