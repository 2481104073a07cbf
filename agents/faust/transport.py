"""Faust's transport to Kafka with our consumer and producer."""

from collections.abc import Mapping
from typing import Any, Final

from aiokafka.producer.message_accumulator import BatchBuilder
from faust.transport.drivers import aiokafka as driver

from vigil.agents.faust.consumer import BatchConsumer

MAX_RECORD_BYTES: Final = 8 * 1024 * 1024
"""The largest record that the changelog topics take: one chunk of one key's state."""

WRITE_BATCH_BYTES: Final = 2 * 1024 * 1024
"""A checkpoint up to this size is one batch in the changelog."""

SEND_BATCH_BYTES: Final = 256 * 1024
"""Outputs go to topics whose largest batch is Kafka's default of 1 MiB unless an operator has configured another."""


class DurableProducer(driver.Producer):
    """Writes with `acks=all` and, where the broker can, idempotently."""

    def _settings_extra(self) -> Mapping[str, Any]:
        transport = self.app.transport_settings
        return {
            **super()._settings_extra(),
            **({} if transport.partitioner is None else {"partitioner": transport.partitioner}),
            "acks": "all",
            "enable_idempotence": transport.idempotent,
            "max_batch_size": SEND_BATCH_BYTES,
            "max_request_size": MAX_RECORD_BYTES,
        }


class BatchTransport(driver.Transport):
    """Both sides of it."""

    Consumer = BatchConsumer
    Producer = DurableProducer


def changelog_batch() -> Any:
    """An empty batch for `AIOKafkaProducer.send_batch`, of the size that the changelogs take, not compressed."""
    return BatchBuilder(WRITE_BATCH_BYTES, 0)
