"""One live room: every event goes to the parts that judge or count it, and so do timers.

    buyer-entry ──▶ greeting            frame-status ──▶ conditions, signal, end, greeting (cancelled when not live)
    comment ──▶ statistics, and of the host: speech, greeting and conditions (reception)

State: a room expires `forget_ended_s` after it ended, or `forget_silent_s` after its last event; a `comment_id` is
remembered for `comment_memory_s`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from vigil.app.domain.rooms.contestable import ContestableVerdicts
from vigil.app.domain.rooms.emitter import VerdictEmitter
from vigil.app.domain.rooms.limits import EffectiveLimits
from vigil.app.domain.rooms.rules.conditions import ConditionTracker
from vigil.app.domain.rooms.rules.greeting import Greeting
from vigil.app.domain.rooms.rules.speech import Speech
from vigil.app.domain.rooms.rules.text import says_something
from vigil.app.domain.rooms.stats import RoomStats
from vigil.app.domain.rooms.stored import VERSION, RoomSnapshot, decode_main, encode_main
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.storage.chunked_record import hash64
from vigil.app.engine.storage.expiring_map import ExpiringMap
from vigil.app.engine.subject import ChangedChunks, KeyStateDefaults, StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output
from vigil.topics.rooms import BuyerEntry, Comment, FrameStatus, RoomEvent
from vigil.topics.verdicts import RoomStatus


class ChunkedPart(Protocol):
    """A part of a room that is stored in records of its own."""

    def dump(self, into: ChangedChunks) -> None: ...

    def chunk_names(self) -> list[bytes]: ...


class RoomState(KeyStateDefaults[RoomEvent]):
    """The state of one room. All times are event times in milliseconds."""

    __slots__ = (
        "_changed",
        "_comments",
        "_conditions",
        "_contestable",
        "_due",
        "_effective",
        "_emitter",
        "_ended_until",
        "_expire_at",
        "_gap_at",
        "_gap_ms",
        "_greeting",
        "_limits",
        "_main",
        "_pending_deletes",
        "_room_id",
        "_shadow",
        "_speech",
        "_stats",
    )

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
        main = decode_main(chunks[b""]) if b"" in chunks else RoomSnapshot()
        if main.version != VERSION:
            raise ValueError(f"room {self._room_id!r} is stored in version {main.version}; this is for {VERSION}")
        self._main = main
        self._contestable = ContestableVerdicts(main.contestable, chunks, limits.longest_contested_ms)
        self._emitter = VerdictEmitter(self._room_id, main.host_id, main.verdicts, self._contestable, self._shadow)
        self._stats = RoomStats(main.stats, limits.longest_presence_ms, limits.most_engaged_comments, chunks)
        self._greeting = Greeting(self._emitter, self._stats, main.greeting, chunks, limits.greeting_at)
        self._conditions = ConditionTracker(self._emitter, main.conditions, limits.conditions_at)
        self._speech = Speech(self._emitter, main.speech, chunks, limits.longest_again_ms, limits.repeats)
        self._comments = ExpiringMap(b"c", main.comments, chunks)
        self._effective = limits.at(main.last_at)
        # The gap after a frame, and how long an ended room is kept, are those that were effective at that frame.
        self._gap_ms = limits.at(main.frame_at).gap_ms
        awaited = main.frames and not main.lost and (main.stream == "live" or self._conditions)
        self._gap_at = main.frame_at + self._gap_ms if awaited else MAX_TIME
        self._ended_until = MAX_TIME
        if main.ended_at is not None:
            self._ended_until = main.ended_at + limits.at(main.ended_at).forget_ended_ms
        self._reschedule()

    @property
    def last_at(self) -> int:
        """The time of the room's latest event, ms."""
        return self._main.last_at

    def is_duplicate(self, event: RoomEvent) -> bool:
        """True for a comment whose id was applied before, or that is too old for its id to be remembered."""
        if type(event) is not Comment:
            return False
        remembered_from = event.at - self._limits.at(event.at).comment_memory_ms
        seen_at = self._comments.latest.get(hash64(event.comment_id))
        if seen_at is not None and seen_at >= remembered_from:
            return True
        return event.at < self._main.last_at - self._effective.comment_memory_ms

    def apply(self, event: RoomEvent, watermark: int, collector: OutputCollector) -> None:
        """Apply an event. Events and timers of earlier times were applied before."""
        main = self._main
        at = event.at
        if not self._effective.start <= at < self._effective.until:
            self._effective = self._limits.at(at)
        if not main.host_id:
            main.host_id = self._emitter.host_id = event.host_id
        main.last_at = at
        self._changed = main.status_pending = True
        self._emitter.collector = collector
        if type(event) is FrameStatus:
            self._frame(event)
            if event.labels:
                self._emitter.count_labels(event.labels)
        elif type(event) is BuyerEntry:
            self._stats.present(event.buyer_id, at)
            if main.stream == "live":
                self._greeting.entered(event, self._effective.greeting)
        elif type(event) is Comment:
            self._comment(event)
        self._reschedule()

    def on_late(self, event: RoomEvent, watermark: int, collector: OutputCollector) -> None:
        """A reception that came too late to be judged speaks against the verdicts that it would have prevented."""
        if type(event) is not Comment or event.author_role != "host" or self.is_duplicate(event):
            return
        if shows_reception(event):
            self._emitter.collector = collector
            self._emitter.contested(event.at, watermark, watermark - self._limits.at(watermark).contested_ms)

    def next_timer(self) -> int:
        """When the next entry is missed, frames have been missing for too long, or the room expires."""
        return self._due

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        """Fire every timer up to `at`. All events up to that time were applied before."""
        while self._due <= at:
            due = self._due
            self._emitter.collector = collector
            self._changed = self._main.status_pending = True
            if self._greeting.due == due:
                self._greeting.on_timer(due)
            if self._gap_at == due:
                self._gap(due)
            if self._conditions.due <= due:
                self._conditions.on_timer(due)
            if self._expire_at == due:
                self._expire(due, collector)
            self._reschedule()

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        """The status as of the watermark, at most once in `status_every_s` of event time; always when `final`."""
        main = self._main
        if self._shadow or not main.host_id:
            return ()
        at = watermark if final else max(watermark, main.last_at)
        if not (final or self._status_is_due(at)):
            return ()
        return (Output("room-status", self._room_id.encode(), f"{self._room_id}@{at}", at, self._status_at(at)),)

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        main = self._main
        if not outputs:
            return
        if not final:
            main.status_at = outputs[0].at
        if main.status_pending:
            main.status_pending = False
            self._changed = True

    def has_deferred_output(self) -> bool:
        return self._main.status_pending and not self._shadow and bool(self._main.host_id)

    def expired(self) -> bool:
        return not self._main.host_id

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        """The changed records: the main one, and chunks of `w`aiting entries, `c`omment ids, `p`resent buyers,
        `e`ngaged buyers, `r`eception times, spoken `l`abels and `t`exts, recent `v`erdicts."""
        if not self._changed:
            return {}
        self._changed = False
        main = self._main
        main.verdicts = self._emitter.verdicts
        main.conditions = self._conditions.store()
        records, self._pending_deletes = self._pending_deletes, {}
        for part in self._chunked_parts():
            part.dump(records)
        records[b""] = encode_main(main) if main.host_id else None
        return records

    def _status_is_due(self, at: int) -> bool:
        main = self._main
        if not main.status_pending:
            return False
        return main.status_at is None or at >= main.status_at + self._effective.status_every_ms

    def _frame(self, frame: FrameStatus) -> None:
        main = self._main
        at = frame.at
        stream = frame.stream
        if main.stream == "live":
            interval = at - main.frame_at
            if interval <= self._gap_ms:
                self._stats.add_interval(interval, main.face, main.black)
            if main.lost:
                main.lost = False
                self._emitter.signal(False, main.frame_at, at)
        main.frames += 1
        self._conditions.frame(frame, main.frames, main.frame_at, self._effective.conditions)
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
        if comment.labels:
            self._emitter.count_labels(comment.labels)
        self._comments.add(hash64(comment.comment_id), at, at - self._limits.longest_comment_memory_ms - 1)
        if comment.author_role == "buyer":
            self._stats.commented(comment.author_id, at)
            return
        main.stats.host_comments += 1
        if main.frames:  # before its first frame nothing is judged: nobody knows that the room is live
            self._speech.comment(comment, self._effective.spoken)
        if shows_reception(comment):
            self._greeting.reception(at, comment.intent)
            self._conditions.reception(at, self._effective.conditions)

    def _gap(self, at: int) -> None:
        """No frame has come for `max_frame_gap_s`."""
        main = self._main
        if main.stream == "live":
            main.lost = True
            self._emitter.signal(True, main.frame_at, at)
        self._conditions.gap(at)
        self._gap_at = MAX_TIME

    def _expire(self, at: int, collector: OutputCollector) -> None:
        """Become a room without any event."""
        self._greeting.cancel(at)  # a standing at-risk notice is cleared
        if not self._shadow:
            collector.emit("room-status", self._room_id, f"{self._room_id}@{at}", at, None)
        deleted = dict.fromkeys(name for part in self._chunked_parts() for name in part.chunk_names())
        self._pending_deletes |= deleted
        self._load({})

    def _reschedule(self) -> None:
        main = self._main
        if not main.host_id:
            self._expire_at = self._due = MAX_TIME
            return
        self._expire_at = min(main.last_at + self._effective.forget_silent_ms, self._ended_until)
        self._due = min(self._gap_at, self._expire_at, self._greeting.due, self._conditions.due)

    def _chunked_parts(self) -> tuple[ChunkedPart, ...]:
        """The parts that are stored in records of their own."""
        return (self._comments, self._stats, self._greeting, self._speech, self._contestable)

    def _status_at(self, at: int) -> RoomStatus:
        main = self._main
        stats = main.stats
        limits = self._effective
        return RoomStatus(
            room_id=self._room_id,
            host_id=main.host_id,
            at=at,
            stream=main.stream,
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


def shows_reception(comment: Comment) -> bool:
    """True if a host's comment is a reception: one that says something, is no canned reply, and is not classified as
    chat. Unclassified text counts."""
    return comment.intent != "chat" and comment.via != "auto" and says_something(comment.text)
