"""The page of an incident: who works on it, what it is about, what was done, and what came of what was sent."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from vigil.app.console.console_state import ConsoleState
from vigil.app.console.ingest.incident_views import is_appealed, needs_second_name, urgency_of
from vigil.app.console.views.happenings import happenings
from vigil.app.console.views.queue import NOBODY, Queue
from vigil.app.console.views.reader import Reader
from vigil.app.domain.rulebook.incidents import INCIDENTS, IncidentLimits
from vigil.topics.incidents import IncidentStatus

View = dict[str, Any]

ANSWER_MS: Final = 10_000
"""Vigil answers a command within a second. After this time the page says that there was no answer."""
SNOOZES: Final = (5, 15, 30, 60, 240, 480, 1440)
"""The minutes for which an incident can be snoozed; Vigil allows a day at most."""
SENT: Final = ("claim", "release", "snooze", "unsnooze", "note", "upheld", "overturned", "appealed")


class SentCommand(NamedTuple):
    """What the person has sent last from this page, as its address says."""

    kind: str
    at: int

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "SentCommand | None":
        """What an address says was sent; None: nothing, or it is no command."""
        kind, _, at = query.get("sent", "").partition("-")
        return cls(kind, int(at)) if kind in SENT and at.isascii() and at.isdigit() and len(at) < 16 else None

    def answer(self, one: IncidentStatus, person: str, now: int) -> str:
        """What the incident's line says of it: `done`, `lost` (another works on it), `waiting` or `silent`."""
        logged = (each for each in one.commands if (each.kind, each.by, each.at) == (self.kind, person, self.at))
        effect = next((each.effect for each in logged), None)
        if effect is None and self._is_decided(one):
            effect = "done"
        return effect or ("waiting" if now - self.at < ANSWER_MS else "silent")

    def _is_decided(self, one: IncidentStatus) -> bool:
        """True if the line shows the review that was sent, or a later one."""
        if self.kind == "appealed":
            return (one.appealed_at or 0) >= self.at
        return self.kind in ("upheld", "overturned") and (one.decided_at or 0) >= self.at


class IncidentPages:
    """The page of one incident."""

    def __init__(self, state: ConsoleState, queue: Queue) -> None:
        self._state = state
        self._queue = queue

    def page(self, incident_id: str, reader: Reader, query: Mapping[str, str]) -> View | None:
        """What the page shows but for the timeline; None where nothing was read about it."""
        model, now = self._state.model, self._state.now
        one = model.incidents.get(incident_id)
        if one is None:
            return None
        viewer = reader.viewer or NOBODY
        sent = SentCommand.of(query)
        action = self._queue.action(one)
        reviews = model.reviews.get(one.verdict_id or "") or ()
        return {
            "one": one,
            "urgency": urgency_of(one) or "",
            "appealed": is_appealed(one),
            "second_name": needs_second_name(one),
            "approved_by": () if action is None else action.approved_by,
            "action": action,
            "review": self._queue.decided(one),
            "happened": happenings(one, reviews),
            "viewer": viewer,
            "work": _work(one, viewer.name),
            "expires_minutes": self._expires_s(one) // 60,
            "sent": sent,
            "answer": sent.answer(one, viewer.name, now) if sent is not None else "",
            "snoozes": SNOOZES,
        }

    def _expires_s(self, one: IncidentStatus) -> int:
        limits = self._state.rulebook.optional_section(INCIDENTS, IncidentLimits)
        return (limits.at_or_first(one.since).limits if limits.versions else IncidentLimits()).claim_expires_s


def _work(one: IncidentStatus, person: str) -> str:
    """Who works on it: `free`, `mine` or `other`."""
    if one.claimed_by is None:
        return "free"
    return "mine" if one.claimed_by == person else "other"
