"""What is stored, byte by byte, and which of several writers counts."""

import weakref
from typing import Any

import msgspec
import pytest

from tests.support.toys import Event, OrderedToy, message
from vigil.app.engine.changelog import (
    FORMAT,
    HEADER,
    OUTBOX_BYTES,
    ChangelogRecord,
    CheckpointMarker,
    OutboxMessage,
    StoredSourcePosition,
    StoredStateError,
    marker_record,
    outbox_records,
    record_of,
    store_key,
)
from vigil.app.engine.changelog_store import APPLIED_AT_ONCE, ChangelogStore
from vigil.app.engine.shards import make_shard

# Format 1, as it lies in changelogs: `python -m tests.engine.test_store` prints what is written now. These bytes are
# never changed; what a later format writes gets a list of its own beside it, and this one must stay readable.
GOLDEN_1: list[tuple[str, str | None, list[tuple[str, str]]]] = [
    (
        "00006d",
        "0000000100000000000000014000000000000000009c01010100000000d3c0000000000000006493940000d3c000000000000000d3c000000000000000940000d3c000000000000000d3c000000000000000940000d3c000000000000000d3c00000000000000000a76e756d62657273",
        [],
    ),
    ("00014132", "00000001000000000000000200000000000006a40281a161cd03e8", []),
    ("000141", "00000001000000000000000200000000000006a40297ce4cd4dcde02cd06a4cd03fccd0424c2c2", []),
    ("000142", None, [("vigil", "000000010000000000000002")]),
    (
        "00006f30",
        "0000000100000000000000024000000000000000009396ab646561642d6c6574746572c4013fa9656e7472792f302f32cd03e8c4c07b22746f706963223a22656e747279222c22706172746974696f6e223a302c226f6666736574223a322c22726561736f6e223a226d616c666f726d6564222c2264657461696c223a226e6f742076616c6964204a534f4e3a204a534f4e206973206d616c666f726d65643a206f626a656374206b657973206d75737420626520737472696e6773202862797465203129222c226174223a313030302c226b6579223a2250773d3d222c2276616c7565223a2265323576626e4e6c626e4e6c227d0096a473616964c40141ad736169647c417c313032307c32cd03fcc41d7b22747261696c223a313238393031383539302c2273616964223a327dcd03fc96a6737461747573c40142ad7374617475737c427c31303630cd0424c000",
        [],
    ),
    (
        "00006d",
        "0000000100000000000000024000000000000000009c01010200000000cd04246493940103cd03e8cd044c940102cd041acd1388940101cd03fccd03fc01a76e756d62657273",
        [],
    ),
    ("00014132", None, [("vigil", "000000010000000000000003")]),
    ("000141", "0000000100000000000000030000000000001b6c0297ce54037e4d02cf4000000000000000cd03fccd11f8c2c2", []),
    ("0002c3a9", "0000000100000000000000030000000000001bbc0297ce3974c77201cf4000000000000000cd044ccd11f8c2c2", []),
    (
        "00006f30",
        "0000000100000000000000034000000000000000009296a473616964c402c3a9ae736169647cc3a97c313130307c31cd044cc41c7b22747261696c223a3936333935343534362c2273616964223a317dcd044c96a5616c61726dc40141ac616c61726d7c417c31373030cd06a4c41d7b22747261696c223a313430393531353038352c2273616964223a327dcd06a4",
        [],
    ),
    (
        "00006d",
        "0000000100000000000000034000000000000000009c01010300000000cd11f86493940303cd044ccd044c940102cd041acd1388940101cd03fccd03fc01a76e756d62657273",
        [],
    ),
]


def golden() -> list[ChangelogRecord]:
    return [
        ChangelogRecord(
            bytes.fromhex(key),
            None if value is None else bytes.fromhex(value),
            tuple((name, bytes.fromhex(header)) for name, header in headers),
        )
        for key, value, headers in GOLDEN_1
    ]


def written() -> list[ChangelogRecord]:
    """Two checkpoints with every kind of record: main parts, further parts, tombstones, an outbox, markers."""
    shard = make_shard(OrderedToy(), 100, partition=0, rulebook="numbers")
    records: list[ChangelogRecord] = []

    def write(snapshot: Any) -> None:
        records.extend(snapshot.changelog())
        shard.confirm(snapshot)

    write(shard.acquire())
    shard.ingest(0, [message(0, Event("A", 1000, "arm", "a")), message(1, Event("é", 1100)), message(2, None)])
    shard.ingest(1, [message(0, Event("B", 1050, "leave")), message(1, Event("A", 5000, "say", "b"))])
    shard.ingest(2, [message(0, Event("A", 1020))])
    shard.advance_watermark(1060)
    write(shard.snapshot())
    shard.advance_watermark(4600)
    write(shard.snapshot())
    return records


def restored(records: list[Any]) -> ChangelogStore:
    store = ChangelogStore()
    store.read(records)
    store.finalize_restore()
    return store


def test_format_1_is_written_as_ever() -> None:
    assert written() == golden()


def test_format_1_is_read_as_ever() -> None:
    store = restored(golden())
    marker = store.marker
    assert marker is not None
    assert (marker.format, marker.epoch, marker.sequence, marker.last_committed, marker.watermark) == (
        1,
        1,
        3,
        (0, 0),
        4600,
    )
    assert marker.sources == (
        StoredSourcePosition(3, 3, 1100, 1100),
        StoredSourcePosition(1, 2, 1050, 5000),
        StoredSourcePosition(1, 1, 1020, 1020),
    )
    assert (marker.rulebook, marker.lateness) == ("numbers", 100)
    assert sorted(store.main) == ["A", "é"]
    shard = make_shard(OrderedToy(), 100, partition=0, store=store)
    assert sorted(output.topic for output in shard.acquire().outputs) == ["alarm", "said", "status", "status"]


def test_a_newer_format_is_refused_with_words() -> None:
    marker = CheckpointMarker(FORMAT + 1, 1, 1, 0, 0, 0, 0, 0, 0, (), 0, "")
    with pytest.raises(
        StoredStateError, match=rf"format {FORMAT + 1}, this version of Vigil reads up to {FORMAT}: upgrade"
    ):
        ChangelogStore().read([marker_record(marker)])


def test_a_newer_format_is_refused_though_all_else_of_it_is_unknown() -> None:
    payload = msgspec.msgpack.encode([FORMAT + 7, {"all": "new"}])
    known = marker_record(CheckpointMarker(FORMAT, 1, 1, 0, 0, 0, 0, 0, 0, (), 0, ""))
    with pytest.raises(StoredStateError, match="upgrade this worker"):
        ChangelogStore().read([ChangelogRecord(known.key, HEADER.pack(1, 1, 0, 0) + payload)])


@pytest.mark.parametrize(
    "record",
    [
        ChangelogRecord(b"\0\1A", None),
        ChangelogRecord(b"\0\1A", None, (("other", b"x"),)),
        ChangelogRecord(b"\0\1A", None, (("vigil", b"x"),)),
        ChangelogRecord(b"\0\1A", b"short"),
        ChangelogRecord(b"\0\1A", b""),
    ],
)
def test_a_record_of_another_program_is_refused_with_words(record: ChangelogRecord) -> None:
    with pytest.raises(StoredStateError, match="not Vigil's"):
        ChangelogStore().read([record])


def test_a_record_without_a_key_is_refused_with_words() -> None:
    class Keyless:
        key = None
        value = b"\0" * 40
        headers = ()

    with pytest.raises(StoredStateError, match="not Vigil's"):
        ChangelogStore().read([Keyless()])


# ---- checkpoints count as a whole -----------------------------------------------------------------------------------


class Writer:
    """One owner of a shard with one key, whose state is how many events it has seen."""

    def __init__(self, log: list[ChangelogRecord], read: int | None = None) -> None:
        self.shard = make_shard(OrderedToy(), 0, partition=0, store=restored(log[:read]))
        self.offset = self.shard.sources[0].read_offset

    def acquire(self) -> list[ChangelogRecord]:
        return self._saved(self.shard.acquire())

    def event(self, key: str = "A") -> list[ChangelogRecord]:
        self.shard.ingest(0, [message(self.offset, Event(key, 1000 + self.offset, "calm"))])
        self.offset += 1
        self.shard.advance_watermark(1000 + self.offset)
        return self._saved(self.shard.snapshot())

    def _saved(self, snapshot: Any) -> list[ChangelogRecord]:
        self.shard.confirm(snapshot)
        return list(snapshot.changelog())


def count(log: list[Any], key: str = "A") -> int:
    store = restored(log)
    state = OrderedToy().load(key, store.payloads(key))
    if key == "A":
        assert store.marker is None or state.main.said == store.marker.sources[0].committed_offset, (
            "state and offsets part"
        )
    return int(state.main.said)


def test_a_checkpoint_cut_anywhere_does_not_count() -> None:
    owner = Writer([])
    log = [*owner.acquire(), *owner.event()]
    more = owner.event()
    assert [count(log + more[:cut]) for cut in range(len(more) + 1)] == [1] * len(more) + [2]


def test_what_a_former_owner_writes_does_not_count() -> None:
    old = Writer([])
    log = [*old.acquire(), *old.event()]
    new = Writer(log)
    log += new.acquire()
    log += old.event()
    assert count(log) == 1
    log += new.event()
    assert count(log) == 2


def test_a_former_owner_is_fenced_by_the_first_record_of_a_take_over_that_never_finished() -> None:
    old = Writer([])
    log = [*old.acquire(), *old.event()]
    cut = old.event()[:1]
    log += cut
    log += Writer(log).acquire()[:1]
    log += old.event()
    assert count(log) == 1


def test_a_take_over_that_had_not_read_the_log_to_its_end_does_not_count() -> None:
    old = Writer([])
    log = [*old.acquire(), *old.event()]
    hasty = Writer(log)
    log += old.event()
    log += hasty.acquire()
    assert count(log) == 2
    log += Writer(log).acquire()
    assert count(log) == 2


def test_of_two_owners_of_one_epoch_the_first_to_take_over_counts() -> None:
    old = Writer([])
    log = [*old.acquire(), *old.event()]
    first, second = Writer(log), Writer(log)
    log += first.acquire()
    log += first.event()
    log += second.acquire()
    assert count(log) == 2
    log += second.event()  # it has seen that it is not alone and stopped; were it to go on, this is the end of it
    assert restored(log).keys_to_repair


def test_a_rival_cannot_slip_its_records_under_the_marker_of_another() -> None:
    old = Writer([])
    log = [*old.acquire(), *old.event()]
    hasty = Writer(log)
    log += old.event()
    log += old.event()[:1]
    other = Writer(log)
    whole = other.acquire()
    slipped = hasty.event("B")
    for mixed in ([*whole[:1], *slipped, *whole[1:]], [*slipped[:-1], *whole], [*whole[:1], *slipped[:-1], *whole[1:]]):
        assert count(log + mixed) == 2
        assert count(log + mixed, "B") == 0


def test_a_foreign_record_before_the_marker_is_healed_by_the_next_owner() -> None:
    old = Writer([])
    log = [*old.acquire(), *old.event()]
    new = Writer(log)
    log += new.acquire()
    own = new.event()
    log += [*own[:-1], old.event()[0], own[-1]]
    assert count(log) == 2
    log += Writer(log).acquire()
    assert count(compacted(log)) == 2


def compacted(log: list[ChangelogRecord]) -> list[ChangelogRecord]:
    last = {record.key: n for n, record in enumerate(log)}
    return [record for n, record in enumerate(log) if last[record.key] == n]


def test_compaction_that_leaves_the_marker_of_a_rejected_take_over_rejects_nothing_else() -> None:
    old = Writer([])
    log = [*old.acquire(), *old.event()]
    hasty = Writer(log)
    log += old.event()
    log += old.event("B")[:-1]
    log += hasty.acquire()
    new = Writer(log)
    after = new.acquire()
    after += new.event()
    assert count(compacted(log) + after) == count(log + after) == 3


def test_a_key_deleted_by_a_zombie_lives_on_after_healing_and_compaction() -> None:
    old = Writer([])
    log = [*old.acquire(), *old.event()]
    new = Writer(log)
    log += new.acquire()
    old.shard.advance_watermark(1 << 40)  # long silence: the zombie forgets the key
    log += old._saved(old.shard.snapshot())
    assert count(log) == 1
    log += Writer(log).acquire()
    assert count(compacted(log)) == 1


def test_a_marker_written_twice_leaves_what_is_owed() -> None:
    owner = Writer([])
    log = owner.acquire()
    owner.shard.ingest(0, [message(0, None)])
    log += owner._saved(owner.shard.snapshot())
    assert len(restored(log).pending_resend()) == len(restored([*log, log[-1]]).pending_resend()) == 1


def test_a_store_that_goes_on_reading_after_it_was_settled_counts_a_checkpoint_that_ends_later() -> None:
    owner = Writer([])
    log = [*owner.acquire(), *owner.event()]
    store = restored(log[:-1])
    store.read(log[-1:])
    assert store.payloads("A") == restored(log).payloads("A")
    assert not store.keys_to_repair


def test_what_was_saved_is_what_a_restart_would_find() -> None:
    owner = Writer([])
    log = owner.acquire()
    owner.shard.ingest(0, [message(0, None), message(1, Event("A", 1000))])
    owner.offset = 2
    log += owner.event()
    mine, fresh = owner.shard.store, restored(log)
    assert (mine.main, mine.chunks, mine.marker, mine.pending_resend()) == (
        fresh.main,
        fresh.chunks,
        fresh.marker,
        fresh.pending_resend(),
    )
    assert mine.next_epoch == fresh.next_epoch


def test_a_long_outbox_is_cut_into_records_and_comes_back_whole_and_in_order() -> None:
    owner = Writer([])
    log = owner.acquire()
    letters = 40
    owner.shard.ingest(0, [message(n, None)._replace(value=b"{" + b"x" * 30_000) for n in range(letters)])
    long = owner._saved(owner.shard.snapshot())
    assert max(len(record.value or b"") for record in long) < 2 * OUTBOX_BYTES
    log += long
    assert [owed.id for owed in restored(log).pending_resend()] == [f"entry/0/{n}" for n in range(letters)]
    owner.offset = letters
    log += owner.event()
    assert restored(log).pending_resend() == []


def test_what_waits_for_its_marker_holds_on_to_nothing_else_that_the_consumer_told() -> None:
    class Consumed:  # as a Kafka consumer hands it on: with much that takes memory and is not needed
        headers: tuple[()] = ()

        def __init__(self, record: ChangelogRecord) -> None:
            self.key, self.value = record.key, record.value

    log = written()
    assert log[-1].key == b"\0\0m"
    store = ChangelogStore()
    for record in log[:-1]:
        if record.value is None:
            store.read([record])
        else:
            consumed = Consumed(record)
            told = weakref.ref(consumed)
            store.read([consumed])
            del consumed
            assert told() is None, record.key
    store.read(log[-1:])
    assert (store.main, store.chunks) == (restored(log).main, restored(log).chunks)


def test_a_checkpoint_that_is_the_whole_state_is_sorted_in_some_of_it_at_a_time_and_in_order() -> None:
    number = 2 * APPLIED_AT_ONCE + 10
    large = [record_of(store_key(f"K{n}"), b"old", (1, 1), 0) for n in range(number)]
    last = number - 1
    later = [
        record_of(store_key(f"K{last}"), b"new", (1, 2), 0),
        record_of(store_key("K0"), None, (1, 2), 0),
        *outbox_records([OutboxMessage("said", b"A", "said/1", 7, b"{}")], (1, 2)),
    ]
    markers = [CheckpointMarker(FORMAT, 1, n, 0, 0, 0, 0, n, 0, (), 0, "") for n in (1, 2)]
    store = ChangelogStore()
    store.read([*large, marker_record(markers[0])])
    assert len(store.main) == APPLIED_AT_ONCE
    store.read([*later, marker_record(markers[1])])
    assert (len(store.main), store.marker, store.last_seen) == (2 * APPLIED_AT_ONCE, markers[1], (1, 2))
    assert store.payloads("K0") == {b"": b"old"}, "what came later is sorted in before what came first"
    store.apply_pending()
    assert len(store.main) == number - 1
    assert store.payloads(f"K{last}") == {b"": b"new"}
    assert [owed.id for owed in store.pending_resend()] == ["said/1"]

    at_once = ChangelogStore()
    at_once.read([*large, marker_record(markers[0]), *later, marker_record(markers[1])])
    at_once.finalize_restore()
    assert (at_once.main, at_once.chunks, at_once.outbox, at_once.keys_to_repair) == (
        store.main, store.chunks, store.outbox, store.keys_to_repair,
    )  # fmt: skip


if __name__ == "__main__":
    for record in written():
        headers = [(name, value.hex()) for name, value in record.headers]
        print(f"    {(record.key.hex(), record.value and record.value.hex(), headers)!r},")
