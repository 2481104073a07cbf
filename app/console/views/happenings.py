"""What happened to an incident, who did it and when. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from vigil.topics.incidents import IncidentStatus
from vigil.topics.reviews import Review


class Happening(NamedTuple):
    """Something that happened to an incident. They sort by time."""

    at: int
    code: str
    by: str = ""
    text: str = ""
    step: str = ""


def happenings(one: IncidentStatus, reviews: tuple[Review, ...]) -> list[Happening]:
    """What is known to have happened to an incident, the latest first."""
    commands = list(_commands(one))
    notes = [Happening(note.at, "noted", note.by, note.text) for note in one.notes]
    outcomes = [Happening(each.at, each.outcome, each.by, each.detail or "", each.step) for each in one.outcomes]
    decisions = [Happening(each.at, each.decision, each.by, each.reason, _chosen(each)) for each in reviews]
    known = {each.at for each in (*commands, *decisions)}
    found = [*_stages(one), *commands, *notes, *outcomes, *decisions]
    found += [each for each in _without_author(one) if each.at not in known]
    return sorted(found, reverse=True)


def _commands(one: IncidentStatus) -> Iterator[Happening]:
    """The commands that had an effect; notes are shown with their text."""
    for each in one.commands:
        if each.effect == "done" and each.kind != "note":
            yield Happening(each.at, each.kind, each.by)


def _stages(one: IncidentStatus) -> Iterator[Happening]:
    times = ((one.at_risk_at, "warned"), (one.violated_at, "violated"), (one.ended_at, f"ended.{one.ended_by}"))
    return (Happening(at, code) for at, code in times if at is not None)


def _without_author(one: IncidentStatus) -> Iterator[Happening]:
    """What a line says without naming who did it: for where the command or the review is not known here."""
    times = ((one.first_claimed_at, "looked"), (one.decided_at, one.decision), (one.appealed_at, "appealed"))
    return (Happening(at, code) for at, code in times if at is not None and code is not None)


def _chosen(review: Review) -> str:
    choice = review.choice
    return "" if choice is None or choice.step is None else choice.step
