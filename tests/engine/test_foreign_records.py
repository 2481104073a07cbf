"""Records in a changelog that no worker wrote: refused with a remedy, whatever they look like."""

from typing import Any

import pytest

from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.changelog import (
    EPOCHS,
    FORMAT,
    OUTBOX_KEY,
    ChangelogRecord,
    CheckpointMarker,
    StoredSourcePosition,
    StoredStateError,
    marker_record,
    record_of,
    store_key,
)
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shards import make_shard
from vigil.topics.catalog import SubjectName

KEY = b"\0\x06room-1"


@pytest.mark.parametrize(
    "record",
    [
        ChangelogRecord(KEY, b"hello"),
        ChangelogRecord(KEY, b'{"room_id": "room-1", "at": 1660000000000}'),
        ChangelogRecord(KEY, b"[1, 2, 3, 4, 5, 6, 7, 8]"),
        ChangelogRecord(KEY, b" " * 40),
        ChangelogRecord(KEY, b"\xff" * 40),
        ChangelogRecord(KEY, None),
        ChangelogRecord(KEY, None, (("vigil", b"short"),)),
        ChangelogRecord(b"k", record_of(KEY, b"payload", (1, 1), 0).value),
        ChangelogRecord(None, record_of(KEY, b"payload", (1, 1), 0).value),  # type: ignore[arg-type]
        record_of(KEY, b"payload", (EPOCHS, 1), 0),
    ],
    ids=["text", "json", "list", "blanks", "bytes", "tombstone", "short header", "short key", "no key", "late epoch"],
)
def test_what_no_worker_wrote_is_refused_with_a_remedy(record: Any) -> None:
    with pytest.raises(StoredStateError, match="is not Vigil's: no other program may write there; restore the topic"):
        ChangelogStore().read([record])


def test_the_last_epoch_is_ours() -> None:
    store = ChangelogStore()
    store.read([record_of(KEY, b"payload", (EPOCHS - 1, 1), 0)])
    assert store.next_epoch == EPOCHS


def test_a_newer_format_is_refused_with_a_remedy() -> None:
    source = StoredSourcePosition(0, 0, 0, 0)
    marker = CheckpointMarker(FORMAT + 1, 1, 1, 0, 0, 0, 0, 0, 2000, (source,), 0, "")
    with pytest.raises(StoredStateError, match=f"has format {FORMAT + 1}, .* reads up to {FORMAT}: upgrade"):
        ChangelogStore().read([marker_record(marker)])


LOGICS = dict(REGISTRY.machines(load_rulebook(), 2000))
LENGTHS = {group: len(machine.topics) for group, machine in LOGICS.items()}


def poisoned(group: SubjectName, payload: bytes, outbox: bytes | None = None) -> AnyShard:
    """A shard of which a whole checkpoint is stored, with one key whose state is `payload`."""
    marker = CheckpointMarker(
        FORMAT, 1, 1, 0, 0, 0, 0, 10, 2000, (StoredSourcePosition(0, 0, 0, 0),) * LENGTHS[group], 1, ""
    )
    records = [record_of(store_key("room-1"), payload, (1, 1), 0)]
    if outbox is not None:
        records.append(record_of(OUTBOX_KEY + b"0", outbox, (1, 1)))
    store = ChangelogStore()
    store.read([*records, marker_record(marker)])
    return make_shard(LOGICS[group], 2000, partition=0, store=store)


@pytest.mark.parametrize("group", LOGICS)
@pytest.mark.parametrize("payload", [b"\xc1", b"hello", b"\x91\x63", b"\x81\xa1a\x01", b"\xff" * 30, b"\x93\x01"])
def test_a_poisoned_state_is_refused_with_a_remedy_that_names_its_key(group: SubjectName, payload: bytes) -> None:
    shard = poisoned(group, payload)
    with pytest.raises(
        StoredStateError,
        match=r"the stored state of 'room-1' cannot be read: .*restore the topic from a backup; or, to give up",
    ):
        shard.advance_watermark(1_700_000_000_000)


def test_a_poisoned_outbox_is_refused_with_a_remedy() -> None:
    with pytest.raises(
        StoredStateError,
        match=r"the outbox of the last checkpoint cannot be read: .*restore the topic from a backup; or",
    ):
        poisoned("rooms", b"\x90", outbox=b"\x91\x01")


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x90", b"\x01", b"\x91\x01", b"\x92\x01\xa1a", b"\xa5hello"])
def test_a_poisoned_marker_is_refused_with_a_remedy(payload: bytes) -> None:
    key = marker_record(CheckpointMarker(FORMAT, 1, 1, 0, 0, 0, 0, 0, 0, (), 0, "")).key
    with pytest.raises(
        StoredStateError,
        match=r"a checkpoint's marker cannot be read: .*restore the topic from a backup; or",
    ):
        ChangelogStore().read([record_of(key, payload, (1, 1), 0)])


def test_a_record_that_is_too_short_for_its_header_is_not_vigils() -> None:
    value = record_of(KEY, b"", (1, 1), 0).value
    assert value is not None
    with pytest.raises(StoredStateError, match="is not Vigil's"):
        ChangelogStore().read([ChangelogRecord(KEY, value[:-1])])


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
def test_a_record_of_another_program_is_refused_with_a_remedy(record: ChangelogRecord) -> None:
    with pytest.raises(StoredStateError, match="not Vigil's"):
        ChangelogStore().read([record])


def test_a_record_without_a_key_is_refused_with_a_remedy() -> None:
    class Keyless:
        key = None
        value = b"\0" * 40
        headers = ()

    with pytest.raises(StoredStateError, match="not Vigil's"):
        ChangelogStore().read([Keyless()])
