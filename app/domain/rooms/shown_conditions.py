"""What a frame shows by the rules, for those who show rooms: the console. Judging is the condition tracker's."""

from collections.abc import Callable

from vigil.app.domain.rooms.rules.active_condition import ConditionRules
from vigil.topics.rooms import FrameStatus

ConditionKey = tuple[str, str | None]
"""A rule, and the label that it is about, if any: as in a verdict's `rule` and `subject`."""

ConditionsOf = Callable[[FrameStatus], frozenset[ConditionKey]]


def conditions_of(frame: FrameStatus, rules: ConditionRules) -> frozenset[ConditionKey]:
    """Return the rules "for N minutes" whose condition a frame satisfies."""
    if frame.stream == "ended":
        return frozenset()
    live = frame.stream == "live"
    checks = rules.live if live else rules.disconnected
    found: set[ConditionKey] = {(rule.id, None) for holds, limits, rule in checks if holds(frame, limits)}
    for label in frame.labels if live else ():
        rule = rules.of_label(label)
        if rule is not None:
            found.add((rule.id, label))
    return frozenset(found)
