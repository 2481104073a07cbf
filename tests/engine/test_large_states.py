"""A state with many chunks is loaded in steps, and nothing else that a shard does waits for all of them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.lives import ENTRY, Life
from tests.support.toys import ALARM, THROTTLE, ArrivalToy, Event, SumState, message
from vigil.app.engine import keyed_states
from vigil.app.engine.changelog import StoredStateError
from vigil.app.engine.snapshot import STEP_WORK, WORK_AT_ONCE
from vigil.app.engine.subject import StateChunks

STEPS = 8


class SteppedToy(ArrivalToy):
    """Loads a state in STEPS steps."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.at_once: list[str] = []

    def load(self, key: str, chunks: StateChunks) -> Any:
        self.at_once.append(key)
        return super().load(key, chunks)

    def load_in_steps(self, key: str, chunks: StateChunks) -> Iterator[Any]:
        for _ in range(STEPS):
            self.steps.append(key)
            yield None
        yield SumState(key, chunks)


class Evicted:
    """A shard whose keys are stored and not loaded; each of them is large."""

    def __init__(self, *keys: str) -> None:
        self.toy = SteppedToy()
        self.life = Life(self.toy)
        self.number = len(keys)
        self.life.shard.ingest(ENTRY, [message(n, Event(key, 1000, id=key)) for n, key in enumerate(keys)])
        self.life.shard.advance_watermark(1001)
        self.life.checkpoint()
        self.life.shard.evict(0)
        self.toy.at_once.clear()
        assert self.shard.states.large == set(keys)

    @property
    def shard(self) -> Any:
        return self.life.shard

    @property
    def loaded(self) -> set[str]:
        return set(self.shard.states.loaded)


@pytest.fixture(autouse=True)
def every_state_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyed_states, "MANY_CHUNKS", 0)


def test_records_of_a_large_state_wait_until_it_is_loaded_and_those_before_them_do_not() -> None:
    one = Evicted("A", "B")
    records = [message(2 + n, Event(key, 1001, id=f"{n}")) for n, key in enumerate("NABN")]
    ready = [one.shard.ready(records) for _ in range(2 * STEPS + 1)]
    assert ready == [1] * STEPS + [2] * STEPS + [4], "N is new"
    assert one.toy.steps == ["A"] * STEPS + ["B"] * STEPS
    assert (one.toy.at_once, one.shard.states.large) == ([], set())
    one.shard.ingest(ENTRY, records)
    assert len(one.shard.states.get("A").main.due) == 2


def test_what_cannot_wait_takes_the_steps_that_are_left() -> None:
    one = Evicted("A")
    for _ in range(3):
        one.shard.states.prepare("A")
    assert list(one.shard.states.get("A").main.due) == ["A"]
    assert (one.toy.steps, one.toy.at_once) == (["A"] * STEPS, [])


def test_a_timer_of_a_large_state_fires_after_as_many_calls_as_it_has_steps() -> None:
    one = Evicted("A", "B")
    more = [one.shard.advance_watermark(1001 + ALARM, 20) for _ in range(2 * STEPS + 1)]
    assert more == [True] * 2 * STEPS + [False]
    assert [output.id for output in one.shard.collector.outputs] == ["alarm|A", "alarm|B"], "in order"
    one = Evicted("A", "B")
    assert not one.shard.advance_watermark(1001 + ALARM), "without a limit, as in a replay, at once"
    assert len(one.shard.collector.outputs) == 2


def test_a_snapshot_takes_some_steps_and_asks_the_key_in_a_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SumState, "has_more_outputs", SumState.has_deferred_output)
    one = Evicted("A")
    one.shard.ingest(ENTRY, [message(1, Event("A", 1002, id="x"))])
    one.shard.advance_watermark(1003 + ALARM)
    one.life.checkpoint()
    published = 1003 + ALARM
    one.shard.ingest(ENTRY, [message(2, Event("A", published, id="y"))])
    one.life.checkpoint()  # too early after the last status
    one.shard.evict(0)
    one.toy.steps.clear()
    one.shard.watermark = published + THROTTLE  # without the timers that are due by then
    taken = []
    while not one.loaded:
        before = len(one.toy.steps)
        one.life.checkpoint()
        taken.append(len(one.toy.steps) - before)
        assert one.shard.has_waiting_keys is not bool(one.loaded)
    assert taken == [6, 2] and -(-WORK_AT_ONCE // STEP_WORK) == 6
    assert one.life.published("status")[-1].startswith(f"status|A|{published + THROTTLE}")


def test_a_state_is_large_again_once_it_is_evicted_or_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Evicted("A")
    one.shard.states.get("A")
    assert one.shard.states.large == set()
    one.shard.evict(0)
    assert one.shard.states.large == {"A"}
    monkeypatch.setattr(keyed_states, "MANY_CHUNKS", 1)
    one.life.restart()
    assert one.shard.states.large == set(), "it has its main chunk only"


def test_a_large_state_that_cannot_be_read_stops_the_worker_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Evicted("A")

    def unreadable(key: str, chunks: StateChunks) -> Iterator[None]:
        yield None
        raise ValueError("version 9")

    monkeypatch.setattr(one.toy, "load_in_steps", unreadable)
    assert not one.shard.states.prepare("A")
    with pytest.raises(StoredStateError, match="the stored state of 'A'"):
        one.shard.states.prepare("A")
