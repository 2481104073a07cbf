"""One live room under the live-broadcast rules: each event goes to the rules below, and so does time.

    buyer-entry ──▶ greeting                        frame-status ──▶ greeting (not live: void), runs, signal, end
    comment ──▶ greeting and runs (reception), speech (the host's), figures

Forgets: itself, 1 h after it ended or 24 h after its last event; a `comment_id` after 1 h.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import msgspec
from msgspec import Struct, field

from vigil.app.domain.rooms.emitter import VerdictEmitter
from vigil.app.domain.rooms.limits import EffectiveLimits
from vigil.app.domain.rooms.rules.conditions import ConditionTracker, StoredCondition
from vigil.app.domain.rooms.rules.greeting import Greeting, GreetingSnapshot
from vigil.app.domain.rooms.rules.speech import Speech, SpeechSnapshot
from vigil.app.domain.rooms.stats import RoomStats, RoomStatsSnapshot
from vigil.app.engine.storage.aggregates import ExpiringMap
from vigil.app.engine.storage.chunked import LogSnapshot, Records, hash64
from vigil.app.engine.subject import OutputCollector, StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output
from vigil.topics.rooms import BuyerEntry, Comment, FrameStatus, RoomEvent, Stream
from vigil.topics.verdicts import RoomStatus

VERSION: Final = 1
"""Of the stored state. New fields go to the end of their struct, with a default; anything else is a new version."""


class Holder(Protocol):
    """A part of a room that has records of its own."""

    def dump(self, into: Records) -> None: ...

    def names(self) -> list[bytes]: ...


class RoomSnapshot(Struct, array_like=True):
    """A room's main record: everything but what is stored in pieces."""

    version: int = VERSION
    host_id: str = ""
    """Of the first event; empty: no event came yet."""
    last_at: int = 0
    """The time of the latest event."""
    stream: Stream | None = None
    """What the latest frame said, as the three below."""
    frame_at: int = 0
    face: bool = False
    black: bool = False
    frames: int = 0
    """How many frames came."""
    lost: bool = False
    """Was the loss of the signal told, and its return not yet?"""
    ended_at: int | None = None
    """The first `ended` frame of the series that the latest frame belongs to."""
    verdicts: int = 0
    status_at: int | None = None
    """When the figures were last published."""
    status_owed: bool = False
    """Did they change since?"""
    runs: list[StoredCondition] = []
    greeting: GreetingSnapshot = field(default_factory=GreetingSnapshot)
    speech: SpeechSnapshot = field(default_factory=SpeechSnapshot)
    figures: RoomStatsSnapshot = field(default_factory=RoomStatsSnapshot)
    comments: LogSnapshot = field(default_factory=LogSnapshot)
    """The `comment_id`s of the last hour."""


_MAIN: Final = msgspec.msgpack.Decoder(RoomSnapshot)
_encode: Final = msgspec.msgpack.Encoder().encode


class RoomState:
    """A room's state. Times are event time in milliseconds."""

    __slots__ = (
        "_changed",
        "_comments",
        "_conditions",
        "_doomed",
        "_due",
        "_effective",
        "_emitter",
        "_ended_until",
        "_forget_at",
        "_gap_at",
        "_gap_ms",
        "_greeting",
        "_limits",
        "_main",
        "_room_id",
        "_shadow",
        "_speech",
        "_stats",
    )

    def __init__(self, room_id: str, in_force: EffectiveLimits, shadow: bool, parts: StateChunks) -> None:
        self._room_id = room_id
        self._limits = in_force
        self._shadow = shadow
        self._changed = False
        self._doomed: Records = {}
        """Records of a room that was forgotten, until the next dump."""
        self._load(parts)

    def _load(self, parts: StateChunks) -> None:
        in_force = self._limits
        main = _MAIN.decode(parts[b""]) if b"" in parts else RoomSnapshot()
        if main.version != VERSION:
            raise ValueError(f"room {self._room_id!r} is stored in version {main.version}; this is for {VERSION}")
        self._main = main
        self._emitter = VerdictEmitter(self._room_id, main.host_id, main.verdicts, self._shadow)
        self._stats = RoomStats(main.figures, in_force.longest_presence_ms, in_force.most_engaged_comments, parts)
        self._greeting = Greeting(self._emitter, self._stats, main.greeting, parts, in_force.greeting_at)
        self._conditions = ConditionTracker(self._emitter, main.runs, in_force.conditions_at)
        self._speech = Speech(self._emitter, main.speech, parts, in_force.longest_again_ms, in_force.repeats)
        self._comments = ExpiringMap(b"c", main.comments, parts)
        self._effective = in_force.at(main.last_at)
        # A frame's gap and the memory of an ended room are as long as was in force at that frame.
        self._gap_ms = in_force.at(main.frame_at).gap_ms
        awaited = main.frames and not main.lost and (main.stream == "live" or self._conditions)
        self._gap_at = main.frame_at + self._gap_ms if awaited else MAX_TIME
        self._ended_until = MAX_TIME
        if main.ended_at is not None:
            self._ended_until = main.ended_at + in_force.at(main.ended_at).forget_ended_ms
        self._reschedule()

    def is_duplicate(self, event: RoomEvent) -> bool:
        """Was a comment of this id applied before, or is it too old to tell?"""
        if type(event) is not Comment:
            return False
        remembered_from = event.at - self._limits.at(event.at).comment_memory_ms
        seen_at = self._comments.latest.get(hash64(event.comment_id))
        if seen_at is not None and seen_at >= remembered_from:
            return True
        return event.at < self._main.last_at - self._effective.comment_memory_ms

    def apply(self, event: RoomEvent, watermark: int, collector: OutputCollector) -> None:
        """Take an event in; no earlier one and no earlier deadline is to come."""
        main = self._main
        at = event.at
        if not self._effective.start <= at < self._effective.until:
            self._effective = self._limits.at(at)
        if not main.host_id:
            main.host_id = self._emitter.host_id = event.host_id
        main.last_at = at
        self._changed = main.status_owed = True
        self._emitter.collector = collector
        if type(event) is FrameStatus:
            self._frame(event)
        elif type(event) is BuyerEntry:
            self._stats.present(event.buyer_id, at)
            if main.stream == "live":
                self._greeting.entered(event, self._effective.greeting)
        else:
            assert type(event) is Comment  # noqa: S101 - there are three
            self._comment(event)
        self._reschedule()

    def next_timer(self) -> int:
        """When the next entry is missed, the signal is lost or a run ends for want of frames, or all is forgotten."""
        return self._due

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        """The time `at` came: every event with a time up to it was applied before."""
        while self._due <= at:
            due = self._due
            self._emitter.collector = collector
            self._changed = self._main.status_owed = True
            if self._greeting.due == due:
                self._greeting.on_timer(due)
            if self._gap_at == due:
                self._gap(due)
            if self._forget_at == due:
                self._forget(due, collector)
            self._reschedule()

    def pending_outputs(self, watermark: int, final: bool) -> Iterable[Output]:
        """The figures as of `clock`, at most one every `status_every_s` of event time, or in any case when `final`."""
        main = self._main
        if self._shadow or not main.host_id:
            return
        at = watermark if final else max(watermark, main.last_at)
        if not final:
            if not main.status_owed:
                return
            if main.status_at is not None and at < main.status_at + self._effective.status_every_ms:
                return
            main.status_at = at
        if main.status_owed:
            main.status_owed = False
            self._changed = True
        yield Output("room-status", self._room_id.encode(), f"{self._room_id}@{at}", at, self._figures_at(at))

    def has_deferred_output(self) -> bool:
        return self._main.status_owed and not self._shadow and bool(self._main.host_id)

    def expired(self) -> bool:
        return not self._main.host_id

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        """The changed records: the main one, and pieces of `w`aiting entries, `c`omment ids, `p`resent buyers,
        `e`ngaged buyers, `r`eception times, `l`abels said and `t`exts said."""
        if not self._changed:
            return {}
        self._changed = False
        main = self._main
        main.verdicts = self._emitter.verdicts
        main.runs = self._conditions.store()
        records, self._doomed = self._doomed, {}
        for holder in self._holders():
            holder.dump(records)
        records[b""] = _encode(main) if main.host_id else None
        return records

    def _frame(self, frame: FrameStatus) -> None:
        main = self._main
        at = frame.at
        stream = frame.stream
        if main.stream == "live":
            lasted = at - main.frame_at
            if lasted <= self._gap_ms:
                self._stats.lasted(lasted, main.face, main.black)
            if main.lost:
                main.lost = False
                self._emitter.signal(False, main.frame_at, at)
        main.frames += 1
        self._conditions.frame(frame, main.frames, self._effective.conditions)
        if stream != "live" and main.stream == "live":
            self._greeting.cancel(at)
        if stream != "ended":
            main.ended_at = None
            self._ended_until = MAX_TIME
        elif main.ended_at is None:
            main.ended_at = at
            self._ended_until = at + self._effective.forget_ended_ms
        main.stream = stream
        main.frame_at = at
        main.face = frame.face
        main.black = frame.black
        self._gap_ms = self._effective.gap_ms
        self._gap_at = at + self._gap_ms if stream == "live" or self._conditions else MAX_TIME

    def _comment(self, comment: Comment) -> None:
        main = self._main
        at = comment.at
        self._comments.add(hash64(comment.comment_id), at, at - self._limits.longest_comment_memory_ms - 1)
        if comment.author_role == "buyer":
            self._stats.commented(comment.author_id, at)
            return
        main.figures.host_comments += 1
        if not main.frames:
            return  # a room is not judged before its first frame
        self._speech.comment(comment, self._effective.spoken)
        if shows_reception(comment):
            self._greeting.reception(at)
            self._conditions.reception(at, self._effective.conditions)

    def _gap(self, at: int) -> None:
        """No frame came for as long as frames may be apart."""
        main = self._main
        if main.stream == "live":
            main.lost = True
            self._emitter.signal(True, main.frame_at, at)
        self._conditions.gap(at)
        self._gap_at = MAX_TIME

    def _forget(self, at: int, collector: OutputCollector) -> None:
        """Be as a room from which nothing came yet."""
        self._greeting.cancel(at)  # of a room that fell silent: a warning that stands is cleared
        if not self._shadow:
            collector.emit("room-status", self._room_id, f"{self._room_id}@{at}", at, None)
        doomed = dict.fromkeys(name for holder in self._holders() for name in holder.names())
        self._doomed |= doomed
        self._load({})

    def _reschedule(self) -> None:
        main = self._main
        if not main.host_id:
            self._forget_at = self._due = MAX_TIME
            return
        self._forget_at = min(main.last_at + self._effective.forget_silent_ms, self._ended_until)
        self._due = min(self._gap_at, self._forget_at, self._greeting.due)

    def _holders(self) -> tuple[Holder, ...]:
        """Everything that has records of its own."""
        return (self._comments, self._stats, self._greeting, self._speech)

    def _figures_at(self, at: int) -> RoomStatus:
        main = self._main
        kept = main.figures
        numbers = self._effective
        return RoomStatus(
            room_id=self._room_id,
            host_id=main.host_id,
            at=at,
            stream=main.stream,
            entries=kept.entries,
            received=kept.received,
            missed=kept.missed,
            reception_seconds=self._stats.reception_seconds(),
            buyers_now=self._stats.buyers_now(at, numbers.presence_ms),
            engaged_buyers=self._stats.engaged_buyers(numbers.engaged_comments),
            comments=self._stats.comments(),
            on_air_seconds=kept.on_air / 1000,
            absent_seconds=kept.absent / 1000,
            black_seconds=kept.black / 1000,
            open=self._conditions.open(),
            waiting=self._greeting.waiting(numbers.waiting_shown),
            verdicts=self._emitter.verdicts,
        )


def shows_reception(comment: Comment) -> bool:
    """Does a host's comment show reception? An unlabelled one does."""
    return comment.intent != "chat" and bool(comment.text.strip())
