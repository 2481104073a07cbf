"""Shadow mode: a candidate rulebook judges live rooms beside the rulebook in force; nothing follows from it.

    event ──▶ the room ────▶ verdict, notice, room-status …     one shard, one order, one snapshot
      └─────▶ its shadow ──▶ verdict-shadow                     stored in chunks named s…, beside the room's own

Verdicts are compared as they are published. If an event or timer gives the same verdict (by identity) in both, it
counts as found by both; otherwise as found by one alone. That needs no memory, as what both find they find at once; a
verdict at another instant is another verdict. Only rooms that both have seen from their first event are compared.

A shadow belongs to one candidate: its chunks carry the candidate's digest. Chunks of another candidate, or of none any
more, are deleted when the room next changes. Which comments are duplicates is decided by the rulebook in force.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.domain.rooms import RoomMachine, RoomState
from vigil.app.domain.rooms.limits import EffectiveLimits
from vigil.app.domain.rooms.machine import RoomEventMachine
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import KeyStateDefaults, StateChunks
from vigil.topics.envelope import Output
from vigil.topics.internal import RoomInput
from vigil.topics.verdicts import Verdict

PREFIX: Final = b"s"
"""The names of a shadow's chunks begin with it; those of a room's own never do."""


class ShadowSnapshot(Struct, array_like=True):
    """The shadow's main record, with that of its room inside."""

    digest: str
    """The candidate's digest."""
    whole: bool
    """True if the shadow has seen the room from its first event."""
    main: bytes | None
    """None: the room has expired for the candidate, whose memory may be shorter."""


_SNAPSHOT: Final = msgspec.msgpack.Decoder(ShadowSnapshot)
_encode: Final = msgspec.msgpack.Encoder().encode


class ShadowedRoom(KeyStateDefaults[RoomInput]):
    """One room and its shadow."""

    __slots__ = ("_digest", "_main", "_new", "_pending_deletes", "_room", "_shadow", "_whole")

    def __init__(
        self, room: RoomState, shadow: RoomState, digest: str, snapshot: ShadowSnapshot | None, deletes: Iterable[bytes]
    ) -> None:
        """`snapshot`: what is stored of this candidate; `deletes`: chunks of another one, to be deleted."""
        self._room = room
        self._shadow = shadow
        self._digest = digest
        self._whole = snapshot.whole if snapshot is not None else room.expired()
        self._main = snapshot.main if snapshot is not None else None
        self._new = snapshot is None
        self._pending_deletes = list(deletes)

    @property
    def last_at(self) -> int:
        """The time of the room's latest event, ms."""
        return self._room.last_at

    def is_duplicate(self, event: RoomInput) -> bool:
        return self._room.is_duplicate(event)

    def apply(self, event: RoomInput, watermark: int, collector: OutputCollector) -> None:
        before = len(collector.outputs)
        self._room.apply(event, watermark, collector)
        own = len(collector.outputs)
        self._shadow.apply(event, watermark, collector)
        if len(collector.outputs) > before:
            self._compare(collector, before, own)

    def on_late(self, event: RoomInput, watermark: int, collector: OutputCollector) -> None:
        self._room.on_late(event, watermark, collector)

    def next_timer(self) -> int:
        return min(self._room.next_timer(), self._shadow.next_timer())

    @property
    def earliest_timer(self) -> int:
        return min(self._room.earliest_timer, self._shadow.earliest_timer)

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        before = len(collector.outputs)
        if self._room.next_timer() <= at:
            self._room.on_timer(at, collector)
        own = len(collector.outputs)
        if self._shadow.next_timer() <= at:
            self._shadow.on_timer(at, collector)
        self._compare(collector, before, own)

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        return self._room.pending_outputs(watermark, final)

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        self._room.mark_published(outputs, final)

    def has_deferred_output(self) -> bool:
        return self._room.has_deferred_output()

    def expired(self) -> bool:
        return self._room.expired() and self._shadow.expired()

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        records: dict[bytes, bytes | None] = dict.fromkeys(self._pending_deletes)
        self._pending_deletes = []
        records |= self._room.dump_changes()
        if records.get(b"", b"") is None:
            records[b""] = b""  # the key must exist as long as the shadow does
        shadow = dict(self._shadow.dump_changes())
        if self._new or shadow:
            if b"" in shadow:
                self._main = shadow.pop(b"")
            records |= {PREFIX + name: chunk for name, chunk in shadow.items()}
            records[PREFIX] = _encode(ShadowSnapshot(self._digest, self._whole, self._main))
            self._new = False
        return records

    def _compare(self, collector: OutputCollector, before: int, own: int) -> None:
        if not self._whole:
            return
        own_verdicts = _verdicts(collector.outputs[before:own], "verdict")
        shadowed = _verdicts(collector.outputs[own:], "verdict-shadow")
        for id_, rule in own_verdicts.items():
            collector.count(f"shadow:{rule}:{'both' if id_ in shadowed else 'only_in_force'}")
        for id_, rule in shadowed.items():
            if id_ not in own_verdicts:
                collector.count(f"shadow:{rule}:only_shadow")


def _verdicts(outputs: Iterable[Output], topic: str) -> dict[str, str]:
    """The rule of each verdict on a topic, by identity."""
    return {
        output.id: output.body.rule
        for output in outputs
        if output.topic == topic and isinstance(output.body, Verdict)
    }  # fmt: skip


class DroppedShadow(RoomState):
    """One room whose stored shadow belongs to no candidate any more: it is deleted with the next dump."""

    __slots__ = ("_shadow_chunks",)

    def __init__(
        self, room_id: str, limits: EffectiveLimits, chunks: StateChunks, shadow_chunks: Iterable[bytes]
    ) -> None:
        super().__init__(room_id, limits, False, chunks)
        self._shadow_chunks = tuple(shadow_chunks)

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        records: dict[bytes, bytes | None] = dict.fromkeys(self._shadow_chunks)
        self._shadow_chunks = ()
        return {**records, **super().dump_changes()}


class ShadowedRoomMachine(RoomEventMachine):
    """Rooms under the rulebook in force, with a candidate beside it or without one."""

    def __init__(self, rulebook: Rulebook, candidate: Rulebook | None) -> None:
        self._limits = EffectiveLimits(rulebook)
        self._shadows = None if candidate is None else RoomMachine(candidate, shadow=True)
        self._digest = "" if candidate is None else candidate.digest

    def load(self, key: str, chunks: StateChunks) -> RoomState | ShadowedRoom:
        own, stored = _split(chunks)
        if self._shadows is not None:
            return self._load_both(self._shadows, key, own, stored)
        if stored:
            return DroppedShadow(key, self._limits, own, stored)
        return RoomState(key, self._limits, False, own)

    def _load_both(
        self, shadows: RoomMachine, key: str, own: StateChunks, stored: Mapping[bytes, bytes]
    ) -> ShadowedRoom:
        """A room and its shadow; the shadow starts afresh if what is `stored` is not of the present candidate."""
        room = RoomState(key, self._limits, False, own)
        snapshot = _SNAPSHOT.decode(stored[PREFIX]) if PREFIX in stored else None
        if snapshot is None or snapshot.digest != self._digest:
            return ShadowedRoom(room, shadows.load(key, {}), self._digest, None, stored)
        chunks = {name[len(PREFIX) :]: chunk for name, chunk in stored.items() if name != PREFIX}
        if snapshot.main is not None:
            chunks[b""] = snapshot.main
        return ShadowedRoom(room, shadows.load(key, chunks), self._digest, snapshot, ())


def _split(chunks: StateChunks) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """The chunks of the room itself, and those of its shadow."""
    own: dict[bytes, bytes] = {}
    stored: dict[bytes, bytes] = {}
    for name, chunk in chunks.items():
        if name.startswith(PREFIX):
            stored[name] = chunk
        elif name or chunk:  # an empty main record stands for a room that has expired
            own[name] = chunk
    return own, stored
