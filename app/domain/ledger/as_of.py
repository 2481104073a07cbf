"""The time as of which lines are computed. It collects when what was asked of it changes if nothing arrives.

    line = function of (events up to now, rulebook at now)
      └─ asks the moment: is this time reached? ──no──▶ the moment notes it ──▶ `until`, the line's next timer

So no line has to say when it changes: it cannot ask a question about time without the moment learning the answer's end.
"""

from typing import TypeVar

from msgspec import Struct

from vigil.app.domain.rulebook.book import DatedSection, EffectiveVersion
from vigil.app.engine.watermark import MAX_TIME

L = TypeVar("L", bound=Struct)


class AsOf:
    """A time as of which facts are read. Times are milliseconds."""

    __slots__ = ("clock", "now", "until")

    def __init__(self, now: int, clock: int | None = None) -> None:
        """`now`: events up to it count. `clock`: the time that has passed, by default `now`; what time alone brings
        waits for it, so that events out of order raise no false alarm."""
        self.now = now
        self.clock = now if clock is None else clock
        self.until = MAX_TIME
        """The earliest time at which an answer that was given becomes another one."""

    def reached(self, at: int) -> bool:
        """True if `at` is not after now."""
        if at <= self.now:
            return True
        if at < self.until:
            self.until = at
        return False

    def passed(self, at: int) -> bool:
        """True if the clock is at `at` or later: time alone has brought what follows."""
        if at <= self.clock:
            return True
        if at < self.until:
            self.until = at
        return False

    def in_force(self, section: DatedSection[L]) -> EffectiveVersion[L] | None:
        """The version of a rulebook section that is in force now; None before its first one."""
        version = section.at(self.now)
        if version is not None:
            self.reached(version.until)
        elif section.versions:
            self.reached(section.versions[0].start)
        return version

    def limits(self, section: DatedSection[L]) -> L | None:
        """The limits of a rulebook section that are in force now; None before its first version."""
        version = self.in_force(section)
        return None if version is None else version.limits
