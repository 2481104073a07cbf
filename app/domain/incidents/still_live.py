"""When it is looked whether a room is still live although it was closed, or its host banned. Pure."""

from collections.abc import Iterator
from typing import Final

from vigil.app.domain.incidents.stored import FollowUp
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.internal import ActionInRoom

_CLOSING: Final = frozenset({"close", "ban"})


def looks_at(follow_up: FollowUp, wait_ms: int) -> int:
    """`wait_ms` after the first time at which the room should have ended; MAX_TIME: there is none."""
    if follow_up.action is None:
        return MAX_TIME
    return min(_should_end(follow_up.action, wait_ms), default=MAX_TIME - wait_ms) + wait_ms


def _should_end(found: ActionInRoom, wait_ms: int) -> Iterator[int]:
    """When a close or a ban was done, and when a ban became active of which nothing was heard within `wait_ms`."""
    for one in found.outcomes:
        if one.outcome == "done" and one.step in _CLOSING:
            yield one.at
    active_at = found.active_at
    if active_at is None or found.action is None or "ban" not in found.action.steps:
        return
    # What is heard later does not take the flag back: the room has been live for too long by then.
    if not any(active_at <= one.at <= active_at + wait_ms for one in found.outcomes):
        yield active_at
