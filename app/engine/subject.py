"""What a shard asks of the subject it carries: rooms, hosts, suppliers, industries or RFQs by key.

A keyed state never asks the time. It says by `deadline` when it wants to be called, and what it has to say goes
to `Context.emit`. Everything that it must remember is in `dump`: a restart gives exactly that back to `load`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import Struct

from vigil.topics.envelope import DeadLetter, Output, base64_or_none, carried
from vigil.topics.fields import Reason

StateChunks = Mapping[bytes, bytes]
"""A state's stored records by part name; the main record's name is empty."""


class OutputCollector:
    """What a state may use while it is called: the way out, and the shard's name for things it counts."""

    __slots__ = ("counts", "now", "outputs")

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.counts: dict[str, int] = {}
        self.now = 0
        """The event time that is being judged."""

    def emit(self, topic: str, key: str, id_: str, at: int, body: Struct | None) -> None:
        """Publish one message; `id_` is its identity."""
        self.outputs.append(Output(topic, key.encode(), id_, at, body, self.now))

    def emit_dead(
        self,
        topic: str | None,
        partition: int | None,
        offset: int | None,
        reason: Reason,
        detail: str,
        at: int,
        key: bytes | None,
        value: bytes | None,
    ) -> None:
        """Send a message to `dead-letter` as it came; `at` is the clock. Its place is its identity."""
        detail, key, value = carried(detail, key, value)
        letter = DeadLetter(
            topic=topic,
            partition=partition,
            offset=offset,
            reason=reason,
            detail=detail,
            at=at,
            key=base64_or_none(key),
            value=base64_or_none(value),
        )
        self.outputs.append(Output("dead-letter", key, f"{topic}/{partition}/{offset}", at, letter))

    def count(self, name: str, by: int = 1) -> None:
        """Count something for the metrics (never an input to a judgement)."""
        self.counts[name] = self.counts.get(name, 0) + by


@dataclass(frozen=True)
class EventTime:
    """Apply events in the order of their event time: each waits in the reorder buffer until the watermark passes it."""

    drop_late: bool
    """Send a late event to `dead-letter`; otherwise it is applied on arrival."""


@dataclass(frozen=True)
class Arrival:
    """Apply every event on arrival, whatever its event time."""


Order = EventTime | Arrival
"""In which order a machine's events are applied."""


class KeyState(Protocol):
    """One key's state. All times are integer milliseconds of event time."""

    def apply(self, event: Any, watermark: int, collector: OutputCollector) -> None:
        """Take one event in; `clock` is the shard's clock."""

    def next_timer(self) -> int:
        """When to call `on_timer` next; MAX_TIME when nothing is due. Cheap: asked after every event."""

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        """The time `at` came: every event with a time up to it was applied before."""

    def pending_outputs(self, watermark: int, final: bool) -> Iterable[Output]:
        """What the compacted output topics should show of this key by now: asked at a checkpoint after a change.

        `final`: the input has ended at `clock`; show everything, unthrottled.
        """

    def has_deferred_output(self) -> bool:
        """Is there a change that `status` held back (a throttle) and must be asked for again?"""

    def expired(self) -> bool:
        """Nothing is left to remember: the key's records are deleted."""

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        """The records that changed since the last dump by part name; None deletes a part."""


class StateMachine(Protocol):
    """One kind of shard: how messages become events, and events reach a key's state.

    More methods are called where they exist: a logic's `received(event, partition, offset, key, value)` after
    `decode`, to keep an event together with its message; its `has_more(state)` where a status is owed: may the rest be
    told at once; and a state's `finish(clock, context)` once the input ended.
    """

    @property
    def topics(self) -> tuple[str, ...]:
        """In the order of rank."""

    @property
    def order(self) -> Order:
        """In which order events are applied, and what happens to late ones."""

    def decode(self, source_index: int, key: bytes | None, value: bytes | None, watermark: int) -> Any:
        """The event of a message (with `at`), or Refused."""

    def key_of(self, event: Any) -> str:
        """The key whose state the event belongs to."""

    def dedup_key(self, event: Any) -> str | None:
        """The identity by which a buffered duplicate is known within the shard; None where events need none."""

    def load(self, key: str, parts: StateChunks) -> KeyState:
        """The state of a key from its stored records (none for a new key)."""

    def is_duplicate(self, state: Any, event: Any) -> bool:
        """Was an event of the same identity applied to the state before, or is it too old to tell?"""
