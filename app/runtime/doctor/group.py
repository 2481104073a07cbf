"""The consumer group: its workers, what waits for them, and what holds their input back."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiokafka.structs import TopicPartition

from vigil.app.kafka.clients import new_admin, new_consumer, once_there
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.topic_reader import records
from vigil.app.kafka.transactions import OpenTransaction, open_transactions
from vigil.app.runtime.doctor.check import Check, counted, first_few, span

BEHIND: Final = 50_000
"""Messages that wait to be read above which the group counts as behind: about a second of one worker's work."""

STALLED_S: Final = 3.0
"""How long nothing must be committed while messages wait, in a group that is stable, to be a fault; three times
`checkpoint_interval_ms` where that is longer."""

POLL_S: Final = 0.5

OPEN_MS: Final = 10_000
"""Age of an open transaction from which on it is a fault: rooms are judged late by as much."""


class Offsets(NamedTuple):
    """Of one partition: what the group has committed (-1: nothing), where the log begins, where it ends."""

    committed: int
    begin: int
    end: int

    @property
    def waiting(self) -> int:
        """Offsets that exist and were not committed."""
        return max(0, self.end - max(self.committed, self.begin))


async def check_group(settings: Settings, tps: Sequence[TopicPartition]) -> list[Check]:
    """Check the workers and the lag; `tps`: all partitions of the sources."""
    admin = new_admin(settings, "doctor")
    try:
        await admin.start()
        described: Any = (await once_there(lambda: admin.describe_consumer_groups([settings.app_id])))[0].groups[0]
    finally:
        await admin.close()
    members = len(described[5])
    offsets = await read_offsets(settings, tps)
    group = members_of(settings.app_id, described[2], members)
    stalled = members and group.level == "ok" and settings.clock == "live" and await is_stalled(settings, offsets)
    return [group, _stalled(offsets) if stalled else lag(offsets, members)]


async def is_stalled(settings: Settings, before: Mapping[TopicPartition, Offsets]) -> bool:
    """Watch whether anything is committed of what waits; return at once where nothing waits."""
    waiting = [tp for tp, each in before.items() if each.waiting]
    until = time.monotonic() + max(STALLED_S, 3 * settings.checkpoint_interval_ms / 1000)
    while waiting:
        await asyncio.sleep(POLL_S)
        now = await read_offsets(settings, waiting)
        if any(now[tp].committed > before[tp].committed or not now[tp].waiting for tp in waiting):
            return False
        if time.monotonic() >= until:
            return True
    return False


def _stalled(offsets: Mapping[TopicPartition, Offsets]) -> Check:
    total = sum(each.waiting for each in offsets.values())
    return Check(
        "lag",
        "fail",
        f"{counted(total, 'message')} wait, and no worker commits anything although the group is stable",
        "/health/ready of each worker says why, for example that its clock and the broker's differ; an open "
        "transaction has a line of its own",
    )


async def read_offsets(settings: Settings, tps: Sequence[TopicPartition]) -> dict[TopicPartition, Offsets]:
    """What the group has committed of each partition, and where each begins and ends."""
    if not tps:
        return {}
    admin = new_admin(settings, "doctor")
    consumer = new_consumer(settings, "doctor")
    try:
        await admin.start()
        await consumer.start()
        committed = await admin.list_consumer_group_offsets(settings.app_id, partitions=list(tps))
        # The ends last: an offset that is committed meanwhile must not seem to lie beyond its log.
        begins = await consumer.beginning_offsets(list(tps))
        ends = await consumer.end_offsets(list(tps))
    finally:
        await admin.close()
        await consumer.stop()
    return {tp: Offsets(committed[tp].offset if tp in committed else -1, begins[tp], ends[tp]) for tp in tps}


async def with_last_records(
    settings: Settings, offsets: Mapping[TopicPartition, Offsets], read: Mapping[TopicPartition, int]
) -> dict[TopicPartition, Offsets]:
    """Look again where a log seems to be too short: the embedded broker reports ends that are too low.

    `read`: the offsets to which the partitions were read.
    """
    exact = dict(offsets)
    short = {tp.topic for tp, each in offsets.items() if max(each.committed, read.get(tp, 0)) > each.end}
    for topic in sorted(short):
        async for record in records(settings, topic, 1):
            tp = TopicPartition(topic, record.partition)
            if tp in exact and record.offset >= exact[tp].end:
                exact[tp] = exact[tp]._replace(end=record.offset + 1)
    return exact


def members_of(app_id: str, state: str, members: int) -> Check:
    """Whether workers run."""
    if not members:
        return Check("group", "warn", f"{app_id}: no worker runs", "vigil worker")
    words = f"{app_id}: {counted(members, 'worker')}, {state.lower()}"
    if state == "Stable":
        return Check("group", "ok", words)
    return Check("group", "warn", words, "shards are being handed over; look again in a few seconds")


def lag(offsets: Mapping[TopicPartition, Offsets], members: int) -> Check:
    """Whether too many messages wait; without a worker, whether any does."""
    waiting: dict[str, int] = defaultdict(int)
    for tp, each in offsets.items():
        waiting[tp.topic] += each.waiting
    total = sum(waiting.values())
    longest = sorted(((count, topic) for topic, count in waiting.items() if count), key=lambda pair: -pair[0])[:3]
    words = f"{total:,} messages wait to be judged"
    if longest:
        words += f" ({', '.join(f'{topic} {count:,}' for count, topic in longest)})"
    if total <= (BEHIND if members else 0):
        return Check("lag", "ok", words)
    remedy = "more workers, up to the number of partitions; see docs/operations.md" if members else "vigil worker"
    return Check("lag", "warn", words, remedy)


async def check_transactions(settings: Settings, tps: Sequence[TopicPartition], now: int) -> list[Check]:
    """Check that no open transaction holds back what workers may read."""
    found = await open_transactions(settings, tps)
    return [transactions(found, now)]


def transactions(found: Sequence[OpenTransaction], now: int) -> Check:
    """Whether a transaction has been open for too long; one whose age is not known counts as old."""
    old = [each for each in found if each.since is None or now - each.since >= OPEN_MS]
    if not old:
        words = f"{counted(len(found), 'partition')} in a young one" if found else "none is open"
        return Check("transactions", "ok", words)
    lines = [_held_back(each, now) for each in old]
    return Check(
        "transactions",
        "fail",
        f"an open transaction holds back {counted(len(old), 'partition')}: nothing behind it can be read\n"
        f"{first_few(lines)}",
        "end the producer with this transactional id, or have it commit; Kafka aborts the transaction after the "
        "producer's transaction.timeout.ms (at once: kafka-transactions.sh abort)",
    )


def _held_back(each: OpenTransaction, now: int) -> str:
    since = "" if each.since is None else f" for {span(now - each.since)}"
    name = "" if each.transactional_id is None else f", transactional id {each.transactional_id!r}"
    return f"{each.topic}, partition {each.partition}{since}: {counted(each.waiting, 'message')} and markers wait{name}"
