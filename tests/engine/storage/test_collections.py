"""What grows is stored in chunks: after any restart it is what it was, and little is written at a time."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from vigil.app.engine.storage.buckets import BUCKET_ENTRIES, Buckets
from vigil.app.engine.storage.capped_counter import CappedCounter
from vigil.app.engine.storage.chunked_log import ChunkedLog, LogSnapshot, TimeLog
from vigil.app.engine.storage.chunked_queue import ChunkedQueue, QueueSnapshot
from vigil.app.engine.storage.expiring_map import ExpiringMap
from vigil.app.engine.storage.histogram import Histogram
from vigil.app.engine.storage.keys import hash64, remainder64
from vigil.app.engine.storage.packed_map import FAN_OUT, MAX_PART, PackedMap
from vigil.app.engine.storage.recent_keys import RecentKeys

Holder = Any


class Stored:
    """The chunks of one collection beside its snapshot in the main chunk."""

    def __init__(self) -> None:
        self.chunks: dict[bytes, bytes] = {}
        self.written = 0

    def restart(
        self, holder: Holder, snapshot: Any, make: Callable[[Any, dict[bytes, bytes]], Holder]
    ) -> tuple[Holder, Any]:
        """Store the collection and its snapshot, and load both again."""
        changed: dict[bytes, bytes | None] = {}
        names = holder.chunk_names()
        holder.dump(changed)
        for name, record in changed.items():
            if record is None:
                self.chunks.pop(name, None)  # it may have come and gone since the last dump
            else:
                self.chunks[name] = record
                self.written += len(record)
        assert set(self.chunks) == set(names) - {name for name, record in changed.items() if record is None}
        snapshot = msgspec.convert(msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot)), type(snapshot))
        return make(snapshot, dict(self.chunks)), snapshot


ACTIONS = st.lists(st.one_of(st.integers(1, 12), st.integers(-14, -1), st.just(0)), max_size=60)
"""Add that many, drop that many, or restart."""


@settings(max_examples=examples(200), deadline=None)
@given(ACTIONS, st.integers(1, 9))
def test_a_queue_has_what_was_added_and_not_dropped(actions: list[int], size: int) -> None:
    def make(snapshot: QueueSnapshot, chunks: dict[bytes, bytes]) -> ChunkedQueue[tuple[Any, ...]]:
        return ChunkedQueue(b"q", size, snapshot, chunks)

    stored, snapshot, expected, number = Stored(), QueueSnapshot(), list[list[Any]](), 0
    queue = make(snapshot, {})
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
            queue, snapshot = stored.restart(queue, snapshot, make)
        assert [list(item) for item in queue.items] == expected
        assert len(snapshot.tail) < size
    queue.drop(len(expected))
    stored.restart(queue, snapshot, make)
    assert stored.chunks == {}


KEYS = st.one_of(st.integers(0, 40), st.integers(0, 2**64 - 1))


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.tuples(KEYS, st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))), max_size=300))
def test_a_packed_map_is_a_dictionary(entries: list[tuple[int, int]]) -> None:
    packed, expected = PackedMap("B"), dict[int, int]()
    for key, value in entries:
        assert packed.get(key) == expected.get(key)
        assert packed.put(key, value) == expected.get(key)
        expected[key] = value
        assert packed.get(key) == value
        assert len(packed) == len(expected)
    assert dict(packed.items()) == expected
    limit = sorted(expected.values())[len(expected) // 2] if expected else 0
    assert dict(packed.above(limit).items()) == {k: v - limit for k, v in expected.items() if v > limit}


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.integers(0, 3), max_size=900), st.sampled_from([1, 3, 255, 256, 10**6]))
def test_a_packed_map_counts_up_to_a_limit(keys: list[int], limit: int) -> None:
    packed, expected = PackedMap("B"), Counter[int]()
    for key in keys:
        assert packed.increment(key, limit) == expected[key]
        expected[key] = min(expected[key] + 1, limit)
    assert dict(packed.items()) == expected


@pytest.mark.parametrize("step", [1, 2, FAN_OUT, FAN_OUT**2, 2**40])
def test_a_large_packed_map_is_a_dictionary(step: int) -> None:
    number = FAN_OUT * MAX_PART // 4
    packed = PackedMap("I")
    for key in range(0, number * step, step):
        assert packed.put(key, key % 1000) is None
    assert len(packed) == number
    assert packed.increment(step, 2) == step % 1000
    packed.put(step, step % 1000)
    assert dict(packed.items()) == {key: key % 1000 for key in range(0, number * step, step)}
    assert all(packed.get(key) == key % 1000 for key in range(0, number * step, step))
    assert packed.get(number * step) is None


STEPS = st.sampled_from([0, 0, 1, 5, 200, 0xFFFE, 0xFFFF, 0x10000, 2**33])
"""Between two rows: below and above what is stored in a row, and what is stored in the array of times."""

ADDED = st.lists(st.tuples(KEYS, STEPS), max_size=700)
WITHIN = st.sampled_from([1, 1000, 2**34])


def _expiring(snapshot: LogSnapshot, chunks: dict[bytes, bytes]) -> ExpiringMap:
    return ExpiringMap(b"w", snapshot, chunks)


def _recent(snapshot: LogSnapshot, chunks: dict[bytes, bytes]) -> RecentKeys:
    return RecentKeys(b"w", snapshot, chunks, 48)


@settings(max_examples=examples(100), deadline=None)
@given(ADDED, st.integers(1, 60), WITHIN)
def test_a_map_has_what_came_within_its_time(added: list[tuple[int, int]], every: int, within: int) -> None:
    stored, snapshot, now, seen = Stored(), LogSnapshot(), 0, dict[int, int]()
    expiring = _expiring(snapshot, {})
    for number, (key, step) in enumerate(added):
        now += step
        expiring.add(key, now, now - within)
        seen[key] = now
        if number % every == 0:
            expiring, snapshot = stored.restart(expiring, snapshot, _expiring)
            if number % 2:
                expiring.expire(now - within)
        if number % 20 == 0:
            for key, at in seen.items():
                if at > now - within:
                    assert expiring.get(key) == at
                else:
                    assert expiring.get(key) in (None, at)
    assert all(expiring.get(key) is None for key in range(41, 80) if key not in seen)


@settings(max_examples=examples(100), deadline=None)
@given(ADDED, st.integers(1, 60), WITHIN, st.booleans())
def test_recent_keys_are_counted_once(added: list[tuple[int, int]], every: int, within: int, expires: bool) -> None:
    stored, snapshot, now, seen = Stored(), LogSnapshot(), 0, dict[int, int]()
    recent = _recent(snapshot, {})
    for number, (key, step) in enumerate(added):
        now += step
        recent.add(key, now, now - within)
        seen[key] = now
        if number % every == 0:
            recent, snapshot = stored.restart(recent, snapshot, _recent)
        if expires:
            recent.expire(now - within)
        assert recent.count(now - within) == sum(at > now - within for at in seen.values())
        assert recent.count(now - within // 2) == sum(at > now - within // 2 for at in seen.values())


def test_a_map_deletes_the_chunks_that_have_expired() -> None:
    stored, snapshot = Stored(), LogSnapshot()
    expiring = _expiring(snapshot, {})
    for at in range(10_000):
        expiring.add(at, at, at - 1000)
        if at % 10 == 0:
            expiring, snapshot = stored.restart(expiring, snapshot, _expiring)
    assert len(stored.chunks) <= 1000 // ChunkedLog.CHUNK_ROWS + 2
    assert stored.written < 10_000 * 10 * (ChunkedLog.CHUNK_ROWS // ChunkedLog.OPEN_ROWS)


def test_a_map_forgets_what_has_expired() -> None:
    expiring = _expiring(LogSnapshot(), {})
    for at in range(10_000):
        expiring.add(at, at, at - 1000)
    assert expiring.get(9999) == 9999
    assert [at for at in range(7000) if expiring.get(at) is not None] == []


def test_a_chunk_that_grows_is_kept_for_its_last_row() -> None:
    snapshot = LogSnapshot()
    expiring = _expiring(snapshot, {})
    for at in range(0, 3000, 10):
        expiring.add(at, at, at - 1000)
    expiring, _ = Stored().restart(expiring, snapshot, _expiring)
    assert all(expiring.get(at) == at for at in range(2000, 3000, 10))


@pytest.mark.parametrize("more", [0, 1])
def test_a_map_in_which_everything_stored_expired_starts_again(more: int) -> None:
    """`more`: rows that have not expired, in the open end."""
    stored, snapshot = Stored(), LogSnapshot()
    expiring = _expiring(snapshot, {})
    for at in range(2 * ChunkedLog.OPEN_ROWS):
        expiring.add(at, at, at - 1000)
    for at in range(5001, 5001 + more):
        expiring.add(at, at, at - 5001)
    expiring.expire(5000)
    for at in range(6000, 6000 + 2 * ChunkedLog.OPEN_ROWS):
        expiring.add(at, at, at - 1000)
    expiring, _ = stored.restart(expiring, snapshot, _expiring)
    assert [at for at in range(9000) if expiring.get(at) == at] == [
        *range(5001, 5001 + more),
        *range(6000, 6000 + 2 * ChunkedLog.OPEN_ROWS),
    ]
    assert len(stored.chunks) == 1


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.integers(0, 30), max_size=600), st.integers(1, 4), st.integers(1, 60))
def test_a_counter_counts_up_to_its_cap(keys: list[int], limit: int, every: int) -> None:
    def make(snapshot: LogSnapshot, chunks: dict[bytes, bytes]) -> CappedCounter:
        return CappedCounter(b"t", limit, snapshot, chunks)

    stored, snapshot = Stored(), LogSnapshot()
    counter = make(snapshot, {})
    for number, key in enumerate(keys):
        counter.add(key)
        if number % every == 0:
            counter, snapshot = stored.restart(counter, snapshot, make)
    for times in range(1, limit + 1):
        assert counter.at_least(times) == sum(count >= times for count in Counter(keys).values())


PERCENTS = (1, 25, 50, 75, 95, 100)


def _nearest(ordered: list[int], percent: int) -> int:
    """The percentile by its definition."""
    rank = next(rank for rank in range(1, len(ordered) + 1) if rank * 100 >= percent * len(ordered))
    return ordered[rank - 1]


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.integers(0, 40_000), min_size=1, max_size=400), st.integers(1, 90))
def test_a_histogram_gives_the_nearest_rank(numbers: list[int], every: int) -> None:
    class HistogramSnapshot(msgspec.Struct):
        tail: bytearray
        buckets: list[int]

    def make(snapshot: HistogramSnapshot, chunks: dict[bytes, bytes]) -> Histogram:
        histogram = Histogram(b"c", snapshot.tail, snapshot.buckets, chunks)
        snapshot.tail = histogram.open
        return histogram

    stored, snapshot = Stored(), HistogramSnapshot(bytearray(), [])
    histogram = make(snapshot, {})
    for number, value in enumerate(numbers):
        histogram.add(value)
        if number % every == 0:
            histogram, snapshot = stored.restart(histogram, snapshot, make)
    ordered = sorted(numbers)
    assert histogram.nearest_ranks(*PERCENTS) == [_nearest(ordered, percent) for percent in PERCENTS]
    assert histogram.nearest_ranks(50, 95) == [_nearest(ordered, 50), _nearest(ordered, 95)]
    assert histogram.total == len(numbers)
    assert len(stored.chunks) <= 5
    assert len(snapshot.buckets) == len(set(snapshot.buckets))


def test_a_histogram_without_a_number_has_no_rank() -> None:
    with pytest.raises(ValueError, match="no number"):
        Histogram(b"c", bytearray(), [], {}).nearest_ranks(50)


def test_hashes_are_the_same_on_every_machine() -> None:
    assert hash64("abc") == 0xD8BB14D833D59559
    assert hash64("") == 0xE4A6A0577479B2B4
    assert remainder64("abc") == 0x01636261
    assert remainder64("comment-12345678") == 0x805AC45E1921417C


def test_running_numbers_have_keys_of_their_own() -> None:
    for text in ("{}", "c{}", "comment-{:08}", "2026-11-29T{:06}Z", "7d1c9b1e-65a8-4ea1-{:04}-9d2f{:08}"):
        ids = [text.format(number, number * 7919) for number in range(100_000)]
        assert len(set(map(remainder64, ids))) == len(set(ids))


def test_texts_that_end_with_zero_bytes_have_keys_of_their_own() -> None:
    assert len({remainder64("a" + zeros) for zeros in ("", "\0", "\0\0")}) == 3


class BucketEntry(msgspec.Struct, array_like=True):
    id: int
    at: int
    bucket: int = 0

    def latest(self) -> int:
        return self.at


CHANGES = st.lists(st.tuples(st.sampled_from(["add", "touch", "expire", "restart"]), st.integers(0, 200)), max_size=120)


@settings(max_examples=examples(100), deadline=None)
@given(CHANGES)
def test_buckets_have_every_entry_of_their_time_and_write_only_what_changed(changes: list[tuple[str, int]]) -> None:
    stored: dict[bytes, bytes] = {}
    buckets: Buckets[BucketEntry] = Buckets(b"e", BucketEntry, stored)
    expected: dict[int, BucketEntry] = {}
    expired: list[int] = []
    for number, (change, value) in enumerate(changes):
        if change == "add":
            expected[number] = BucketEntry(number, value)
            buckets.add(expected[number])
        elif change == "touch" and expected:
            entry = expected[list(expected)[value % len(expected)]]
            entry.at = max(entry.at, value)
            buckets.touch(entry)
        elif change == "expire":
            buckets.expire(value, lambda entry: expired.append(entry.id))
            while expired:
                assert expected.pop(expired.pop()).at <= value
        elif change == "restart":
            written: dict[bytes, bytes | None] = {}
            buckets.dump(written)
            for name, chunk in written.items():
                if chunk is None:
                    stored.pop(name, None)
                else:
                    stored[name] = chunk
            buckets = Buckets(b"e", BucketEntry, stored)
            expected = {entry.id: entry for entry in buckets}
        assert sorted(entry.id for entry in buckets) == sorted(expected)
        assert len(buckets) == len(expected)


def test_a_bucket_is_full_at_its_number_of_entries() -> None:
    buckets: Buckets[BucketEntry] = Buckets(b"e", BucketEntry, {})
    for number in range(BUCKET_ENTRIES + 1):
        buckets.add(BucketEntry(number, number))
    written: dict[bytes, bytes | None] = {}
    buckets.dump(written)
    assert set(written) == {b"e0", b"e1"}
    written.clear()
    buckets.touch(next(iter(buckets)))
    buckets.dump(written)
    assert set(written) == {b"e0"}, "only the bucket that changed is written"


def test_a_bucket_stays_as_long_as_any_of_its_entries() -> None:
    buckets: Buckets[BucketEntry] = Buckets(b"e", BucketEntry, {})
    buckets.add(BucketEntry(0, 100))
    buckets.add(BucketEntry(1, 200))
    buckets.expire(199, lambda entry: pytest.fail("an entry of the bucket is later"))
    assert len(buckets) == 2
    buckets.expire(200, lambda entry: None)
    assert len(buckets) == 0


def test_few_new_keys_are_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []
    monkeypatch.setattr(TimeLog, "find", lambda log, key: searched.append(key))
    expiring = _expiring(LogSnapshot(), {})
    for number in range(500):
        key = remainder64(f"comment-{number:08}")
        expiring.get(key)
        expiring.add(key, number, -1)
    assert len(searched) < 500 // 5


@pytest.mark.parametrize("more", [1, Histogram.OPEN])
def test_a_histogram_of_version_1_goes_on(more: int) -> None:
    """It had chunks of 1,024 numbers, and the open end as a list. `more`: numbers that come before the restart."""
    old = [5, 5, 1023, 1024, 9000, 9000, 70_000]
    counts = {index: dict(Counter(number for number in old if number // 1024 == index)) for index in (0, 1, 8, 68)}
    chunks = {b"c%d" % index: msgspec.msgpack.encode(count) for index, count in counts.items()}
    stored_chunks, new = list(counts), [3 * number for number in range(more)]
    histogram = Histogram(b"c", [7, 1024], stored_chunks, chunks)
    for number in new:
        histogram.add(number)
    changed: dict[bytes, bytes | None] = {}
    histogram.dump(changed)
    kept = {name: chunk for name, chunk in {**chunks, **changed}.items() if chunk is not None}
    assert sorted(kept) == sorted(b"c%d" % index for index in stored_chunks)
    again = Histogram(b"c", histogram.open, stored_chunks, kept)
    ordered = sorted([*old, 7, 1024, *new])
    assert again.total == len(ordered)
    assert again.nearest_ranks(*PERCENTS) == [_nearest(ordered, percent) for percent in PERCENTS]
    assert again.nearest_ranks(50, 95) == [_nearest(ordered, 50), _nearest(ordered, 95)]


@pytest.mark.parametrize("more", [0, 1, 2 * ChunkedLog.OPEN_ROWS])
@pytest.mark.parametrize("step", [100, 70_000])
def test_a_log_of_version_1_goes_on(more: int, step: int) -> None:
    """It had its rows as lists of numbers: a full chunk, a newest one, and the open end."""
    number = ChunkedLog.CHUNK_ROWS + ChunkedLog.OPEN_ROWS + 5
    rows = [(2**63 + key, key * step) for key in range(number)]
    full, newest, tail = rows[: ChunkedLog.CHUNK_ROWS], rows[ChunkedLog.CHUNK_ROWS : -5], rows[-5:]
    flat = [[value for row in part for value in row] for part in (full, newest, tail)]
    stored, snapshot = Stored(), LogSnapshot(0, 2, flat[2])
    stored.chunks = {b"w%d" % index: msgspec.msgpack.encode(part) for index, part in enumerate(flat[:2])}
    expiring = _expiring(snapshot, stored.chunks)
    for key in range(number, number + more):
        rows.append((2**63 + key, key * step))
        expiring.add(*rows[-1], -1)
    for _ in range(2):
        assert all(expiring.get(key) == at for key, at in rows)
        expiring, snapshot = stored.restart(expiring, snapshot, _expiring)
