"""What happened to an incident, who did it and when. Pure."""

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
    known = [
        (one.at_risk_at, "warned"),
        (one.violated_at, "violated"),
        (one.first_claimed_at, "looked"),
        (one.ended_at, f"ended.{one.ended_by}"),
    ]
    found = [Happening(at, code) for at, code in known if at is not None]
    applied = [each for each in one.commands if each.effect == "done" and each.kind != "note"]
    found += [Happening(each.at, each.kind, each.by) for each in applied]
    found = [each for each in found if each.code != "looked" or not any(each.at == other.at for other in applied)]
    found += [Happening(note.at, "noted", note.by, note.text) for note in one.notes]
    found += [Happening(each.at, each.outcome, each.by, each.detail or "", each.step) for each in one.outcomes]
    found += [Happening(each.at, each.decision, each.by, each.reason, _chosen(each)) for each in reviews]
    if one.appealed_at is not None and not any(each.at == one.appealed_at for each in reviews):
        found.append(Happening(one.appealed_at, "appealed"))
    if one.decided_at is not None and one.decision and not any(each.at == one.decided_at for each in reviews):
        found.append(Happening(one.decided_at, one.decision))
    return sorted(found, reverse=True)


def _chosen(review: Review) -> str:
    choice = review.choice
    return "" if choice is None or choice.step is None else choice.step
