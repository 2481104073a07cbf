"""The job on plain Faust, as in its guide: an agent, one event at a time, a table write for each event.

python -m benchmarks.peers.faust_app BROKER PREFIX VERDICTS STATE_DIR
"""

import logging
import sys
from typing import Any

import faust
import orjson

from benchmarks.peers.room import LATENESS_MS, TOPICS, Room, event_of


def main() -> None:
    """Run until SIGTERM."""
    broker, prefix, verdicts, folder = sys.argv[1:]
    app = faust.App(
        verdicts,
        broker=f"kafka://{broker}",
        store="memory://",
        datadir=folder,
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=4,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
    )
    # A timer changes the table as well: then Faust cannot take the partition from the event in hand.
    table = app.Table(f"{verdicts}-rooms", key_type=str, value_type=bytes, partitions=4, use_partitioner=True)
    out = app.topic(verdicts, key_type=bytes, value_type=bytes, value_serializer="raw", key_serializer="raw")
    sources = [prefix + topic for topic in TOPICS]
    source = app.topic(*sources, key_type=bytes, value_type=bytes, value_serializer="raw", key_serializer="raw")
    latest: dict[int, dict[str, int]] = {}
    """By partition and topic: the largest event time so far."""
    partition_of: dict[str, int] = {}

    def clock(partition: int) -> int:
        times = latest[partition]
        return min(times.values()) - LATENESS_MS if len(times) == len(TOPICS) else 0

    async def judge(name: str, room: Room, partition: int) -> None:
        for rule, at in room.advance(clock(partition)):
            await out.send(key=name.encode(), value=orjson.dumps({"room_id": name, "rule": rule, "at": at}))
        table[name] = orjson.dumps(room.dump())

    def load(name: str) -> Room:
        stored = table.get(name)
        return Room() if stored is None else Room.load(orjson.loads(stored))

    @app.agent(source)
    async def rooms(stream: Any) -> None:
        async for message in stream.events():
            value, partition, topic = orjson.loads(message.value), message.message.partition, message.message.topic
            times, name = latest.setdefault(partition, {}), value["room_id"]
            times[topic] = max(times.get(topic, 0), value["at"])
            event = event_of(topic, value)
            if event is None:
                continue
            partition_of[name] = partition
            room = load(name)
            room.add(event)
            await judge(name, room, partition)

    @app.timer(1.0)
    async def rooms_without_events() -> None:
        for name, partition in list(partition_of.items()):
            await judge(name, load(name), partition)

    worker = app.Worker(quiet=True, redirect_stdouts=False, loglevel=logging.WARNING)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
