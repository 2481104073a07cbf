"""One live room: every event goes to the parts that judge or count it, and so do timers.

    buyer-entry ──▶ greeting            frame-status ──▶ conditions, signal, end, greeting (cancelled when not live)
    comment ──▶ statistics, and of the host: speech, greeting and conditions (reception)
    misrouted-by-room ──▶ greeting, conditions: what they do not see, they do not judge

State: a room expires `forget_ended_s` after it ended, or `forget_silent_s` after its last event; a `comment_id` is
remembered for `comment_memory_s`.
"""

from vigil.app.domain.rooms.restricted import publish_restricted
from vigil.app.domain.rooms.rules.text import says_something
from vigil.app.domain.rooms.stored_room import NOTHING_SHOWN, Picture, StoredRoom
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.topics.internal import RoomInput, UnobservedSecond
from vigil.topics.rooms import BuyerEntry, Comment, FrameStatus, Stream
from vigil.topics.verdicts import Verdict


class RoomState(StoredRoom):
    """The state of one room."""

    __slots__ = ()

    def is_duplicate(self, event: RoomInput) -> bool:
        """True for a comment whose id was applied before, or that is too old for its id to be remembered."""
        if type(event) is not Comment:
            return False
        at, effective, id_ = event.at, self._effective, event.comment_id
        limits = effective if effective.start <= at < effective.until else self._limits.at(at)
        self._hashed_id, self._hash = id_, self._key_of(id_)
        seen_at = self._comments.get(self._hash)
        if seen_at is not None and seen_at >= at - limits.comment_memory_ms:
            return True
        return at < self._last_at - effective.comment_memory_ms

    def apply(self, event: RoomInput, watermark: int, collector: OutputCollector) -> None:
        """Apply an event. Events and timers of earlier times were applied before.

        Nearly all frames show what the one before has shown: those take the short way, which no change of limits lies
        on. `watermark` is the event's time, and later than that where it is known late that something was not observed.
        """
        picture = NOTHING_SHOWN
        if type(event) is FrameStatus:
            at = watermark
            picture = (event.stream, event.face, event.black, event.activity, event.layout, event.labels)
            if (
                at < self._same_until
                and picture == self._picture
                and at - self._frame_at <= self._gap_ms
                and self._sounds.get(event.av_offset_ms) == self._sound
            ):
                self._frame_at = self._last_at = at
                self._frames += 1
                self._changed = self._status_pending = True
                if event.labels:
                    self._emitter.collector = collector
                    self._emitter.count_labels(event.labels)
                return
        self._apply_in_full(event, picture, watermark, collector)

    def _apply_in_full(self, event: RoomInput, picture: Picture, at: int, collector: OutputCollector) -> None:
        """Apply an event that does not take the short way; `picture`: what it shows, if it is a frame."""
        if type(event) is Verdict:
            self._restricted(event, collector)
            return
        if (at >= self._effective.until or not self._main.host_id) and not self._enter_limits(at, event):
            return
        self._last_at = at
        self._changed = self._status_pending = True
        self._emitter.collector = collector
        if type(event) is FrameStatus:
            self._frame(event, picture)
            if event.labels:
                self._emitter.count_labels(event.labels)
        elif type(event) is BuyerEntry:
            self._stats.present(event.buyer_id, at)
            if self._picture[0] == "live":
                self._greeting.entered(event, self._effective.greeting)
                self.earliest_timer = min(self.earliest_timer, self._greeting.due)
        elif type(event) is Comment:
            self._comment(event)
        elif type(event) is UnobservedSecond:
            self._unobserved(event, at)

    def on_late(self, event: RoomInput, watermark: int, collector: OutputCollector) -> None:
        """A reception that came too late to be judged speaks against the verdicts that it would have prevented: those
        that are published, and those that are not yet."""
        if type(event) is not Comment or event.author_role != "host" or self.is_duplicate(event):
            return
        contested_ms = self._limits.at(watermark).contested_ms
        if contested_ms and shows_reception(event):
            self._emitter.collector = collector
            self._emitter.contested(event.at, event.at, watermark, contested_ms)
            if not self._shadow:
                self._contestable.note_late(event.at, self._hash)
                self._changed = True

    def _restricted(self, verdict: Verdict, collector: OutputCollector) -> None:
        """A violation comes back: the host did not hold the permit."""
        if not self._shadow:
            publish_restricted(verdict, collector)

    def next_timer(self) -> int:
        """When the next entry is missed, frames have been missing for too long, or the room expires."""
        self._reschedule()
        return self.earliest_timer

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        """Fire every timer up to `at`. All events up to that time were applied before."""
        while (due := self.next_timer()) <= at:
            self._emitter.collector = collector
            self._changed = self._status_pending = True
            if self._greeting.due == due:
                self._greeting.on_timer(due)
            if self._gap_at == due:
                self._gap(due)
            if self._conditions.due <= due:
                self._conditions.on_timer(due)
            if self._expire_at == due:
                self._expire(due, collector)

    def _enter_limits(self, at: int, event: RoomInput) -> bool:
        """The room's first event, or its first one under other limits; return False where there is no room yet."""
        main = self._main
        if not main.host_id:
            if isinstance(event, UnobservedSecond | Verdict):
                return False  # a room begins with what is observed
            main.host_id = self._emitter.host_id = event.host_id
        effective = self._effective = self._limits.at(at)
        self._sounds = effective.conditions.sounds
        self.earliest_timer = min(self.earliest_timer, at + effective.forget_silent_ms)
        return True

    def _frame(self, frame: FrameStatus, picture: Picture) -> None:
        """A frame that shows something else than the one before, or at whose time something is due."""
        main, effective = self._main, self._effective
        at, before, stream = frame.at, self._frame_at, frame.stream
        was_live = self._picture[0] == "live"
        self._report_stream(stream, at)
        self._count_seconds(at if at - before <= self._gap_ms else before)
        if was_live and main.lost:
            main.lost = False
            self._emitter.signal(False, before, at)
        self._frames += 1
        self._conditions.frame(frame, self._frames, before, effective.conditions)
        if stream != "live" and was_live:
            self._greeting.cancel(at)
        if stream != "ended":
            main.ended_at = None
            self._ended_until = MAX_TIME
        elif main.ended_at is None:
            main.ended_at = at
            self._ended_until = at + effective.forget_ended_ms
        self._picture, self._frame_at, self._counted_to = picture, at, at
        self._sound = effective.conditions.sound(frame)
        self._gap_ms = effective.gap_ms
        self._awaits_frame = stream == "live" or bool(self._conditions)
        self._same_until = min(self._conditions.same_until(at, effective.start), effective.until)
        self._reschedule()

    def _report_stream(self, stream: Stream, at: int) -> None:
        """Report what the stream has become; a room is taken to be live at first."""
        if stream != (self._picture[0] or "live"):
            self._emitter.stream(stream, at)

    def _comment(self, comment: Comment) -> None:
        main = self._main
        at = comment.at
        if comment.labels:
            self._emitter.count_labels(comment.labels)
        # Whether it is a duplicate has just been asked, nearly always.
        id_ = self._hash if comment.comment_id == self._hashed_id else self._key_of(comment.comment_id)
        self._comments.add(id_, at, at - self._limits.longest_comment_memory_ms - 1)
        if self._contestable.late:
            self._contestable.forget_late(MIN_TIME, judged=id_)
        if comment.author_role == "buyer":
            self._stats.commented(comment.author_id, at)
            return
        main.stats.host_comments += 1
        if self._frames:  # before its first frame nothing is judged: nobody knows that the room is live
            self._speech.comment(comment, self._effective.spoken)
        if shows_reception(comment):
            self._greeting.reception(at, comment.intent)
            self._reception(at)

    def _reception(self, at: int) -> None:
        """Conditions that a reception restarts begin again."""
        if self._conditions.reception(at, self._effective.conditions):
            self._same_until = MIN_TIME

    def _unobserved(self, second: UnobservedSecond, at: int) -> None:
        """At `at` it is known that a record of this room lies in another partition: nobody knows what it said."""
        topic, last = second.topic, second.last
        self._emitter.count_unobserved(topic)
        if topic == "comment":
            self._greeting.unobserved_reception(last)
            self._conditions.unobserved_reception(last, at, self._effective.conditions)
            self._emitter.contested(second.at, last, at, self._effective.contested_ms)
        elif topic == "buyer-entry":
            self._greeting.unobserved_entry(last, at)
        else:
            self._unobserved_frame(last, at)
        self._same_until = MIN_TIME
        self._reschedule()

    def _unobserved_frame(self, last: int, at: int) -> None:
        """A frame up to `last` may have shown anything: until the next one nobody knows if the room is live."""
        self._conditions.unobserved_frame(last, at)
        self._greeting.unobserved_reception(last)
        self._greeting.unobserved_entry(last, at)
        if self._picture[0] == "live" and self._frame_at <= last:
            self._count_seconds(self._frame_at)
            self._picture = (None, *self._picture[1:])
            if self._main.lost:
                self._main.lost = False
                self._emitter.signal(False, self._frame_at, at)
        self._awaits_frame = self._awaits_frame and (self._picture[0] == "live" or bool(self._conditions))

    def _gap(self, at: int) -> None:
        """No frame has come for `max_frame_gap_s`."""
        if self._picture[0] == "live":
            self._main.lost = True
            self._emitter.signal(True, self._frame_at, at)
        self._conditions.gap(at)
        self._awaits_frame = False

    def _expire(self, at: int, collector: OutputCollector) -> None:
        """Become a room without any event."""
        self._greeting.cancel(at)  # a standing at-risk notice is cleared
        if not self._shadow:
            collector.emit("room-status", self._room_id, f"{self._room_id}@{at}", at, None)
        if self._main.ended_at is None:
            self._emitter.stream("forgotten", at)
        deleted = dict.fromkeys(name for part in self._chunked_parts() for name in part.chunk_names())
        self._pending_deletes |= deleted
        self._load({})


def shows_reception(comment: Comment) -> bool:
    """True if a host's comment is a reception: one that says something, is no canned reply, and is not classified as
    chat. Unclassified text counts."""
    return comment.intent != "chat" and comment.via != "auto" and says_something(comment.text)
