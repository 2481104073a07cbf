"""The two kinds of shards: events in order of event time, or on arrival.

EventTimeShard    event ──▶ reorder buffer ──watermark above it──▶ fire timers below its time, apply it
ArrivalShard      event ──▶ apply it, fire timers below the watermark
"""

from typing import TypeVar, Unpack

from vigil.app.engine.shard import Shard
from vigil.app.engine.shard_input import ShardOptions
from vigil.app.engine.subject import Event, EventTime, StateMachine
from vigil.app.engine.watermark import MAX_TIME

E = TypeVar("E", bound=Event)


class EventTimeShard(Shard[E]):
    """Applies events in order of (event time, source index, offset).

    Invariants: a timer of time t fires after all events up to t and before any later one (I-2). Results do not depend
    on how records were cut into batches (I-3), nor on the steps in which the watermark advances.
    """

    event_time_order = True

    def _register(self, dedup_key: str, key: str, event: E) -> bool:
        at, waiting = event.at, self.reorder_buffer.waiting
        waits = at >= self.watermark
        # A duplicate with a later event time waits and is found when its turn comes: whether the first one is still
        # remembered then must not depend on batches. One with an earlier time would be applied before the first.
        if at < waiting.get(dedup_key, at) or (not waits and self.states.is_duplicate(key, event)):
            return False
        if waits:
            waiting[dedup_key] = at
        return True

    def advance_watermark(self, watermark: int, limit: int | None = None) -> bool:
        if watermark <= self.watermark or self._waits_for_reread():
            return False
        self.watermark = watermark
        states, collector = self.states, self.collector
        timers, find, note_changed = states.timers, states.find, states.changed.add
        timer_of, waiting = timers.times.get, self.reorder_buffer.waiting
        # The loop runs for each event, as that of `ingest` does: it makes no call that it can do without.
        for at, source_index, _, key, event, _, dedup_key in self.reorder_buffer.take_before(watermark):
            if timers.earliest < at:
                states.fire(at)
            state = find(key)
            if dedup_key is not None:
                if waiting.get(dedup_key) == at:
                    del waiting[dedup_key]
                if states.is_duplicate(key, event) if state is None else state.is_duplicate(event):
                    collector.count(self._duplicates_counter[source_index])
                    continue
            if state is None:
                state = states.get(key)
            collector.now = at
            state.apply(event, at, collector)
            note_changed(key)
            if state.earliest_timer < timer_of(key, MAX_TIME):
                timers.schedule(key, state.earliest_timer)
        if timers.earliest < watermark:
            states.fire(watermark)
        return False

    def _waits_for_reread(self) -> bool:
        """Return True while events that waited before a restart may still be read again below the watermark.

        Where late events are dropped, none of them can be: they were accepted above the watermark that was stored. It
        is different where late events are applied, or if the allowed lateness was larger before the restart.
        """
        reader = self.reader
        return reader.reads_late_again or (reader.lateness_was_reduced and reader.reads_again)


class ArrivalShard(Shard[E]):
    """Applies every event on arrival; the watermark only fires timers. For results that depend on the set of events."""

    event_time_order = False

    def _register(self, dedup_key: str, key: str, event: E) -> bool:
        state = self.states.find(key)
        return not (self.states.is_duplicate(key, event) if state is None else state.is_duplicate(event))

    def advance_watermark(self, watermark: int, limit: int | None = None) -> bool:
        if watermark <= self.watermark:
            return False
        if self.states.timers.earliest < watermark and self.states.fire(watermark, limit):
            # Some timers due at the same time as the next one may have fired already, which has no effect.
            self.watermark = max(self.watermark, self.states.timers.earliest)
            return True
        self.watermark = watermark
        return False


def make_shard(machine: StateMachine[E], lateness: int, **options: Unpack[ShardOptions]) -> Shard[E]:
    """Return a shard in the order of its machine; for the arguments see Shard."""
    kind: type[Shard[E]] = EventTimeShard if isinstance(machine.order, EventTime) else ArrivalShard
    return kind(machine, lateness, **options)
