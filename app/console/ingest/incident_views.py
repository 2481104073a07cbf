"""The incidents that the console has read, those that wait for somebody in the order in which they are worked on.

    incident ──▶ to do       open and not decided; appealed; a second name is needed; still live after a close or ban
             ├─▶ snoozed     nobody is shown it before its time
             ├─▶ decided     a review stands, and the incident needs no more work
             └─▶ over        ended without a decision

Pure. What is to do, and its order, are functions of an incident's line alone: every console shows the same.
"""

import bisect
import sys
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from vigil.app.console.ingest.bounded import Bounded
from vigil.topics.incidents import IncidentStatus

Urgency = Literal["appealed", "critical", "warning", "ended", "info"]
"""What is worked on first, in this order. `ended`: violations of rooms that have ended, which nobody has decided."""

URGENCIES: Final[tuple[Urgency, ...]] = ("appealed", "critical", "warning", "ended", "info")
Shelf = Literal["to-do", "snoozed", "decided", "over"]
SHELVES: Final[tuple[Shelf, ...]] = ("to-do", "snoozed", "decided", "over")

WORTH_MS: Final = 60_000
"""An incident about a buyer of L1 or above has its place as if it fell due this much earlier. More would put it before
warnings that become violations sooner than anybody can look at it; less is too little to be seen."""

QUEUE_PAGE: Final = ("queue", "")
HANDOVER_PAGE: Final = ("handover", "")


class QueueRow(NamedTuple):
    """The place of an incident on its shelf: the smallest is worked on first."""

    urgency: int
    without_due: bool
    """What is no rule (a lost signal, a missed entry) is never a violation and comes last among its equals."""
    due: int
    """When it falls due or fell due, ms; on the other shelves the end of the snooze, or minus the latest time."""
    incident_id: str


class HeldIncident(NamedTuple):
    """An incident, and when its line was published."""

    line: IncidentStatus
    published: int
    """The broker's time of the line, ms."""
    shelf: Shelf
    row: QueueRow


def is_appealed(one: IncidentStatus) -> bool:
    """True if the host has appealed since the last decision."""
    return one.appealed_at is not None and (one.decided_at is None or one.appealed_at > one.decided_at)


def needs_second_name(one: IncidentStatus) -> bool:
    """True if somebody has upheld it and its action waits for another person."""
    return one.decision == "upheld" and one.action is not None and one.action.status == "held"


def urgency_of(one: IncidentStatus) -> Urgency | None:
    """How urgent it is that somebody works on an incident; None: it needs no work."""
    if is_appealed(one):
        return "appealed"
    if one.ended_at is not None:
        undecided = one.violated_at is not None and (one.decision is None or needs_second_name(one))
        return "ended" if undecided and one.ended_by == "room-ended" else None
    if one.decision is not None and not one.still_live and not needs_second_name(one):
        return None
    return one.severity


def _due(one: IncidentStatus) -> int:
    """When it falls due; of a violation when it became one, of what has no such time when it was warned of."""
    if one.violated_at is not None:
        return one.violated_at
    return one.due if one.due is not None else one.at_risk_at or one.since


def placed(one: IncidentStatus) -> tuple[Shelf, QueueRow]:
    """The shelf of an incident and its place there."""
    urgency = urgency_of(one)
    if urgency is None and one.decided_at is not None:
        return "decided", QueueRow(0, False, -one.decided_at, one.incident_id)
    if urgency is None:
        return "over", QueueRow(0, False, -(one.ended_at or 0), one.incident_id)
    if one.snoozed_until is not None:
        return "snoozed", QueueRow(0, False, one.snoozed_until, one.incident_id)
    due = _due(one) - (WORTH_MS if one.priority == "high" else 0)
    return "to-do", QueueRow(URGENCIES.index(urgency), one.kind != "rule", due, one.incident_id)


class IncidentViews:
    """The incidents of all rooms: at most `most` that are to do or snoozed, and as many that are over."""

    def __init__(self, most: int) -> None:
        self._open: Bounded[str, HeldIncident] = Bounded(most, self._evicted)
        self._over: Bounded[str, HeldIncident] = Bounded(most, self._evicted)
        self._rows: dict[Shelf, list[QueueRow]] = {shelf: [] for shelf in SHELVES}
        self._published: list[tuple[int, str]] = []
        """All by the broker's time: partitions are read one after another, so arrival does not have its order."""
        self._of_verdict: dict[str, str] = {}
        self._claims: dict[str, set[str]] = {}
        """By person: the incidents that they work on."""
        self.newest = 0
        """The broker's time of the newest line."""

    def put(self, line: IncidentStatus, published: int) -> set[tuple[str, str]]:
        """Store the latest line of an incident; return the pages that may look different now."""
        self._remove(line.incident_id)
        shelf, row = placed(line)
        held = HeldIncident(line, published, shelf, row)
        self._store(shelf).put(line.incident_id, held)
        bisect.insort(self._rows[shelf], row)
        bisect.insort(self._published, (published, line.incident_id))
        if line.verdict_id is not None:
            self._of_verdict[line.verdict_id] = line.incident_id
        if line.claimed_by is not None:
            self._claims.setdefault(line.claimed_by, set()).add(line.incident_id)
        self.newest = max(self.newest, published)
        return _pages(line)

    def drop(self, incident_id: str) -> set[tuple[str, str]]:
        """Forget an incident; return the pages that may look different now."""
        held = self._remove(incident_id)
        return set() if held is None else _pages(held.line)

    def _store(self, shelf: Shelf) -> Bounded[str, HeldIncident]:
        return self._open if shelf in ("to-do", "snoozed") else self._over

    def _remove(self, incident_id: str) -> HeldIncident | None:
        held = self._held(incident_id)
        if held is not None:
            self._store(held.shelf).drop(incident_id)
            self._evicted(incident_id, held)
        return held

    def _evicted(self, incident_id: str, held: HeldIncident) -> None:
        rows = self._rows[held.shelf]
        del rows[bisect.bisect_left(rows, held.row)]
        del self._published[bisect.bisect_left(self._published, (held.published, incident_id))]
        if held.line.verdict_id is not None:
            self._of_verdict.pop(held.line.verdict_id, None)
        if (person := held.line.claimed_by) is not None:
            self._claims[person].discard(incident_id)
            if not self._claims[person]:
                del self._claims[person]

    def _held(self, incident_id: str) -> HeldIncident | None:
        return self._open.get(incident_id) or self._over.get(incident_id)

    # ---- what pages ask for -----------------------------------------------------------------------------------

    def get(self, incident_id: str) -> IncidentStatus | None:
        """The latest line of an incident."""
        held = self._held(incident_id)
        return None if held is None else held.line

    def of_verdict(self, verdict_id: str) -> IncidentStatus | None:
        """The incident of a verdict."""
        return self.get(self._of_verdict.get(verdict_id, ""))

    def claimed_by(self, person: str) -> list[IncidentStatus]:
        """The incidents that a person works on, those to do first, in order."""
        found = [held for id_ in self._claims.get(person, ()) if (held := self._held(id_)) is not None]
        return [held.line for held in sorted(found, key=lambda held: (SHELVES.index(held.shelf), held.row))]

    def count(self, shelf: Shelf) -> int:
        """How many are on a shelf."""
        return len(self._rows[shelf])

    def on(self, shelf: Shelf) -> Iterator[IncidentStatus]:
        """The incidents of a shelf in order: the most urgent, the next to be shown again, or the latest first."""
        store = self._store(shelf)
        return (held.line for row in self._rows[shelf] if (held := store.get(row.incident_id)) is not None)

    def since(self, published: int) -> Iterator[IncidentStatus]:
        """The incidents with a line that was published after a time (ms), the latest first."""
        first = bisect.bisect_right(self._published, (published, chr(sys.maxunicode)))
        found = (self._held(id_) for _, id_ in reversed(self._published[first:]))
        return (held.line for held in found if held is not None)

    @property
    def evicted(self) -> int:
        """How many were dropped that are to do or snoozed."""
        return self._open.evicted

    def __contains__(self, incident_id: object) -> bool:
        return isinstance(incident_id, str) and self._held(incident_id) is not None

    def __len__(self) -> int:
        return len(self._open) + len(self._over)


def _pages(line: IncidentStatus) -> set[tuple[str, str]]:
    """The pages that show an incident."""
    own = {("incident", line.incident_id), QUEUE_PAGE, HANDOVER_PAGE}
    return own | ({("verdict", line.verdict_id)} if line.verdict_id is not None else set())
