"""Is a source still the log that the stored state has read? Every way in which it may not be."""

from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import FakeSourceFeed, Fetched
from vigil.agents.ports import TopicPartition
from vigil.agents.source_check import SourceCheck, SourceFinding, StoredSource, lost_counts
from vigil.app.engine.source_identity import KEPT, SPACING, SPACING_MS, Identities, identity_of, note_read

ENTRY: Final = TopicPartition("entry", 0)
T: Final = 1_700_000_000_000


def log(offsets: range, *, since: int = T, tag: bytes = b"a") -> list[Fetched]:
    """Records with a timestamp a second apart."""
    return [Fetched("entry", 0, n, since + 1000 * n, b"k", tag + b"%d" % n) for n in offsets]


def read(records: list[Fetched], batch: int = 1) -> Identities:
    """What is kept after these records were read in batches."""
    known: Identities = ()
    for end in range(batch, len(records) + 1, batch):
        known = note_read(known, records[end - 1])
    return note_read(known, records[-1])


async def check(
    now: list[Fetched],
    identities: Identities,
    read_offset: int,
    *,
    committed: int | None = None,
    begin: int | None = None,
    end: int | None = None,
    exact_ends: bool = True,
) -> SourceFinding | None:
    """What is found where the broker has the records `now` of a source that was read up to `read_offset`."""
    feed = FakeSourceFeed("entry")
    feed.logs[ENTRY] = now
    first = begin if begin is not None else now[0].offset if now else 0
    last = end if end is not None else now[-1].offset + 1 if now else first
    stored = StoredSource(
        read_offset if committed is None else committed, read_offset, T + 1000 * read_offset, identities
    )
    found = await SourceCheck(feed, {ENTRY: stored}, {ENTRY: last}, {ENTRY: first}, exact_ends).findings()
    assert len(found) <= 1
    return found[0] if found else None


OLD: Final = log(range(5000))
KNOWN: Final = read(OLD, 100)


@pytest.mark.parametrize("more", [0, 1, 700])
async def test_the_same_log_is_the_same_log(more: int) -> None:
    assert await check(log(range(5000 + more)), KNOWN, 5000) is None


@pytest.mark.parametrize("length", [0, 1, 4000, 4999, 5000, 5001, 9000])
async def test_a_log_that_was_created_again_is_read_from_its_beginning(length: int) -> None:
    """Whether it is shorter than the former one, as long, or longer."""
    remade = log(range(length), since=T + 10_000_000, tag=b"b")
    assert await check(remade, KNOWN, 5000) == (ENTRY, "recreated", 0, 0)


@pytest.mark.parametrize("identities", [KNOWN, KNOWN[:1]])
@pytest.mark.parametrize("markers", [range(4999, 9000, 2), range(4999, 5000), range(1, 9000, 2), range(4000, 5000)])
async def test_a_log_that_was_created_again_by_a_producer_with_transactions_is_another_log(
    markers: range, identities: Identities
) -> None:
    """Where the known record stood there is none now, but the marker of a transaction."""
    remade = [record for record in log(range(9000), since=T + 10_000_000, tag=b"b") if record.offset not in markers]
    assert await check(remade, identities, 5000) == (ENTRY, "recreated", 0, 0)


@pytest.mark.parametrize("ahead", [1, 500, 1000])
async def test_a_log_that_was_created_again_while_a_worker_read_on_in_it_is_read_from_its_beginning(ahead: int) -> None:
    """It was longer than what had been read of the former one: the last record that was read is one of the new log."""
    remade = log(range(9000), since=T + 10_000_000, tag=b"b")
    identities = KNOWN
    for record in remade[5000 : 5000 + ahead]:
        identities = note_read(identities, record)
    assert await check(remade, identities, 5000 + ahead) == (ENTRY, "recreated", 0, 0)


async def test_of_earlier_records_those_that_retention_has_left_are_compared() -> None:
    remade = log(range(4000, 9000), since=T + 10_000_000, tag=b"b")
    identities = note_read(KNOWN, remade[1500])
    assert [known.offset > 4000 for known in identities] == [True, True, False]
    assert await check(remade, identities, 5501) == (ENTRY, "recreated", 4000, 4000)


async def test_a_copy_that_keeps_the_times_of_other_records_is_another_log() -> None:
    assert await check(log(range(4999), since=T - 9_000_000, tag=b"b"), KNOWN, 5000) == (ENTRY, "recreated", 0, 0)


async def test_a_log_that_was_created_again_and_has_lost_its_beginning_says_how_much() -> None:
    remade = log(range(300, 5500), since=T + 10_000_000, tag=b"b")
    assert await check(remade, KNOWN, 5000) == (ENTRY, "recreated", 300, 300)


@pytest.mark.parametrize("length", [4999, 4996, 4000, 1000, 1])
async def test_a_log_that_has_lost_its_end_goes_on_at_its_end(length: int) -> None:
    assert await check(OLD[:length], KNOWN, 5000) == (ENTRY, "truncated", length, 5000 - length)


@pytest.mark.parametrize("more", [1, 4, 5, 900])
async def test_a_log_that_has_lost_its_end_and_has_grown_again_goes_on_where_it_was_cut(more: int) -> None:
    """However much was written since: other records may stand where the lost ones stood."""
    now = OLD[:4996] + log(range(4996, 4996 + more), since=T + 10_000, tag=b"b")
    assert await check(now, KNOWN, 5000) == (ENTRY, "truncated", 4996, 4)


async def test_a_log_of_which_all_known_records_are_lost_is_known_by_the_time_of_its_first() -> None:
    last_only = KNOWN[:1]
    assert await check(OLD[:4000], last_only, 5000) == (ENTRY, "truncated", 4000, 1000)
    remade = log(range(10), since=T + 10_000_000)
    assert await check(remade, last_only, 5000) == (ENTRY, "recreated", 0, 0)


async def test_a_clock_that_ran_ahead_does_not_make_what_is_known_be_read_again() -> None:
    now = OLD[:4000]
    now[10] = now[10]._replace(timestamp=T + 99_000_000)
    found = await check(now, KNOWN, 5000)
    assert found is not None
    assert (found.kind, found.resume > KNOWN[-1].offset) == ("truncated", True)


@pytest.mark.parametrize(("committed", "lost"), [(4000, 2000), (4900, 1100), (5000, 1000)])
async def test_what_retention_has_deleted_before_it_was_read_is_counted(committed: int, lost: int) -> None:
    """What still waited was not judged."""
    now = log(range(6000, 6010))
    assert await check(now, KNOWN, 5000, committed=committed) == (ENTRY, "expired", 6000, lost)


async def test_retention_that_was_not_faster_than_the_worker_is_nothing_to_report() -> None:
    assert await check(log(range(5000, 5010)), KNOWN, 5000) is None
    assert await check([], KNOWN, 5000, begin=5000, end=5000) is None


async def test_before_the_first_checkpoint_all_that_was_deleted_is_lost() -> None:
    assert await check(log(range(700, 1000)), (), 0) == (ENTRY, "expired", 700, 700)
    assert await check(log(range(1000)), (), 0) is None
    assert await check([], (), 0) is None


async def test_state_of_an_earlier_version_has_no_identity_and_is_trusted() -> None:
    assert await check(log(range(6000), tag=b"b"), (), 5000) is None


async def test_state_of_an_earlier_version_knows_a_shorter_log_by_its_times() -> None:
    assert await check(OLD[:4996], (), 5000) == (ENTRY, "truncated", 4996, 4)
    assert await check(log(range(10), since=T + 10_000_000), (), 5000) == (ENTRY, "recreated", 0, 0)


async def test_compaction_that_took_the_known_records_is_nothing_to_report() -> None:
    kept = [record for record in OLD if record.offset not in {known.offset for known in KNOWN}]
    assert await check(kept, KNOWN, 5000, end=5000) is None


async def test_only_a_broker_that_reports_exact_ends_can_have_lost_one() -> None:
    assert await check(OLD[:4000], KNOWN, 5000, exact_ends=False) is None


def test_what_is_found_is_counted_by_topic() -> None:
    findings = [
        SourceFinding(ENTRY, "recreated", 3, 3),
        SourceFinding(ENTRY, "truncated", 5, 2),
        SourceFinding(ENTRY, "expired", 9, 4),
    ]
    assert list(lost_counts(findings)) == [
        ("recreated:entry", 1),
        ("skipped:entry", 3),
        ("lost:entry", 2),
        ("skipped:entry", 4),
    ]


def test_the_identity_distinguishes_an_empty_value_from_none_and_key_from_value() -> None:
    records = [
        Fetched("entry", 0, 1, T, key, value)
        for key, value in [(b"", b""), (None, b""), (b"", None), (None, None), (b"a", b"b"), (b"ab", b""), (b"", b"ab")]
    ]
    assert len({identity_of(record).digest for record in records}) == len(records)


@given(st.lists(st.integers(1, 3 * SPACING), min_size=1, max_size=40), st.sampled_from([1, 100, 1000]))
def test_of_each_source_the_last_record_and_some_apart_are_kept(steps: list[int], pace: int) -> None:
    """`pace`: the time between two offsets, ms."""
    known: Identities = ()
    offset = 0
    for step in steps:
        offset += step
        known = note_read(known, Fetched("entry", 0, offset, T + pace * offset, b"k", b"v"))
        assert known[0].offset == offset
        assert len(known) <= KEPT
        for later, before in pairwise(known[1:]):
            assert later.offset - before.offset >= SPACING
            assert later.timestamp - before.timestamp >= SPACING_MS
    assert note_read(known, Fetched("entry", 0, offset, T, b"k", b"another")) == known, "read again"
