"""Single records of partitions, read beside the group by a consumer of its own."""

from collections.abc import Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition as AioTopicPartition

from vigil.agents.ports import FetchedRecord, TopicPartition

WITHIN_S: Final = 30.0
"""Maximum time for reading some records."""

POLL_MS: Final = 200


class RecordProbe:
    """Reads single records with a consumer that is started and belongs to no group."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    async def records_at(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, FetchedRecord]:
        """The first record of each partition at or above an offset; partitions that have none are left out."""
        if not offsets:
            return {}
        consumer = self._consumer
        left = {AioTopicPartition(*tp): offset for tp, offset in offsets.items()}
        consumer.assign(list(left))
        ends = await consumer.end_offsets(list(left))
        for tp, offset in left.items():
            consumer.seek(tp, offset)
        found: dict[TopicPartition, FetchedRecord] = {}
        while left:
            try:
                fetched = await consumer.getmany(*left, timeout_ms=POLL_MS)
            except OffsetOutOfRangeError as error:  # retention has deleted it meanwhile
                for tp in error.args[0]:
                    left.pop(tp, None)
                continue
            for tp, records in fetched.items():
                found[TopicPartition(*tp)] = records[0]
                del left[tp]
                consumer.pause(tp)
            # Behind the last record, a transaction's control records may follow.
            for tp in [tp for tp in left if await consumer.position(tp) >= ends[tp]]:
                del left[tp]
        return found

    async def offsets_after(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """The offset of the first record of each partition with a later timestamp (ms); left out where none has."""
        asked = {AioTopicPartition(*tp): time + 1 for tp, time in times.items()}
        answers: Mapping[Any, Any] = await self._consumer.offsets_for_times(asked) if asked else {}
        # No record is that late: Kafka answers None, the embedded broker an offset with the timestamp -1.
        return {
            TopicPartition(*tp): answer.offset
            for tp, answer in answers.items()
            if answer is not None and answer.timestamp >= 0
        }
