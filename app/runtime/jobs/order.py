"""In which order a job publishes, as one process for all keys would: each output with its place.

event time   (0, command, time, 0, source index, number)  ─ an event, applied as a watermark passes it
             (0, command, time, 1, key)                   ─ a timer after all events of its time
on arrival   (1, watermark - 1, 2, number)                ─ a line: after the timers below its watermark
             (1, time, 1, key)                            ─ a timer
             (1, end, 3, key)                             ─ the end of the input
"""

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from vigil.app.engine.output_collector import OutputCollector, RejectedRecord
from vigil.app.engine.reorder_buffer import PendingEvent, ReorderBuffer
from vigil.app.engine.subject import Event
from vigil.app.engine.watermark import MAX_TIME
from vigil.app.runtime.clocked_shard import ClockedShard
from vigil.app.runtime.jobs.messages import Place
from vigil.topics.fields import Reason

LATER: Final = MAX_TIME
"""The number of a step that is part of a later one, which is not known yet."""

MAX_DISTINCT: Final = 5000
"""Names from events that a job distinguishes, more than a replay shows: which of them came first, it finds out."""

BY_KEYS: Final[Reason] = "too-many"
"""The reason for which keys reject records. For any other one the replay itself has rejected them."""


class WatchedBuffer(ReorderBuffer[Event]):
    """A reorder buffer that knows which of its events is being applied."""

    __slots__ = ("applied",)

    def __init__(self) -> None:
        super().__init__()
        self.applied: PendingEvent[Event] | None = None
        """None while no event is."""

    def take_before(self, watermark: int) -> Iterator[PendingEvent[Event]]:
        for self.applied in super().take_before(watermark):
            yield self.applied
        self.applied = None


class FiringShard(ClockedShard):
    """A shard that knows if timers fire because its watermark advances, and not because of the line that came."""

    fires = False

    def advance_watermark(self, watermark: int, limit: int | None = None) -> bool:
        self.fires = True
        more = super().advance_watermark(watermark, limit)
        self.fires = False
        return more


class JobCollector(OutputCollector):
    """Collects outputs with their places. What is rejected, the replay itself has published."""

    __slots__ = ("_timed_by", "named_early", "names", "place", "places")

    def __init__(self, timed_by: "JobCollector | None" = None) -> None:
        """`timed_by`: whose places it has, if it is that of a candidate."""
        super().__init__()
        self._timed_by = timed_by or self
        self.places: list[Place] = []
        self.place: Callable[[], Place] = tuple
        """The place of what is published now."""
        self.names: dict[tuple[str, str], tuple[Place, int]] = {}
        """By counter and name from events: where it was first counted, and how often."""
        self.named_early: dict[tuple[str, str], Place] = {}
        """Names that were counted in a step whose number comes later."""

    def emit(self, topic: str, key: str, id_: str, at: int, body: Struct | None) -> None:
        self.places.append(self._timed_by.place())
        super().emit(topic, key, id_, at, body)

    def emit_dead_letter(self, record: RejectedRecord, reason: Reason, detail: str, at: int) -> None:
        """Only what a key has rejected: the replay itself has rejected the others."""
        if reason == BY_KEYS:
            self.places.append(self._timed_by.place())
            super().emit_dead_letter(record, reason, detail, at)

    def count_name(self, counter: str, name: str) -> None:
        if (counter, name) not in self.names and len(self.names) >= MAX_DISTINCT:
            name = "other"
        here = self._timed_by.place()
        place, number = self.names.get((counter, name), (here, 0))
        self.names[counter, name] = min(place, here), number + 1
        if here[1] == LATER:
            self.named_early.setdefault((counter, name), here)

    def named_at(self, name: tuple[str, str], place: Place) -> None:
        """Note the place at which a name was counted early."""
        first, number = self.names[name]
        self.names[name] = min(first, place), number
