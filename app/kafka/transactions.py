"""Transactions that are open: nothing that was written to their partitions after they began can be read.

ends of all and of committed records ──▶ partitions that are held back ──▶ DescribeProducers (producer, since when)
                                                                      └──▶ ListTransactions (transactional id)

aiokafka has no such requests; they are declared here as Kafka's protocol defines them (both in version 0).
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)
from aiokafka.structs import TopicPartition

from vigil.app.kafka.clients import new_admin, new_consumer
from vigil.app.kafka.settings import Settings

READ_S: Final = 3.0
"""How long the first record of an open transaction is waited for."""


class OpenTransaction(NamedTuple):
    """What holds back one partition."""

    topic: str
    partition: int
    waiting: int
    """Offsets from the beginning of the transaction to the end of the partition: they cannot be read."""
    since: int | None
    """When its first record was written, ms since the epoch; None where that cannot be read."""
    transactional_id: str | None
    """None where the broker does not say."""


class _DescribeProducersResponse(Response):  # type: ignore[misc]
    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition_index", Int32),
                        ("error_code", Int16),
                        ("error_message", CompactString("utf-8")),
                        (
                            "active_producers",
                            CompactArray(
                                ("producer_id", Int64),
                                ("producer_epoch", Int32),
                                ("last_sequence", Int32),
                                ("last_timestamp", Int64),
                                ("coordinator_epoch", Int32),
                                ("current_txn_start_offset", Int64),
                                ("tags", TaggedFields),
                            ),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _DescribeProducersRequestV0(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 61
    API_VERSION = 0
    RESPONSE_TYPE = _DescribeProducersResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")), ("partition_indexes", CompactArray(Int32)), ("tags", TaggedFields)
            ),
        ),
        ("tags", TaggedFields),
    )


class _DescribeProducers(Request[_DescribeProducersRequestV0]):  # type: ignore[misc]
    """Asks the leader of a partition for its producers."""

    API_KEY = 61

    def __init__(self, topic: str, partition: int) -> None:
        self._topics: list[Any] = [(topic, [partition], {})]

    def build(self, request_struct_class: type[_DescribeProducersRequestV0]) -> _DescribeProducersRequestV0:
        return request_struct_class(self._topics, {})


class _ListTransactionsResponse(Response):  # type: ignore[misc]
    API_KEY = 66
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("unknown_state_filters", CompactArray(CompactString("utf-8"))),
        (
            "transaction_states",
            CompactArray(
                ("transactional_id", CompactString("utf-8")),
                ("producer_id", Int64),
                ("transaction_state", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _ListTransactionsRequestV0(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 66
    API_VERSION = 0
    RESPONSE_TYPE = _ListTransactionsResponse
    SCHEMA = Schema(
        ("state_filters", CompactArray(CompactString("utf-8"))),
        ("producer_id_filters", CompactArray(Int64)),
        ("tags", TaggedFields),
    )


class _ListTransactions(Request[_ListTransactionsRequestV0]):  # type: ignore[misc]
    """Asks a broker for the transactions that it coordinates."""

    API_KEY = 66

    def __init__(self, producer_ids: Iterable[int]) -> None:
        self._producer_ids = list(producer_ids)

    def build(self, request_struct_class: type[_ListTransactionsRequestV0]) -> _ListTransactionsRequestV0:
        return request_struct_class([], self._producer_ids, {})


async def open_transactions(settings: Settings, partitions: Iterable[TopicPartition]) -> list[OpenTransaction]:
    """Return the partitions that an open transaction holds back; raise KafkaError or OSError."""
    tps = list(partitions)
    if not tps:
        return []
    committed = new_consumer(settings, "doctor")
    everything = new_consumer(settings, "doctor", isolation_level="read_uncommitted")
    try:
        await committed.start()
        await everything.start()
        stable, ends = await committed.end_offsets(tps), await everything.end_offsets(tps)
        held = {tp: stable[tp] for tp in tps if stable[tp] < ends[tp]}
        if not held:
            return []
        since = {tp: await _written_at(everything, tp, offset) for tp, offset in held.items()}
        # A transaction that has ended meanwhile holds back nothing.
        still = await committed.end_offsets(list(held))
    finally:
        await committed.stop()
        await everything.stop()
    held = {tp: offset for tp, offset in held.items() if still[tp] == offset}
    names = await _transactional_ids(settings, held)
    return [
        OpenTransaction(tp.topic, tp.partition, ends[tp] - offset, since[tp], names.get(tp))
        for tp, offset in sorted(held.items())
    ]


async def _written_at(consumer: Any, tp: TopicPartition, offset: int) -> int | None:
    """The timestamp of the record at an offset, or of the next one there is."""
    consumer.assign([tp])
    consumer.seek(tp, offset)
    try:
        record = await asyncio.wait_for(consumer.getone(tp), READ_S)
    except TimeoutError:
        return None
    return int(record.timestamp)


async def _transactional_ids(settings: Settings, held: Mapping[TopicPartition, int]) -> dict[TopicPartition, str]:
    """The transactional id that holds back each partition, where the brokers say it."""
    admin: Any = new_admin(settings, "doctor")
    try:
        await admin.start()
        producers = {tp: await _producer_of(admin, tp, offset) for tp, offset in held.items()}
        names = await _names_of(admin, {producer for producer in producers.values() if producer is not None})
    except (KafkaError, NotImplementedError):  # an older broker, or a right (DescribeProducers) is missing
        return {}
    finally:
        await admin.close()
    return {tp: names[producer] for tp, producer in producers.items() if producer in names}


async def _producer_of(admin: Any, tp: TopicPartition, offset: int) -> int | None:
    """The producer whose open transaction began at the offset."""
    leaders = {
        partition["partition"]: partition["leader"]
        for topic in await admin.describe_topics([tp.topic])
        for partition in topic["partitions"]
    }
    answer = await admin._send_request_to_node(leaders[tp.partition], _DescribeProducers(tp.topic, tp.partition))
    for topic in answer.topics:
        for partition in topic[1]:
            for producer in partition[3]:
                if producer[5] == offset:
                    return int(producer[0])
    return None


async def _names_of(admin: Any, producers: Iterable[int]) -> dict[int, str]:
    """The transactional ids by producer."""
    wanted = sorted(producers)
    names: defaultdict[int, str] = defaultdict(str)
    if wanted:
        for broker in (await admin.describe_cluster())["brokers"]:
            answer = await admin._send_request_to_node(broker["node_id"], _ListTransactions(wanted))
            names.update({state[1]: state[0] for state in answer.transaction_states})
    return dict(names)
