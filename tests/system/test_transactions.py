"""Transactional producers: aborted messages have no effect, and committed ones are judged to the end."""

from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from tests.support.comparison import differences
from tests.support.harness import WorkerProcess, finished, make_topics, read, replayed
from tests.support.kafka import KafkaBroker
from vigil.app.simulate import Simulation

pytestmark = [pytest.mark.ci, pytest.mark.timeout(180)]

PER_TRANSACTION = 400
"""Messages in a transaction."""


async def test_messages_of_aborted_transactions_are_not_judged(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    simulation = Simulation(seed=9, rooms=8, suppliers=4, start_ms=1_662_048_000_000, duration_s=300)
    messages = list(simulation.messages())
    expected = replayed(messages)
    assert expected["verdict"]
    address = own_kafka.address
    await make_topics(address, 2)
    async with AIOKafkaProducer(bootstrap_servers=address, transactional_id="producer") as producer:
        for begin in range(0, len(messages), PER_TRANSACTION):
            part = messages[begin : begin + PER_TRANSACTION]
            await producer.begin_transaction()
            for message in part[:50]:
                await producer.send(message.topic, b"never said", key=message.key)
            await producer.abort_transaction()
            async with producer.transaction():
                for message in part:
                    await producer.send(message.topic, message.value, key=message.key)
    worker = await WorkerProcess(
        address, tmp_path / "worker.log", clock="recorded", recorded_until=expected.until, session_timeout_ms=3000
    ).ready()
    try:
        await finished(address, within_s=30, still_s=1.0)
        assert differences(expected, await read(address)) == []
    finally:
        assert worker.stop() == 0
