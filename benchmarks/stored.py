"""What a shard with many suppliers takes: to restore it, and where all of them fall due at one moment.

    copies of one supplier with 10 products ──▶ changelog ──restored──▶ shard ──roll-out of stars──▶ all timers fired

    VIGIL_BENCH_STORED=100000 python -m benchmarks stored

Only as many lines are published as checkpoints are taken meanwhile: `python -m benchmarks suppliers` says what lines
cost. Measured in CPU time of the process.
"""

import os
import time
from collections.abc import Iterator
from typing import Final

from msgspec import structs

from benchmarks.common import machine, memory_mib
from benchmarks.suppliers import BEGIN, ROLL_OUT, Stage, many
from vigil.agents.checkpoint_schedule import KEYS_AT_ONCE
from vigil.agents.shard_runner import TIMERS_PER_SLICE
from vigil.app.engine.changelog import HEADER, ChangelogRecord, marker_record, payload_of, record_of, store_key
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.runtime.interpreter import stop_automatic_passes

SUPPLIERS: Final = int(os.environ.get("VIGIL_BENCH_STORED", "100000"))

LOADED: Final = 5000
"""As a worker keeps loaded (`max_loaded_keys`)."""


def copies(suppliers: int) -> Iterator[list[ChangelogRecord]]:
    """The changelog of a shard with copies of one supplier, a supplier at a time."""
    one = Stage()
    one.play(many(1))
    one.measure("first lines", BEGIN + 1)
    store, (key,) = one.shard.store, one.shard.states
    marker = store.marker
    if marker is None:
        raise RuntimeError("the shard has taken no checkpoint")
    chunks = {b"": store.main[key], **store.chunks[key]}
    for number in range(suppliers):
        records = []
        for chunk, value in chunks.items():
            timer = HEADER.unpack_from(value)[2]  # without flags: all outputs have arrived
            records.append(record_of(store_key(f"s{number}", chunk), payload_of(value), marker.checkpoint_id, timer))
        yield records
    yield [marker_record(structs.replace(marker, keys=suppliers, outbox=0))]


def main() -> None:
    """Run the benchmark and print what it finds."""
    stop_automatic_passes()  # as a worker does
    print(f"on {machine()}")
    pid, records = os.getpid(), 0
    empty, began, store = memory_mib(pid), time.process_time(), ChangelogStore()
    for some in copies(SUPPLIERS):
        records += len(some)
        store.read(some)
    store.finalize_restore()
    stage = Stage(store)
    print(
        f"{SUPPLIERS:,} suppliers, {records:,} records restored: {time.process_time() - began:.1f} CPU s, "
        f"{memory_mib(pid) - empty:,.0f} MiB",
        flush=True,
    )
    shard, timers, snapshots, passes, began, more = stage.shard, 0.0, 0.0, 0.0, time.process_time(), True
    stage.full_pass()
    while more:
        step = time.process_time()
        more = shard.advance_watermark(ROLL_OUT + 1, TIMERS_PER_SLICE)
        timers, step = max(timers, time.process_time() - step), time.process_time()
        if len(shard.states.changed) >= KEYS_AT_ONCE or not more:
            shard.confirm(shard.snapshot())
            snapshots = max(snapshots, time.process_time() - step)
        shard.evict(LOADED)
        passes = max(passes, stage.look())
    print(
        f"all of them fall due: {time.process_time() - began:.1f} CPU s, the longest stretch of timers "
        f"{1000 * timers:.0f} ms, of a checkpoint {1000 * snapshots:.0f} ms, of the garbage collector "
        f"{1000 * passes:.0f} ms, {memory_mib(pid) - empty:,.0f} MiB"
    )
