"""Claims that end by themselves once Vigil has applied a person's decision. Pure.

    review sent ─▶ expected ─the incident's line shows the decision─▶ release

Not sooner: an undecided incident that nobody works on is the next one for somebody else.
"""

from typing import Final, NamedTuple

from vigil.app.console.ingest.incident_views import IncidentViews
from vigil.topics.incidents import Case

WAIT_MS: Final = 600_000
"""A decision that has not been applied by then is not waited for: without a command the claim has expired, too."""


class ExpectedDecision(NamedTuple):
    """A decision that was sent by who works on the incident."""

    person: str
    at: int


class Releases:
    """The claims of this console's persons that end with their decision."""

    def __init__(self, incidents: IncidentViews) -> None:
        self._incidents = incidents
        self._expected: dict[str, ExpectedDecision] = {}

    def expect(self, incident_id: str, person: str, at: int) -> None:
        """Release the incident once its line shows a decision of `at` (ms) or later."""
        self._expected[incident_id] = ExpectedDecision(person, at)

    def take(self, now: int) -> list[Case]:
        """The releases that are due; each is returned once."""
        found = []
        for incident_id, (person, at) in list(self._expected.items()):
            one = self._incidents.get(incident_id)
            if one is None or one.claimed_by != person or now >= at + WAIT_MS:
                del self._expected[incident_id]
            elif one.decided_at is not None and one.decided_at >= at:
                del self._expected[incident_id]
                command = Case(
                    incident_id=incident_id, room_id=one.room_id, kind="release", by=person, at=max(now, one.decided_at)
                )
                found.append(command)
        return found
