"""The order in which a shard applies events and fires timers, boundary by boundary (I-2, I-4)."""

from itertools import permutations
from typing import Any

import pytest

from tests.support.lives import ENTRY, LATENESS, LOOK, Life, Recording, at
from tests.support.toys import ALARM, REMEMBER, ArrivalToy, Event, OrderedToy, PatientToy, message
from vigil.app.engine.shards import make_shard


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_events_of_one_time_are_applied_by_source_then_offset_in_any_order_of_arrival(
    order: tuple[int, ...],
) -> None:
    toy = Recording()
    shard = make_shard(toy, LATENESS)
    for source_index in order:
        shard.ingest(source_index, [message(n, Event("A", 500, id=f"{source_index}.{n}")) for n in range(2)])
    shard.advance_watermark(501)
    assert [id_ for _, id_ in toy.calls] == ["0.0", "0.1", "1.0", "1.1", "2.0", "2.1"]


def test_an_event_is_applied_once_the_watermark_is_above_its_time() -> None:
    toy = Recording()
    shard = make_shard(toy, LATENESS)
    shard.ingest(ENTRY, at(500))
    shard.advance_watermark(500)
    assert toy.calls == []
    shard.advance_watermark(501)
    assert toy.calls == [(500, "500")]


def test_a_timer_fires_after_the_events_of_its_time_and_before_any_later_one() -> None:
    toy = Recording()
    shard = make_shard(toy, LATENESS)
    shard.ingest(LOOK, [message(0, Event("A", 1000 + ALARM + 1)), message(1, Event("B", 1000 + ALARM))])
    shard.ingest(ENTRY, [message(0, Event("A", 1000, "arm"))])
    shard.advance_watermark(5000)
    assert toy.calls == [(1000, None), (1000 + ALARM, None), ("timer", 1000 + ALARM), (1000 + ALARM + 1, None)]


def test_a_timer_fires_once_the_watermark_is_above_it_without_further_events() -> None:
    toy = Recording()
    shard = make_shard(toy, LATENESS)
    shard.ingest(ENTRY, [message(0, Event("A", 1000, "arm"))])
    shard.advance_watermark(1000 + ALARM)
    assert toy.calls[1:] == []
    shard.advance_watermark(1000 + ALARM + 1)
    assert toy.calls[1:] == [("timer", 1000 + ALARM)]


def test_timers_of_many_keys_fire_by_time_in_one_step_as_in_many() -> None:
    def timers(*watermarks: int) -> list[Any]:
        toy = Recording()
        shard = make_shard(toy, LATENESS)
        shard.ingest(ENTRY, [message(n, Event(key, 1000 - 7 * n, "arm")) for n, key in enumerate("DACB")])
        for watermark in watermarks:
            shard.advance_watermark(watermark)
        return toy.calls

    assert timers(9000) == timers(990, 1000, 1000 + ALARM - 10, 1000 + ALARM, 9000)


def test_in_arrival_order_a_limited_number_of_timers_fires_at_a_time() -> None:
    shard = make_shard(ArrivalToy(), LATENESS)
    shard.ingest(ENTRY, [message(n, Event(f"{n}", 1000, id=f"{n}")) for n in range(10)])
    shard.ingest(ENTRY, [message(10, Event("later", 1100, id="later"))])
    fired, watermarks = [], []
    more = True
    while more:
        more = shard.advance_watermark(9000, 4)
        fired.append([output.id for output in shard.collector.outputs if output.topic == "alarm"])
        watermarks.append(shard.watermark)
    assert [len(ids) for ids in fired] == [4, 8, 11]
    assert watermarks == [1000 + ALARM, 1000 + ALARM, 9000]
    assert sorted(fired[-1]) == sorted([*(f"alarm|{n}" for n in range(10)), "alarm|later"])
    assert shard.advance_watermark(9000, 4) is False


def test_in_event_time_order_all_timers_fire_whatever_the_limit() -> None:
    toy = Recording()
    shard = make_shard(toy, LATENESS)
    shard.ingest(ENTRY, [message(n, Event(key, 1000, "arm")) for n, key in enumerate("ABCD")])
    assert shard.advance_watermark(9000, 1) is False
    assert len([call for call in toy.calls if call[0] == "timer"]) == 4


def test_the_watermark_never_goes_back() -> None:
    shard = make_shard(Recording(), LATENESS)
    shard.advance_watermark(1000)
    shard.advance_watermark(900)
    assert shard.watermark == 1000


@pytest.mark.parametrize("again, duplicates", [(REMEMBER - 1, 1), (REMEMBER, 0)])
@pytest.mark.parametrize("between", [True, False])
def test_how_long_an_id_is_remembered_does_not_depend_on_batches(again: int, duplicates: int, between: bool) -> None:
    life = Life(OrderedToy())
    life.shard.ingest(ENTRY, [message(0, Event("A", 1000, id="same"))])
    if between:
        life.shard.advance_watermark(1001)
    life.shard.ingest(ENTRY, [message(1, Event("A", 1000 + again, id="same"))])
    life.shard.advance_watermark(9000)
    life.checkpoint()
    assert life.shard.collector.counts.get("duplicates:entry", 0) == duplicates
    assert len(life.published("said")) == 2 - duplicates


def test_the_first_to_arrive_counts_though_a_duplicate_has_an_earlier_time() -> None:
    life = Life(PatientToy())
    life.shard.ingest(ENTRY, [message(0, Event("A", 1000, id="same")), message(1, Event("A", 990, id="same"))])
    life.shard.advance_watermark(9000)
    life.checkpoint()
    said = next(output for output in life.sent if output.topic == "said")
    assert said.at == 1000
