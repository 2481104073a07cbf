"""Assignment in groups of many workers: balance, moved shards when one leaves or joins, and its cost.

simulated members, without a network ─▶ balance, moved shards, CPU of the leader, KiB in Kafka
consumers with the same assignor on a real broker ─▶ seconds until every partition has an owner again
"""

import asyncio
import os
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from faust.assignor.partition_assignor import PartitionAssignor

from benchmarks.common import local_broker, machine
from tests.support.harness import make_topics
from tests.support.simulated_group import SimulatedGroup, assignor, faust_app
from vigil.agents.faust.assignor import ShardAssignor

SIZES: Final = ((10, 100), (40, 120), (100, 300), (200, 1000))
"""Workers, and partitions of every topic."""

MEMBERS: Final = int(os.environ.get("VIGIL_BENCH_MEMBERS", "40"))
PARTITIONS: Final = int(os.environ.get("VIGIL_BENCH_PARTITIONS", "60"))
"""Size of the group on a real broker."""

SESSION_MS: Final = 30_000


def grown(workers: int, partitions: int, kind: Any = ShardAssignor) -> SimulatedGroup:
    """Return a group after two rebalances: in the second one, every member reports what it owns."""
    group = SimulatedGroup(partitions, kind=kind)
    for number in range(workers):
        group.join(f"worker-{number}")
    group.rebalance()
    group.rebalance()
    return group


def simulated() -> None:
    """Print a table of groups of several sizes: balanced, after the loss of a member, and after its return."""
    print(
        "| workers | partitions | fewest, most per worker | moved when one dies | when it is back | leader's CPU s "
        "| KiB in Kafka | … with Faust's assignor |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for workers, partitions in SIZES:
        group = grown(workers, partitions)
        (fewest, most), kib, seconds = group.spread(), group.bytes / 1024, group.leader_s
        gone = f"worker-{workers // 2}"
        del group.members[gone]
        died = group.rebalance()
        group.join(gone)
        back = group.rebalance()
        theirs = grown(workers, partitions, PartitionAssignor).bytes / 1024
        print(
            f"| {workers} | {partitions:,} | {fewest}, {most} | {died} | {back} | {seconds:.2f} | {kib:,.0f} | "
            f"{theirs:,.0f} |",
            flush=True,
        )


async def on_kafka(broker: str, kind: Any = ShardAssignor) -> None:
    """Measure a real group of many consumers with that assignor: all join, one leaves, one joins."""
    app, topics = faust_app(PARTITIONS)
    group_id = f"bench-{uuid.uuid4().hex[:8]}"
    await make_topics(broker, PARTITIONS)

    def member(number: int) -> Any:
        return AIOKafkaConsumer(
            *topics,
            bootstrap_servers=broker,
            group_id=group_id,
            partition_assignment_strategy=[assignor(app, f"worker-{number}", kind=kind)],
            enable_auto_commit=False,
            session_timeout_ms=SESSION_MS,
            max_poll_interval_ms=3_600_000,
        )

    members = [member(number) for number in range(MEMBERS)]

    async def settled(what: str, began: float) -> None:
        await _until(lambda: _owned(members) == len(topics) * PARTITIONS and all(one.assignment() for one in members))
        print(f"{what}: every partition has one owner after {time.monotonic() - began:.1f} s", flush=True)

    try:
        print(f"{MEMBERS} members, {len(topics)} topics of {PARTITIONS} partitions, one broker, all on this machine")
        began = time.monotonic()
        await asyncio.gather(*(one.start() for one in members))
        await settled("all join at once", began)
        leaver = members.pop()
        began = time.monotonic()
        await leaver.stop()
        await settled("one leaves", began)
        members.append(member(MEMBERS))
        began = time.monotonic()
        await members[-1].start()
        await settled("one joins", began)
    finally:
        await asyncio.gather(*(one.stop() for one in members))


def _owned(members: list[Any]) -> int:
    """Return the number of partitions with an owner; 0 if one has two owners."""
    owned = [tp for one in members for tp in one.assignment()]
    return len(owned) if len(owned) == len(set(owned)) else 0


async def _until(holds: Callable[[], bool], within_s: float = 300) -> None:
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            raise RuntimeError(f"the group did not settle within {within_s:g} s")
        await asyncio.sleep(0.05)


async def run() -> None:
    print(machine())
    simulated()
    with local_broker() as (broker, kafka):
        if kafka:
            await on_kafka(broker)


def main() -> None:
    """Run the benchmark."""
    asyncio.run(run())
