"""What the engine asks of a subject: a state machine for the shard, and a state for each key.

    record ──decode──▶ event ──key_of──▶ key ──load──▶ key state ──apply, on_timer──▶ outputs
                                                       └─ dump_changes ──▶ changelog ──▶ load, after a restart

The engine decides when each method is called and in which order; the subject decides what follows. Both protocols are
pure: no clock, no files, no randomness. Times are event time in integer milliseconds. Two runs that apply the same
events and fire the same timers publish the same outputs and store the same chunks (I-1).

A method may raise only what its docstring names. Any other exception is an error of ours: it stops the worker, and a
restart reads again what was not stored.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output
from vigil.topics.labels import OnIgnored

StateChunks = Mapping[bytes, bytes]
"""The stored records of one key by chunk name. The main chunk has the empty name."""

ChangedChunks = dict[bytes, bytes | None]
"""Records to write by chunk name; None deletes one."""


class Event(Protocol):
    """What a record decodes to."""

    @property
    def at(self) -> int:
        """Its event time."""


class SourceRecord(Protocol):
    """One Kafka record, or one line of a recording."""

    @property
    def offset(self) -> int:
        """Its position in its source; offsets of one source increase."""

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...


Origin: TypeAlias = tuple[int | None, int]
"""Partition and offset of a record as dead letters name it. A recording need not know the partition."""

OriginOf = Callable[[Any], Origin]
"""Reads the origin of a record, whose type is the caller's."""

E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)
E_contra = TypeVar("E_contra", bound=Event, contravariant=True)


# ---- order -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EventTime:
    """Apply events in order of (event time, source index, offset): each waits until the watermark is above it."""

    drop_late: bool
    """Send a late event to `dead-letter`. Otherwise it is applied on arrival."""
    unawaited: frozenset[str] = frozenset()
    """Source topics that the watermark does not wait for, once they were read to their end. Their late events are
    applied on arrival in any case."""


@dataclass(frozen=True)
class Arrival:
    """Apply every event on arrival, whatever its event time: for results that depend on the set of events only."""


Order = EventTime | Arrival
"""In which order a subject's events are applied."""


# ---- protocols -------------------------------------------------------------------------------------------------------


class KeyState(Protocol[E_contra]):
    """The state of one key: one room, host, supplier, industry or RFQ.

    Everything that it must remember is in its chunks. After any checkpoint it may be evicted from memory, and it is
    loaded again from exactly what `dump_changes` has returned so far.
    """

    def is_duplicate(self, event: E_contra) -> bool:
        """Return True if an event of the same identity was applied before, or the event is too old to know.

        Called before `apply` for an event with a dedup key. Must not change the state.
        """

    def apply(self, event: E_contra, watermark: int, collector: OutputCollector) -> None:
        """Apply one event.

        Called once for each event that is no duplicate. In event-time order `watermark` is the event's own time, no
        earlier event follows, and every timer before it has fired; a late event that is not dropped, and every event in
        arrival order, comes with the shard's watermark.

        In arrival order it may raise InvalidEvent, before it has changed anything, for an event that the key has no
        room for: its record is rejected.
        """

    def on_late(self, event: E_contra, watermark: int, collector: OutputCollector) -> None:
        """Take note of an event that was rejected as late. It is not judged; what was published before stays valid.

        Called after its dead letter was emitted, for a key that exists. `watermark`: that of the shard when it arrived;
        whatever was due below it has been judged. Called once for each late event, also where another event of its
        identity was applied before.
        """

    def next_timer(self) -> int:
        """Return when `on_timer` is to be called next, MAX_TIME if never.

        Called after every `on_late`, `on_timer` and `dump_changes`. A time that has passed already fires at once. Must
        not change the state.
        """

    @property
    def earliest_timer(self) -> int:
        """A time that `next_timer` is not before, and may well be after: then nothing happens at it.

        Read after every `apply`, so it must be cheap: most events only put a timer off.
        """

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        """Act on the timer that was due at `at`: every event up to that time was applied before.

        Also called without such a timer where the rules change (`StateMachine.rules_change_after`).

        Called when the watermark is above `at`, in order of time over all keys of the shard. `next_timer` must have
        moved past `at` after a bounded number of calls; otherwise the shard stops with an error.
        """

    def on_end_of_input(self, until: int, collector: OutputCollector) -> None:
        """Publish what has waited for further events: recorded input has ended at `until`.

        Called once, after all events and timers up to `until`, for every key in order of keys. Never called live.
        """

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        """Return the state outputs that show this key as of `watermark`.

        Called once a checkpoint for a key that changed, and in some for one that has deferred outputs. If `final`, the
        input has ended: return everything, whatever the rate limit. Must not change the state: `mark_published` follows
        if the outputs go into the checkpoint, and they may be asked for without.
        """

    @property
    def output_work(self) -> int:
        """How much work the last `pending_outputs` was, in steps of some 0.1 ms; 0 if it was next to none.

        A checkpoint asks for so much work and leaves the other keys that have more outputs to the next one.
        """

    def unconfirmed_outputs(self, watermark: int) -> Sequence[Output]:
        """Return the state outputs that went out with the last checkpoint of the key, as of `watermark`.

        Called after a restart that does not know whether they were sent; `mark_published` follows.
        """

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        """Note that what `pending_outputs` has just returned, possibly nothing, goes out with this checkpoint."""

    def has_deferred_output(self) -> bool:
        """Return True if a rate limit holds an output back: `pending_outputs` is called again at a later checkpoint.

        Must not change the state.
        """

    def has_more_outputs(self) -> bool:
        """Return True if deferred outputs wait only because of their number: the next checkpoint is due at once.

        Must not change the state.
        """

    @property
    def resumes(self) -> bool:
        """True if the snapshot after a restart asks the key for its outputs, although the key has not changed.

        For readers that know nothing of what was published before they began. Read for each key of a checkpoint.
        """

    def resume(self) -> None:
        """Note that the worker has started again: the next `pending_outputs` returns what is to be heard of once more.

        Called once for a key that `resumes`, in one of the first checkpoints after a restart.
        """

    def expired(self) -> bool:
        """Return True if nothing is left to remember: the key and its chunks are deleted.

        Called after `on_timer` and at a checkpoint. Must not change the state.
        """

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        """Return the chunks that changed since the last call by name; None deletes one.

        Called once a checkpoint, after `mark_published`. The first dump of a new key has the main chunk (empty name),
        because a key exists as long as its main chunk does.
        """


class StateMachine(Protocol[E]):
    """One subject as the engine sees it. It has no state of its own: one instance serves all shards of a worker."""

    @property
    def topics(self) -> tuple[str, ...]:
        """The source topics in order of precedence; the position of a topic is its source index."""

    @property
    def order(self) -> Order:
        """In which order events are applied, and what happens to late ones."""

    def decode(
        self, source_index: int, record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> E:
        """Return the event of a record.

        Called once for each record, and again after a restart for those that were not in the stored state. `watermark`
        (0 before there is one) is for records without an event time of their own: their event takes effect now.
        `origin_of` is for machines that keep a record to reject it later. `on_ignored` receives the name of each
        optional field that cannot be read and is left out, and the number of such values; it only counts. Raises
        InvalidEvent, whose text is the detail of the dead letter.
        """

    def key_of(self, event: E) -> str:
        """Return the key whose state the event belongs to. Keys are not empty."""

    def dedup_key(self, event: E) -> str | None:
        """Return the identity by which duplicates are found within the shard, None for an event that has none.

        Two events of different keys have different identities. Of several events with one identity the first to arrive
        counts, even if a later one has an earlier event time.
        """

    def on_misrouted(self, event: E, collector: OutputCollector) -> None:
        """Take note of an event whose record was rejected for its place: it lies in another partition than its key, or
        its key is not the one that the event says.

        It is not judged; an output may take word of it to the shard of its key. Called live only, once for each record.
        """

    def reader(self, source_index: int) -> "ReadEvent[E]":
        """Return the function that reads the records of a source: in one call `decode`, `key_of` and `dedup_key`.

        Asked for once a shard; the function is called for each record.
        """

    def kind_of(self, event: E) -> str:
        """Return the kind of an event within its topic, by which lateness is counted; empty where there is one kind.

        A bounded number of values. Called for few events.
        """

    def rules_change_after(self, at: int) -> int:
        """Return the first time after `at` at which keys may have to act by the rules alone, MAX_TIME if never.

        Every key of the shard is called at it (`KeyState.on_timer`), also if its stored timer, which an owner with
        other rules has set, is a later one.
        """

    def load(self, key: str, chunks: StateChunks) -> KeyState[E]:
        """Return the state of a key from its stored chunks, which are empty for a new key.

        Raises ValueError or a msgspec error where the chunks cannot be read, for example of an unknown version.
        """

    def load_in_steps(self, key: str, chunks: StateChunks) -> Iterator[KeyState[E] | None]:
        """Yield None after each step of loading, of 1 or 2 ms, and then the state that `load` would return.

        Called for keys with many chunks where other work must not wait for all of it. Raises what `load` raises.
        """


class ReadEvent(Protocol[E_co]):
    """Reads the records of one source; see `StateMachine.reader`."""

    def __call__(
        self, record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored, /
    ) -> tuple[E_co, str, str | None]:
        """Return the event of a record, its key and its dedup key; raise InvalidEvent."""


AnyStateMachine: TypeAlias = StateMachine[Any]
"""A machine among those of other subjects, where its type of events is not known."""


# ---- defaults --------------------------------------------------------------------------------------------------------


class KeyStateDefaults(Generic[E]):
    """A key state without identities, timers, state outputs or an end: for states to extend."""

    __slots__ = ()

    output_work = 0
    resumes = False

    def is_duplicate(self, event: E) -> bool:
        return False

    def on_late(self, event: E, watermark: int, collector: OutputCollector) -> None:
        return

    def next_timer(self) -> int:
        return MAX_TIME

    @property
    def earliest_timer(self) -> int:
        return self.next_timer()

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        return

    def on_end_of_input(self, until: int, collector: OutputCollector) -> None:
        return

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        return ()

    def unconfirmed_outputs(self, watermark: int) -> Sequence[Output]:
        """All state outputs: for keys that have few."""
        return self.pending_outputs(watermark, True)

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        return

    def has_deferred_output(self) -> bool:
        return False

    def has_more_outputs(self) -> bool:
        return False

    def resume(self) -> None:
        return


class StateMachineDefaults(Generic[E]):
    """A machine whose events have no identity: for machines to extend."""

    def reader(self: StateMachine[E], source_index: int) -> ReadEvent[E]:
        decode, key_of, dedup_key = self.decode, self.key_of, self.dedup_key

        def read(
            record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
        ) -> tuple[E, str, str | None]:
            event = decode(source_index, record, watermark, origin_of, on_ignored)
            return event, key_of(event), dedup_key(event)

        return read

    def load_in_steps(self: StateMachine[E], key: str, chunks: StateChunks) -> Iterator[KeyState[E] | None]:
        """At once: for states that are small."""
        yield self.load(key, chunks)

    def dedup_key(self, event: E) -> str | None:
        return None

    def on_misrouted(self, event: E, collector: OutputCollector) -> None:
        return

    def kind_of(self, event: E) -> str:
        return ""

    def rules_change_after(self, at: int) -> int:
        return MAX_TIME
