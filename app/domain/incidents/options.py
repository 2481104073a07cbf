"""How incidents are judged: the section [incidents] of the rulebook by time, and how long commands wait."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from vigil.app.domain.rulebook.book import DatedSection
from vigil.app.domain.rulebook.incidents import IncidentLimits

DAY_MS: Final = 24 * 60 * 60 * 1000


class IncidentOptions(NamedTuple):
    """How incidents are judged."""

    limits: DatedSection[IncidentLimits]
    families: Mapping[str, str]
    """By rule."""
    case_wait_ms: int | None
    """How long a command waits for its incident; None: until the end of the input."""

    def limits_at(self, at: int) -> IncidentLimits:
        """The limits as of an event time; where the rulebook leaves them out, the usual ones."""
        return self.limits.at_or_first(at).limits if self.limits.versions else IncidentLimits()

    @property
    def keep_ms(self) -> int:
        """How long anything is remembered at most after its end."""
        days = [version.limits.remember_days for version in self.limits.versions]
        return max(days, default=IncidentLimits().remember_days) * DAY_MS
