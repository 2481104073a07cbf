"""The rulebook in memory: what was in force when, by whose word, and the fingerprint two workers compare."""

import bisect
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final, Generic, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

T = TypeVar("T", bound=Struct)

MAX_TIME: Final = 1 << 62
"""The `until` of what no later version replaces."""


class RulebookError(Exception):
    """The operator's: the rulebook cannot be used; the text names file, place and a remedy, a problem a line."""


@dataclass(frozen=True)
class EffectiveVersion(Generic[T]):
    """One section's limits, in force from `start` until before `until` (ms of event time)."""

    limits: T
    effective: str
    """The day from which they hold, `YYYY-MM-DD`."""
    start: int
    until: int
    source: str
    """By whose word."""
    says: str
    """What the section means with these limits: their own words, or those at its head."""


class Rulebook:
    """All sections with all their dated limits."""

    def __init__(
        self,
        sections: Mapping[str, Sequence[EffectiveVersion[Any]]],
        headings: Mapping[str, Mapping[str, str]],
        zone: ZoneInfo,
    ) -> None:
        self._sections = {name: list(versions) for name, versions in sections.items()}
        self._starts = {name: [dated.start for dated in versions] for name, versions in sections.items()}
        self.headings = headings
        """What stands at the head of each section: `says`, and `family` of a room rule."""
        self.zone = zone
        """Where the days begin from which limits hold, and in which days and months are counted."""
        self.time_zone = zone.key
        self.digest = self._digest()
        """SHA-256 of everything that can change a judgement. Comments, layout and words (`says`, `source`) do not
        count: two files with the same digest judge alike."""

    def at(self, section: str, when: int) -> EffectiveVersion[Any] | None:
        """What was in force at the event time `when`; None before the section's first date."""
        index = bisect.bisect_right(self._starts[section], when) - 1
        return self._sections[section][index] if index >= 0 else None

    def versions(self, section: str) -> list[EffectiveVersion[Any]]:
        """All dated limits of a section, oldest first."""
        return self._sections[section]

    def effective(self, section: str, day: str) -> EffectiveVersion[Any] | None:
        """The limits that hold from a day, as a verdict names it; None where the rulebook has none of that day."""
        return next((dated for dated in self._sections.get(section, ()) if dated.effective == day), None)

    def says(self, section: str, day: str) -> str:
        """What a section means with the limits of a day, in words; where there are none, what its head says."""
        dated = self.effective(section, day)
        return dated.says if dated else self.headings.get(section, {}).get("says", "")

    @property
    def sections(self) -> list[str]:
        """The names of all sections, in the order in which they are told."""
        return list(self._sections)

    def _digest(self) -> str:
        return digest_of(
            {
                "time_zone": self.time_zone,
                "sections": {
                    name: {
                        "family": self.headings[name].get("family"),
                        "from": {dated.effective: plain(dated.limits) for dated in versions},
                    }
                    for name, versions in self._sections.items()
                },
            }
        )


def plain(limits: Struct) -> dict[str, Any]:
    """Limits as a table of the file would have them: what is left at its default is left out.

    So a digest stays as it was when a later version of Vigil knows one more number that is not set.
    """
    return {
        field.encode_name: _plain(value)
        for field in msgspec.structs.fields(limits)
        if (value := getattr(limits, field.name)) != field.default
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return plain(value)
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return msgspec.to_builtins(value)


def digest_of(content: Any) -> str:
    """SHA-256 of numbers, words, lists and tables, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def midnight(day: date, zone: ZoneInfo) -> int:
    """The event time at which a day begins in a time zone."""
    return round(datetime.combine(day, time(), zone).timestamp() * 1000)
