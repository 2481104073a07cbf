"""What an alert says of an incident: a function of its line. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from vigil.app.notify.alerts import key_of
from vigil.topics.incidents import IncidentStatus


class Facet(NamedTuple):
    """One thing that an alert says."""

    kind: str
    """What routes match."""
    value: str = ""
    """Another value is news."""


def facets_of(incident: IncidentStatus) -> Iterator[Facet]:
    """Yield what an alert says of an incident, the most important first; nothing while it is snoozed."""
    if incident.snoozed_until is not None or incident.ended_by == "withdrawn":
        return
    if incident.kind == "entry":
        yield Facet("entry-missed")
    elif incident.kind == "signal":
        yield from () if incident.ended_at is not None else (Facet("signal-lost"),)
    elif incident.violated_at is not None:
        yield Facet("violation")
        yield from _of_violation(incident)
    elif incident.ended_at is None:
        yield Facet("at-risk")


def _of_violation(incident: IncidentStatus) -> Iterator[Facet]:
    if incident.still_live:
        yield Facet("still-live")
    if (action := incident.action) is not None:
        choice = None if action.choice is None else str(action.choice)
        said = key_of(*action.steps, choice, action.count, action.ban_until, action.status)
        yield Facet("action", said[:16])
    if incident.contested:
        yield Facet("verdict-contested")
