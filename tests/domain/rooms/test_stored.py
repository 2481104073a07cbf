"""What grows is stored in pieces: after any restart it is what it was, and little is written at a time."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigil.app.engine.storage.aggregates import CappedCounter, ExpiringMap, Histogram
from vigil.app.engine.storage.chunked import ChunkedLog, ChunkedQueue, LogSnapshot, QueueSnapshot, hash64

T = Any


class Stored:
    """The records of one holder beside its place in the main record."""

    def __init__(self) -> None:
        self.chunks: dict[bytes, bytes] = {}
        self.written = 0

    def restart(self, holder: T, kept: T, make: Callable[[T, dict[bytes, bytes]], T]) -> tuple[T, T]:
        """Store the collection and its snapshot, and make both again."""
        changed: dict[bytes, bytes | None] = {}
        names = holder.names()
        holder.dump(changed)
        for name, record in changed.items():
            if record is None:
                self.chunks.pop(name, None)  # it may have come and gone since the last time
            else:
                self.chunks[name] = record
                self.written += len(record)
        assert set(self.chunks) == set(names) - {name for name, record in changed.items() if record is None}
        kept = msgspec.convert(msgspec.msgpack.decode(msgspec.msgpack.encode(kept)), type(kept))
        return make(kept, dict(self.chunks)), kept


ACTIONS = st.lists(st.one_of(st.integers(1, 12), st.integers(-14, -1), st.just(0)), max_size=60)
"""Add that many, drop that many, or restart."""


@settings(max_examples=200, deadline=None)
@given(ACTIONS, st.integers(1, 9))
def test_a_queue_has_what_was_added_and_not_dropped(actions: list[int], size: int) -> None:
    def make(kept: QueueSnapshot, chunks: dict[bytes, bytes]) -> ChunkedQueue:
        return ChunkedQueue(b"q", size, kept, chunks)

    stored, kept, expected, number = Stored(), QueueSnapshot(), list[list[Any]](), 0
    queue = make(kept, {})
    for action in actions:
        for _ in range(action):
            queue.append((number, f"item {number}", None))
            expected.append([number, f"item {number}", None])
            number += 1
        if action < 0:
            count = min(-action, len(expected))
            queue.drop(count)
            del expected[:count]
        if action == 0:
            queue, kept = stored.restart(queue, kept, make)
        assert [list(item) for item in queue.items] == expected
        assert len(kept.tail) < size
    queue.drop(len(expected))
    stored.restart(queue, kept, make)
    assert stored.chunks == {}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from([0, 0, 1, 5, 200])), max_size=700), st.integers(1, 60))
def test_a_map_has_what_came_within_its_time(steps: list[tuple[int, int]], every: int) -> None:
    def make(kept: LogSnapshot, chunks: dict[bytes, bytes]) -> ExpiringMap:
        return ExpiringMap(b"w", kept, chunks)

    stored, kept, now, seen = Stored(), LogSnapshot(), 0, dict[int, int]()
    window = make(kept, {})
    for number, (key, step) in enumerate(steps):
        now += step
        window.add(key, now, now - 1000)
        seen[key] = now
        if number % every == 0:
            window, kept = stored.restart(window, kept, make)
        recent = {key: at for key, at in seen.items() if at > now - 1000}
        assert {key: at for key, at in window.latest.items() if at > now - 1000} == recent
    window.forget(now - 1000)
    assert window.latest == {key: at for key, at in seen.items() if at > now - 1000}
    assert list(window.latest.values()) == sorted(window.latest.values())


def test_a_map_deletes_the_chunks_that_have_expired() -> None:
    def make(kept: LogSnapshot, chunks: dict[bytes, bytes]) -> ExpiringMap:
        return ExpiringMap(b"w", kept, chunks)

    stored, kept = Stored(), LogSnapshot()
    window = make(kept, {})
    for at in range(10_000):
        window.add(at, at, at - 1000)
        if at % 10 == 0:
            window, kept = stored.restart(window, kept, make)
    assert len(stored.chunks) <= 1000 // ChunkedLog.PIECE_ROWS + 2
    assert stored.written < 10_000 * 15 * (ChunkedLog.PIECE_ROWS // ChunkedLog.OPEN_ROWS)


def test_a_chunk_that_grows_is_kept_for_its_last_row() -> None:
    def make(kept: LogSnapshot, chunks: dict[bytes, bytes]) -> ExpiringMap:
        return ExpiringMap(b"w", kept, chunks)

    kept = LogSnapshot()
    window = make(kept, {})
    for at in range(0, 3000, 10):
        window.add(at, at, at - 1000)
    window, _ = Stored().restart(window, kept, make)
    assert set(range(2000, 3000, 10)) <= set(window.latest)


def test_a_map_in_which_everything_expired_starts_again() -> None:
    def make(kept: LogSnapshot, chunks: dict[bytes, bytes]) -> ExpiringMap:
        return ExpiringMap(b"w", kept, chunks)

    stored, kept = Stored(), LogSnapshot()
    window = make(kept, {})
    for at in range(2 * ChunkedLog.OPEN_ROWS):
        window.add(at, at, at - 1000)
    window.forget(5000)
    assert window.latest == {}
    for at in range(6000, 6000 + 2 * ChunkedLog.OPEN_ROWS):
        window.add(at, at, at - 1000)
    window, _ = stored.restart(window, kept, make)
    assert set(window.latest) == set(range(6000, 6000 + 2 * ChunkedLog.OPEN_ROWS))
    assert len(stored.chunks) == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=600), st.integers(1, 4), st.integers(1, 60))
def test_a_counter_counts_up_to_its_cap(keys: list[int], most: int, every: int) -> None:
    def make(kept: LogSnapshot, chunks: dict[bytes, bytes]) -> CappedCounter:
        return CappedCounter(b"t", most, kept, chunks)

    stored, kept = Stored(), LogSnapshot()
    tally = make(kept, {})
    for number, key in enumerate(keys):
        tally.add(key)
        if number % every == 0:
            holder, kept = stored.restart(tally.log, kept, lambda kept, chunks: make(kept, chunks))
            tally = holder
    for times in range(1, most + 1):
        assert tally.at_least(times) == sum(count >= times for count in Counter(keys).values())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 5000), min_size=1, max_size=400), st.integers(1, 90))
def test_a_histogram_gives_the_nearest_rank(numbers: list[int], every: int) -> None:
    class ShadowSnapshot(msgspec.Struct):
        tail: list[int]
        buckets: list[int]

    def make(kept: ShadowSnapshot, chunks: dict[bytes, bytes]) -> Histogram:
        return Histogram(b"c", kept.tail, kept.buckets, chunks)

    stored, kept = Stored(), ShadowSnapshot([], [])
    counts = make(kept, {})
    for number, value in enumerate(numbers):
        counts.add(value)
        if number % every == 0:
            counts, kept = stored.restart(counts, kept, make)
    ordered = sorted(numbers)
    for percent in (1, 50, 95, 100):
        rank = next(rank for rank in range(1, len(ordered) + 1) if rank * 100 >= percent * len(ordered))
        assert counts.nearest_rank(percent) == ordered[rank - 1]
    assert counts.total == len(numbers)
    assert len(stored.chunks) <= 5
    assert len(kept.buckets) == len(set(kept.buckets))


def test_a_histogram_without_a_number_has_no_rank() -> None:
    with pytest.raises(ValueError, match="no number"):
        Histogram(b"c", [], [], {}).nearest_rank(50)


def test_hashes_are_the_same_on_every_machine() -> None:
    assert hash64("abc") == 0xD8BB14D833D59559
    assert hash64("") == 0xE4A6A0577479B2B4
