"""Order, lateness, deadlines and restarts of one shard, boundary by boundary."""

from itertools import permutations
from typing import Any

import msgspec
import pytest

from tests.support.toys import ALARM, REMEMBER, ArrivalToy, Event, OrderedToy, PatientToy, SourceRecord, Toy, message
from vigil.app.engine.changelog import OutboxMessage
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.keyed_states import EVICTED_AT_ONCE
from vigil.app.engine.shards import make_shard
from vigil.app.engine.subject import KeyStateDefaults
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.fields import MAX_AHEAD_MS

LATENESS = 100
ENTRY, REMARK, LOOK = range(3)


class Recorder(KeyStateDefaults[Event]):
    """A subject that only remembers what was called, and asks for the deadlines that events name."""

    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls
        self.due: list[int] = []

    def apply(self, event: Event, watermark: int, collector: Any) -> None:
        self.calls.append((event.at, event.id))
        if event.do == "arm":
            self.due.append(event.at + ALARM)

    def next_timer(self) -> int:
        return min(self.due, default=MAX_TIME)

    def on_timer(self, at: int, collector: Any) -> None:
        self.due.remove(at)
        self.calls.append(("deadline", at))

    def expired(self) -> bool:
        return False

    def dump_changes(self) -> Any:
        return {b"": b""}


class Recording(OrderedToy):
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def load(self, key: str, chunks: Any) -> Any:
        return Recorder(self.calls)

    def dedup_key(self, event: Event) -> None:
        return None


class Life:
    """A shard that can be killed and started again from what it has stored."""

    def __init__(self, toy: Toy, lateness: int = LATENESS) -> None:
        self.toy = toy
        self.log: list[Any] = []
        self.sent: list[OutboxMessage] = []
        self.restart(lateness)

    def restart(self, lateness: int = LATENESS) -> None:
        store = ChangelogStore()
        store.read(self.log)
        store.finalize_restore()
        self.shard = make_shard(self.toy, lateness, partition=0, store=store)
        self.write(self.shard.acquire())

    def checkpoint(self) -> None:
        self.write(self.shard.snapshot())

    def write(self, snapshot: Any) -> None:
        self.log += snapshot.changelog()
        self.shard.confirm(snapshot)
        self.sent += snapshot.outputs

    def refused(self) -> list[tuple[int, str, int]]:
        """(offset, reason, clock) of each dead letter sent."""
        letters = [msgspec.json.decode(o.payload) for o in self.sent if o.topic == "dead-letter" and o.payload]
        return [(letter["offset"], letter["reason"], letter["at"]) for letter in letters]

    def told(self, topic: str) -> list[str]:
        return [output.id for output in self.sent if output.topic == topic]


def at(*times: int, key: str = "A", first: int = 0) -> list[SourceRecord]:
    """Events at these times at the offsets from `first` on."""
    return [message(first + n, Event(key, time, id=f"{time}")) for n, time in enumerate(times)]


# ---- order ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_events_of_one_time_go_by_rank_then_offset_however_they_came(order: tuple[int, ...]) -> None:
    toy = Recording()
    shard = make_shard(toy, LATENESS)
    for source_index in order:
        shard.ingest(source_index, [message(n, Event("A", 500, id=f"{source_index}.{n}")) for n in range(2)])
    shard.advance_watermark(501)
    assert [id_ for _, id_ in toy.calls] == ["0.0", "0.1", "1.0", "1.1", "2.0", "2.1"]


def test_an_event_is_judged_once_the_clock_is_above_its_time() -> None:
    toy = Recording()
    shard = make_shard(toy, LATENESS)
    shard.ingest(ENTRY, at(500))
    shard.advance_watermark(500)
    assert toy.calls == []
    shard.advance_watermark(501)
    assert toy.calls == [(500, "500")]


def test_a_deadline_comes_after_the_events_of_its_time_and_before_any_later_one() -> None:
    toy = Recording()
    shard = make_shard(toy, LATENESS)
    shard.ingest(LOOK, [message(0, Event("A", 1000 + ALARM + 1)), message(1, Event("B", 1000 + ALARM))])
    shard.ingest(ENTRY, [message(0, Event("A", 1000, "arm"))])
    shard.advance_watermark(5000)
    assert toy.calls == [(1000, None), (1000 + ALARM, None), ("deadline", 1000 + ALARM), (1000 + ALARM + 1, None)]


def test_a_deadline_is_met_once_the_clock_is_above_it_though_nothing_comes() -> None:
    toy = Recording()
    shard = make_shard(toy, LATENESS)
    shard.ingest(ENTRY, [message(0, Event("A", 1000, "arm"))])
    shard.advance_watermark(1000 + ALARM)
    assert toy.calls[1:] == []
    shard.advance_watermark(1000 + ALARM + 1)
    assert toy.calls[1:] == [("deadline", 1000 + ALARM)]


def test_deadlines_of_many_keys_go_by_time_in_one_step_as_in_many() -> None:
    def deadlines(*clocks: int) -> list[Any]:
        toy = Recording()
        shard = make_shard(toy, LATENESS)
        shard.ingest(ENTRY, [message(n, Event(key, 1000 - 7 * n, "arm")) for n, key in enumerate("DACB")])
        for watermark in clocks:
            shard.advance_watermark(watermark)
        return toy.calls

    assert deadlines(9000) == deadlines(990, 1000, 1000 + ALARM - 10, 1000 + ALARM, 9000)


def test_deadlines_of_one_time_pass_some_at_a_time_where_order_does_not_matter() -> None:
    shard = make_shard(ArrivalToy(), LATENESS)
    shard.ingest(ENTRY, [message(n, Event(f"{n}", 1000, id=f"{n}")) for n in range(10)])
    shard.ingest(ENTRY, [message(10, Event("later", 1100, id="later"))])
    told, clocks = [], []
    more = True
    while more:
        more = shard.advance_watermark(9000, 4)
        told.append([output.id for output in shard.collector.outputs if output.topic == "alarm"])
        clocks.append(shard.watermark)
    assert [len(ids) for ids in told] == [4, 8, 11]
    assert clocks == [1000 + ALARM, 1000 + ALARM, 9000]
    assert sorted(told[-1]) == sorted([*(f"alarm|{n}" for n in range(10)), "alarm|later"])
    assert shard.advance_watermark(9000, 4) is False


def test_what_goes_in_order_passes_as_a_whole() -> None:
    toy = Recording()
    shard = make_shard(toy, LATENESS)
    shard.ingest(ENTRY, [message(n, Event(key, 1000, "arm")) for n, key in enumerate("ABCD")])
    assert shard.advance_watermark(9000, 1) is False
    assert len([call for call in toy.calls if call[0] == "deadline"]) == 4


def test_the_clock_never_goes_back() -> None:
    shard = make_shard(Recording(), LATENESS)
    shard.advance_watermark(1000)
    shard.advance_watermark(900)
    assert shard.watermark == 1000


# ---- lateness -------------------------------------------------------------------------------------------------------


def test_lateness_is_tested_record_by_record_within_a_batch() -> None:
    life = Life(Recording())
    life.shard.ingest(ENTRY, at(1000, 900, 899, 1200, 1099, 1100))
    life.checkpoint()
    assert life.refused() == [(2, "late", 900), (4, "late", 1100)]


def test_lateness_does_not_depend_on_batches() -> None:
    whole, single = Life(Recording()), Life(Recording())
    story = at(1000, 880, 1300, 1190, 1210, 1199, 1201)
    whole.shard.ingest(ENTRY, story)
    for one in story:
        single.shard.ingest(ENTRY, [one])
    whole.checkpoint()
    single.checkpoint()
    assert whole.refused() == single.refused()


def test_an_event_on_the_other_partitions_clock_is_not_late() -> None:
    life = Life(Recording())
    life.shard.ingest(LOOK, at(5000))
    life.shard.ingest(ENTRY, at(1000))
    life.checkpoint()
    assert life.refused() == []


def test_after_idleness_what_is_below_the_shards_clock_is_late_and_what_is_on_it_is_not() -> None:
    life = Life(Recording())
    life.shard.ingest(ENTRY, at(1000))
    life.shard.advance_watermark(3000)  # released: every partition was idle
    life.shard.ingest(ENTRY, at(2999, 3000, first=1))
    life.checkpoint()
    assert life.refused() == [(1, "late", 3000)]


def test_a_refused_message_moves_no_clock() -> None:
    life = Life(Recording())
    life.shard.ingest(ENTRY, [message(0, Event("A", 1000)), message(1, None)])
    life.shard.ingest(ENTRY, at(2000 + MAX_AHEAD_MS, first=2), wall=1000)
    assert life.shard.sources[ENTRY].max_event_time == 1000
    life.checkpoint()
    assert life.refused() == [(1, "malformed", 900), (2, "malformed", 900)]


def test_a_subject_that_refuses_nothing_takes_late_events_on_arrival() -> None:
    life = Life(PatientToy())
    life.shard.ingest(ENTRY, at(1000))
    life.shard.advance_watermark(3000)
    life.shard.ingest(ENTRY, at(500, first=1))
    life.checkpoint()
    assert life.told("said") == ["said|1000", "said|500"]


@pytest.mark.parametrize("toy", [PatientToy(), ArrivalToy()])
def test_a_deadline_that_has_passed_when_its_event_comes_is_met_at_once(toy: Toy) -> None:
    life = Life(toy)
    life.shard.advance_watermark(9000)
    life.shard.ingest(ENTRY, at(500))
    life.checkpoint()
    assert life.told("alarm") == ["alarm|500"]


# ---- restarts -------------------------------------------------------------------------------------------------------


def test_what_was_refused_is_not_refused_again_after_a_restart() -> None:
    life = Life(Recording())
    story = [*at(1000, 899, 1050), message(3, None)]
    life.shard.ingest(ENTRY, story)
    life.checkpoint()
    before = life.refused()
    life.restart()
    life.sent.clear()
    life.shard.ingest(ENTRY, story)
    life.checkpoint()
    assert [offset for offset, *_ in before] == [1, 3]
    assert life.refused() == []


def test_what_is_owed_is_sent_again_until_the_next_checkpoint() -> None:
    life = Life(Recording())
    life.shard.ingest(ENTRY, at(1000, 899))
    life.checkpoint()
    first = life.sent
    for _ in range(2):
        life.sent = []
        life.restart()
        assert life.sent == first
    life.checkpoint()
    life.sent = []
    life.restart()
    assert life.sent == []


def test_what_was_late_by_idleness_is_not_judged_when_it_is_read_again() -> None:
    toy = Recording()
    life = Life(toy)
    life.shard.ingest(REMARK, at(5000))  # waits, and so is read again
    life.shard.ingest(ENTRY, at(1000))
    life.shard.advance_watermark(3000)
    life.shard.ingest(ENTRY, at(4000, 3950, 2999, first=1))
    life.checkpoint()
    life.restart()
    assert life.shard.sources[ENTRY].committed_offset == 1
    life.shard.ingest(ENTRY, at(1000, 4000, 3950, 2999))
    life.shard.ingest(REMARK, at(5000))
    life.shard.advance_watermark(9000)
    assert toy.calls == [(1000, "1000"), (3950, "3950"), (4000, "4000"), (5000, "5000")]
    assert [offset for offset, *_ in life.refused()] == [3, 3]  # sent, and sent again by the outbox


def test_the_stored_clock_of_a_partition_is_that_below_its_committed_offset() -> None:
    life = Life(Recording())
    life.shard.ingest(ENTRY, at(1000, 950, 2000))
    life.shard.advance_watermark(960)
    snapshot = life.shard.snapshot()
    assert snapshot.committed_offsets == (0, 0, 0)
    life.shard.advance_watermark(1001)
    snapshot = life.shard.snapshot()
    assert snapshot.committed_offsets == (2, 0, 0)
    assert snapshot.marker.sources[ENTRY].max_event_time == 1000


def test_a_restart_that_is_restarted_in_the_middle_of_what_it_reads_again_loses_and_repeats_nothing() -> None:
    toy = Recording()
    life = Life(toy)
    story = at(2000, 899, 1950, 2050, 1850, 2100, 2001)
    life.shard.ingest(ENTRY, story)  # 899 and 1850 are late
    life.shard.advance_watermark(1955)
    life.checkpoint()
    for count in range(len(story) + 1):
        life.restart()
        life.shard.ingest(ENTRY, story[:count])
        life.shard.advance_watermark(1955 + count)
        life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, story)
    life.shard.advance_watermark(9000)
    assert sorted(set(toy.calls)) == sorted(toy.calls)
    assert [time for time, _ in toy.calls] == [1950, 2000, 2001, 2050, 2100]
    assert {offset for offset, *_ in life.refused()} == {1, 4}


def test_a_late_event_that_waited_is_not_lost_when_the_clock_could_pass_it_before_it_is_read_again() -> None:
    life = Life(PatientToy())
    life.shard.ingest(ENTRY, at(2000, 1500))  # both wait: the other partitions have not begun
    life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, at(2000))
    life.shard.advance_watermark(1900)
    life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, at(2000, 1500))
    life.shard.advance_watermark(9000)
    life.checkpoint()
    assert life.told("said") == ["said|1500", "said|2000"]


def test_an_event_that_waited_is_judged_even_if_the_clock_was_let_past_it() -> None:
    """No worker releases a partition that it has not read to its end; if one did, nothing would be lost by it."""
    toy = Recording()
    life = Life(toy)
    life.shard.ingest(ENTRY, at(2000))
    life.checkpoint()
    life.restart()
    life.shard.advance_watermark(9000)
    life.shard.ingest(ENTRY, at(2000))
    life.checkpoint()
    assert (toy.calls, life.refused()) == ([(2000, "2000")], [])


def test_a_message_refused_as_far_ahead_stays_refused_when_it_is_read_again_later() -> None:
    toy = Recording()
    life = Life(toy)
    wall = 1000
    ahead = wall + MAX_AHEAD_MS + 1
    life.shard.ingest(ENTRY, at(1000, ahead, 1010), wall)
    life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, at(1000, ahead, 1010), wall + 60_000)
    assert life.shard.sources[ENTRY].max_event_time == 1010
    life.shard.advance_watermark(1011)
    assert toy.calls == [(1000, "1000"), (1010, "1010")]


@pytest.mark.parametrize("wall", [MAX_AHEAD_MS, MAX_AHEAD_MS - 1])
def test_an_event_a_day_ahead_of_the_worker_is_taken_and_a_later_one_is_not(wall: int) -> None:
    life = Life(Recording())
    life.shard.ingest(ENTRY, at(2 * MAX_AHEAD_MS), wall)
    life.checkpoint()
    assert bool(life.refused()) is (wall < MAX_AHEAD_MS)


def test_an_event_that_waited_under_a_larger_lateness_is_judged_after_a_restart_with_a_smaller_one() -> None:
    toy = Recording()
    life = Life(toy, lateness=1000)
    life.shard.ingest(ENTRY, at(5000, 4500))
    life.checkpoint()
    life.restart(lateness=10)
    life.shard.ingest(ENTRY, at(5000, 4500))
    life.shard.ingest(ENTRY, at(4985, first=2))
    life.shard.advance_watermark(9000)
    life.checkpoint()
    assert [time for time, _ in toy.calls] == [4500, 5000]
    assert [offset for offset, *_ in life.refused()] == [2]


def test_a_duplicate_is_one_again_after_a_restart_and_is_counted_once() -> None:
    life = Life(PatientToy())
    story = [message(n, Event("A", 1000 + n, id="same")) for n in range(3)]
    life.shard.ingest(ENTRY, story)
    life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, story)
    life.shard.advance_watermark(1001)
    assert "duplicates:entry" not in life.shard.collector.counts
    life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, story)
    life.shard.advance_watermark(9000)
    assert life.shard.collector.counts["duplicates:entry"] == 2
    life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, story)
    life.shard.advance_watermark(9500)
    life.checkpoint()
    assert "duplicates:entry" not in life.shard.collector.counts
    assert set(life.told("said")) == {"said|same"}
    assert set(life.told("alarm")) == {"alarm|same"}


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
    assert len(life.told("said")) == 2 - duplicates


def test_the_first_to_arrive_counts_though_a_duplicate_has_an_earlier_time() -> None:
    life = Life(PatientToy())
    life.shard.ingest(ENTRY, [message(0, Event("A", 1000, id="same")), message(1, Event("A", 990, id="same"))])
    life.shard.advance_watermark(9000)
    life.checkpoint()
    said = next(output for output in life.sent if output.topic == "said")
    assert said.at == 1000


def test_messages_that_were_read_before_are_skipped() -> None:
    toy = Recording()
    shard = make_shard(toy, LATENESS)
    shard.ingest(ENTRY, at(1000, 1001))
    shard.ingest(ENTRY, at(1000, 1001, 1002))
    shard.advance_watermark(2000)
    assert [time for time, _ in toy.calls] == [1000, 1001, 1002]


def test_the_last_status_of_a_forgotten_key_is_owed() -> None:
    """Nobody can tell it again once the key is gone."""
    life = Life(OrderedToy())
    life.shard.ingest(ENTRY, [message(0, Event("A", 1000, "leave"))])
    life.shard.advance_watermark(1001)
    life.checkpoint()
    life.sent = []
    life.restart()
    assert [(output.topic, output.key, output.payload) for output in life.sent] == [("status", b"A", None)]


def test_unloading_changes_nothing_that_comes_out() -> None:
    def run(most: int | None) -> tuple[list[OutboxMessage], list[Any]]:
        life = Life(OrderedToy())
        for n in range(60):
            life.shard.ingest(ENTRY, [message(n, Event("ABCDE"[n % 5], 1000 + 37 * n, "arm" if n % 7 else "say"))])
            life.shard.advance_watermark(1000 + 37 * n - LATENESS)
            if n % 3 == 0:
                life.checkpoint()
                if most is not None:
                    life.shard.evict(most)
                    states = life.shard.states
                    assert len(states.loaded) <= most or states.deferred
        life.shard.end_of_input(20_000)
        life.checkpoint()
        return life.sent, life.log

    assert run(None) == run(0) == run(2)


class Unseen(dict[str, Any]):
    """Keys that may be looked up, never looked through."""

    def __iter__(self) -> Any:
        raise AssertionError("all keys are looked through")

    keys = values = items = __iter__  # type: ignore[assignment]


def test_unloading_takes_what_is_not_in_use_and_does_not_look_through_what_is_not_loaded() -> None:
    life = Life(OrderedToy())
    shard = life.shard
    shard.ingest(ENTRY, [message(n, Event(f"K{n}", 1000)) for n in range(6)])
    shard.advance_watermark(1001)
    life.checkpoint()
    shard.ingest(ENTRY, [message(6, Event("K0", 1010)), message(7, Event("K3", 1020))])
    shard.advance_watermark(1021)
    life.checkpoint()
    shard.ingest(ENTRY, [message(8, Event("K1", 1030))])
    shard.advance_watermark(1031)  # not saved
    shard.states._states = Unseen(shard.states._states)
    shard.evict(3)
    assert set(shard.states.loaded) == {"K0", "K1", "K3", "K5"}
    shard.evict(3)
    assert set(shard.states.loaded) == {"K0", "K1", "K3"}


def test_many_are_unloaded_some_at_a_time() -> None:
    life = Life(OrderedToy())
    number = 2 * EVICTED_AT_ONCE + 10
    life.shard.ingest(ENTRY, [message(n, Event(f"K{n}", 1000)) for n in range(number)])
    life.shard.advance_watermark(1001)
    life.checkpoint()
    left = []
    for _ in range(4):
        life.shard.evict(10)
        left.append(len(life.shard.states.loaded))
    assert left == [number - EVICTED_AT_ONCE, 10, 10, 10]


def test_only_what_changed_is_written() -> None:
    life = Life(OrderedToy())
    life.shard.ingest(ENTRY, [message(n, Event(f"K{n}", 1000)) for n in range(50)])
    life.shard.advance_watermark(1001)
    life.checkpoint()
    life.shard.ingest(ENTRY, [message(50, Event("K7", 3000))])
    life.shard.advance_watermark(3001)
    snapshot = life.shard.snapshot()
    assert {record.key for record in snapshot.records if not record.key.startswith(b"\0\0")} == {b"\0\2K7"}


def test_a_deadline_that_does_not_move_on_is_a_bug_that_stops_us() -> None:
    class Stuck(Recorder):
        def on_timer(self, at: int, collector: Any) -> None:
            pass

    class Sticking(Recording):
        def load(self, key: str, chunks: Any) -> Any:
            return Stuck([])

    shard = make_shard(Sticking(), LATENESS)
    shard.ingest(ENTRY, [message(0, Event("A", 1000, "arm"))])
    with pytest.raises(RuntimeError, match="'A'"):
        shard.advance_watermark(9000)
