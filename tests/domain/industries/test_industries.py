"""An industry's shard: when it ranks, what it publishes, who leaves, and what ten thousand suppliers cost."""

import time
from typing import Any, NamedTuple

import pytest

from tests.support.published import published
from tests.support.supplier_stories import (
    DAY,
    RULEBOOK,
    SECOND,
    Chain,
    Line,
    at,
    deleted,
    payment,
    profile,
    quote,
    tick,
)  # fmt: skip
from vigil.app.domain.industries import industry as module
from vigil.app.domain.industries.industry import IndustryMachine, IndustryState
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.shards import make_shard
from vigil.topics.envelope import encode_body
from vigil.topics.internal import RankingEntry, SupplierTotals
from vigil.topics.scores import SupplierScore

NOON = at("2022-08-20 12:00")


def entry(supplier: str, when: int = NOON, quotes: int = 1, **fields: Any) -> RankingEntry:
    totals = SupplierTotals(
        quotes_month=quotes,
        rfqs_quoted=quotes,
        rfqs_in_time=quotes,
        gmv_90d=0,
        gmv_month=0,
        prior_gmv_90d=0,
    )
    given = {"industry": "toys", "membership": "standard", "stars": 0, "month": None, "totals": totals}
    return RankingEntry(supplier_id=supplier, at=when, moved_to=None, assessed=None, **{**given, **fields})


class Arrived(NamedTuple):
    offset: int
    key: bytes
    value: bytes | None


class Stage:
    """One industry and its watermark."""

    def __init__(self) -> None:
        self.machine = IndustryMachine(RULEBOOK)
        self.state: IndustryState = self.machine.load("toys", {})
        self.collector = OutputCollector()
        self.stored: dict[bytes, bytes] = {}

    def apply(self, *entries: RankingEntry, watermark: int = NOON) -> "Stage":
        for each in entries:
            self.state.apply(each, watermark, self.collector)
        return self

    def shown(self, watermark: int, final: bool = False) -> dict[str, SupplierScore]:
        scores = {}
        for output in published(self.state, watermark, final):
            assert isinstance(output.body, SupplierScore)
            scores[output.body.supplier_id] = output.body
        return scores

    def crash(self) -> "Stage":
        for key, chunk in self.state.dump_changes().items():
            if chunk is None:
                self.stored.pop(key, None)
            else:
                self.stored[key] = chunk
        self.state = self.machine.load("toys", self.stored)
        return self


def test_only_scores_that_changed_are_published() -> None:
    stage = Stage().apply(entry("a", quotes=3), entry("b", quotes=2), entry("c", quotes=0))
    assert set(stage.shown(NOON)) == {"a", "b", "c"}
    assert stage.shown(NOON + 10 * SECOND) == {}
    stage.apply(entry("b", NOON + 1, quotes=2, stars=1))
    assert set(stage.shown(NOON + 20 * SECOND)) == {"b"}


def test_a_rank_that_another_supplier_changes_is_published() -> None:
    stage = Stage().apply(entry("a", quotes=3), entry("b", quotes=2), entry("c", quotes=1))
    stage.shown(NOON)
    published = stage.apply(entry("b", NOON + 1, quotes=4)).shown(NOON + 10 * SECOND)
    assert {name: score.ranks.quotes and score.ranks.quotes.rank for name, score in published.items()} == {
        "a": 2,
        "b": 1,
    }


def test_ranking_waits_two_seconds_and_the_scores_are_deferred() -> None:
    stage = Stage().apply(entry("a"))
    assert set(stage.shown(NOON)) == {"a"}
    stage.apply(entry("a", NOON + 1, quotes=2))
    assert stage.shown(NOON + 2 * SECOND - 1) == {}
    assert stage.state.has_deferred_output()
    assert set(stage.shown(NOON + 2 * SECOND)) == {"a"}
    assert not stage.state.has_deferred_output()


def test_deferred_scores_are_still_deferred_after_a_restart() -> None:
    stage = Stage().apply(entry("a"))
    stage.shown(NOON)
    stage.apply(entry("a", NOON + 1, quotes=2)).crash()
    assert stage.state.has_deferred_output()
    assert set(stage.shown(NOON + 2 * SECOND)) == {"a"}
    assert stage.crash().shown(NOON + 20 * SECOND) == {}


def test_a_rank_that_another_entry_changes_is_published_after_a_restart() -> None:
    stage = Stage().apply(entry("a", quotes=3), entry("b", quotes=2))
    stage.shown(NOON)
    stage.crash().apply(entry("b", NOON + 1, quotes=4))
    assert set(stage.shown(NOON + 10 * SECOND)) == {"a", "b"}


def test_the_final_outputs_have_every_supplier_at_the_watermark() -> None:
    stage = Stage().apply(entry("a"), entry("b"))
    stage.shown(NOON)
    published = stage.shown(NOON + DAY, final=True)
    assert {name: score.at for name, score in published.items()} == {"a": NOON + DAY, "b": NOON + DAY}


def test_an_older_entry_of_a_supplier_has_no_effect() -> None:
    stage = Stage().apply(entry("a", NOON + 1, quotes=2), entry("a", NOON, quotes=9))
    assert stage.shown(NOON)["a"].metrics.quotes_month == 2
    assert stage.collector.counts == {"stale_lines": 1}


def test_a_new_version_of_the_rules_is_published_when_it_becomes_effective() -> None:
    before = at("2022-08-02 23:59")
    stage = Stage().apply(entry("a", before), watermark=before)
    assert stage.shown(before)["a"].rulebook == "1970-01-01"
    due = stage.state.next_timer()
    assert due == at("2022-08-03")
    stage.state.on_timer(due, stage.collector)
    assert stage.shown(due)["a"].rulebook == "2022-08-03"
    assert stage.state.next_timer() > due


def test_a_new_version_is_published_for_all_though_an_entry_is_ahead_of_the_watermark() -> None:
    before, start = at("2022-08-02 23:59"), at("2022-08-03")
    stage = Stage().apply(entry("a", before), entry("b", before), watermark=before)
    assert {score.rulebook for score in stage.shown(before).values()} == {"1970-01-01"}
    stage.apply(entry("b", start + SECOND, quotes=2), watermark=start - SECOND).shown(start - SECOND)
    due = stage.state.next_timer()
    assert due == start
    stage.state.on_timer(due, stage.collector)
    published = stage.shown(start + 2 * SECOND)
    assert {name: score.rulebook for name, score in published.items()} == {"a": "2022-08-03", "b": "2022-08-03"}


def test_ten_thousand_suppliers_are_ranked_quickly_and_one_entry_stores_little() -> None:
    stage = Stage().apply(*(entry(f"s{number}", quotes=1 + number % 50) for number in range(10_000)))
    while stage.state.has_deferred_output():
        stage.shown(NOON)
    stage.state.dump_changes()
    stage.apply(entry("s7", NOON + 1, quotes=8))
    began = time.process_time()
    assert set(stage.shown(NOON + 10 * SECOND)) == {"s7"}
    assert time.process_time() - began < 0.5
    assert set(stage.state.dump_changes()) == {b"", b"ss7"}


def test_scores_of_many_suppliers_are_published_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more supplier changes the ranks of all; other outputs of the worker must not wait for all of them."""
    monkeypatch.setattr(module, "SCORES_PER_CHECKPOINT", 3)
    names = [f"s{number}" for number in range(8)]
    stage = Stage().apply(*(entry(name) for name in names))
    published = [set(stage.shown(NOON + late)) for late in range(3)]
    assert [len(some) for some in published] == [3, 3, 2]
    assert set().union(*published) == set(names)
    assert not stage.state.has_deferred_output()
    stage.apply(entry("new", NOON + 1, quotes=9))
    ranks = {}
    for late in range(3):
        assert stage.state.has_deferred_output()
        ranks |= {name: score.ranks.quotes for name, score in stage.shown(NOON + 10 * SECOND + late).items()}
    assert {(rank.rank, rank.of) for name, rank in ranks.items() if name != "new" and rank} == {(2, 9)}
    assert len(ranks) == 9
    assert not stage.state.has_deferred_output()


def test_scores_published_in_part_are_published_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCORES_PER_CHECKPOINT", 3)
    stage = Stage().apply(*(entry(f"s{number}") for number in range(7)))
    published = set(stage.shown(NOON))
    stage.crash()
    while stage.state.has_deferred_output():
        published |= set(stage.shown(NOON + 10 * SECOND))
    assert published == {f"s{number}" for number in range(7)}
    stage.crash()
    assert stage.shown(NOON + 20 * SECOND) == {}


def test_the_remaining_parts_of_scores_are_urgent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCORES_PER_CHECKPOINT", 3)
    shard = make_shard(IndustryMachine(RULEBOOK), 2000, partition=0)
    entries = [entry(f"s{number}") for number in range(5)]
    shard.ingest(0, [Arrived(number, b"toys", encode_body(each)) for number, each in enumerate(entries)])
    shard.advance_watermark(NOON + 1)
    sizes = []
    for _ in range(2):
        snapshot = shard.snapshot()
        shard.confirm(snapshot)
        sizes.append((len(snapshot.outputs), shard.has_waiting_keys))
    assert sizes == [(3, True), (2, False)]


# leaving, through the shards -----------------------------------------------------------------------------------------


def industries(chain: Chain) -> set[str]:
    return set(chain.shards[1].states)


def test_a_supplier_that_moves_leaves_its_industry_without_a_tombstone() -> None:
    chain = Chain().play(profile(NOON, industry="toys"), profile(NOON, "other", industry="toys")).checkpoint()
    chain.play(profile(NOON + 1, industry="tools"), tick(NOON + DAY)).checkpoint().crash()
    assert None not in chain.sent("supplier-score")
    assert {name: score["industry"] for name, score in chain.scores.items()} == {"s": "tools", "other": "toys"}


def test_an_industry_that_all_suppliers_left_expires() -> None:
    chain = Chain().play(profile(NOON, industry="toys"), profile(NOON + 1, industry="tools")).checkpoint()
    chain.play(tick(NOON + DAY)).checkpoint().crash()
    assert industries(chain) == {"tools"}


def test_a_supplier_that_is_not_ranked_any_more_gets_a_tombstone() -> None:
    chain = Chain().play(profile(NOON)).checkpoint()
    assert list(chain.scores) == ["s"]
    chain.play(deleted()).checkpoint()
    assert chain.sent("supplier-score")[-1] is None
    assert chain.scores == {} == chain.end().scores


def test_a_supplier_that_comes_back_has_a_score_again() -> None:
    chain = Chain().play(profile(NOON)).checkpoint().play(deleted()).crash().play(profile(NOON + DAY)).crash()
    assert list(chain.end().scores) == ["s"]


def test_after_a_move_the_current_entry_is_sent_again() -> None:
    chain = Chain().play(profile(NOON, industry="toys")).checkpoint().play(profile(NOON + 1, industry="tools"))
    chain.checkpoint().play(tick(NOON + 50 * SECOND)).checkpoint()
    before = len(chain.sent("supplier-score"))
    chain.play(tick(NOON + 70 * SECOND)).checkpoint()
    assert [score["industry"] for score in chain.sent("supplier-score")[before:]] == ["tools"]


def test_thousands_of_events_of_a_supplier_send_few_entries() -> None:
    chain = Chain().play(*(quote(NOON + number) for number in range(2000))).checkpoint().checkpoint()
    assert len(chain.sent("supplier-metrics")) <= 2


def test_entries_without_new_content_are_not_sent() -> None:
    chain = Chain().play(quote(NOON)).checkpoint()
    before = len(chain.sent("supplier-metrics"))
    chain.play(payment(NOON + 1, "settled", 5, rfq=None), quote(NOON + 2, kind="rejected", id_="x")).checkpoint()
    assert len(chain.sent("supplier-metrics")) == before


def story_of_many() -> list[Line]:
    names = [f"s{number}" for number in range(12)]
    return [quote(NOON + number, name) for number, name in enumerate(names) for _ in range(number + 1)]


def test_twelve_suppliers_by_the_formula() -> None:
    published = Chain().play(*story_of_many()).end().scores
    assert [published[f"s{number}"]["points"]["quotes"] for number in range(12)] == [
        0, 2, 4, 6, 8, 11, 13, 15, 17, 19, 20, 20,
    ]  # fmt: skip
