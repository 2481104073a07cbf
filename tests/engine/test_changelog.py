"""What is stored, byte by byte (I-19)."""

from typing import Any

import msgspec
import pytest

from tests.support.toys import Event, OrderedToy, message
from vigil.app.engine.changelog import (
    FORMAT,
    HEADER,
    MARKER_KEY,
    ChangelogRecord,
    CheckpointMarker,
    StoredSourcePosition,
    StoredStateError,
    marker_record,
)
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.shards import make_shard

# Format 1, as it lies in changelogs: `python -m tests.engine.test_changelog` prints what is written now. These bytes
# are never changed; what a later format writes gets a list of its own beside it, and this one must stay readable.
# Markers have got fields at their ends since then, which an older version ignores.
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
    """Two checkpoints with every kind of record: main chunks, further chunks, tombstones, an outbox, markers."""
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


def as_first_written(record: ChangelogRecord) -> ChangelogRecord:
    """A record without the fields that markers got at their ends since the list above was written."""
    if record.key != MARKER_KEY or record.value is None:
        return record
    header, marker = record.value[: HEADER.size], msgspec.msgpack.decode(record.value[HEADER.size :])
    sources = marker[9]
    marker[9] = [source[:4] for source in sources]
    return record._replace(value=header + msgspec.msgpack.encode(marker[:12]))


def test_format_1_is_written_unchanged_but_for_fields_at_the_ends_of_markers() -> None:
    assert list(map(as_first_written, written())) == golden()


def test_format_1_is_read() -> None:
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


def test_where_the_log_begins_is_noted_by_every_owner() -> None:
    shard = make_shard(OrderedToy(), 100, partition=0)
    shard.accept_log_begin(7)
    snapshot = shard.acquire()
    assert snapshot.marker.log_begin == 7
    again = make_shard(OrderedToy(), 100, partition=0, store=restored(snapshot.changelog()))
    assert again.acquire().marker.log_begin == 7
    assert again.snapshot().marker.log_begin == 7


def test_a_log_that_was_created_again_between_two_checkpoints_has_fewer_keys_than_it_says() -> None:
    shard = make_shard(OrderedToy(), 100, partition=0)
    whole: list[ChangelogRecord] = []
    for at, keys in enumerate(["A", "ABC", "B"]):
        records = [message(at * 10 + n, Event(key, 1000 + at, id=f"{at} {key}")) for n, key in enumerate(keys)]
        shard.ingest(0, records)
        shard.advance_watermark(1000 + at + 1)
        snapshot = shard.acquire() if at == 0 else shard.snapshot()
        shard.confirm(snapshot)
        whole += snapshot.changelog()
        assert snapshot.marker.keys == len(restored(whole).main)
    last = restored(snapshot.changelog())
    assert (sorted(last.main), last.marker is not None and last.marker.keys) == (["B"], 3)


def test_a_newer_format_is_refused_with_a_remedy() -> None:
    marker = CheckpointMarker(FORMAT + 1, 1, 1, 0, 0, 0, 0, 0, 0, (), 0, "")
    with pytest.raises(
        StoredStateError, match=rf"format {FORMAT + 1}, this version of Vigil reads up to {FORMAT}: upgrade"
    ):
        ChangelogStore().read([marker_record(marker)])


def test_a_newer_format_is_refused_though_the_rest_of_it_is_unknown() -> None:
    payload = msgspec.msgpack.encode([FORMAT + 7, {"all": "new"}])
    known = marker_record(CheckpointMarker(FORMAT, 1, 1, 0, 0, 0, 0, 0, 0, (), 0, ""))
    with pytest.raises(StoredStateError, match="upgrade this worker"):
        ChangelogStore().read([ChangelogRecord(known.key, HEADER.pack(1, 1, 0, 0) + payload)])


if __name__ == "__main__":
    for record in written():
        headers = [(name, value.hex()) for name, value in record.headers]
        print(f"    {(record.key.hex(), record.value and record.value.hex(), headers)!r},")
