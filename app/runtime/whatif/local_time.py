"""Times for people, in the time zone of a rulebook."""

from datetime import UTC, datetime

from vigil.app.domain.rulebook import Rulebook


class Clock:
    """Times in the rulebook's time zone."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._zone = rulebook.zone

    def __call__(self, at: int) -> str:
        """The time of day, with milliseconds where there are any."""
        moment = self._moment(at)
        return f"{moment:%H:%M:%S}" + (f".{at % 1000:03d}" if at % 1000 else "")

    def full(self, at: int) -> str:
        """With its day and offset."""
        return f"{self._moment(at):%Y-%m-%d} {self(at)} {self._moment(at):%z}"

    def day(self, at: int) -> str:
        return f"{self._moment(at):%Y-%m-%d}"

    def _moment(self, at: int) -> datetime:
        try:
            return datetime.fromtimestamp(at // 1000, self._zone)
        except (OverflowError, ValueError):  # within hours of the year 10000, the zone's day may be none
            return datetime.fromtimestamp(at // 1000, UTC)
