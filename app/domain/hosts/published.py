"""What a host's state says about one verdict: its action, and what its incident shows of it. Pure functions."""

from vigil.app.domain.hosts.stored import VerdictRecord
from vigil.topics.internal import ActionInRoom
from vigil.topics.verdicts import Action


def action_of(host_id: str, record: VerdictRecord) -> Action | None:
    """The action as it was published last; None where none was."""
    conclusion = record.concluded
    if conclusion is None:
        return None
    return Action(
        action_id=record.verdict_id,
        revision=record.revision,
        status="withdrawn" if record.overturned else conclusion.status,
        host_id=host_id,
        room_id=record.room_id,
        rule=record.rule,
        family=record.family,
        count=conclusion.count,
        steps=conclusion.steps,
        choice=conclusion.choice,
        ban_days=conclusion.ban_days,
        ban_until=conclusion.ban_until,
        freeze_days=conclusion.freeze_days,
        past_days=conclusion.past_days,
        at=record.at,
        decided_by=conclusion.decided_by,
        decided_at=conclusion.decided_at,
        approved_by=conclusion.approved_by,
    )


def action_in_room(host_id: str, record: VerdictRecord) -> ActionInRoom:
    """What the incident of a verdict shows of its action and its reviews."""
    action, review = action_of(host_id, record), record.review
    times = [record.at, record.appealed_at or 0, 0 if review is None else review.at]
    times += (one.at for one in record.outcomes)
    return ActionInRoom(
        verdict_id=record.verdict_id,
        room_id=record.room_id,
        at=max(times),
        number=record.sent,
        action=action,
        active_at=_active_at(record) if action is not None and action.status == "active" else None,
        decision=None if review is None else review.decision,
        decided_at=None if review is None else review.at,
        withdrawn_at=None if record.overturning is None else record.overturning.at,
        appealed_at=record.appealed_at,
        outcomes=record.outcomes,
        revised_at=record.revised_at or None,
    )


def _active_at(record: VerdictRecord) -> int:
    """Since when an active action is so: since its violation, its second approval, or the review that reinstated it."""
    approved_at = None if record.concluded is None else record.concluded.approved_at
    reinstated_at = record.upheld[0].at if record.overturning is not None and record.upheld else 0
    return max(record.at, approved_at or 0, reinstated_at)
