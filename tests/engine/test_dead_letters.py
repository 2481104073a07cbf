"""The dead letter of a record of any size fits its topic and the changelog."""

import msgspec
import pytest

from tests.support.toys import SourceRecord
from vigil.agents.faust.transport import MAX_RECORD_BYTES
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.shards import make_shard
from vigil.app.kafka.admin import changelog_config
from vigil.topics.catalog import BY_NAME
from vigil.topics.envelope import MAX_CARRIED_BYTES, DeadLetter

HEADERS = 1000
"""Bytes of a record beside its key and value, at most."""


@pytest.mark.parametrize(
    "key, value, whole",
    [
        (b"room", b"x" * (MAX_CARRIED_BYTES - 4), True),
        (b"room", b"x" * (MAX_CARRIED_BYTES - 3), False),
        (b"k" * (MAX_CARRIED_BYTES - 2), b"{}", True),
        (b"k" * 20_000_000, b"{}", False),
        (b"room", b"x" * 20_000_000, False),
    ],
)
def test_a_dead_letter_fits_its_topic_and_the_changelog(key: bytes, value: bytes, whole: bool) -> None:
    shard = make_shard(REGISTRY.machines(load_rulebook(), 2000)["rooms"], 2000, partition=0)
    shard.ingest(1, [SourceRecord(0, key, value)])
    snapshot = shard.snapshot()
    (output,) = snapshot.outputs
    assert output.payload is not None
    letter = msgspec.json.decode(output.payload, type=DeadLetter)
    assert (letter.key is not None, letter.value is not None) == (whole, whole)
    assert ("stands at its own place" in letter.detail) != whole
    size = len(output.key or b"") + len(output.payload) + HEADERS
    assert size < int(BY_NAME["dead-letter"].config["max.message.bytes"])
    for record in snapshot.changelog():
        assert len(record.key) + len(record.value or b"") + HEADERS < MAX_RECORD_BYTES
    assert int(changelog_config()["max.message.bytes"]) >= MAX_RECORD_BYTES
