"""Raw records are what aiokafka's own are, of the same batches: none that it rejects or skips, and all others."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from tests.agents.test_hooks import source
from vigil.agents.faust.raw_records import RawRecords, deliver_raw

ENTRY: Final = TopicPartition("entry", 0)
OWN: Final = TopicPartition("owned-by-faust", 0)
PRODUCER: Final = 7
ABORT: Final = b"\x00\x00\x00\x00"

CONTROL: Final = 0x20
"""The bit of a batch's attributes that says so."""


def batch(base: int, values: list[bytes], transactional: bool = False, headers: Any = ()) -> bytearray:
    """A batch of one fetch, as the log has it."""
    builder = DefaultRecordBatchBuilder(2, 0, int(transactional), PRODUCER if transactional else -1, 0, 0, 1 << 20)
    for number, value in enumerate(values):
        builder.append(number, 1000 + base + number, b"key", value, list(headers))
    written = builder.build()
    written[0:8] = base.to_bytes(8, "big")
    return written


def log() -> bytes:
    """Two records, two of an aborted transaction, its marker, and one more."""
    marker = DefaultRecordBatchBuilder(2, 0, 1, PRODUCER, 0, 0, 1 << 20)
    marker.append(0, 1004, ABORT, b"\x00" * 6, [])
    control = marker.build()
    control[0:8] = (4).to_bytes(8, "big")
    control[22] |= CONTROL
    head, tail = batch(0, [b"a", b"b"], headers=[("h", b"x")]), batch(5, [b"c"])
    return bytes(head + batch(2, [b"never said"] * 2, transactional=True) + control + tail)


def unpacked(content: bytes, tp: TopicPartition = ENTRY, crcs: bool = False) -> PartitionRecords:
    return PartitionRecords(tp, MemoryRecords(content), [(PRODUCER, 2)], 0, None, None, crcs, READ_COMMITTED)


def raw(records: PartitionRecords) -> PartitionRecords:
    records.__class__ = RawRecords
    return records


def seen(records: Any) -> list[Any]:
    return [(r.offset, r.timestamp, r.timestamp_type, r.key, r.value, tuple(r.headers)) for r in records]


def test_raw_records_are_those_of_aiokafka_without_an_aborted_transaction() -> None:
    theirs, ours = unpacked(log()), raw(unpacked(log()))
    found = seen(ours)
    assert found == seen(theirs)
    assert [value for *_, value, _ in found] == [b"a", b"b", b"c"]
    assert ours.next_fetch_offset == theirs.next_fetch_offset == 6


def test_a_batch_that_was_damaged_is_refused() -> None:
    damaged = batch(0, [b"value"])
    damaged[-2] ^= 1
    for kind in (unpacked, lambda content, **options: raw(unpacked(content, **options))):
        with pytest.raises(CorruptRecordException):
            seen(kind(bytes(damaged), crcs=True))


def test_a_poll_that_takes_a_part_leaves_the_rest() -> None:
    state = SimpleNamespace(paused=False, position=0, consumed_to=lambda position: setattr(state, "position", position))
    assignment: Any = SimpleNamespace(active=True, state_value=lambda tp: state)
    result = FetchResult(ENTRY, assignment=assignment, partition_records=raw(unpacked(log())), backoff=0)
    polls = []
    while result.has_more():
        polls.append(([record.offset for record in result.getall(1)], state.position))
    assert polls == [([0], 1), ([1], 2), ([5], 6), ([], 6)]


@pytest.mark.parametrize(("tp", "kind"), [(ENTRY, RawRecords), (OWN, PartitionRecords)])
async def test_a_fetcher_delivers_raw_records_of_the_topics_that_are_read_in_batches(
    tp: TopicPartition, kind: type[PartitionRecords]
) -> None:
    fetcher: Any = SimpleNamespace(_records={})

    async def process(assignment: Any, node_id: int, request: Any) -> bool:
        result = FetchResult(tp, assignment=assignment, partition_records=unpacked(log(), tp), backoff=0)
        fetcher._records[tp] = result
        return True

    fetcher._proc_fetch_request = process
    topics = set[str]()
    deliver_raw(fetcher, topics)
    topics.add("entry")
    assert await fetcher._proc_fetch_request(None, 0, None)
    assert type(fetcher._records[tp]._partition_records) is kind


def test_nothing_waits_between_a_fetch_and_its_records() -> None:
    """So whoever takes records takes them after they were made raw."""
    steps = source(Fetcher._proc_fetch_request)
    assert "await " not in steps[steps.index("self._records[tp] = FetchResult(") :]
    assert "self._proc_fetch_request(assignment, node_id, request)" in source(Fetcher._fetch_requests_routine)
    unpacking: Callable[..., Any] = PartitionRecords._unpack_records
    assert "self._consumer_record(tp, record)" in source(unpacking)
    assert "for msg in self._partition_records:" in source(FetchResult.getall)
