"""The states of a shard's keys and their timers: loaded when they are used, evicted, and deleted when they expire.

stored chunks ──load──▶ state ──apply, on_timer──▶ changed ──snapshot──▶ stored chunks
    └─ large: in steps    └─ unchanged for long: evicted        └─ expired: deleted
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final, Generic, TypeVar

from vigil.app.engine.changelog import FLAG_PENDING, FLAG_PUBLISHED, FLAG_RESUMES, HEADER, UNREADABLE, unreadable
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import Event, KeyState, StateMachine
from vigil.app.engine.timers import TimerHeap
from vigil.app.engine.watermark import MAX_TIME

E = TypeVar("E", bound=Event)

EVICTED_AT_ONCE: Final = 1000
"""States that one call of `evict` looks at: it is called every few milliseconds and must not delay what else is due."""

MANY_CHUNKS: Final = 200
"""Chunks from which on a state is *large*: it may take more than 5 ms to load, and is loaded in steps."""

MAX_FIRINGS: Final = 10_000
"""A timer that fires so often without moving on never will: that is an error of ours, and better found than endless."""


class KeyedStates(Generic[E]):
    """The keys of one shard. A key exists from its first event until it expires."""

    def __init__(self, machine: StateMachine[E], store: ChangelogStore, collector: OutputCollector) -> None:
        """Restore the keys of `store`, none of which is loaded yet."""
        self._machine = machine
        self._store = store
        self._collector = collector
        self._states: dict[str, KeyState[E] | None] = dict.fromkeys(store.main)
        """None for a state that is stored and not loaded."""
        self.find: Final = self._states.get
        """Return the state of a key, None if it is not loaded or the key does not exist."""
        self.loaded: dict[str, None] = {}
        """Keys whose state is loaded, the longest unchanged first."""
        self.changed: set[str] = set()
        """Keys that changed since the last snapshot."""
        self.deferred: dict[str, int] = {}
        """Keys with deferred outputs, and the round of snapshots after which each is asked again; 0: it waits for its
        turn only, which may be long, and is stored. See Snapshotter."""
        self.deleted: set[str] = set()
        """Keys that expired since the last snapshot, whose chunks are still stored."""
        self.unconfirmed: list[str] = []
        """Keys whose state outputs went out with the last stored checkpoint: nobody knows whether they were sent."""
        self.resuming: set[str] = set()
        """Keys that are still to hear of the restart (see `KeyState.resume`)."""
        self.large: set[str] = {key for key, chunks in store.chunks.items() if len(chunks) >= MANY_CHUNKS}
        """Keys with a large state that is not loaded."""
        self._loading: dict[str, Iterator[KeyState[E] | None]] = {}
        """Of large states, the steps that are left."""
        last = None if store.marker is None else store.marker.checkpoint_id
        times = {}
        for key, value in store.main.items():
            epoch, sequence, time, flags = HEADER.unpack_from(value)
            if time < MAX_TIME:
                times[key] = time
            if flags & (FLAG_PENDING | FLAG_RESUMES):
                self.deferred[key] = 0
            if flags & FLAG_RESUMES:
                self.resuming.add(key)
            if flags & FLAG_PUBLISHED and (epoch, sequence) == last:
                self.unconfirmed.append(key)
        self.timers: Final = TimerHeap(times)
        """When each key is looked at next. One whose own timer has moved to a later time is not called then."""
        self._rules_change_at = MAX_TIME
        """When the rules change next: every key is called then."""

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    @property
    def has_unsaved_state(self) -> bool:
        """True if a snapshot would write anything of a key."""
        return bool(self.changed or self.deleted or self.deferred)

    def get(self, key: str) -> KeyState[E]:
        """Return the state of a key, a new one where the key does not exist. Raise StoredStateError."""
        state = self._states.get(key)
        return self._load(key) if state is None else state

    def prepare(self, key: str) -> bool:
        """Load the state of a key a step further if it is large; True once `get` does not take long.

        Raise StoredStateError.
        """
        if key not in self.large:
            return True
        steps = self._loading.get(key)
        if steps is None:
            steps = self._loading[key] = self._machine.load_in_steps(key, self._store.payloads(key))
        try:
            state = next(steps)
        except UNREADABLE as error:
            raise unreadable(f"the stored state of {key!r}", error) from error
        if state is None:
            return False
        self._states[key] = state
        self.loaded[key] = None
        self.large.discard(key)
        del self._loading[key]
        return True

    def is_duplicate(self, key: str, event: E) -> bool:
        """Return True if the key exists and an event of the same identity was applied to it."""
        return key in self._states and self.get(key).is_duplicate(event)

    def apply(self, key: str, event: E, watermark: int) -> None:
        """Apply an event to the state of its key."""
        state = self._states.get(key)
        if state is None:
            state = self._load(key)
        collector = self._collector
        collector.now = event.at
        state.apply(event, watermark, collector)
        self.changed.add(key)
        if state.earliest_timer < self.timers.times.get(key, MAX_TIME):
            self.timers.schedule(key, state.earliest_timer)

    def on_late(self, key: str, event: E, watermark: int) -> None:
        """Report an event that was rejected as late to the state of its key, if it exists."""
        if key not in self._states:
            return
        state = self.get(key)
        self._collector.now = watermark
        state.on_late(event, watermark, self._collector)
        self.changed.add(key)
        self.schedule(key, state.next_timer())

    def schedule(self, key: str, time: int) -> None:
        """Call a key at `time`, unless it is called earlier in any case."""
        if time < self.timers.times.get(key, MAX_TIME):
            self.timers.schedule(key, time)

    def adopt(self, machine: StateMachine[E]) -> None:
        """Load states by another machine from now on. All are unloaded; none may have anything unsaved but outputs that
        are deferred, which is stored."""
        if self.changed or self.deleted:
            raise RuntimeError(f"{len(self.changed | self.deleted)} keys have unsaved state: it would be lost")
        self._machine = machine
        self._loading.clear()
        for key in self.loaded:
            self._unload(key)
        self.loaded.clear()

    def await_rules(self, watermark: int) -> None:
        """Call every key when the rules change next: their stored timers may be those of other rules."""
        self._rules_change_at = self._machine.rules_change_after(watermark - 1)
        if self._rules_change_at < MAX_TIME:
            for key in self._states:
                self.schedule(key, self._rules_change_at)

    def fire(self, before: int, limit: int | None = None) -> bool:
        """Fire the timers below `before` in order of time; return True if more than `limit` keys were due.

        With a limit, a large state is loaded a step further only, and its key is due again at the next call.
        """
        timers = self.timers
        fired = 0
        while timers.earliest < before:
            if fired == limit:
                return True
            due = timers.pop_due(before)
            if due is not None:
                if limit is not None and not self.prepare(due[1]):
                    timers.schedule(due[1], due[0])
                    return True
                fired += 1
                self._fire_key(due[1], due[0])
        return False

    def end_of_input(self, until: int) -> None:
        """Let every key act on the end of the input; each of them has something to publish."""
        self.deferred.update(dict.fromkeys(self._states, 0))
        for key in sorted(self._states):
            self._collector.key = key
            self.get(key).on_end_of_input(until, self._collector)
            self.changed.add(key)

    def touch(self, key: str) -> None:
        """Make a loaded key the last to be evicted."""
        del self.loaded[key]
        self.loaded[key] = None

    def remove(self, key: str) -> None:
        """End the life of a key."""
        del self._states[key]
        self.loaded.pop(key, None)
        self.timers.cancel(key)
        self.changed.discard(key)
        self.deferred.pop(key, None)
        self.resuming.discard(key)

    def evict(self, limit: int) -> None:
        """Unload states that have nothing unsaved until at most `limit` are loaded, the longest unchanged first.

        One call looks at EVICTED_AT_ONCE of them at most. Call it right after a checkpoint was confirmed.
        """
        loaded = self.loaded
        if len(loaded) <= limit:
            return
        for key in list(islice(loaded, min(len(loaded) - limit, EVICTED_AT_ONCE))):
            del loaded[key]
            if key in self.changed or self.deferred.get(key):
                loaded[key] = None  # it is in use: its turn comes again after all others
            else:
                self._unload(key)

    def _unload(self, key: str) -> None:
        self._states[key] = None
        if len(self._store.chunks.get(key, ())) >= MANY_CHUNKS:
            self.large.add(key)

    def _load(self, key: str) -> KeyState[E]:
        while key in self.large:
            if self.prepare(key):
                return self.get(key)
        if key in self._states:
            try:
                state = self._machine.load(key, self._store.payloads(key))
            except UNREADABLE as error:
                raise unreadable(f"the stored state of {key!r}", error) from error
        else:
            state = self._machine.load(key, {})
        self._states[key] = state
        self.loaded[key] = None
        return state

    def _fire_key(self, key: str, scheduled: int) -> None:
        """Call a key as often as it wants to be called up to `scheduled`, and set its next timer."""
        state = self.get(key)
        collector = self._collector
        collector.key = key
        time = state.next_timer()
        if scheduled == self._rules_change_at:
            time = min(time, scheduled)
        firings = 0
        while time <= scheduled:
            collector.now = time
            state.on_timer(time, collector)
            self.changed.add(key)
            time = state.next_timer()
            firings += 1
            if firings > MAX_FIRINGS:
                raise RuntimeError(f"the timer of {key!r} at {time} does not move on")
        if firings and state.expired():
            self.remove(key)
            self.deleted.add(key)
        elif scheduled < self._rules_change_at < time:
            self.timers.schedule(key, self._rules_change_at)
        elif time < MAX_TIME:
            self.timers.schedule(key, time)
