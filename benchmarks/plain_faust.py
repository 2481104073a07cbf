"""The same rooms on Faust as in its guide: an agent, one event at a time, one table write per event, no ordering.

benchmarks/backlog.py runs it in a process of its own. The rules are Vigil's; everything around them differs.
"""

import logging
import os
import resource
import sys
import tempfile
from typing import Any

import faust
import msgspec

from vigil.app.domain.rooms import RoomMachine
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.output_collector import OutputCollector
from vigil.topics.rooms import ROOM_TOPICS


def main() -> None:
    """Judge a number of events, print the CPU seconds, and exit."""
    broker, most = sys.argv[1], int(sys.argv[2])
    app = faust.App(
        f"plain-{os.getpid()}",
        broker=f"kafka://{broker}",
        store="memory://",
        datadir=tempfile.mkdtemp(),
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=4,
        broker_session_timeout=6,
        broker_heartbeat_interval=1.5,
        recovery_consistency_check=False,
    )
    table = app.Table(f"plain-rooms-{os.getpid()}", default=bytes, key_type=str, value_type=bytes, partitions=4)
    machine = RoomMachine(load_rulebook())
    states: dict[str, Any] = {}
    latest: dict[str, int] = {}
    """By room: the largest event time so far."""
    seen = [0, 0.0]

    @app.agent(app.topic(*ROOM_TOPICS, key_type=bytes, value_type=bytes, value_serializer="raw", key_serializer="raw"))
    async def rooms(stream: Any) -> None:
        async for event in stream.events():
            if seen[0] == 0:
                seen[1] = _cpu()
            source_index = ROOM_TOPICS.index(event.message.topic)
            judged = machine.decode(source_index, event.message, 0, origin_of, ignored)
            state = states.get(judged.room_id) or states.setdefault(judged.room_id, machine.load(judged.room_id, {}))
            collector = OutputCollector()
            last = latest[judged.room_id] = max(latest.get(judged.room_id, 0), judged.at)
            if judged.at < last:  # a room's rules need the order of event time, which nothing here makes
                judged = msgspec.structs.replace(judged, at=last)
            state.apply(judged, last, collector)
            stored = state.dump_changes().get(b"")
            if stored is not None:
                table[judged.room_id] = bytes(stored)
            seen[0] += 1
            if seen[0] >= most:
                print(f"RESULT {seen[0]} {_cpu() - seen[1]:.2f}", flush=True)
                os._exit(0)

    worker = app.Worker(quiet=True, redirect_stdouts=False, loglevel=logging.ERROR)
    worker.spinner = None
    worker.execute_from_commandline()


def origin_of(record: Any) -> tuple[int | None, int]:
    """Where a record comes from, for its dead letter."""
    return record.partition, record.offset


def ignored(field: str, number: int) -> None:
    """Vigil counts optional fields that cannot be read; here they are only left out."""


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
