"""What a room has, how it is loaded and stored, and the status that it shows. How it changes: `room.py`."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from vigil.app.domain.rooms.contestable import ContestableVerdicts
from vigil.app.domain.rooms.emitter import VerdictEmitter
from vigil.app.domain.rooms.limits import EffectiveLimits
from vigil.app.domain.rooms.rules.active_condition import SILENCE
from vigil.app.domain.rooms.rules.conditions import ConditionTracker
from vigil.app.domain.rooms.rules.greeting import Greeting
from vigil.app.domain.rooms.rules.speech import Speech
from vigil.app.domain.rooms.stats import RoomStats
from vigil.app.domain.rooms.stored import READ_VERSIONS, VERSION, RoomSnapshot, decode_main, encode_main
from vigil.app.engine.storage.expiring_map import ExpiringMap
from vigil.app.engine.storage.keys import KEYS_BY, remainder64
from vigil.app.engine.subject import ChangedChunks, KeyStateDefaults, StateChunks
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.topics.envelope import Output
from vigil.topics.internal import RoomInput
from vigil.topics.rooms import Activity, Layout, Stream
from vigil.topics.verdicts import RoomStatus

Picture = tuple[Stream | None, bool, bool, Activity | None, Layout | None, tuple[str, ...]]
"""What a frame shows: all that conditions depend on, but the sound. Stream, face, black, activity, layout, labels."""

NOTHING_SHOWN: Final[Picture] = (None, False, False, None, None, ())
"""The picture of what is no frame."""

NEW_KEYS: Final = KEYS_BY.index(remainder64)
"""How the keys of a new room are made."""


class ChunkedPart(Protocol):
    """A part of a room that is stored in records of its own."""

    def dump(self, into: ChangedChunks) -> None: ...

    def chunk_names(self) -> list[bytes]: ...


class StoredRoom(KeyStateDefaults[RoomInput]):
    """The parts of one room. All times are event times in milliseconds."""

    __slots__ = (
        "_awaits_frame",
        "_changed",
        "_comments",
        "_conditions",
        "_contestable",
        "_counted_to",
        "_effective",
        "_emitter",
        "_ended_until",
        "_expire_at",
        "_frame_at",
        "_frames",
        "_gap_at",
        "_gap_ms",
        "_greeting",
        "_hash",
        "_hashed_id",
        "_key_of",
        "_last_at",
        "_limits",
        "_main",
        "_pending_deletes",
        "_picture",
        "_room_id",
        "_same_until",
        "_shadow",
        "_sound",
        "_sounds",
        "_speech",
        "_stats",
        "_status_pending",
        "earliest_timer",
    )

    earliest_timer: int

    def __init__(self, room_id: str, limits: EffectiveLimits, shadow: bool, chunks: StateChunks) -> None:
        self._room_id = room_id
        self._limits = limits
        self._shadow = shadow
        self._changed = False
        self._pending_deletes: ChangedChunks = {}
        """Records of the room before it expired, to be deleted with the next dump."""
        self._load(chunks)

    def _load(self, chunks: StateChunks) -> None:
        limits = self._limits
        main = decode_main(chunks[b""]) if b"" in chunks else RoomSnapshot(keys_by=NEW_KEYS)
        if main.version not in READ_VERSIONS:
            raise ValueError(f"room {self._room_id!r} is stored in version {main.version}; this is for {VERSION}")
        main.version = VERSION
        key_of = self._key_of = KEYS_BY[main.keys_by]
        self._main = main
        self._last_at, self._status_pending = main.last_at, main.status_pending
        self._frame_at, self._frames = main.frame_at, main.frames
        self._picture: Picture = (main.stream, main.face, main.black, None, None, ())
        """What the latest frame showed: after a restart, only what is counted of it."""
        self._counted_to = main.frame_at
        """The frame up to which the seconds on air are counted: since then all frames have shown the same picture."""
        self._same_until = MIN_TIME
        """Before this time a frame that shows the same as the latest one changes nothing but when the latest was."""
        self._contestable = ContestableVerdicts(main.contestable, chunks, limits.longest_contested_ms)
        self._emitter = VerdictEmitter(self._room_id, main.host_id, main.verdicts, self._contestable, self._shadow)
        self._stats = RoomStats(main.stats, limits.longest_presence_ms, limits.most_engaged_comments, chunks, key_of)
        self._greeting = Greeting(self._emitter, self._stats, main.greeting, chunks, limits.greeting_at)
        self._conditions = ConditionTracker(self._emitter, main.conditions, limits.conditions_at, main.unseen_until)
        self._speech = Speech(self._emitter, main.speech, chunks, limits.longest_again_ms, limits.repeats)
        self._comments = ExpiringMap(b"c", main.comments, chunks)
        self._hashed_id, self._hash = "", 0
        """The latest `comment_id` that was looked up, and its hash; no id is empty."""
        self._effective = limits.at(main.last_at)
        self._sounds, self._sound = self._effective.conditions.sounds, SILENCE
        # The gap after a frame, and how long an ended room is kept, are those that were effective at that frame.
        self._gap_ms = limits.at(main.frame_at).gap_ms
        live_or_running = main.stream == "live" or bool(self._conditions)
        self._awaits_frame = main.frames > 0 and not main.lost and live_or_running
        """True until the time without frames has been acted on."""
        self._ended_until = MAX_TIME
        if main.ended_at is not None:
            self._ended_until = main.ended_at + limits.at(main.ended_at).forget_ended_ms
        self._reschedule()

    @property
    def last_at(self) -> int:
        """The time of the room's latest event, ms."""
        return self._last_at

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        """The status as of the watermark, at most once in `status_every_s` of event time; always when `final`."""
        main = self._main
        if self._shadow or not main.host_id:
            return ()
        at = watermark if final else max(watermark, self._last_at)
        if not (final or self._status_is_due(at)):
            return ()
        return (Output("room-status", self._room_id.encode(), f"{self._room_id}@{at}", at, self._status_at(at)),)

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        main = self._main
        if not outputs:
            return
        if not final:
            main.status_at = outputs[0].at
        if self._status_pending:
            self._status_pending = False
            self._changed = True

    def has_deferred_output(self) -> bool:
        return self._status_pending and not self._shadow and bool(self._main.host_id)

    def expired(self) -> bool:
        return not self._main.host_id

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        """The changed records: the main one, and chunks of `w`aiting entries, `c`omment ids, `p`resent buyers,
        `e`ngaged buyers, `r`eception times, spoken `l`abels and `t`exts, recent `v`erdicts."""
        if not self._changed:
            return {}
        self._changed = False
        self._count_seconds(self._frame_at)
        main = self._main
        main.last_at, main.status_pending = self._last_at, self._status_pending
        main.frame_at, main.frames = self._frame_at, self._frames
        main.stream, main.face, main.black = self._picture[:3]
        main.verdicts = self._emitter.verdicts
        main.conditions = self._conditions.store()
        main.unseen_until = self._conditions.unseen_until
        if self._contestable.late:
            self._contestable.forget_late(self._judged_from())
        records, self._pending_deletes = self._pending_deletes, {}
        for part in self._chunked_parts():
            part.dump(records)
        records[b""] = encode_main(main) if main.host_id else None
        return records

    def _judged_from(self) -> int:
        """No verdict to come rests on an earlier time: the start of what is open, or of what may begin."""
        to_come = self._last_at - self._limits.longest_early_ms
        return min(to_come, self._greeting.open_from(), self._conditions.open_from())

    def _status_is_due(self, at: int) -> bool:
        main = self._main
        if not self._status_pending:
            return False
        return main.status_at is None or at >= main.status_at + self._effective.status_every_ms

    def _count_seconds(self, until: int) -> None:
        """Count the time in which all frames have shown the same picture, up to a frame at `until`."""
        stream, face, black, *_ = self._picture
        if stream == "live":
            self._stats.add_interval(until - self._counted_to, face, black)
        self._counted_to = until

    def _reschedule(self) -> None:
        """Set `earliest_timer` to the next timer exactly."""
        self._gap_at = self._frame_at + self._gap_ms if self._awaits_frame else MAX_TIME
        if not self._main.host_id:
            self._expire_at = self.earliest_timer = MAX_TIME
            return
        self._expire_at = min(self._last_at + self._effective.forget_silent_ms, self._ended_until)
        self.earliest_timer = min(self._gap_at, self._expire_at, self._greeting.due, self._conditions.due)

    def _chunked_parts(self) -> tuple[ChunkedPart, ...]:
        """The parts that are stored in records of their own."""
        return (self._comments, self._stats, self._greeting, self._speech, self._contestable)

    def _status_at(self, at: int) -> RoomStatus:
        self._count_seconds(self._frame_at)
        main = self._main
        stats = main.stats
        limits = self._effective
        return RoomStatus(
            room_id=self._room_id,
            host_id=main.host_id,
            at=at,
            stream=self._picture[0],
            entries=stats.entries,
            received=stats.received,
            missed=stats.missed,
            reception_seconds=self._stats.reception_seconds(),
            buyers_now=self._stats.buyers_now(at, limits.presence_ms),
            engaged_buyers=self._stats.engaged_buyers(limits.engaged_comments),
            comments=self._stats.comments(),
            on_air_seconds=stats.on_air / 1000,
            absent_seconds=stats.absent / 1000,
            black_seconds=stats.black / 1000,
            open=self._conditions.open(),
            waiting=self._greeting.waiting(limits.waiting_shown),
            verdicts=self._emitter.verdicts,
        )
