"""How near something is to its violation, by the rulebook: for all who show it or act on it.

Notices and room statuses carry neither a rule's numbers nor a severity. Everybody who needs them (the rooms' state
machine, its gauges, the console and `vigil notify`) asks these functions, so that no number of a rule stands outside
the rulebook. The limits are those that were effective when the condition began.
"""

from enum import IntEnum
from typing import Final

from vigil.app.domain.rooms.rules.table import GREETING
from vigil.app.domain.rulebook.book import Rulebook
from vigil.app.domain.rulebook.rooms import GreetingLimits, RoomLimits


class Severity(IntEnum):
    """How urgent a condition or a room is; the smaller, the more urgent."""

    CRITICAL = 0
    AT_RISK = 1
    WATCH = 2
    CALM = 3


CRITICAL, AT_RISK, WATCH, CALM = Severity
SEVERITIES: Final = ("critical", "at-risk", "watch", "calm")
"""The name of each severity, as pages and scripts know it."""


def room_limits(rulebook: Rulebook, at: int) -> RoomLimits:
    """The limits of every room at the event time `at`; before their first day, the first ones."""
    return rulebook.section("rooms", RoomLimits).at_or_first(at).limits


def greeting_limits(rulebook: Rulebook, at: int) -> GreetingLimits:
    """The limits of the greeting rule at the event time `at`; before their first day, the first ones."""
    return rulebook.section(GREETING, GreetingLimits).at_or_first(at).limits


def warning_delay_ms(limits: RoomLimits, duration_ms: int) -> int | None:
    """How long after its start a condition of this duration is at risk; None if it is too short for a warning."""
    if duration_ms < limits.at_risk_from_s * 1000:
        return None
    return round(duration_ms * limits.at_risk_share)


def at_risk_at(rulebook: Rulebook, since: int, due: int) -> int | None:
    """When a condition that began at `since` and is a violation at `due` is at risk; None if it gives no warning."""
    delay = warning_delay_ms(room_limits(rulebook, since), due - since)
    return None if delay is None else since + delay


def critical_at(rulebook: Rulebook, since: int, due: int) -> int:
    """When a condition becomes critical: once it has no more time left than the shortest rule that gives a warning."""
    return due - room_limits(rulebook, since).at_risk_from_s * 1000


def severity(rulebook: Rulebook, since: int, due: int, now: int, warned: bool) -> Severity:
    """The severity of an open condition at `now`; `warned`: its at-risk notice was published."""
    if now >= critical_at(rulebook, since, due):
        return CRITICAL
    return AT_RISK if warned else WATCH


def misses_left(rulebook: Rulebook, since: int, misses: int) -> int:
    """How many more consecutive misses are a violation, after an at-risk notice for entries from `since` on.

    `misses`: how many of them are known; the notice itself stands for `at_risk_misses`.
    """
    limits = greeting_limits(rulebook, since)
    return max(limits.in_a_row - max(misses, limits.at_risk_misses), 1)
