"""The clocks of broker and worker against this machine's: a changelog record that arrives now carries one of them."""

import time
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition

from vigil.app.kafka.clients import new_consumer, started
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.doctor.check import Check, span

WAIT_S: Final = 2.5
"""How long a new record is waited for: a worker with events to judge writes one a second."""

APART_MS: Final = 5_000
"""Difference from which on it is a fault."""

LOG_APPEND_TIME: Final = 1
"""The type of a timestamp that the broker gave; others are the producer's, here a worker's."""


class ClockDifference(NamedTuple):
    """This machine's clock minus another one."""

    of: Literal["broker", "worker"]
    ms: int


async def check_broker_clock(settings: Settings, changelogs: Sequence[TopicPartition]) -> list[Check]:
    """Compare the clocks by the next checkpoint that any worker writes; return nothing where none comes."""
    if settings.clock != "live" or not changelogs:
        return []
    async with started(new_consumer(settings, "doctor", fetch_max_wait_ms=50)) as consumer:
        apart = await _apart(consumer, changelogs)
    return [] if apart is None else [clock_check(apart)]


async def _apart(consumer: AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> ClockDifference | None:
    """The difference by the first record that arrives; None where none does."""
    consumer.assign(list(tps))
    for tp, end in (await consumer.end_offsets(list(tps))).items():
        consumer.seek(tp, end)
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        batches = await consumer.getmany(*tps, timeout_ms=200)
        arrived = time.time_ns() // 1_000_000
        newest = max((record for batch in batches.values() for record in batch), key=_written_at, default=None)
        if newest is not None:
            of: Literal["broker", "worker"] = "broker" if newest.timestamp_type == LOG_APPEND_TIME else "worker"
            return ClockDifference(of, arrived - newest.timestamp)
    return None


def _written_at(record: ConsumerRecord) -> int:
    return int(record.timestamp)


def clock_check(apart: ClockDifference) -> Check:
    """Grade the difference."""
    side = "ahead of" if apart.ms > 0 else "behind"
    name, whose = f"{apart.of} clock", "the broker's" if apart.of == "broker" else "a worker's"
    if abs(apart.ms) < APART_MS:
        return Check(name, "ok", f"within {span(APART_MS)} of this machine's")
    return Check(
        name,
        "fail",
        f"this machine's clock is {span(abs(apart.ms))} {side} {whose}",
        "correct the one that is wrong (NTP); workers on a machine with a wrong clock refuse or delay everything",
    )
