"""How the Faust adapter cuts a checkpoint into batches, and what becomes of refused outputs; contract/ has the rest."""

import asyncio
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

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
        self.errors = errors
        """By topic: why the broker refuses its messages."""

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Any:
        assert batch.records, "an empty batch"
        first = len(self.log)
        self.log.extend(batch.records)
        self.batches.append(len(batch.records))
        return self._acked(topic, first)

    async def send(self, topic: str, value: Any, *, key: Any, headers: Any) -> Any:
        self.log.append((topic, key, value))
        return self._acked(topic, len(self.log) - 1)

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
    assert [topic for topic, _, _ in producer.log] == ["small", "fine", "small", "gone", "fine"]
