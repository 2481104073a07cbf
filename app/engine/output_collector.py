"""What a key state publishes and counts through while it is called."""

from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec import Struct

from vigil.app.engine.lateness import LatenessCounts
from vigil.topics.envelope import DeadLetter, Output, base64_or_none, carried
from vigil.topics.fields import Reason

MAX_REMEMBERED: Final = 10_000
"""Identities that `emit_once` remembers; then it forgets all of them, and some messages may be repeated."""

MAX_NAMES: Final = 50
"""Names from events that one counter distinguishes: events must not multiply counters without a bound."""


class RejectedRecord(NamedTuple):
    """A record that is rejected, in its original bytes. Topic, partition and offset are its identity."""

    topic: str | None
    """None where it is missing or not known (replay)."""
    partition: int | None
    offset: int | None
    key: bytes | None
    value: bytes | None


class OutputCollector:
    """Collects the outputs and counts of a shard until the next checkpoint."""

    __slots__ = ("_deferred", "_emitted_once", "_hastened", "_names", "counts", "key", "lateness", "now", "outputs")

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.counts: dict[str, int] = {}
        self.lateness = LatenessCounts()
        self._names: dict[str, set[str]] = {}
        """By counter: the names from events that are counted by themselves."""
        self._deferred: list[Callable[[OutputCollector], None]] = []
        self._emitted_once: set[str] = set()
        self._hastened = False
        self.now = 0
        """The event time of the event or timer that is being handled, in milliseconds. Set before each call."""
        self.key = ""
        """The key whose timer is being handled, or that acts on the end of the input. Set before each such call."""

    def emit(self, topic: str, key: str, id_: str, at: int, body: Struct | None) -> None:
        """Publish one message; `id_` is its identity and `at` its event time. A body of None is a tombstone."""
        self.outputs.append(Output(topic, key.encode(), id_, at, body, self.now))

    def emit_once(self, topic: str, key: str, id_: str, at: int, body: Struct) -> None:
        """Publish one message, unless one of this identity was published lately: many causes give one message."""
        if id_ in self._emitted_once:
            return
        if len(self._emitted_once) >= MAX_REMEMBERED:
            self._emitted_once.clear()
        self._emitted_once.add(id_)
        self.emit(topic, key, id_, at, body)

    def defer(self, publish: "Callable[[OutputCollector], None]") -> None:
        """Call `publish` before the next checkpoint is taken, which is due at once.

        For outputs of which many would be superseded before they are sent: each is published once, in its last form.
        """
        self._deferred.append(publish)

    def hasten(self) -> None:
        """Make the next checkpoint due at once: a state output changed that others wait for."""
        self._hastened = True

    def publish_deferred(self) -> None:
        """Call what was deferred."""
        self._hastened = False
        deferred, self._deferred = self._deferred, []
        for publish in deferred:
            publish(self)

    @property
    def has_outputs(self) -> bool:
        """True if there is something to send."""
        return bool(self.outputs or self._deferred or self._hastened)

    def emit_dead_letter(self, record: RejectedRecord, reason: Reason, detail: str, at: int) -> None:
        """Send a record to `dead-letter` with what is wrong with it; `at` is the watermark."""
        detail, key, value = carried(detail, record.key, record.value)
        letter = DeadLetter(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason,
            detail=detail,
            at=at,
            key=base64_or_none(key),
            value=base64_or_none(value),
        )
        id_ = f"{record.topic}/{record.partition}/{record.offset}"
        self.outputs.append(Output("dead-letter", key, id_, at, letter))

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of the metrics; counts never influence a judgement."""
        self.counts[name] = self.counts.get(name, 0) + by

    def count_name(self, counter: str, name: str) -> None:
        """Add to the counter of a name from an event: of the first MAX_NAMES names each has its own, others one."""
        names = self._names.setdefault(counter, set())
        if name not in names:
            if len(names) >= MAX_NAMES:
                name = "other"
            else:
                names.add(name)
        self.count(f"{counter}:{name}")
