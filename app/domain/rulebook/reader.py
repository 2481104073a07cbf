"""The strict reader: one TOML text in, a Rulebook out, or every problem with its file, line, place and remedy.

    [<section>]                       says = "…" (and family = "…" of a room rule)
    [<section>.from.<YYYY-MM-DD>]     the limits in force from that day, and source = "…"

A section's name may have dots ([ladder.reception]). What the file may hold is told by the types in rooms.py, hosts.py
and suppliers.py; a rule that no type knows has no judge, a type without a section has no numbers: both are refused.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path as FilePath
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import hosts, rooms
from vigil.app.domain.rulebook.book import MAX_TIME, EffectiveVersion, Rulebook, RulebookError, midnight
from vigil.app.domain.rulebook.lines import Lines, Path
from vigil.app.domain.rulebook.shape import Problem, hint, misfits
from vigil.app.domain.rulebook.zones import no_zone

BUILT_IN: Final = FilePath(__file__).with_name("rulebook.toml")

SECTIONS: Final[Mapping[str, type[Struct]]] = REGISTRY.sections
"""Every section of the file and the type of its dated limits."""

RULES: Final = frozenset(rooms.SECTIONS) - {"rooms"}
"""The sections that are room rules: each belongs to a family, whose ladder says what follows."""

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_REMEDY: Final = "start from a copy of the built-in rulebook"


def load_rulebook(path: FilePath | None = None) -> Rulebook:
    """Read a rulebook (the built-in one by default); raise RulebookError."""
    path = path or BUILT_IN
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RulebookError(f"{path}: not UTF-8 at byte {error.start}: save it as UTF-8 text") from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise RulebookError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse_rulebook(text, str(path))


def parse_rulebook(text: str, name: str) -> Rulebook:
    """The rulebook of a TOML text; raise RulebookError. `name` is what the problems call the file."""
    if not text.strip():
        raise RulebookError(f"{name}: the file is empty: {_REMEDY}")
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"\(at line (\d+), column \d+\)", str(error))
        place = f"{name}:{line[1]}" if line else name
        raise RulebookError(f"{place}: {_invalid(str(error))}") from error
    except RecursionError as error:
        raise RulebookError(f"{name}: not valid TOML that we read: it is nested too deeply") from error
    except ValueError as error:  # tomllib lets int's own refusal of thousands of digits through
        raise RulebookError(f"{name}: not valid TOML that we read: {error}") from error
    lines: list[Lines] = []  # found only when something is wrong

    def place_of(path: Path) -> int | None:
        if not lines:
            lines.append(Lines(text))
        return lines[0].of(path)

    return read_tables(raw, name, place_of)


def read_tables(raw: dict[str, Any], name: str, line_of: Callable[[Path], int | None] = lambda path: None) -> Rulebook:
    """The rulebook of the tables of a file; raise RulebookError. `line_of` tells on which line a path stands."""
    reading = _Reading()
    book = reading.book(raw)
    if book is None:
        told = []
        for problem in reading.problems:
            line = line_of(problem.path)
            place = name if line is None else f"{name}:{line}"
            told.append((line or 0, f"{place}: {_shown(problem.path)} {problem.text}"))
        raise RulebookError("\n".join(text for _, text in sorted(told)))
    return book


def _invalid(said: str) -> str:
    """What tomllib refuses, in words; a table that stands twice is what a hurried change looks like."""
    if twice := re.match(r"Cannot declare \((?P<keys>.*)\) twice", said):
        keys = re.findall(r"'([^']*)'", twice["keys"])
        return f"the table [{'.'.join(keys)}] stands twice: keep one; a change has a date of its own"
    return f"not valid TOML: {said}"


def _shown(path: Path) -> str:
    """`[black-screen.from.2022-07-19] lasts_s`, `[ladder.obs.from.2022-07-19] rungs[0].steps`."""
    if path == ("time_zone",):
        return "time_zone"
    sections = [n for n in range(1, len(path) + 1) if ".".join(str(part) for part in path[:n]) in SECTIONS]
    depth = sections[-1] if sections else len(path)
    if path[depth : depth + 1] == ("from",):
        depth += 2
    table = ".".join(_key(part) for part in path[:depth])
    rest = "".join(f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path[depth:])
    return f"[{table}]" + (f" {rest.removeprefix('.')}" if rest else "")


def _key(part: str | int) -> str:
    """A key as it can be shown on one line."""
    said = str(part)
    return said if said.isprintable() and said else repr(said)


class _Reading:
    """One pass over a parsed file that collects every problem instead of stopping at the first."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def refuse(self, path: Path, text: str) -> None:
        self.problems.append(Problem(path, text))

    def book(self, raw: dict[str, Any]) -> Rulebook | None:
        """The rulebook; None when there are problems."""
        zone = self.zone(raw)
        tables = {name: table for name, table in raw.items() if name != "time_zone"}
        found: dict[str, dict[str, Any] | None] = {}  # None: it is there, and told to be no table
        self.sort_out(tables, (), found)
        sections: dict[str, list[EffectiveVersion[Any]]] = {}
        headings: dict[str, dict[str, str]] = {}
        for name, kind in SECTIONS.items():
            path = tuple(name.split("."))
            if name not in found:
                what = "a rule without numbers cannot be judged" if name in RULES else "its numbers are needed"
                self.refuse(path, f"is missing: {what}; add [{name}] and [{name}.from.YYYY-MM-DD]")
                continue
            table = found[name]
            if table is not None:
                headings[name] = self.heading(name, path, table)
                sections[name] = self.versions(path, table, kind, zone, headings[name].get("says", ""))
        if not self.problems:
            for section, effective, key, text in hosts.conflicts(sections, headings):
                self.refuse((*section.split("."), "from", effective, key), text)
        if self.problems or zone is None:
            return None
        return Rulebook(sections, headings, zone)

    def zone(self, raw: dict[str, Any]) -> ZoneInfo | None:
        said = raw.get("time_zone")
        if said is None:
            self.refuse(("time_zone",), 'is missing: say where days begin, time_zone = "America/Los_Angeles"')
            return None
        if wrong := no_zone(said, "America/Los_Angeles"):
            self.refuse(("time_zone",), wrong)
            return None
        return ZoneInfo(said)

    def sort_out(self, table: dict[str, Any], above: Path, found: dict[str, dict[str, Any] | None]) -> None:
        """Find the sections among the tables (a section's name may have dots)."""
        for key, value in table.items():
            path = (*above, key)
            name = ".".join(str(part) for part in path)
            if name in SECTIONS:
                if isinstance(value, dict):
                    found[name] = value
                else:
                    self.refuse(path, f"must be a table: [{name}] and [{name}.from.YYYY-MM-DD]")
                    found[name] = None
            elif isinstance(value, dict) and any(section.startswith(f"{name}.") for section in SECTIONS):
                self.sort_out(value, path, found)
            else:
                siblings = [section for section in SECTIONS if section.startswith(".".join(map(str, above)))]
                self.refuse(path, f"is not known: nothing judges by it; {hint(name, siblings)}")

    def heading(self, name: str, path: Path, table: dict[str, Any]) -> dict[str, str]:
        allowed = ("says", "family") if name in RULES else ("says",)
        for key in table:
            if key in (*allowed, "from"):
                continue
            if _DAY.fullmatch(key):
                self.refuse((*path, key), f"a date stands under from: [{name}.from.{key}]")
            elif key in SECTIONS[name].__struct_fields__ or key == "source":
                self.refuse((*path, key), f"needs its date: put it under [{name}.from.YYYY-MM-DD]")
            else:
                self.refuse((*path, key), f"is not known here; {hint(key, (*allowed, 'from'))}")
        heading: dict[str, str] = {}
        for key in allowed:
            said = table.get(key)
            if not isinstance(said, str) or not said.strip():
                remedy = "what it means, in words" if key == "says" else f"one of {', '.join(hosts.FAMILIES)}"
                self.refuse((*path, key), f"is missing: give it as text, {remedy}")
                continue
            heading[key] = said
        family = heading.get("family")
        if family is not None and family not in hosts.FAMILIES:
            self.refuse((*path, "family"), f"{family!r} has no ladder; {hint(family, hosts.FAMILIES)}")
        return heading

    def versions(
        self, path: Path, table: dict[str, Any], kind: type[Struct], zone: ZoneInfo | None, head: str
    ) -> list[EffectiveVersion[Any]]:
        """The dated limits of one section, oldest first; what the `head` says holds where a table says nothing else."""
        name = ".".join(str(part) for part in path)
        under = table.get("from")
        if not isinstance(under, dict) or not under:
            remedy = f"put them under [{name}.from.YYYY-MM-DD], the day from which they hold"
            self.refuse((*path, "from"), f"must be a table of dated limits: {remedy}")
            return []
        dated: dict[date, tuple[Any, str, str]] = {}
        for day, limits in under.items():
            here = (*path, "from", day)
            when = self.day(day, here)
            if not isinstance(limits, dict):
                self.refuse(here, f"must be a table of limits: [{name}.from.{day}]")
                continue
            numbers = {key: value for key, value in limits.items() if key not in ("source", "says")}
            source = limits.get("source")
            if not isinstance(source, str) or not source.strip():
                self.refuse((*here, "source"), "is missing: say by whose word these numbers hold")
            says = limits.get("says", head)
            if "says" in limits and (not isinstance(says, str) or not says.strip()):
                self.refuse((*here, "says"), "must be text: what these numbers mean, in words (or leave it out)")
            problems = misfits(numbers, kind, here)
            self.problems += problems
            if when is not None and not problems:
                dated[when] = (msgspec.convert(numbers, kind), str(source), str(says))
        if zone is None or not dated:
            return []
        days = sorted(dated)
        starts = [midnight(day, zone) for day in days]
        return [
            EffectiveVersion(dated[day][0], day.isoformat(), start, until, *dated[day][1:])
            for day, start, until in zip(days, starts, [*starts[1:], MAX_TIME], strict=True)
        ]

    def day(self, said: str, path: Path) -> date | None:
        # date.fromisoformat alone would take 20220719 and 2022-W29-2 for the same day as 2022-07-19.
        try:
            if _DAY.fullmatch(said):
                return date.fromisoformat(said)
        except ValueError as error:
            self.refuse(path, f"is no date ({error}): write a day that exists")
            return None
        self.refuse(path, "is no date: write the day as YYYY-MM-DD, for example 2022-07-19")
        return None
