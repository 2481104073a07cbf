"""Commands that wait for their incident: it may be read after them, or not be there at all."""

from collections.abc import Iterator

from vigil.app.domain.incidents.stored import PENDING, PendingCase, ReceivedCase, RoomRecord
from vigil.app.engine.output_collector import OutputCollector, RejectedRecord
from vigil.app.engine.watermark import MAX_TIME


class PendingCases:
    """The commands of one room that wait."""

    def __init__(self, main: RoomRecord, stored: dict[str, PendingCase], wait_ms: int | None) -> None:
        """`wait_ms`: how long one waits; None: until the end of the input."""
        self._main = main
        self._wait_ms = wait_ms
        # In the order of their arrival: chunks have none.
        self.records = dict(sorted(stored.items(), key=lambda item: int(item[0][1:])))
        """By the name of their chunk."""

    @property
    def due(self) -> int:
        """When the next one is rejected."""
        return min((pending.deadline for pending in self.records.values()), default=MAX_TIME)

    def add(self, received: ReceivedCase, watermark: int) -> str:
        """Let a command wait; return the name of its chunk."""
        # As for reviews: from the watermark, and if that is further behind, from the command's own time at least.
        deadline = MAX_TIME if self._wait_ms is None else max(watermark + self._wait_ms, received.at)
        name = f"{PENDING}{self._main.arrivals}"
        self._main.arrivals += 1
        self.records[name] = PendingCase(deadline, received)
        return name

    def take(self, incident_id: str) -> Iterator[tuple[str, ReceivedCase]]:
        """Take the commands that waited for an incident, each with the name of its chunk."""
        for name, pending in list(self.records.items()):
            if pending.received.case.incident_id == incident_id:
                del self.records[name]
                yield name, pending.received

    def reject(self, at: int, collector: OutputCollector, *, all_of_them: bool = False) -> Iterator[str]:
        """Send to `dead-letter` what has waited for too long; yield the names of the chunks."""
        for name, pending in list(self.records.items()):
            if all_of_them or pending.deadline <= at:
                del self.records[name]
                self._reject(pending.received, at, collector)
                yield name

    def _reject(self, received: ReceivedCase, at: int, collector: OutputCollector) -> None:
        case = received.case
        rejected = RejectedRecord("case", received.partition, received.offset, received.key, received.value)
        detail = f"no incident {case.incident_id!r} of the room {case.room_id!r} is known"
        collector.emit_dead_letter(rejected, "unknown-incident", detail, at)
