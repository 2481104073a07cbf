"""What another rulebook changes in stars, obligations, participations and rights: in words, for whom, with examples."""

import json
from pathlib import Path

import pytest

from tests.support.line_stories import (
    ask,
    certificate,
    claim,
    measure,
    member,
    order,
    paid,
    product,
    recorded,
    request,
    step,
)
from tests.support.run_command import run
from tests.support.supplier_stories import RULEBOOK, Line, at
from vigil.app.domain.rulebook.reader import read_tables
from vigil.app.runtime.replay import replay
from vigil.app.runtime.whatif.compare import Comparison, compare
from vigil.app.runtime.whatif.impact import impact_summary
from vigil.app.runtime.whatif.line_changes import line_changes
from vigil.app.runtime.whatif.line_groups import by_supplier, grouped
from vigil.app.runtime.whatif.multi_replay import MultiCandidateReplay
from vigil.app.runtime.whatif.outcome import Outcome, outcome
from vigil.app.runtime.whatif.patch import patched, tables

TASKS = ("strength-cards", "certificates", "certificate-products", "industry-abilities")


def supplier(id_: str, **profile: int | str) -> list[Line]:
    """A supplier with a product of one star, a request that was answered after 20 hours, and a completed task pack."""
    return [
        member(at("2022-07-01 12:00"), id_, **{"stars": 1, "membership": "verified", **profile}),  # type: ignore[arg-type]
        product(at("2022-08-02 12:00"), "p", id_, info_score=4.5, markets=["DE"], traits=["battery"]),
        paid(at("2022-08-03 12:00"), f"o-{id_}", ("p", "1000.00", "local"), supplier=id_),
        order(at("2022-08-05 12:00"), f"o-{id_}", "dispatched", id_),
        request(at("2022-08-07 12:00"), f"q-{id_}", "support", f"o-{id_}", "p", id_),
        step(at("2022-08-08 08:00"), "answered", f"q-{id_}", id_),
        certificate(at("2022-08-08 12:00"), "fda", None, id_),
        claim(at("2022-08-08 12:00"), "strength-pack", id_),
        *(measure(at("2022-08-09 12:00"), task, 1, id_) for task in TASKS),
        claim(at("2022-07-08 12:00"), "check-in", id_),
        measure(at("2022-08-20 12:00"), "videos", 1, id_),
    ]


LINES = recorded([*supplier("a"), *supplier("b"), *supplier("c", membership="standard")])


def outcomes(*changes: str) -> tuple[Outcome, Outcome]:
    run_of_two = MultiCandidateReplay(RULEBOOK, [patched(RULEBOOK, changes)])
    run_of_two.feed(LINES)
    was, now = run_of_two.outcomes()
    return was, now


def compared(*changes: str) -> tuple[Outcome, Outcome, Comparison]:
    was, now = outcomes(*changes)
    return was, now, compare(was, now)


def sentences(*changes: str) -> list[str]:
    return [sentence.words for sentence in impact_summary(*compared(*changes))]


CHANGES = {
    "star-conditions.info_at_least=4.6": [
        "3 products of 3 suppliers would have 0 stars instead of 1 star: a/p, b/p, c/p"
    ],
    'stars.consumer-electronics.two=["rts"]': [
        "3 products of 3 suppliers would have 2 stars instead of 1 star: a/p, b/p, c/p"
    ],
    "epr-blocking.blocked=false": [
        "3 products of 3 suppliers would have free trade in DE instead of trade blocked in DE: a/p, b/p, c/p"
    ],
    'selection.consumer-electronics.abilities=["rts"]': [
        "3 products of 3 suppliers would have the grade competitive instead of no selection: a/p, b/p, c/p"
    ],
    "programme.strength-pack.verified=false": [
        "1 participation in strength-pack of 1 supplier would be completed instead of refused: strength-pack/2022-08/c",
    ],
    'programme.strength-pack.rewards=[{ name = "ads-tool", months = 3 }]': [
        "2 participations in strength-pack of 2 suppliers would be rewarded less: "
        "strength-pack/2022-08/a, strength-pack/2022-08/b"
    ],
    "permit.fda.verified=true": ["1 supplier would have no permit fda instead of the permit fda: c"],
    "activity.check-in.programme=coupon-500": [
        "2 suppliers would have no activity check-in instead of the activity check-in: a, b"
    ],
    "epr.DE.battery.weeks=[1, 3]": ["3 products of 3 suppliers would have other details: a/p, b/p, c/p"],
    'activity.check-in.tiers=["L4"]': ["2 suppliers would have rights with other details: a, b"],
    "buyer-labels.marked=[]": [
        "3 suppliers would have no labels instead of the labels L1 as L1+, L2 as L1+, L3 as L1+, L4 as L1+: a, b, c"
    ],
}
"""Changes of the rulebook, and sentences that are said of them among others."""


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_said_in_words_with_examples(change: str) -> None:
    said = sentences(change)
    assert set(CHANGES[change]) <= set(said)


@pytest.mark.parametrize("change", CHANGES)
def test_a_candidate_gives_the_lines_of_its_own_replay(change: str) -> None:
    was, now = outcomes(change)
    assert was == outcome(replay(LINES, RULEBOOK))
    assert now == outcome(replay(LINES, patched(RULEBOOK, [change])))


def test_a_shorter_time_is_a_loss_of_those_who_owe() -> None:
    was, now, changes = compared("due.service-answer.within_h=19")
    (group,) = grouped(line_changes(changes.others))
    assert (group.what, group.was, group.now, group.effect) == ("due.service-answer", "met", "breached", "loss")
    assert (group.number, group.suppliers) == (3, 3)
    (sentence,) = impact_summary(was, now, changes)
    assert sentence.words.startswith("3 obligations service-answer of 3 suppliers would be breached instead of met: ")
    assert sentence.facts["change"] == "loss"
    longer = grouped(line_changes(compared("due.service-answer.within_h=25")[2].others))
    assert [(group.now, group.effect) for group in longer] == [("due later", "gain")]


ASKED = recorded([ask(at("2022-08-19 12:00"), "upgrade-contact", "u", "a")])


def test_more_time_of_the_marketplace_and_no_duty_of_it_are_losses_of_the_supplier() -> None:
    later = patched(RULEBOOK, ["due.upgrade-contact.working_days=5"])
    raw = tables(RULEBOOK)
    del raw["due"]["upgrade-contact"]
    for candidate, now in ((later, "due later"), (read_tables(raw, "test"), "")):
        run_of_two = MultiCandidateReplay(RULEBOOK, [candidate])
        run_of_two.feed([*LINES, *ASKED])
        (group,) = grouped(line_changes(compare(*run_of_two.outcomes()).others))
        assert (group.what, group.now, group.effect) == ("due.upgrade-contact", now, "loss")


def test_what_is_neither_better_nor_worse_is_another_change() -> None:
    lines = recorded(supplier("a", opened_at=at("2022-08-01 12:00")))
    run_of_two = MultiCandidateReplay(RULEBOOK, [patched(RULEBOOK, ["growth.first_days=10"])])
    run_of_two.feed(lines)
    changes = line_changes(compare(*run_of_two.outcomes()).others)
    assert [(change.what, change.now, change.effect) for change in changes] == [
        ("growth", "the growth stage first-90", "other")
    ]


def test_what_is_gained_and_lost_is_counted_by_supplier() -> None:
    *_, changes = compared(
        "star-conditions.info_at_least=4.6", "permit.fda.verified=true", "epr-blocking.blocked=false"
    )
    assert [tuple(one) for one in by_supplier(line_changes(changes.others))] == [
        ("c", 1, 2, 0), ("a", 1, 1, 0), ("b", 1, 1, 0)
    ]  # fmt: skip


def test_gains_come_before_losses() -> None:
    *_, changes = compared("star-conditions.info_at_least=4.6", "epr-blocking.blocked=false")
    assert [group.effect for group in grouped(line_changes(changes.others))] == ["gain", "loss"]


def test_the_larger_group_comes_first() -> None:
    *_, changes = compared("star-conditions.info_at_least=4.6", "permit.fda.verified=true")
    assert [group.number for group in grouped(line_changes(changes.others))] == [3, 1]


def test_more_lines_than_examples_are_only_named_in_part() -> None:
    lines = recorded([line for id_ in "abcde" for line in supplier(id_)])
    run_of_two = MultiCandidateReplay(RULEBOOK, [patched(RULEBOOK, ["star-conditions.info_at_least=4.6"])])
    run_of_two.feed(lines)
    was, now = run_of_two.outcomes()
    (sentence,) = impact_summary(was, now, compare(was, now))
    assert sentence.words.endswith(", such as a/p, b/p, c/p")
    assert sentence.facts["number"] == 5


def test_another_date_of_the_same_rule_changes_nothing_for_anybody() -> None:
    """A line names the date of its rule: another one is no gain and no loss."""
    raw = tables(RULEBOOK)
    versions = raw["due"]["service-answer"]["from"]
    versions["2022-07-02"] = versions.pop("2022-07-01")
    run_of_two = MultiCandidateReplay(RULEBOOK, [read_tables(raw, "test")])
    run_of_two.feed(LINES)
    was, now = run_of_two.outcomes()
    changes = compare(was, now)
    assert changes.others
    assert line_changes(changes.others) == []


# ---- as it is typed -------------------------------------------------------------------------------------------------


@pytest.fixture
def events(tmp_path: Path) -> str:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(LINES) + b"\n")
    return str(file)


def test_gains_and_losses_are_marked_and_listed_by_supplier(events: str) -> None:
    changes = ("--set", "star-conditions.info_at_least=4.6", "--set", "epr-blocking.blocked=false")
    page = run("backtest", events, *changes).stdout
    assert "▲ 3 products of 3 suppliers would have free trade in DE" in page
    assert "▼ 3 products of 3 suppliers would have 0 stars instead of 1 star" in page
    assert "Suppliers who would gain or lose, largest change first" in page


def test_json_has_the_groups_the_suppliers_and_the_lines(events: str) -> None:
    answer = json.loads(run("backtest", events, "--set", "permit.fda.verified=true", "--json").stdout)
    assert answer["blast_radius"] == [
        {
            "words": "1 supplier would have no permit fda instead of the permit fda: c",
            "what": "permit.fda",
            "change": "loss",
            "was": "the permit fda",
            "now": "no permit fda",
            "number": 1,
            "suppliers": 1,
            "examples": ["c"],
        }
    ]
    assert answer["lines_by_supplier"] == [{"supplier_id": "c", "gains": 0, "losses": 1, "others": 0}]
    assert answer["supplier-rights"]["changed"][0]["was"]["permits"] == ["fda"]


def test_a_sweep_shows_gains_and_losses(events: str) -> None:
    answer = json.loads(run("backtest", events, "--sweep", "due.service-answer.within_h=19:25:3", "--json").stdout)
    assert [(point.get("gains", 0), point.get("losses", 0)) for point in answer["points"]] == [(0, 3), (0, 3), (3, 0)]
    assert answer["curve"] == "gains"
