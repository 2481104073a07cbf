"""A loaded room: its objects in memory, and its stored bytes, after 18 simulated minutes of 130 rooms."""

import gc
import tracemalloc
from typing import Final

from benchmarks.page import record
from benchmarks.quiet import Quiet
from benchmarks.recovery import _SimulatedRecord as SimulatedRecord
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.shards import make_shard
from vigil.app.simulate import Simulation

ROOMS: Final = 130
SECONDS: Final = 1080
START_MS: Final = 1_790_000_000_000


def main() -> None:
    """Run the benchmark."""
    quiet = Quiet()
    machine = REGISTRY.machines(load_rulebook())["rooms"]
    simulation = Simulation(seed=5, rooms=ROOMS, suppliers=0, start_ms=START_MS, duration_s=SECONDS)
    messages = [message for message in simulation.messages() if message.topic in machine.topics]
    gc.collect()
    tracemalloc.start()
    shard = make_shard(machine, 2000, partition=0)
    offsets = dict.fromkeys(machine.topics, 0)
    for number, message in enumerate(messages):
        offset = offsets[message.topic]
        offsets[message.topic] += 1
        record_ = SimulatedRecord(offset, message.key, message.value)
        shard.ingest(machine.topics.index(message.topic), [record_])
        if number % 2000 == 1999 or number == len(messages) - 1:
            shard.advance_watermark(max(source.max_event_time for source in shard.sources) - 2000)
            snapshot = shard.snapshot()
            shard.confirm(snapshot)
            shard.collector.outputs.clear()
            del snapshot
    gc.collect()
    # The stored form, which the shard keeps beside the objects, is listed apart.
    store = shard.store
    packed = sum(map(len, store.main.values()))
    packed += sum(len(chunk) for chunks in store.chunks.values() for chunk in chunks.values())
    loaded = tracemalloc.get_traced_memory()[0] - packed
    tracemalloc.stop()
    rooms = len(store.main)
    lines = [
        "| rooms | events | objects, KB a room | stored, KB a room |",
        "| --- " * 4 + "|",
        f"| {rooms} | {len(messages):,} | {loaded / rooms / 1000:.1f} | {packed / rooms / 1000:.1f} |",
    ]
    record("footprint", lines, {"room-memory": loaded / rooms / 1000, "room-stored": packed / rooms / 1000}, quiet)
