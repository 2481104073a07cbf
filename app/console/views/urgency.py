"""How urgent a room is, and when that changes though nothing new is read.

    critical   a condition with no more time left than the shortest rule that warns, or buyers waiting whose misses
               would be a violation
    violated   a violation that nobody has reviewed; its condition may continue
    at-risk    a condition that was warned of, misses that were, or a high-tier buyer who is about to be missed
    watch      another open condition, a high-tier buyer waiting, no signal, disconnected
    calm       everything else

Within a band, what falls due first comes first, and of violations those that continue, then the oldest. The severities
of conditions are the domain's (rooms/risk.py).
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from vigil.app.console.ingest.subject_views import RoomView
from vigil.app.domain.rooms.risk import (
    AT_RISK,
    CALM,
    CRITICAL,
    WATCH,
    critical_at,
    greeting_limits,
    misses_left,
    room_limits,
    severity,
)
from vigil.app.domain.rooms.rules.table import GREETING
from vigil.app.domain.rulebook.book import Rulebook
from vigil.topics.fields import HIGH_QUALITY
from vigil.topics.incidents import IncidentStatus
from vigil.topics.verdicts import RoomStatus, Verdict, WaitingEntry

Risks = Mapping[tuple[str, int], IncidentStatus]

LAST_SECONDS_MS: Final = 5_000
"""A high-tier buyer with no more time than this is about to be missed: enough for a moderator to call the host."""
OVERDUE_MS: Final = 5_000
"""A condition that was due longer ago than this, without a verdict, has ended: verdicts come about two seconds late."""
WAITING_OVERDUE_MS: Final = 1_000
CONTINUING_FIRST_MS: Final = 366 * 86_400_000
"""Puts violations that continue before all others."""
NO_DEADLINE: Final = 1 << 53
"""Later than any time, and still a whole number in JavaScript."""


class UrgencyBand(IntEnum):
    """How urgent a room is; the smaller, the more urgent."""

    CRITICAL = 0
    VIOLATED = 1
    AT_RISK = 2
    WATCH = 3
    CALM = 4


BANDS: Final = ("critical", "violated", "at-risk", "watch", "calm")
"""The name of each band, as pages and scripts know it."""

_BAND_OF: Final = {
    CRITICAL: UrgencyBand.CRITICAL,
    AT_RISK: UrgencyBand.AT_RISK,
    WATCH: UrgencyBand.WATCH,
    CALM: UrgencyBand.CALM,
}


class ShownCondition(NamedTuple):
    """A condition as the wall shows it."""

    rule: str
    since: int
    due: int | None
    band: UrgencyBand
    violated_at: int | None = None
    """When it became a violation, if it has and still continues."""


class OpenViolation(NamedTuple):
    """A verdict that nobody has reviewed."""

    verdict: Verdict
    continues: bool
    """True if the room still shows what was judged."""


class Urgency:
    """The urgency of one room at one time."""

    def __init__(self, room: RoomView, rulebook: Rulebook, now: int, violations: Sequence[OpenViolation] = ()) -> None:
        self.band = UrgencyBand.CALM
        self.due = NO_DEADLINE
        """When the most urgent thing falls due."""
        self.revisit = NO_DEADLINE
        """When the room may look different though nothing is read."""
        self.conditions: list[ShownCondition] = []
        """The most urgent first."""
        self.high_tier: list[tuple[int, str | None]] = []
        """When each waiting high-tier buyer is missed, and the tier."""
        self._rulebook = rulebook
        self._now = now
        status = room.status
        waiting = [one for one in status.waiting if one.due > now - WAITING_OVERDUE_MS] if status is not None else []
        risks = {place: one for place, one in room.risks.items() if stands(one.due, now)}
        if status is not None:
            self._open_conditions(status, risks)
        self._risks(risks, waiting, room)
        self._high_tier(waiting)
        self._signal(room)
        self._violations(violations)
        self.conditions.sort(key=lambda one: (one.band, one.due or 0))

    def _consider(self, band: UrgencyBand, due: int) -> None:
        if (band, due) < (self.band, self.due):
            self.band, self.due = band, due

    def _violations(self, violations: Sequence[OpenViolation]) -> None:
        for verdict, continues in violations:
            self._consider(UrgencyBand.VIOLATED, verdict.at - CONTINUING_FIRST_MS if continues else verdict.at)
            if continues:
                self.conditions.append(
                    ShownCondition(verdict.rule, verdict.since, None, UrgencyBand.VIOLATED, verdict.at)
                )

    def _open_conditions(self, status: RoomStatus, risks: Risks) -> None:
        for one in status.open:
            if stands(one.due, self._now):
                self._condition(one.rule, one.since, one.due, (one.rule, one.since) in risks)

    def _condition(self, rule: str, since: int, due: int, warned: bool) -> None:
        band = _BAND_OF[severity(self._rulebook, since, due, self._now, warned)]
        self._consider(band, due)
        self.conditions.append(ShownCondition(rule, since, due, band))
        critical = critical_at(self._rulebook, since, due)
        self.revisit = min(self.revisit, critical if self._now < critical else due + OVERDUE_MS)

    def _risks(self, risks: Risks, waiting: list[WaitingEntry], room: RoomView) -> None:
        """What was warned of, where no status shows it."""
        shown = {(one.rule, one.since) for one in self.conditions}
        for (rule, since), warning in risks.items():
            if rule == GREETING:
                self._misses(since, waiting, room)
            elif (rule, since) not in shown and warning.due is not None:
                self._condition(rule, since, warning.due, True)

    def _misses(self, since: int, waiting: list[WaitingEntry], room: RoomView) -> None:
        """Consecutive misses: they are a violation at a known time while enough buyers wait."""
        needed = misses_left(self._rulebook, since, sum(at >= since for _, at in room.missed))
        dues = sorted(one.due for one in waiting)
        due = dues[needed - 1] if len(dues) >= needed else None
        band = UrgencyBand.AT_RISK if due is None else UrgencyBand.CRITICAL
        self._consider(band, NO_DEADLINE - 1 if due is None else due)
        self.conditions.append(ShownCondition(GREETING, since, due, band))

    def _high_tier(self, waiting: list[WaitingEntry]) -> None:
        self.high_tier = sorted((one.due, one.buyer_tier) for one in waiting if one.buyer_tier in HIGH_QUALITY)
        for due, _ in self.high_tier:
            last_seconds = due - LAST_SECONDS_MS
            self._consider(UrgencyBand.WATCH if self._now < last_seconds else UrgencyBand.AT_RISK, due)
            self.revisit = min(self.revisit, last_seconds if self._now < last_seconds else due + WAITING_OVERDUE_MS)

    def _signal(self, room: RoomView) -> None:
        if room.lost_since is not None:
            self._consider(UrgencyBand.WATCH, room.lost_since)
        elif room.status is not None and room.status.stream == "disconnected":
            self._consider(UrgencyBand.WATCH, NO_DEADLINE - 1)


def stands(due: int | None, now: int) -> bool:
    """True if what falls due at `due` may still become a violation; None: it has no such time."""
    return due is None or due > now - OVERDUE_MS


def numbers(rulebook: Rulebook, at: int) -> dict[str, object]:
    """The rulebook's numbers in the descriptions of the bands."""
    rooms = room_limits(rulebook, at)
    return {
        "seconds": rooms.at_risk_from_s,
        "percent": round(rooms.at_risk_share * 100),
        "misses": greeting_limits(rulebook, at).at_risk_misses,
        "last_seconds": LAST_SECONDS_MS // 1000,
    }
