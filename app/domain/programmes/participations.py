"""A supplier's part in one edition of a programme: `participation`.

    claim ──in the window, and may enter?──no──▶ refused: closed, not-eligible
      └─yes─▶ claimed ──all tasks done──▶ completed (a place, where places are few; else no-place)
                 └──the window ends──▶ failed

Source: announcement of July 2022, task packs, challenges and enrolments.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.memory import MEMORY
from vigil.app.domain.ledger.records import ClaimRecord
from vigil.app.domain.programmes.editions import EditionWindow, reward_by, version_for
from vigil.app.domain.programmes.growth import stage_of
from vigil.app.domain.programmes.tasks import task_state
from vigil.app.domain.rulebook.book import EffectiveVersion
from vigil.app.domain.rulebook.programmes import Programme
from vigil.topics.internal import AcceptedClaim
from vigil.topics.programmes import GivenReward, Participation, ParticipationStatus, TaskState

TOPIC: Final = "participation"
REWARD_DUTY: Final = "reward"
"""The duty under which rewards are given."""


class Accepted(NamedTuple):
    """The claim of an edition that counts."""

    at: int
    version: EffectiveVersion[Programme]
    window: EditionWindow


class RefusedClaim(NamedTuple):
    """The latest claim, where none is accepted."""

    at: int
    version: EffectiveVersion[Programme]
    window: EditionWindow
    reason: Literal["closed", "not-eligible"]


def judge_claims(claim: ClaimRecord, facts: Facts) -> Accepted | RefusedClaim | None:
    """Which claim of an edition counts; None where the claims have no effect, or none came yet."""
    section = facts.rules.programmes.get(claim.programme)
    if section is None:
        return None
    latest: RefusedClaim | None = None
    for at in claim.times:
        if not facts.moment.reached(at):
            break
        judged = version_for(section, claim.edition, at, facts.rules.days)
        if judged is None:
            continue
        version, window = judged
        if not window.opens <= at <= window.closes:
            latest = RefusedClaim(at, version, window, "closed")
        elif _may_enter(version.limits, at, facts):
            return Accepted(at, version, window)
        else:
            latest = RefusedClaim(at, version, window, "not-eligible")
    return latest


def _may_enter(limits: Programme, at: int, facts: Facts) -> bool:
    """True if the supplier may enter as of its claim; the day of `as_of` is waited for as far as now."""
    if limits.as_of is None:
        profile = facts.at(at).profile()
    else:
        end = facts.rules.days.end_of_named(limits.as_of)
        profile = facts.at(end).profile() if facts.moment.reached(end) else facts.profile()
    if limits.verified and profile.membership != "verified":
        return False
    if not limits.least_stars <= profile.stars <= limits.most_stars:
        return False
    return not limits.stages or stage_of(facts.at(at)) in limits.stages


class State(NamedTuple):
    """A status, since when it holds, and when all was done."""

    status: ParticipationStatus
    at: int
    completed_at: int | None = None
    place: int | None = None


def participation_of(supplier_id: str, claim: ClaimRecord, facts: Facts) -> Participation | None:
    """The line of an edition as of now; None where there is none."""
    judged = judge_claims(claim, facts)
    if judged is None:
        return None
    if isinstance(judged, RefusedClaim):
        return _refused(supplier_id, claim, judged)
    limits = judged.version.limits
    tasks = tuple(_tasks(claim, judged, facts))
    state = _state(claim, judged, tasks, facts)
    by = reward_by(limits, claim.edition, facts.rules.days) if state.status == "completed" else None
    rewards = tuple(_rewards(claim, limits, facts)) if state.status == "completed" else ()
    return Participation(
        programme=claim.programme,
        edition=claim.edition,
        supplier_id=supplier_id,
        at=state.at,
        status=state.status,
        reason=None,
        claimed_at=judged.at,
        opens=judged.window.opens,
        closes=judged.window.closes,
        tasks=tasks,
        completed_at=state.completed_at,
        place=state.place,
        rewards=rewards,
        reward_by=by,
        rulebook=judged.version.effective_date,
    )


def is_forgotten(participation: Participation, facts: Facts) -> bool:
    """True if a line is not remembered any more. Duties that follow from it may be: they are due later."""
    ends = [one.valid_until for one in participation.rewards if one.valid_until is not None]
    return facts.moment.reached(max([participation.closes, *ends]) + MEMORY)


def _refused(supplier_id: str, claim: ClaimRecord, refused: RefusedClaim) -> Participation:
    return Participation(
        programme=claim.programme,
        edition=claim.edition,
        supplier_id=supplier_id,
        at=refused.at,
        status="refused",
        reason=refused.reason,
        claimed_at=None,
        opens=refused.window.opens,
        closes=refused.window.closes,
        tasks=(),
        completed_at=None,
        place=None,
        rewards=(),
        reward_by=None,
        rulebook=refused.version.effective_date,
    )


def _tasks(claim: ClaimRecord, accepted: Accepted, facts: Facts) -> Iterator[TaskState]:
    limits = accepted.version.limits
    for task in limits.tasks:
        if task.accepted is not None:
            other = facts.ledger.claims.get((task.accepted, claim.edition))
            judged = None if other is None else judge_claims(other, facts)
            times = [judged.at] if isinstance(judged, Accepted) else []
            yield task_state(task, times, accepted.at, accepted.window, facts)
        elif task.gold_rfqs:
            month = facts.rules.days.months.month_of(accepted.window.opens)
            yield task_state(task, facts.gold_rfqs(month), accepted.at, accepted.window, facts)
        else:
            yield task_state(task, None, accepted.at, accepted.window, facts, at_the_end=limits.judged == "at-the-end")


def _state(claim: ClaimRecord, accepted: Accepted, tasks: tuple[TaskState, ...], facts: Facts) -> State:
    """The status of an accepted claim."""
    limits, closes = accepted.version.limits, accepted.window.closes
    done = [task.done_at for task in tasks]
    at_the_end = limits.judged == "at-the-end" and bool(tasks)
    ended = facts.moment.passed(closes) if at_the_end or None in done or _waits_for_end(limits) else False
    if None in done:
        return State("failed", closes) if ended else State("claimed", accepted.at)
    if at_the_end and not ended:
        return State("claimed", accepted.at)
    completed_at = max([accepted.at, *(at for at in done if at is not None)])
    at = closes if at_the_end else completed_at
    if limits.places is None:
        return State("completed", at, completed_at)
    if claim.place is None:
        return State("claimed", accepted.at)
    if claim.place > 0:
        return State("completed", at, completed_at, claim.place)
    return State("no-place", closes if _waits_for_end(limits) else at, completed_at)


def _waits_for_end(limits: Programme) -> bool:
    """True if only the window's end shows who got a place."""
    return limits.places_by == "completion"


def _completion(claim: ClaimRecord, facts: Facts) -> int | None:
    """When an accepted claim was completed, whether or not there is a place for it; None if it is not."""
    judged = judge_claims(claim, facts)
    if not isinstance(judged, Accepted):
        return None
    limits = judged.version.limits
    if _waits_for_end(limits) and not facts.moment.passed(judged.window.closes):
        return None
    done = [task.done_at for task in _tasks(claim, judged, facts)]
    return None if None in done else max([judged.at, *(at for at in done if at is not None)])


def asks_for(claim: ClaimRecord, facts: Facts) -> tuple[int, AcceptedClaim] | tuple[None, None]:
    """By which time a claim asks for one of few places, and what decides about it; None if it does not."""
    judged = judge_claims(claim, facts)
    if not isinstance(judged, Accepted) or (places := judged.version.limits.places) is None:
        return None, None
    by_claim = judged.version.limits.places_by == "claim"
    at = judged.at if by_claim else _completion(claim, facts)
    if at is None:
        return None, None
    decided_at = at if by_claim else judged.window.closes
    return at, AcceptedClaim(places=places, decided_at=decided_at, by_id=not by_claim)


def _rewards(claim: ClaimRecord, limits: Programme, facts: Facts) -> Iterator[GivenReward]:
    record = facts.ledger.duties.get((REWARD_DUTY, f"{claim.programme}/{claim.edition}"))
    done = record.done if record is not None else None
    if done is not None and not facts.moment.reached(done):
        done = None
    for reward in limits.rewards:
        until = None if done is None else facts.rules.days.end_after_months(done, reward.months)
        yield GivenReward(reward=reward.name, valid_until=until)
