"""Shadow mode: a candidate rulebook judges live rooms beside the one in force, and causes nothing.

    event ──▶ the room in force ──▶ verdict, notice, room-status …     one shard, one order, one snapshot
      └─────▶ its shadow ─────────▶ verdict-shadow                     stored as parts named s…, beside the room's own

The two are compared where they speak: an event or deadline after which both give the same verdict (by identity) was
found by both; else by one alone. Nothing has to be remembered for that, for what both find they find at once. A
verdict at another instant is another verdict: found by each alone. Only rooms that both saw from their first event
are compared.

A shadow is the candidate's own: its stored parts carry the candidate's digest, and those of another candidate, or of
one that is no more, are dropped when their room is next touched. Which comments are duplicates is decided by the
rulebook in force.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from vigil.app.domain.rooms import RoomMachine, RoomState
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.subject import EventTime, Order, OutputCollector, StateChunks
from vigil.topics.envelope import Output
from vigil.topics.rooms import RoomEvent
from vigil.topics.verdicts import Verdict

PREFIX: Final = b"s"
"""Begins the names of a shadow's parts; no part of a room does."""


class ShadowSnapshot(Struct, array_like=True):
    """The shadow's main part: the room's own within it."""

    digest: str
    """Of the candidate."""
    whole: bool
    """Did the shadow see the room from its first event?"""
    main: bytes | None
    """None: the shadow has forgotten the room (its memory may be shorter)."""


_KEPT: Final = msgspec.msgpack.Decoder(ShadowSnapshot)
_encode: Final = msgspec.msgpack.Encoder().encode


class ShadowedRoom:
    """One room and its shadow."""

    __slots__ = ("_digest", "_doomed", "_main", "_new", "_room", "_shadow", "_whole")

    def __init__(
        self, room: RoomState, shadow: RoomState, digest: str, kept: ShadowSnapshot | None, doomed: Iterable[bytes]
    ) -> None:
        """`kept`: what was stored of this candidate; `doomed`: parts of another one, to be deleted."""
        self._room = room
        self._shadow = shadow
        self._digest = digest
        self._whole = kept.whole if kept is not None else room.expired()
        self._main = kept.main if kept is not None else None
        self._new = kept is None
        self._doomed = list(doomed)

    def is_duplicate(self, event: RoomEvent) -> bool:
        return self._room.is_duplicate(event)

    def apply(self, event: RoomEvent, watermark: int, collector: OutputCollector) -> None:
        before = len(collector.outputs)
        self._room.apply(event, watermark, collector)
        own = len(collector.outputs)
        self._shadow.apply(event, watermark, collector)
        if len(collector.outputs) > before:
            self._compare(collector, before, own)

    def next_timer(self) -> int:
        return min(self._room.next_timer(), self._shadow.next_timer())

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        before = len(collector.outputs)
        if self._room.next_timer() <= at:
            self._room.on_timer(at, collector)
        own = len(collector.outputs)
        if self._shadow.next_timer() <= at:
            self._shadow.on_timer(at, collector)
        self._compare(collector, before, own)

    def pending_outputs(self, watermark: int, final: bool) -> Iterable[Output]:
        return self._room.pending_outputs(watermark, final)

    def has_deferred_output(self) -> bool:
        return self._room.has_deferred_output()

    def expired(self) -> bool:
        return self._room.expired() and self._shadow.expired()

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        records: dict[bytes, bytes | None] = dict.fromkeys(self._doomed)
        self._doomed = []
        records |= self._room.dump_changes()
        if records.get(b"", b"") is None:
            records[b""] = b""  # the key lives as long as the shadow does
        shadow = dict(self._shadow.dump_changes())
        if self._new or shadow:
            if b"" in shadow:
                self._main = shadow.pop(b"")
            records |= {PREFIX + name: part for name, part in shadow.items()}
            records[PREFIX] = _encode(ShadowSnapshot(self._digest, self._whole, self._main))
            self._new = False
        return records

    def _compare(self, collector: OutputCollector, before: int, own: int) -> None:
        if not self._whole:
            return
        said = _verdicts(collector.outputs[before:own], "verdict")
        shadowed = _verdicts(collector.outputs[own:], "verdict-shadow")
        for id_, rule in said.items():
            collector.count(f"shadow:{rule}:{'both' if id_ in shadowed else 'only_in_force'}")
        for id_, rule in shadowed.items():
            if id_ not in said:
                collector.count(f"shadow:{rule}:only_shadow")


def _verdicts(outputs: Iterable[Output], topic: str) -> dict[str, str]:
    """The rule of each verdict, by identity."""
    return {
        output.id: output.body.rule
        for output in outputs
        if output.topic == topic and isinstance(output.body, Verdict)
    }  # fmt: skip


class DroppedShadow:
    """One room whose stored shadow is nobody's any more: it goes with what is stored next."""

    __slots__ = ("_doomed", "_room")

    def __init__(self, room: RoomState, doomed: Iterable[bytes]) -> None:
        self._room = room
        self._doomed = list(doomed)

    def is_duplicate(self, event: RoomEvent) -> bool:
        return self._room.is_duplicate(event)

    def apply(self, event: RoomEvent, watermark: int, collector: OutputCollector) -> None:
        self._room.apply(event, watermark, collector)

    def next_timer(self) -> int:
        return self._room.next_timer()

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        self._room.on_timer(at, collector)

    def pending_outputs(self, watermark: int, final: bool) -> Iterable[Output]:
        return self._room.pending_outputs(watermark, final)

    def has_deferred_output(self) -> bool:
        return self._room.has_deferred_output()

    def expired(self) -> bool:
        return self._room.expired()

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        records: dict[bytes, bytes | None] = dict.fromkeys(self._doomed)
        self._doomed = []
        return {**records, **self._room.dump_changes()}


class ShadowedRoomMachine:
    """The shards of rooms, with a candidate beside the rulebook in force, or with none."""

    topics: tuple[str, ...] = RoomMachine.topics
    order: Order = EventTime(drop_late=True)

    def __init__(self, rulebook: Rulebook, candidate: Rulebook | None) -> None:
        """Raise RulebookError when a rule of either has no numbers or numbers have no judge."""
        self._rooms = rooms = RoomMachine(rulebook)
        self._shadows = None if candidate is None else RoomMachine(candidate, shadow=True)
        self._digest = "" if candidate is None else candidate.digest
        self.decode = rooms.decode
        self.key_of = rooms.key_of
        self.dedup_key = rooms.dedup_key

    def load(self, key: str, parts: StateChunks) -> RoomState | ShadowedRoom | DroppedShadow:
        own: dict[bytes, bytes] = {}
        stored: dict[bytes, bytes] = {}
        for name, part in parts.items():
            if name.startswith(PREFIX):
                stored[name] = part
            elif name or part:  # an empty main part stands for a room that is forgotten
                own[name] = part
        room = self._rooms.load(key, own)
        if self._shadows is None:
            return DroppedShadow(room, stored) if stored else room
        kept = _KEPT.decode(stored[PREFIX]) if PREFIX in stored else None
        if kept is None or kept.digest != self._digest:
            return ShadowedRoom(room, self._shadows.load(key, {}), self._digest, None, stored)
        theirs = {name[len(PREFIX) :]: part for name, part in stored.items() if name != PREFIX}
        if kept.main is not None:
            theirs[b""] = kept.main
        return ShadowedRoom(room, self._shadows.load(key, theirs), self._digest, kept, ())

    def is_duplicate(self, state: Any, event: RoomEvent) -> bool:
        known: bool = state.is_duplicate(event)
        return known
