"""What a candidate rulebook makes necessary to judge anew; the rest is taken from the base. Pure.

a rule's numbers or family ──▶ that rule in every room, and the hosts' ladders
[rooms]: gap, at-risk ───────▶ every rule, and the ladders        ladders, [hosts] ──▶ the ladders
what is remembered, the time zone ──▶ everything, apart           suppliers' sections ──▶ their shards
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from vigil.app.domain.rooms.rules.table import RULES
from vigil.app.domain.rulebook import Rulebook
from vigil.topics.catalog import SubjectName

_GROUPS: Final[dict[str, tuple[SubjectName, ...]]] = {
    "suppliers": ("suppliers", "industries", "rfqs"),
    # Assessed scores go back to the suppliers, which carry them in their lines: both are judged anew.
    "service-score": ("suppliers", "industries"),
    "verified-bonus": ("suppliers", "industries"),
    "entitlements": ("industries",),
    "gmv-challenge": ("industries",),
    "pins": ("rfqs",),
    "hosts": ("hosts",),
}
"""The shards that a section's numbers decide, beside the ladders and the rooms."""

_SIGNALS: Final = ("max_frame_gap_s",)
_RISKS: Final = ("at_risk_from_s", "at_risk_share")
_MEMORY: Final = ("comment_memory_s", "forget_ended_s", "forget_silent_s")
"""Numbers of [rooms] that decide which comments are duplicates, and so what is judged at all."""


class ReplayPlan(NamedTuple):
    """What to judge anew under a candidate."""

    sections: tuple[str, ...]
    """That differ, in the order of the rulebook."""
    rules: frozenset[str]
    """Judged anew in every room."""
    signals: bool
    """Is the loss of signals judged anew, too?"""
    groups: frozenset[SubjectName]
    """Kinds of shards judged anew as a whole."""
    apart: bool
    """Nothing can be shared but the reading."""


def differing(base: Rulebook, other: Rulebook) -> tuple[str, ...]:
    """The sections that do not judge alike, in the order of the rulebook; all where the time zones differ."""
    return tuple(
        section
        for section in base.sections
        if base.time_zone != other.time_zone
        or base.headings[section].family != other.headings[section].family
        or _by_day(base, section) != _by_day(other, section)
    )


def _by_day(book: Rulebook, section: str) -> list[tuple[str, Any]]:
    return [(dated.effective_date, dated.limits) for dated in book.versions(section)]


def plan(base: Rulebook, candidate: Rulebook) -> ReplayPlan:
    """What must be judged anew so that the outcome is that of a replay under the candidate."""
    sections = differing(base, candidate)

    def changed(names: tuple[str, ...]) -> bool:
        return "rooms" in sections and any(_over_time(base, name) != _over_time(candidate, name) for name in names)

    rules = frozenset(RULES).intersection(sections)
    signals = changed(_SIGNALS)
    if signals or changed(_RISKS):
        rules = frozenset(RULES)
    groups: set[SubjectName] = set()
    for section in sections:
        groups.update(_GROUPS.get(section, ()))
    if rules or any(section.startswith("ladder.") for section in sections):
        groups.add("hosts")
    apart = base.time_zone != candidate.time_zone or changed(_MEMORY)
    return ReplayPlan(sections, rules, signals, frozenset(groups), apart)


def _over_time(book: Rulebook, name: str) -> list[tuple[int, Any]]:
    """A number of [rooms] with the times from which it is another."""
    value: Callable[[Any], Any] = lambda limits: getattr(limits, name)  # noqa: E731
    told: list[tuple[int, Any]] = []
    for dated in book.versions("rooms"):
        if not told:
            told.append((-1, value(dated.limits)))  # the first numbers hold before their day as well
        elif told[-1][1] != value(dated.limits):
            told.append((dated.start, value(dated.limits)))
    return told
