"""The queue: what waits for somebody, what each person works on, what has changed, and what was decided by whom."""

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from vigil.app.console.console_state import ConsoleState
from vigil.app.console.ingest.incident_views import URGENCIES, Shelf, is_appealed, needs_second_name, urgency_of
from vigil.app.console.views.due import cut, page_of
from vigil.app.console.views.happenings import Happening, happenings
from vigil.app.console.views.reader import Reader, Viewer
from vigil.topics.incidents import IncidentStatus
from vigil.topics.reviews import Review
from vigil.topics.verdicts import Action

View = dict[str, Any]

LINES: Final = 50
"""How many incidents a page of the queue shows: about what fits on two screens, and quick to render."""
VIEWS: Final = ("to-do", "mine", "others", "snoozed", "changed", "decided")
"""What the queue can show; the first is the usual one."""
LISTED: Final[tuple[Shelf, ...]] = ("snoozed", "decided")
"""Shelves that are shown as they are."""
MOST_CHANGED: Final = 200
LOOKED_BEFORE_MS: Final = 3_600_000
"""Who has never said that they had looked is shown what has changed in this time."""
MOST_DECIDED: Final = 1_000
MOST_NEWS: Final = 2

NOBODY: Final = Viewer("", may_review=False)


class QueueLine(NamedTuple):
    """An incident as a list shows it."""

    one: IncidentStatus
    urgency: str
    """One of URGENCIES; empty: the incident needs no work."""
    appealed: bool
    second_name: bool
    """True if its action waits for another person's approval."""
    review: Review | None
    """The decision that stands, if this console has read it."""
    news: tuple[Happening, ...]
    """What happened to it last, the latest first."""


class Queue:
    """What the lists show, and what comes next."""

    def __init__(self, state: ConsoleState) -> None:
        self._state = state
        self._model = state.model

    def line(self, one: IncidentStatus) -> QueueLine:
        """An incident as a list shows it."""
        reviews = self._model.reviews.get(one.verdict_id or "") or ()
        news = tuple(happenings(one, reviews)[:MOST_NEWS])
        return QueueLine(one, urgency_of(one) or "", is_appealed(one), needs_second_name(one), self.decided(one), news)

    def decided(self, one: IncidentStatus) -> Review | None:
        """The review that stands."""
        reviews = self._model.reviews.get(one.verdict_id or "") or ()
        standing = [each for each in reviews if each.decision == one.decision]
        return max(standing, key=lambda review: review.at, default=None)

    def action(self, one: IncidentStatus) -> Action | None:
        """The action that follows."""
        return None if one.verdict_id is None else self._model.action(one.verdict_id)

    def may_take(self, one: IncidentStatus, person: str) -> bool:
        """True if nobody works on it and the person can do something about it."""
        if one.claimed_by is not None:
            return False
        if not needs_second_name(one):
            return True
        action = self.action(one)
        return action is None or person not in action.approved_by

    def to_do(self, person: str) -> list[IncidentStatus]:
        """What waits for somebody and what this person can do, the most urgent first."""
        return [one for one in self._model.incidents.on("to-do") if self.may_take(one, person)]

    def changed(self, looked: int) -> list[IncidentStatus]:
        """What has changed since somebody looked, the latest first: what is or was a violation, and warnings."""
        incidents = self._model.incidents
        since = looked or incidents.newest - LOOKED_BEFORE_MS
        found = (one for one in incidents.since(since) if one.kind == "rule" and one.ended_by != "cleared")
        return sorted(islice(found, MOST_CHANGED), key=lambda one: -one.at)

    def page(self, name: str, reader: Reader, query: Mapping[str, str]) -> View | None:
        """The page of the queue; it has no id."""
        if name:
            return None
        viewer = reader.viewer or NOBODY
        asked = query.get("view", "")
        shown = asked if asked in VIEWS else VIEWS[0]
        lists = self._lists(viewer, shown)
        counts = {kind: len(rows) for kind, rows in lists.items() if kind != "decided"}
        counts["snoozed"] = self._model.incidents.count("snoozed")
        listing = cut(lists[shown], page_of(query.get("page")), LINES)
        urgencies = Counter(urgency_of(one) for one in lists["to-do"])
        return {
            "shown": shown,
            "views": VIEWS,
            "counts": counts,
            "most_changed": MOST_CHANGED,
            "urgencies": {urgency: urgencies[urgency] for urgency in URGENCIES if urgencies[urgency]},
            "listing": listing,
            "lines": [self.line(one) for one in listing.rows],
            "viewer": viewer,
            "evicted": self._model.incidents.evicted,
        }

    def _lists(self, viewer: Viewer, shown: str) -> dict[str, list[IncidentStatus]]:
        """The lists by name; those that need no counting only where they are shown."""
        incidents = self._model.incidents
        lists = {
            "to-do": self.to_do(viewer.name),
            "mine": incidents.claimed_by(viewer.name),
            "others": [one for one in incidents.on("to-do") if one.claimed_by not in (None, viewer.name)],
            "changed": self.changed(viewer.looked),
        }
        for shelf in LISTED:
            if shelf == shown:
                lists[shelf] = list(islice(incidents.on(shelf), MOST_DECIDED))
        return lists

    def handover(self, name: str, reader: Reader, query: Mapping[str, str]) -> View | None:
        """The page of the end of a shift: what the person works on, and what waits for the next; it has no id."""
        if name:
            return None
        viewer = reader.viewer or NOBODY
        incidents = self._model.incidents
        return {
            "viewer": viewer,
            "mine": [self.line(one) for one in incidents.claimed_by(viewer.name)],
            "waiting": Counter(urgency_of(one) for one in self.to_do(viewer.name)),
            "urgencies": URGENCIES,
            "snoozed": [self.line(one) for one in islice(incidents.on("snoozed"), LINES)],
            "snoozed_count": incidents.count("snoozed"),
        }
