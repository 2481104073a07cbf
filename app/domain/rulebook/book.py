"""The rulebook in memory: which limits are effective at an event time, and a digest by which rulebooks are compared.

    [absence.from.2022-07-19]          [absence.from.2023-01-01]
    ├──────── one version ─────────────┼──────── the next version ─ ─ ─▶ event time
    start                              until = start of the next

A verdict is a function of events and limits. An event is therefore judged by the limits of its own event time, however
late it is read; a replay of last year's recording gives last year's verdicts.
"""

import bisect
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

T = TypeVar("T", bound=Struct)
L = TypeVar("L", bound=Struct)


class RulebookError(Exception):
    """The operator's error: the rulebook cannot be used. The text has one problem a line: file, place and remedy."""


class SectionHeading(NamedTuple):
    """The head of a section in the file."""

    description: str
    """The key `says`: what the section means."""
    family: str | None
    """The key `family`: the ladder that counts the violations of a room rule; None for other sections."""
    description_zh: str = ""
    """The key `says_zh`: the same in Chinese; empty if it is not given."""


@dataclass(frozen=True)
class EffectiveVersion(Generic[T]):
    """One dated table of a section: its limits are effective while start ≤ event time < until (milliseconds)."""

    limits: T
    effective_date: str
    """Since when they are effective: the first day, `YYYY-MM-DD`, or the instant, `2026-12-01T09:30:00-08:00`."""
    start: int
    until: int
    """The start of the next version; MAX_TIME for the last one."""
    citation: str
    """The key `source`: the announcement or decision that sets these limits."""
    description: str
    """The key `says` of the version where it has one, otherwise that of the section's head."""
    description_zh: str = ""
    """The key `says_zh` next to that `says`."""

    def description_in(self, language: str) -> str:
        """Return the description in a language (`en` or `zh`); in English where there is no other."""
        return (language == "zh" and self.description_zh) or self.description


class DatedSection(Generic[T]):
    """The versions of one section, oldest first; none of a section that the rulebook leaves out."""

    def __init__(self, versions: Sequence[EffectiveVersion[T]]) -> None:
        self.versions = list(versions)
        self._starts = [version.start for version in versions]

    def at(self, when: int) -> EffectiveVersion[T] | None:
        """The version that is effective at the event time `when`; None before the first one."""
        index = bisect.bisect_right(self._starts, when) - 1
        return self.versions[index] if index >= 0 else None

    def limits_at(self, when: int) -> T | None:
        """The limits that are effective at the event time `when`; None before the first version."""
        version = self.at(when)
        return None if version is None else version.limits

    def at_or_first(self, when: int) -> EffectiveVersion[T]:
        """The version that is effective at the event time `when`; before the first one, the first."""
        return self.at(when) or self.versions[0]


class Rulebook:
    """All sections with all their versions. It does not change: another rulebook is another object."""

    def __init__(
        self,
        sections: Mapping[str, Sequence[EffectiveVersion[Any]]],
        headings: Mapping[str, SectionHeading],
        zone: ZoneInfo,
        listed: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self._sections: dict[str, DatedSection[Any]] = {
            name: DatedSection(versions) for name, versions in sections.items()
        }
        self.headings = headings
        """The head of each section."""
        self.families = {name: heading.family for name, heading in headings.items() if heading.family is not None}
        """Every room rule with its family."""
        self.zone = zone
        """The time zone in which days begin, for effective dates and for the calendar of supplier metrics."""
        self.time_zone = zone.key
        self.listed = {family: tuple(names) for family, names in listed.items()}
        """By family of sections (`permit`, `stars`): the sections in the order in which lists show them."""
        self.digest = self._digest()
        """SHA-256 of everything that can change an output. Comments, layout, descriptions and citations do not count:
        two files with the same digest judge alike, and list alike."""

    def newest_date(self, when: int) -> str | None:
        """The newest effective date of all versions that have begun by the event time `when`; None before the first."""
        found = (section.at(when) for section in self._sections.values())
        newest = max((version for version in found if version is not None), key=lambda one: one.start, default=None)
        return None if newest is None else newest.effective_date

    def section(self, name: str, kind: type[L]) -> DatedSection[L]:
        """A section with the type of its limits; raise TypeError where its limits have another type."""
        section = self._sections[name]
        if not isinstance(section.versions[0].limits, kind):
            raise TypeError(f"the limits of [{name}] are no {kind.__name__}")
        return section

    def optional_section(self, name: str, kind: type[L]) -> DatedSection[L]:
        """A section that the rulebook may leave out: it then has no version. Raise TypeError as `section` does."""
        return self.section(name, kind) if name in self._sections else DatedSection(())

    def family(self, prefix: str, kind: type[L]) -> dict[str, DatedSection[L]]:
        """The sections `PREFIX.NAME` by name, in the order of the file. Raise TypeError as `section` does."""
        names = [name for name in self._sections if name.startswith(f"{prefix}.")]
        return {name.removeprefix(f"{prefix}."): self.section(name, kind) for name in names}

    def at(self, section: str, when: int) -> EffectiveVersion[Any] | None:
        """The version of a section that is effective at the event time `when`.

        None before its first date, and where the rulebook leaves it out.
        """
        dated = self._sections.get(section)
        return None if dated is None else dated.at(when)

    def versions(self, section: str) -> list[EffectiveVersion[Any]]:
        """All versions of a section, oldest first; none where the rulebook leaves it out."""
        dated = self._sections.get(section)
        return [] if dated is None else dated.versions

    def family_of(self, section: str) -> str | None:
        """The ladder of a section's violations; None where it has none, or is left out."""
        heading = self.headings.get(section)
        return None if heading is None else heading.family

    def version_of(self, section: str, day: str) -> EffectiveVersion[Any] | None:
        """The version with this effective date, as a verdict names it; None if the rulebook has no such version."""
        if section not in self._sections:
            return None
        return next((version for version in self.versions(section) if version.effective_date == day), None)

    def description_of(self, section: str, day: str, language: str = "en") -> str:
        """What a section means by its version of this effective date; if there is none, what its head says."""
        version = self.version_of(section, day)
        if version is not None:
            return version.description_in(language)
        heading = self.headings.get(section)
        if heading is None:
            return ""
        return (language == "zh" and heading.description_zh) or heading.description

    @property
    def sections(self) -> list[str]:
        """The names of all sections, in the order in which they are shown."""
        return list(self._sections)

    def _digest(self) -> str:
        # A rulebook without families keeps the digest that it had before there were any.
        return digest_of({**({"listed": self.listed} if self.listed else {}), **self._content(self._sections)})

    def digest_of_sections(self, names: Iterable[str]) -> str:
        """SHA-256 of everything in some sections that can change an output, and of their order."""
        names = list(names)
        return digest_of({"listed": names, **self._content(names)})

    def _content(self, names: Iterable[str]) -> dict[str, object]:
        return {
            "time_zone": self.time_zone,
            "sections": {
                name: {
                    "family": self.headings[name].family,
                    "from": {version.effective_date: plain(version.limits) for version in self.versions(name)},
                }
                for name in names
            },
        }


def first_versions(rulebook: Rulebook, sections: Iterable[str]) -> dict[str, object]:
    """The first version of each of these sections, by section: of those that it has.

    For `Subject.always` of sections whose first version counts before its beginning, too (`at_or_first`).
    """
    firsts = ((name, versions[0]) for name in sections if (versions := rulebook.versions(name)))
    return {f"[{name}] its first version": (first.start, plain(first.limits)) for name, first in firsts}


def plain(limits: Struct) -> dict[str, Any]:
    """Limits as a table of the file; values at their default are left out.

    So the digest stays the same when a later version of Vigil adds an optional number, as long as it is not set.
    """
    return {
        field.encode_name: _plain(value)
        for field in msgspec.structs.fields(limits)
        if (value := getattr(limits, field.name)) != field.default
    }


def _plain(value: object) -> object:
    if isinstance(value, Struct):
        return plain(value)
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return msgspec.to_builtins(value)


def digest_of(content: object) -> str:
    """SHA-256 of numbers, strings, lists and tables; the order of keys does not count."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def midnight(day: date, zone: ZoneInfo) -> int:
    """The event time (ms) at which a day begins in a time zone."""
    return round(datetime.combine(day, time(), zone).timestamp() * 1000)
