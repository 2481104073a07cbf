"""All room rules, a descriptor each, and the look-ups that derive from them.

The order is that of the announcement; conditions that begin with one frame are judged in it.
"""

from functools import lru_cache
from typing import Final

from vigil.app.domain.rooms.rules.frame_conditions import black, misplaced, no_face, off_air, out_of_sync, showing
from vigil.app.domain.rooms.rules.labels import of_label
from vigil.app.domain.rooms.rules.rule import Machine, Rule
from vigil.app.domain.rulebook.rooms import AvLimits, GreetingLimits, HarassmentLimits, LabelLimits, LayoutLimits

RESTRICTED: Final = "restricted:"
"""What labels begin with that are a violation unless the host has the permit that follows."""

GOODS: Final = ("prohibited:", RESTRICTED)

_RULES: Final = (
    Rule(id="greeting-miss", limits=GreetingLimits, machine="greeting"),
    Rule(id="absence", holds=no_face, restarted_by_reception=True),
    Rule(id="black-screen", holds=black),
    Rule(id="av-desync", limits=AvLimits, holds=out_of_sync, by_sound=True),
    Rule(id="dead-air", holds=off_air, spans_disconnect=True),
    Rule(id="sleeping", holds=showing("sleeping")),
    Rule(id="no-content", holds=showing("equipment", "eating", "chatting", "driving", "none")),
    Rule(id="theme-mismatch", frame_labels=("theme-mismatch",)),
    Rule(id="layout", severity="warning", limits=LayoutLimits, holds=misplaced),
    Rule(id="illegal-background", severity="warning", frame_labels=("illegal-background",)),
    Rule(id="rights", limits=LabelLimits, frame_labels=("rights:",), comment_labels=("rights:",)),
    Rule(id="harassment", limits=HarassmentLimits, comment_labels=("abuse",), machine="repeats"),
    Rule(id="minor", frame_labels=("minor",)),
    Rule(id="prohibited-goods", limits=LabelLimits, frame_labels=GOODS, comment_labels=GOODS),
)

RULES: Final[dict[str, Rule]] = {rule.id: rule for rule in _RULES}
"""Every rule by its id."""


def rule_of(machine: Machine) -> str:
    """The rule that a machine judges."""
    return next(rule.id for rule in RULES.values() if rule.machine == machine)


def frame_labels() -> dict[str, str]:
    """The rules that labels on frames decide, by label or by what labels begin with."""
    return {label: rule.id for rule in RULES.values() for label in rule.frame_labels}


def comment_labels() -> dict[str, str]:
    """The rules that labels on the host's comments decide, by label or by what labels begin with."""
    return {label: rule.id for rule in RULES.values() for label in rule.comment_labels}


@lru_cache(maxsize=1024)
def unknown_labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels of an event that no rule knows, on frames or on comments: they have no effect."""
    return tuple(label for label in labels if of_label(_JUDGED_LABELS, label) is None)


_JUDGED_LABELS: Final = {**frame_labels(), **comment_labels()}

GREETING: Final = rule_of("greeting")
"""The rule about buyers whom nobody receives. Its notices are the only ones about single buyers."""

REPEATS: Final = rule_of("repeats")
"""The rule that near-identical comments decide."""
