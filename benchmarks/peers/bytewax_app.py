"""The job on Bytewax: one stateful operator by room, which keeps a clock for each topic. It ends with the input.

python -m benchmarks.peers.bytewax_app BROKER PREFIX VERDICTS STATE_DIR
"""

import copy
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulLogic
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from benchmarks.peers.room import LATENESS_MS, TOPICS, Room, RoomVerdict, event_of

Message = tuple[str, dict[str, Any]]
"""A topic and a decoded value."""


class RoomLogic(StatefulLogic[Message, RoomVerdict, Any]):
    """One room. Topics are read at different speeds, so each has a clock, and the slowest counts."""

    def __init__(self, state: Any) -> None:
        self.times, self.room = state or ({}, Room())

    def on_item(self, value: Message) -> tuple[Iterable[RoomVerdict], bool]:
        """Take an event."""
        topic, message = value
        times = self.times
        times[topic] = max(times.get(topic, 0), message["at"])
        event = event_of(topic, message)
        if event is not None:
            self.room.add(event)
        if len(times) < len(TOPICS):
            return (), self.RETAIN
        return self.room.advance(min(times.values()) - LATENESS_MS), self.RETAIN

    def on_eof(self) -> tuple[Iterable[RoomVerdict], bool]:
        """Judge the rest."""
        return self.room.advance(max(self.times.values())), self.RETAIN

    def snapshot(self) -> Any:
        """Return a copy of the state."""
        return copy.deepcopy((self.times, self.room))


def keyed(record: Any) -> tuple[str, Message]:
    """Decode a record."""
    return record.key.decode(), (record.topic, orjson.loads(record.value))


def encoded(found: tuple[str, RoomVerdict]) -> Any:
    """Return the record of a verdict."""
    room, (rule, at) = found
    return KafkaSinkMessage(room.encode(), orjson.dumps({"room_id": room, "rule": rule, "at": at}))


def main() -> None:
    """Run to the end of the input."""
    broker, prefix, verdicts, folder = sys.argv[1:]
    flow = Dataflow("rooms")
    events = kafka.input("events", flow, brokers=[broker], topics=[prefix + topic for topic in TOPICS], tail=False)
    found = op.stateful("rules", op.map("keyed", events.oks, keyed), RoomLogic)
    kafka.output("verdicts", op.map("encoded", found, encoded), brokers=[broker], topic=verdicts)
    Path(folder).mkdir(parents=True, exist_ok=True)
    init_db_dir(folder, 1)
    recovery = RecoveryConfig(folder, timedelta(0))
    cli_main(flow, epoch_interval=timedelta(seconds=1), recovery_config=recovery)


if __name__ == "__main__":
    main()
