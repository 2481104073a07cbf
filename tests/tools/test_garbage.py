"""What is judged and kept leaves no reference cycles: it is freed without the garbage collector."""

import gc
from collections.abc import Iterator

from benchmarks.counting.kinds import START_MS
from benchmarks.counting.shards import CountedMessage, CountedShards
from vigil.app.domain.registry import REGISTRY
from vigil.app.simulate import Simulation

WINDOW_MS = 6 * 3_600_000


def windows() -> Iterator[tuple[list[CountedMessage], int]]:
    """Messages of all inputs in the order of arrival, some malformed, and until when they arrive."""
    simulation = Simulation(
        seed=3, rooms=6, suppliers=6, products=5, start_ms=START_MS, duration_s=200, history_days=12,
        reviews=0.5, fault_every_s=15, malformed=0.02,
    )  # fmt: skip
    until, batch = 0, list[CountedMessage]()
    for topic, key, value, at, sent_at, *_ in simulation.messages():
        if until and sent_at >= until:
            yield batch, until
            until, batch = 0, []
        until = until or sent_at + WINDOW_MS
        if topic in REGISTRY.readers:
            batch.append(CountedMessage(topic, key, value, at, sent_at, ""))
    yield batch, until


Windows = list[tuple[list[CountedMessage], int]]


def judge(recorded: Windows, shards: CountedShards) -> None:
    """Judge messages of all inputs; all states are evicted again and again."""
    for messages, until in recorded:
        shards.window(messages, until)
        for shard in shards.shards.values():
            shard.evict(0)


def test_states_and_what_is_judged_are_freed_without_the_garbage_collector() -> None:
    recorded = list(windows())
    topics = {message.topic for messages, _ in recorded for message in messages}
    assert topics >= {"frame-status", "comment", "quote", "order", "product", "activity", "review"}
    first, shards = (CountedShards(list(REGISTRY.sources)) for _ in range(2))  # which reads the rulebook
    judge(recorded, first)  # libraries make cycles once, where something is used for the first time
    gc.collect()
    gc.disable()
    try:
        judge(recorded, shards)
        assert gc.collect() == 0
        assert all(len(shards.shards[subject].states) for subject in ("rooms", "suppliers", "incidents"))
    finally:
        gc.enable()
