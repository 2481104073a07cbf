"""A shard that can be killed and restarted, and a subject that records what it is called with."""

from typing import Any

import msgspec

from tests.support.toys import ALARM, Event, OrderedToy, SourceRecord, Toy, message
from vigil.app.engine.changelog import OutboxMessage
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.shards import make_shard
from vigil.app.engine.subject import KeyStateDefaults
from vigil.app.engine.watermark import MAX_TIME

LATENESS = 100
ENTRY, REMARK, LOOK = range(3)


class Recorder(KeyStateDefaults[Event]):
    """A key state that records its calls, with the timers that events ask for."""

    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls
        self.due: list[int] = []

    def apply(self, event: Event, watermark: int, collector: Any) -> None:
        self.calls.append((event.at, event.id))
        if event.do == "arm":
            self.due.append(event.at + ALARM)

    def on_late(self, event: Event, watermark: int, collector: Any) -> None:
        self.calls.append(("late", event.at, watermark))
        collector.emit("contested", event.key, f"contested|{event.at}", watermark, None)

    def next_timer(self) -> int:
        return min(self.due, default=MAX_TIME)

    def on_timer(self, at: int, collector: Any) -> None:
        self.due.remove(at)
        self.calls.append(("timer", at))

    def expired(self) -> bool:
        return False

    def dump_changes(self) -> Any:
        return {b"": b""}


class Recording(OrderedToy):
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def load(self, key: str, chunks: Any) -> Any:
        return Recorder(self.calls)

    def dedup_key(self, event: Event) -> None:
        return None


class Life:
    """A shard that can be killed and started again from what it has stored."""

    def __init__(self, toy: Toy, lateness: int = LATENESS, **options: Any) -> None:
        """`options`: of the shard (ShardOptions)."""
        self.toy = toy
        self.options: dict[str, Any] = {"partition": 0, **options}
        self.log: list[Any] = []
        self.sent: list[OutboxMessage] = []
        self.restart(lateness)

    def restart(self, lateness: int = LATENESS) -> None:
        store = ChangelogStore()
        store.read(self.log)
        store.finalize_restore()
        self.shard = make_shard(self.toy, lateness, store=store, **self.options)
        self.write(self.shard.acquire())

    def checkpoint(self) -> None:
        self.write(self.shard.snapshot())

    def write(self, snapshot: Any) -> None:
        self.log += snapshot.changelog()
        self.shard.confirm(snapshot)
        self.sent += snapshot.outputs

    def rejected(self) -> list[tuple[int, str, int]]:
        """(offset, reason, watermark) of each dead letter sent."""
        letters = [msgspec.json.decode(o.payload) for o in self.sent if o.topic == "dead-letter" and o.payload]
        return [(letter["offset"], letter["reason"], letter["at"]) for letter in letters]

    def published(self, topic: str) -> list[str]:
        return [output.id for output in self.sent if output.topic == topic]


def at(*times: int, key: str = "A", first: int = 0) -> list[SourceRecord]:
    """Events at these times at the offsets from `first` on."""
    return [message(first + n, Event(key, time, id=f"{time}")) for n, time in enumerate(times)]
