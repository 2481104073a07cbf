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
        seed=3, rooms=6, suppliers=6, products=5, start_ms=START_MS, duration_s=300, history_days=20,
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


def judged_in_cycles() -> int:
    """Judge messages of all inputs, evict all states again and again; return how many objects were left in cycles."""
    shards, judged, topics = CountedShards(list(REGISTRY.sources)), 0, set[str]()
    for number, (messages, until) in enumerate(list(windows())):  # a simulation has cycles
        shards.window(messages, until)
        for shard in shards.shards.values():
            shard.evict(0)
        if number == 10:  # libraries make cycles once, where something is used for the first time
            gc.collect()
            topics, judged = set(), 0
        judged += len(messages)
        topics.update(message.topic for message in messages)
    assert judged > 3000 and topics >= {"frame-status", "comment", "quote", "order", "product", "activity", "review"}
    return gc.collect()


def test_states_and_what_is_judged_are_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        assert judged_in_cycles() == 0
    finally:
        gc.enable()
