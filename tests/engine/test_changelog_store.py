"""Which of several writers counts, and when a checkpoint does (I-7, I-8)."""

import weakref
from typing import Any

from tests.engine.test_changelog import restored, written
from tests.support.toys import Event, OrderedToy, message
from vigil.app.engine.changelog import (
    FORMAT,
    OUTBOX_BYTES,
    ChangelogRecord,
    CheckpointMarker,
    OutboxMessage,
    marker_record,
    outbox_records,
    record_of,
    store_key,
)
from vigil.app.engine.changelog_store import APPLIED_AT_ONCE, ChangelogStore
from vigil.app.engine.shards import make_shard


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


def test_a_former_owner_is_fenced_by_the_first_record_of_an_unfinished_acquisition() -> None:
    old = Writer([])
    log = [*old.acquire(), *old.event()]
    cut = old.event()[:1]
    log += cut
    log += Writer(log).acquire()[:1]
    log += old.event()
    assert count(log) == 1


def test_an_acquisition_that_had_not_read_the_log_to_its_end_does_not_count() -> None:
    old = Writer([])
    log = [*old.acquire(), *old.event()]
    hasty = Writer(log)
    log += old.event()
    log += hasty.acquire()
    assert count(log) == 2
    log += Writer(log).acquire()
    assert count(log) == 2


def test_of_two_owners_of_one_epoch_the_first_to_acquire_counts() -> None:
    old = Writer([])
    log = [*old.acquire(), *old.event()]
    first, second = Writer(log), Writer(log)
    log += first.acquire()
    log += first.event()
    log += second.acquire()
    assert count(log) == 2
    log += second.event()  # it has seen that it is not alone and stopped; were it to go on, this is the end of it
    assert restored(log).keys_to_repair


def test_records_of_a_rival_do_not_count_under_the_marker_of_another() -> None:
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


def test_a_foreign_record_before_the_marker_is_repaired_by_the_next_owner() -> None:
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


def test_compaction_that_leaves_the_marker_of_a_rejected_acquisition_rejects_nothing_else() -> None:
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


def test_a_key_deleted_by_a_zombie_is_still_there_after_repair_and_compaction() -> None:
    old = Writer([])
    log = [*old.acquire(), *old.event()]
    new = Writer(log)
    log += new.acquire()
    old.shard.advance_watermark(1 << 40)  # long silence: the zombie forgets the key
    log += old._saved(old.shard.snapshot())
    assert count(log) == 1
    log += Writer(log).acquire()
    assert count(compacted(log)) == 1


def test_a_marker_written_twice_leaves_the_outbox() -> None:
    owner = Writer([])
    log = owner.acquire()
    owner.shard.ingest(0, [message(0, None)])
    log += owner._saved(owner.shard.snapshot())
    assert len(restored(log).pending_resend()) == len(restored([*log, log[-1]]).pending_resend()) == 1


def test_a_store_that_reads_on_after_it_was_finalized_counts_a_checkpoint_that_ends_later() -> None:
    owner = Writer([])
    log = [*owner.acquire(), *owner.event()]
    store = restored(log[:-1])
    store.read(log[-1:])
    assert store.payloads("A") == restored(log).payloads("A")
    assert not store.keys_to_repair


def test_what_was_confirmed_is_what_a_restart_finds() -> None:
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


def test_a_long_outbox_is_cut_into_records_and_is_restored_whole_and_in_order() -> None:
    owner = Writer([])
    log = owner.acquire()
    letters = 40
    owner.shard.ingest(0, [message(n, None)._replace(value=b"{" + b"x" * 30_000) for n in range(letters)])
    long = owner._saved(owner.shard.snapshot())
    assert max(len(record.value or b"") for record in long) < 2 * OUTBOX_BYTES
    log += long
    assert [output.id for output in restored(log).pending_resend()] == [f"entry/0/{n}" for n in range(letters)]
    owner.offset = letters
    log += owner.event()
    assert restored(log).pending_resend() == []


def test_what_waits_for_its_marker_does_not_keep_the_consumers_record_in_memory() -> None:
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
            reference = weakref.ref(consumed)
            store.read([consumed])
            del consumed
            assert reference() is None, record.key
    store.read(log[-1:])
    assert (store.main, store.chunks) == (restored(log).main, restored(log).chunks)


def test_a_checkpoint_that_is_the_whole_state_is_applied_some_records_at_a_time_and_in_order() -> None:
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
    assert store.payloads("K0") == {b"": b"old"}, "what was read later is applied before what was read first"
    store.apply_pending()
    assert len(store.main) == number - 1
    assert store.payloads(f"K{last}") == {b"": b"new"}
    assert [output.id for output in store.pending_resend()] == ["said/1"]

    at_once = ChangelogStore()
    at_once.read([*large, marker_record(markers[0]), *later, marker_record(markers[1])])
    at_once.finalize_restore()
    assert (at_once.main, at_once.chunks, at_once.outbox, at_once.keys_to_repair) == (
        store.main, store.chunks, store.outbox, store.keys_to_repair,
    )  # fmt: skip
