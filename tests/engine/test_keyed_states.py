"""States of keys: loaded, evicted, written when they changed."""

from typing import Any

import pytest

from tests.support.lives import ENTRY, LATENESS, Life, Recorder, Recording
from tests.support.toys import ALARM, THROTTLE, ArrivalToy, Event, OrderedState, OrderedToy, Toy, message
from vigil.app.engine.changelog import OutboxMessage
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.keyed_states import EVICTED_AT_ONCE, KeyedStates
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.shards import make_shard
from vigil.app.engine.watermark import MAX_TIME


def test_eviction_changes_no_output() -> None:
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


def test_eviction_takes_unchanged_states_and_does_not_iterate_over_all_keys() -> None:
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


def test_many_states_are_evicted_some_at_a_time() -> None:
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


def test_only_keys_that_changed_are_written() -> None:
    life = Life(OrderedToy())
    life.shard.ingest(ENTRY, [message(n, Event(f"K{n}", 1000)) for n in range(50)])
    life.shard.advance_watermark(1001)
    life.checkpoint()
    life.shard.ingest(ENTRY, [message(50, Event("K7", 3000))])
    life.shard.advance_watermark(3001)
    snapshot = life.shard.snapshot()
    assert {record.key for record in snapshot.records if not record.key.startswith(b"\0\0")} == {b"\0\2K7"}


def test_between_two_rounds_only_keys_that_changed_are_asked_for_deferred_outputs() -> None:
    life = Life(OrderedToy())
    shard = life.shard

    def statuses(*events: tuple[str, int], between: bool) -> list[str]:
        for number, (key, at) in enumerate(events):
            shard.ingest(ENTRY, [message(shard.sources[ENTRY].read_offset + number, Event(key, at))])
        shard.advance_watermark(shard.sources[ENTRY].max_event_time + 1)
        snapshot = shard.snapshot(between=between)
        life.write(snapshot)
        return [output.key.decode() for output in snapshot.outputs if output.key and output.topic == "status"]

    assert statuses(("A", 1000), ("B", 1001), ("C", 1002), between=False) == ["A", "B", "C"]
    assert statuses(("A", 1010), ("B", 1010), between=True) == [], "the rate limit defers them"
    assert statuses(("A", 1010 + THROTTLE), between=True) == ["A"]
    assert statuses(between=False) == [], "B was deferred since the last round, and may change"
    assert statuses(between=False) == ["B"]


def test_a_key_that_resumes_is_asked_once_after_a_restart_and_not_in_each_round() -> None:
    asked: list[str] = []

    class Resuming(OrderedState):
        resumes = True

        def resume(self) -> None:
            asked.append(self.key)

    class ResumingToy(OrderedToy):
        def load(self, key: str, chunks: Any) -> Any:
            return Resuming(key, chunks)

    life = Life(ResumingToy())
    life.shard.ingest(ENTRY, [message(0, Event("A", 1000)), message(1, Event("B", 1000))])
    life.shard.advance_watermark(1001)
    life.checkpoint()
    life.checkpoint()
    assert not life.shard.states.deferred
    assert asked == []
    for restart in (1, 2):
        life.restart()
        life.checkpoint()
        life.checkpoint()
        assert sorted(asked) == sorted(["A", "B"] * restart)
    life.shard.evict(0)
    life.shard.ingest(ENTRY, [message(2, Event("A", 2000))])
    life.shard.advance_watermark(2001)
    life.checkpoint()
    assert len(asked) == 4, "loaded again, but not after a restart"


def test_a_timer_that_does_not_move_on_stops_the_shard() -> None:
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


# ---- without a shard -------------------------------------------------------------------------------------------------


def keyed(toy: Toy) -> KeyedStates[Event]:
    return KeyedStates(toy, ChangelogStore(), OutputCollector())


def test_a_key_exists_from_its_first_event_until_it_expires() -> None:
    states = keyed(OrderedToy())
    assert not states.is_duplicate("A", Event("A", 1000, id="x"))
    assert len(states) == 0, "a question creates no key"
    states.apply("A", Event("A", 1000, id="x"), 1000)
    assert states.is_duplicate("A", Event("A", 1001, id="x"))
    assert list(states) == ["A"]
    states.fire(MAX_TIME)
    assert (len(states), states.deleted, states.changed) == (0, {"A"}, set())


def test_a_key_that_expired_and_comes_back_starts_again() -> None:
    states = keyed(OrderedToy())
    states.apply("A", Event("A", 1000), 1000)
    states.fire(MAX_TIME)
    states.apply("A", Event("A", 90_000), 90_000)
    state = states.get("A")
    assert isinstance(state, OrderedState)
    assert state.main.said == 1


def test_a_timer_that_moved_on_fires_at_its_new_time_only() -> None:
    states = keyed(OrderedToy())
    states.apply("A", Event("A", 1000, "arm"), 1000)
    states.apply("A", Event("A", 1100, "calm"), 1100)
    assert states.fire(1000 + ALARM + 1) is False
    assert [output.topic for output in states._collector.outputs] == []


def test_fire_stops_at_its_limit_and_continues_there() -> None:
    states = keyed(ArrivalToy())
    for n in range(5):
        states.apply(f"K{n}", Event(f"K{n}", 1000 + n, id=f"{n}"), 0)
    assert states.fire(9000, limit=2) is True
    assert states.timers.next_time() == 1002 + ALARM
    assert states.fire(9000, limit=3) is False
    assert len(states.timers) == 0
