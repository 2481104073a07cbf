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
from vigil.app.engine.subject import OutputCollector, StateChunks
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
        self._whole = kept.whole if kept is not None else room.forgotten()
        self._main = kept.main if kept is not None else None
        self._new = kept is None
        self._doomed = list(doomed)

    def knows(self, event: RoomEvent) -> bool:
        return self._room.knows(event)

    def apply(self, event: RoomEvent, clock: int, context: OutputCollector) -> None:
        before = len(context.emitted)
        self._room.apply(event, clock, context)
        own = len(context.emitted)
        self._shadow.apply(event, clock, context)
        if len(context.emitted) > before:
            self._compare(context, before, own)

    def deadline(self) -> int:
        return min(self._room.deadline(), self._shadow.deadline())

    def deadline_passed(self, at: int, context: OutputCollector) -> None:
        before = len(context.emitted)
        if self._room.deadline() <= at:
            self._room.deadline_passed(at, context)
        own = len(context.emitted)
        if self._shadow.deadline() <= at:
            self._shadow.deadline_passed(at, context)
        self._compare(context, before, own)

    def status(self, clock: int, final: bool) -> Iterable[Output]:
        return self._room.status(clock, final)

    def status_owed(self) -> bool:
        return self._room.status_owed()

    def forgotten(self) -> bool:
        return self._room.forgotten() and self._shadow.forgotten()

    def dump(self) -> Mapping[bytes, bytes | None]:
        records: dict[bytes, bytes | None] = dict.fromkeys(self._doomed)
        self._doomed = []
        records |= self._room.dump()
        if records.get(b"", b"") is None:
            records[b""] = b""  # the key lives as long as the shadow does
        shadow = dict(self._shadow.dump())
        if self._new or shadow:
            if b"" in shadow:
                self._main = shadow.pop(b"")
            records |= {PREFIX + name: part for name, part in shadow.items()}
            records[PREFIX] = _encode(ShadowSnapshot(self._digest, self._whole, self._main))
            self._new = False
        return records

    def _compare(self, context: OutputCollector, before: int, own: int) -> None:
        if not self._whole:
            return
        said = _verdicts(context.emitted[before:own], "verdict")
        shadowed = _verdicts(context.emitted[own:], "verdict-shadow")
        for id_, rule in said.items():
            context.count(f"shadow:{rule}:{'both' if id_ in shadowed else 'only_in_force'}")
        for id_, rule in shadowed.items():
            if id_ not in said:
                context.count(f"shadow:{rule}:only_shadow")


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

    def knows(self, event: RoomEvent) -> bool:
        return self._room.knows(event)

    def apply(self, event: RoomEvent, clock: int, context: OutputCollector) -> None:
        self._room.apply(event, clock, context)

    def deadline(self) -> int:
        return self._room.deadline()

    def deadline_passed(self, at: int, context: OutputCollector) -> None:
        self._room.deadline_passed(at, context)

    def status(self, clock: int, final: bool) -> Iterable[Output]:
        return self._room.status(clock, final)

    def status_owed(self) -> bool:
        return self._room.status_owed()

    def forgotten(self) -> bool:
        return self._room.forgotten()

    def dump(self) -> Mapping[bytes, bytes | None]:
        records: dict[bytes, bytes | None] = dict.fromkeys(self._doomed)
        self._doomed = []
        return {**records, **self._room.dump()}


class ShadowedRoomMachine:
    """The shards of rooms, with a candidate beside the rulebook in force, or with none."""

    topics: tuple[str, ...] = RoomMachine.topics
    ordered = True
    refuses_late = True

    def __init__(self, rulebook: Rulebook, candidate: Rulebook | None) -> None:
        """Raise RulebookError when a rule of either has no numbers or numbers have no judge."""
        self._rooms = rooms = RoomMachine(rulebook)
        self._shadows = None if candidate is None else RoomMachine(candidate, shadow=True)
        self._digest = "" if candidate is None else candidate.digest
        self.decode = rooms.decode
        self.key_of = rooms.key_of
        self.natural_id = rooms.natural_id

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

    def knows(self, state: Any, event: RoomEvent) -> bool:
        known: bool = state.knows(event)
        return known
