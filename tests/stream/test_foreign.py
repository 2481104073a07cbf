"""Records in a changelog that no worker wrote: refused in words, whatever they look like."""

from typing import Any

import pytest

from app.stream.store import EPOCHS, FORMAT, Marker, Record, Store, StoredSource, StoredState, marker_record, record_of

KEY = b"\0\x06room-1"


@pytest.mark.parametrize(
    "record",
    [
        Record(KEY, b"hello"),
        Record(KEY, b'{"room_id": "room-1", "at": 1660000000000}'),
        Record(KEY, b"[1, 2, 3, 4, 5, 6, 7, 8]"),
        Record(KEY, b" " * 40),
        Record(KEY, b"\xff" * 40),
        Record(KEY, None),
        Record(KEY, None, (("vigil", b"short"),)),
        Record(b"k", record_of(KEY, b"payload", 1, 1, 0, 0).value),
        Record(None, record_of(KEY, b"payload", 1, 1, 0, 0).value),  # type: ignore[arg-type]
        record_of(KEY, b"payload", EPOCHS, 1, 0, 0),
    ],
    ids=["text", "json", "list", "blanks", "bytes", "tombstone", "short header", "short key", "no key", "late epoch"],
)
def test_what_no_worker_wrote_is_refused_with_a_remedy(record: Any) -> None:
    with pytest.raises(StoredState, match="is not Vigil's: no other program may write there; delete the topic"):
        Store().read([record])


def test_the_last_epoch_is_ours() -> None:
    store = Store()
    store.read([record_of(KEY, b"payload", EPOCHS - 1, 1, 0, 0)])
    assert store.next_epoch == EPOCHS


def test_a_newer_format_is_refused_with_a_remedy() -> None:
    source = StoredSource(0, 0, 0, 0)
    marker = Marker(FORMAT + 1, 1, 1, 0, 0, 0, 0, 0, 2000, (source,), 0, "")
    with pytest.raises(StoredState, match=f"has format {FORMAT + 1}, .* reads up to {FORMAT}: upgrade"):
        Store().read([marker_record(marker)])
