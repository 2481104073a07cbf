"""Builders of verdicts and their actions. Times are seconds after T0; the room is `room-1` unless another is given."""

from typing import Any

from tests.support.notify_stories import T0, S
from vigil.topics.verdicts import Action, Evidence, Verdict, identity


def verdict(since: int = 0, at: int = 120, rule: str = "black-screen", **more: Any) -> Verdict:
    """A verdict of a condition that began at `since`."""
    fields: dict[str, Any] = {
        "room_id": "room-1", "host_id": "host-1", "subject": None, "family": "low-quality", "rulebook": "2022-07-19",
        "evidence": (Evidence(topic="frame-status", at=T0 + since * S, note="the first of 121 frames in a row black"),),
        **more,
    }  # fmt: skip
    begun, happened = T0 + since * S, T0 + at * S
    id_ = identity(rule, fields["subject"], fields["room_id"], begun, happened)
    return Verdict(verdict_id=id_, rule=rule, since=begun, at=happened, **fields)


def action(of: Verdict, revision: int = 1, status: Any = "active", **more: Any) -> Action:
    """The action that follows from a verdict."""
    fields: dict[str, Any] = {
        "steps": ("close", "ban"), "ban_days": 7, "ban_until": of.at + 7 * 86_400_000, "freeze_days": None,
        "past_days": None, "choice": None, "count": 2, **more,
    }  # fmt: skip
    return Action(
        action_id=of.verdict_id, revision=revision, status=status, host_id=of.host_id, room_id=of.room_id,
        rule=of.rule, family=of.family, at=of.at, **fields,
    )  # fmt: skip
