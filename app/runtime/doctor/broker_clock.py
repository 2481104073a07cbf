"""The broker's clock and this machine's: a changelog record that arrives now carries the time of the broker."""

import time
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from vigil.app.kafka.clients import new_consumer
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.doctor.check import Check, span

WAIT_S: Final = 2.5
"""How long a new record is waited for: a worker with events to judge writes one a second."""

APART_MS: Final = 5_000
"""Difference from which on it is a fault."""

LOG_APPEND_TIME: Final = 1
"""The type of a timestamp that the broker gave."""


async def check_broker_clock(settings: Settings, changelogs: Sequence[TopicPartition]) -> list[Check]:
    """Compare the clocks by the next checkpoint that any worker writes; return nothing where none comes."""
    if settings.clock != "live" or not changelogs:
        return []
    consumer = new_consumer(settings, "doctor", fetch_max_wait_ms=50)
    try:
        await consumer.start()
        apart = await _apart(consumer, changelogs)
    finally:
        await consumer.stop()
    return [] if apart is None else [broker_clock(apart)]


async def _apart(consumer: AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> int | None:
    """This machine's clock minus the broker's, in ms, by the first record that arrives; None where none does."""
    consumer.assign(list(tps))
    for tp, end in (await consumer.end_offsets(list(tps))).items():
        consumer.seek(tp, end)
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        batches = await consumer.getmany(*tps, timeout_ms=200)
        arrived = time.time_ns() // 1_000_000
        stamped = [
            record.timestamp
            for batch in batches.values()
            for record in batch
            if record.timestamp_type == LOG_APPEND_TIME
        ]
        if stamped:
            return int(arrived - max(stamped))
    return None


def broker_clock(apart_ms: int) -> Check:
    """Grade the difference: this machine's clock minus the broker's."""
    side = "ahead of" if apart_ms > 0 else "behind"
    if abs(apart_ms) < APART_MS:
        return Check("broker clock", "ok", f"within {span(APART_MS)} of this machine's")
    return Check(
        "broker clock",
        "fail",
        f"this machine's clock is {span(abs(apart_ms))} {side} the broker's",
        "correct the one that is wrong (NTP); workers on a machine with a wrong clock refuse or delay everything",
    )
