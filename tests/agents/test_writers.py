"""How the Faust adapter cuts a checkpoint into batches, and what becomes of refused outputs; contract/ has the rest."""

import asyncio
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from vigil.agents.faust import writers
from vigil.agents.faust.writers import FaustChangelogWriter, FaustOutputSender
from vigil.agents.ports import OutputRecord
from vigil.app.engine.changelog import ChangelogRecord

RECORDS = [ChangelogRecord(b"%d" % number, b"value", (("header", b"h"),)) for number in range(5)]


class Batch:
    """What aiokafka calls a batch builder; small, so that a checkpoint may be of several."""

    def __init__(self, most: int) -> None:
        self.records: list[Any] = []
        self._most = most

    def append(self, *, key: Any, value: Any, timestamp: Any, headers: Any) -> Any:
        if len(self.records) >= self._most:
            return None
        self.records.append((key, value, headers))
        return object()

    def record_count(self) -> int:
        return len(self.records)


class Ack(NamedTuple):
    offset: int
    timestamp: int = 0
    timestamp_type: int = 0


class Producer:
    """What the writers need of aiokafka's producer."""

    def __init__(self, **errors: KafkaError) -> None:
        self.batches: list[int] = []
        self.log: list[Any] = []
        self.sent: list[tuple[str, int, list[bytes]]] = []
        """By batch: topic, partition, values."""
        self.known: set[str] = set()
        """The topics that it was asked for."""
        self.errors = errors
        """By topic: why the broker refuses its messages."""

    async def partitions_for(self, topic: str) -> set[int]:
        self.known.add(topic)
        return {0, 1}

    def _partition(
        self, topic: str, partition: None, key: None, value: None, key_bytes: bytes, value_bytes: None
    ) -> int:
        assert topic in self.known
        return key_bytes[-1] % 2

    def create_batch(self) -> Batch:
        return Batch(2)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Any:
        assert batch.records, "an empty batch"
        first = len(self.log)
        self.log.extend(batch.records)
        self.batches.append(len(batch.records))
        self.sent.append((topic, partition, [value for _, value, _ in batch.records]))
        return self._acked(topic, first)

    def _acked(self, topic: str, offset: int) -> Any:
        async def ack() -> Ack:
            if error := self.errors.get(topic):
                raise error
            return Ack(offset)

        return asyncio.ensure_future(ack())


class Table:
    """A table's name and its store's ends."""

    changelog_topic_name = "state"

    def __init__(self) -> None:
        self.store = self
        self.ends: dict[int, int] = {}


@pytest.mark.parametrize(
    ("most", "marker_alone", "batches"),
    [
        (1000, False, [5]),  # a checkpoint that fits is one batch, which the log has as a whole or not at all
        (1000, True, [4, 1]),  # the embedded broker reports the first offset of the last batch as the end
        (2, False, [2, 2, 1]),
        (2, True, [2, 2, 1]),
        (4, True, [4, 1]),
        (3, True, [3, 1, 1]),
    ],
)
async def test_a_checkpoint_is_as_few_batches_as_possible_and_its_marker_may_have_one_of_its_own(
    most: int, marker_alone: bool, batches: list[int]
) -> None:
    producer, tables = Producer(), {"rooms": Table()}
    writer = FaustChangelogWriter(lambda: producer, tables, marker_alone, lambda: Batch(most))  # type: ignore[arg-type]
    pending = await writer.append("rooms", 0, RECORDS)
    assert await pending.acknowledged() == 5
    assert producer.batches == batches
    assert producer.log == [(record.key, record.value, list(record.headers)) for record in RECORDS]


async def test_a_checkpoint_of_a_marker_alone_is_one_batch() -> None:
    producer, tables = Producer(), {"rooms": Table()}
    writer = FaustChangelogWriter(lambda: producer, tables, True, lambda: Batch(10))  # type: ignore[arg-type]
    assert await (await writer.append("rooms", 0, RECORDS[:1])).acknowledged() == 1
    assert producer.batches == [1]


async def test_outputs_that_are_too_large_are_returned_and_any_other_error_is_raised() -> None:
    producer = Producer(small=MessageSizeTooLargeError(), gone=KafkaError("no"))
    sender = FaustOutputSender(lambda: producer)
    small, fine, gone = (OutputRecord(topic, b"k", b"v", []) for topic in ("small", "fine", "gone"))
    assert await sender.send([small, fine, small]) == [small, small]
    with pytest.raises(KafkaError, match="no"):
        await sender.send([gone, fine])
    assert [topic for topic, _, _ in producer.sent] == ["small", "fine", "gone", "fine"]


async def test_the_outputs_of_a_partition_are_as_few_batches_as_possible_in_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    producer = Producer()
    sender = FaustOutputSender(lambda: producer, "on-{}".format)
    records = [
        OutputRecord(topic, key, b"%d" % number, [("h", b"%d" % number)])
        for number, (topic, key) in enumerate([("a", b"1"), ("a", b"2"), ("b", b"1"), ("a", b"3"), ("a", b"1")])
    ]
    assert await sender.send(records) == []
    one = [("on-a", 1, [b"0", b"3"]), ("on-a", 0, [b"1"]), ("on-b", 1, [b"2"]), ("on-a", 1, [b"4"])]
    assert producer.sent == one, "a batch takes two of them here"
    assert producer.log[0] == (b"1", b"0", [("h", b"0")])
    producer.sent.clear()
    monkeypatch.setattr(writers, "ENCODED_AT_ONCE", 3)
    await sender.send(records)
    assert [values for _, _, values in producer.sent] == [[b"0"], [b"1"], [b"2"], [b"3", b"4"]]
