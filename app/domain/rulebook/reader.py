"""The strict reader: a TOML text in, a Rulebook out, or every problem with its file, line, place and remedy.

    [<section>]                       says = "…" (and family = "…" of a room rule), optionally says_zh = "…"
    [<section>.from.<YYYY-MM-DD>]     the limits that are effective from that day, and source = "…"; optionally says
                                      and says_zh, where these limits mean something else than the section's head says
    [<section>.from."<instant>"]      the same from an instant such as 2026-12-01T09:30:00-08:00

A section's name may have dots ([ladder.reception]). The types in rooms.py, hosts.py, suppliers.py and their
neighbours define what the file may hold. Both directions are checked: a section that no type knows would be judged by
nothing, and a type without a section would have no numbers. Sections of what a marketplace may do without, such as
products, may be left out; those of a family (`[stars.INDUSTRY]`) are as many as the file has, in the order of the file.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rooms.rules.table import RULES
from vigil.app.domain.rulebook import hosts
from vigil.app.domain.rulebook.beginnings import Beginning, beginning_of, is_beginning
from vigil.app.domain.rulebook.book import EffectiveVersion, Rulebook, RulebookError, SectionHeading
from vigil.app.domain.rulebook.toml_positions import Path, TomlPositions
from vigil.app.domain.rulebook.validation import Problem, hint, validate
from vigil.app.domain.rulebook.zones import zone_problem
from vigil.app.domain.subject import matches
from vigil.app.engine.watermark import MAX_TIME

BUILT_IN: Final = FilePath(__file__).with_name("rulebook.toml")

SECTIONS: Final[Mapping[str, type[Struct]]] = REGISTRY.sections
"""Every section that the file must have, and the type of its limits."""

OPTIONAL: Final[Mapping[str, type[Struct]]] = REGISTRY.optional_sections
"""The sections that it may have, by name or pattern."""

_ANY_ZONE: Final = ZoneInfo("UTC")
"""Where the file names none, its dates are read in this one, only to find what is wrong with them."""
_REMEDY: Final = "start from a copy of the built-in rulebook"


def load_rulebook(path: FilePath | None = None) -> Rulebook:
    """Read a rulebook, the built-in one by default; raise RulebookError."""
    path = path or BUILT_IN
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RulebookError(f"{path}: not UTF-8 at byte {error.start}: save it as UTF-8 text") from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise RulebookError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse_rulebook(text, str(path))


def section_type(name: str) -> type[Struct] | None:
    """The type of the limits of a section; None if nothing judges by a section of this name."""
    if name in SECTIONS:
        return SECTIONS[name]
    return next((kind for pattern, kind in OPTIONAL.items() if matches(pattern, name)), None)


def _may_begin(name: str) -> bool:
    """True if `name` is the beginning of a section's name."""
    parts = name.count(".") + 1
    beginnings = (".".join(one.split(".")[:parts]) for one in (*SECTIONS, *OPTIONAL) if one.count(".") >= parts)
    return any(matches(beginning, name) for beginning in beginnings)


def parse_rulebook(text: str, name: str) -> Rulebook:
    """The rulebook of a TOML text; raise RulebookError. `name` is what the problems call the file."""
    if not text.strip():
        raise RulebookError(f"{name}: the file is empty: {_REMEDY}")
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"\(at line (\d+), column \d+\)", str(error))
        place = f"{name}:{line[1]}" if line else name
        written = text.splitlines()[int(line[1]) - 1] if line else ""
        raise RulebookError(f"{place}: {_syntax_problem(str(error), written)}") from error
    except RecursionError as error:
        raise RulebookError(f"{name}: not valid TOML that we read: it is nested too deeply") from error
    except ValueError as error:  # int() refuses numbers of thousands of digits, and tomllib passes that on
        raise RulebookError(f"{name}: not valid TOML that we read: {error}") from error
    positions: list[TomlPositions] = []  # the second scan is only made when there is a problem to place

    def line_of(path: Path) -> int | None:
        if not positions:
            positions.append(TomlPositions(text))
        return positions[0].line_of(path)

    return read_tables(raw, name, line_of)


def read_tables(raw: dict[str, Any], name: str, line_of: Callable[[Path], int | None] = lambda path: None) -> Rulebook:
    """The rulebook of the tables of a file; raise RulebookError. `line_of` gives the line on which a path stands."""
    reading = _Reading()
    book = reading.book(raw)
    if book is None:
        lines = []
        for problem in reading.problems:
            number = line_of(problem.path)
            place = name if number is None else f"{name}:{number}"
            lines.append((number or 0, f"{place}: {_shown(problem.path)} {problem.text}"))
        raise RulebookError("\n".join(line for _, line in sorted(lines)))
    return book


def _syntax_problem(text: str, line: str) -> str:
    """What tomllib refuses in a line. The usual slips of a hurried change, a table that stands twice and an instant
    without quotation marks, have texts of their own."""
    if bare := re.match(r"\s*\[(?P<section>.*\.from)\.(?P<instant>\d{4}-\d\d-\d\dT[^\]]*)\]", line):
        return f'not valid TOML: an instant needs quotation marks: [{bare["section"]}."{bare["instant"]}"]'
    if twice := re.match(r"Cannot declare \((?P<keys>.*)\) twice", text):
        keys = re.findall(r"'([^']*)'", twice["keys"])
        return f"the table [{'.'.join(keys)}] stands twice: keep one; a change has a date of its own"
    return f"not valid TOML: {text}"


def _shown(path: Path) -> str:
    """`[black-screen.from.2022-07-19] lasts_s`, `[ladder.obs.from.2022-07-19] rungs[0].steps`."""
    if path == ("time_zone",):
        return "time_zone"
    depth = _section_depth(path)
    if path[depth : depth + 1] == ("from",):
        depth += 2
    table = ".".join(_key(part) for part in path[:depth])
    rest = "".join(f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path[depth:])
    return f"[{table}]" + (f" {rest.removeprefix('.')}" if rest else "")


def _section_depth(path: Path) -> int:
    """How many parts of a path name its section: those of the longest name that is one; all if there is none."""
    depths = (n for n in range(len(path), 0, -1) if section_type(".".join(map(str, path[:n]))) is not None)
    return next(depths, len(path))


def _key(part: str | int) -> str:
    """A key as it can be shown on one line."""
    text = str(part)
    return text if text.isprintable() and text else repr(text)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


class _DatedTable(NamedTuple):
    """The limits of one dated table, before it is known until when they are effective."""

    begins: Beginning
    limits: Struct
    citation: str
    description: str
    description_zh: str


class _Reading:
    """One pass over a parsed file. It collects every problem instead of stopping at the first."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def reject(self, path: Path, text: str) -> None:
        self.problems.append(Problem(path, text))

    def book(self, raw: dict[str, Any]) -> Rulebook | None:
        """The rulebook; None when there are problems."""
        zone = self.zone(raw)
        tables = {name: table for name, table in raw.items() if name != "time_zone"}
        found: dict[str, dict[str, Any] | None] = {}  # None: it is there, and was refused because it is not a table
        self.find_sections(tables, (), found)
        sections: dict[str, list[EffectiveVersion[Any]]] = {}
        headings: dict[str, SectionHeading] = {}
        for name in dict.fromkeys((*SECTIONS, *_optional(found))):
            path = tuple(name.split("."))
            if name not in found:
                self.reject_missing(name, path)
                continue
            table = found[name]
            if table is not None:
                headings[name] = self.heading(name, path, table)
                sections[name] = _versions(self.dated_tables(path, table, headings[name], zone or _ANY_ZONE))
        if not self.problems:
            self.reject_conflicts(sections, headings)
        if self.problems or zone is None:
            return None
        return Rulebook(sections, headings, zone, _listed(sections))

    def reject_missing(self, name: str, path: Path) -> None:
        what = "a rule without numbers cannot be judged" if name in RULES else "its numbers are needed"
        self.reject(path, f"is missing: {what}; add [{name}] and [{name}.from.YYYY-MM-DD]")

    def reject_conflicts(
        self, sections: Mapping[str, Sequence[EffectiveVersion[Any]]], headings: Mapping[str, SectionHeading]
    ) -> None:
        """Reject what contradicts another section; call this only for sections that are complete."""
        for section, effective_date, key, text in hosts.conflicts(sections, headings):
            self.reject((*section.split("."), "from", effective_date, key), text)

    def zone(self, raw: dict[str, Any]) -> ZoneInfo | None:
        name = raw.get("time_zone")
        if name is None:
            self.reject(("time_zone",), 'is missing: say where days begin, time_zone = "America/Los_Angeles"')
            return None
        if problem := zone_problem(name, "America/Los_Angeles"):
            self.reject(("time_zone",), problem)
            return None
        return ZoneInfo(name)

    def find_sections(self, table: dict[str, Any], above: Path, found: dict[str, dict[str, Any] | None]) -> None:
        """Put the sections among the tables into `found`; a section's name may have dots."""
        for key, value in table.items():
            path = (*above, key)
            name = ".".join(str(part) for part in path)
            if section_type(name) is not None:
                if isinstance(value, dict):
                    found[name] = value
                else:
                    self.reject(path, f"must be a table: [{name}] and [{name}.from.YYYY-MM-DD]")
                    found[name] = None
            elif isinstance(value, dict) and _may_begin(name):
                self.find_sections(value, path, found)
            else:
                known = (*SECTIONS, *OPTIONAL)
                siblings = [section for section in known if section.startswith(".".join(map(str, above)))]
                self.reject(path, f"is not known: nothing judges by it; {hint(name, siblings)}")

    def heading(self, name: str, path: Path, table: dict[str, Any]) -> SectionHeading:
        """The head of a section; where a key is refused, its text is empty."""
        allowed = ("says", "family") if name in RULES else ("says",)
        for key in table:
            if key not in (*allowed, "says_zh", "from"):
                self.reject((*path, key), _misplaced(name, key, (*allowed, "says_zh", "from")))
        texts: dict[str, str] = {}
        for key in allowed:
            text = table.get(key)
            if _is_text(text):
                texts[key] = str(text)
            else:
                remedy = "what it means, in words" if key == "says" else f"one of {', '.join(hosts.FAMILIES)}"
                self.reject((*path, key), f"is missing: give it as text, {remedy}")
        family = texts.get("family")
        if family is not None and family not in hosts.FAMILIES:
            self.reject((*path, "family"), f"{family!r} has no ladder; {hint(family, hosts.FAMILIES)}")
        return SectionHeading(texts.get("says", ""), family, self.optional_text(path, table, "says_zh", ""))

    def optional_text(self, path: Path, table: dict[str, Any], key: str, default: str) -> str:
        """The text of a key that may be left out; where it is refused, the default."""
        text = table.get(key, default)
        if key in table and not _is_text(text):
            self.reject((*path, key), "must be text: what these numbers mean, in words (or leave it out)")
            return default
        return str(text)

    def dated_tables(
        self, path: Path, table: dict[str, Any], head: SectionHeading, zone: ZoneInfo
    ) -> list[_DatedTable]:
        """The dated tables of a section, oldest first. `head`: describes tables without a description of their own."""
        under, name = table.get("from"), ".".join(map(str, path))
        if not isinstance(under, dict) or not under:
            remedy = f"put them under [{name}.from.YYYY-MM-DD], the day from which they hold"
            self.reject((*path, "from"), f"must be a table of dated limits: {remedy}")
            return []
        found: dict[int, _DatedTable] = {}
        for written, limits in under.items():
            here = (*path, "from", written)
            begins = self.beginning(written, here, zone)
            if not isinstance(limits, dict):
                self.reject(here, f"must be a table of limits: [{name}.from.{written}]")
                continue
            dated = self.dated_table(here, limits, begins, head)
            if dated is None:
                continue
            if dated.begins.at in found:
                self.reject(here, f"begins when another version does, {dated.begins.name}: keep one of them")
            found[dated.begins.at] = dated
        return [found[at] for at in sorted(found)]

    def dated_table(
        self, path: Path, table: dict[str, Any], begins: Beginning | None, head: SectionHeading
    ) -> _DatedTable | None:
        """One dated table of a section; None if it cannot be used."""
        kind = section_type(".".join(map(str, path[:-2])))
        assert kind is not None  # noqa: S101 - only sections that are known are read
        values = self.limits(kind, path, table)
        own = self.optional_text(path, table, "says", head.description)
        # A version that means something else is not described by the head's translation.
        own_zh = self.optional_text(path, table, "says_zh", "" if "says" in table else head.description_zh)
        if begins is None or values is None:
            return None
        return _DatedTable(begins, values, str(table.get("source")), own, own_zh)

    def limits(self, kind: type[Struct], path: Path, table: dict[str, Any]) -> Struct | None:
        """The limits of one dated table; None if they cannot be used."""
        numbers = {key: value for key, value in table.items() if key not in ("source", "says", "says_zh")}
        if not _is_text(table.get("source")):
            self.reject((*path, "source"), "is missing: say by whose word these numbers hold")
        problems = validate(numbers, kind, path)
        self.problems += problems
        return None if problems else msgspec.convert(numbers, kind)

    def beginning(self, text: str, path: Path, zone: ZoneInfo) -> Beginning | None:
        """When a version begins; None if the file does not say it."""
        try:
            return beginning_of(text, zone)
        except ValueError as error:
            self.reject(path, str(error))
            return None


def _optional(found: Iterable[str]) -> Iterator[str]:
    """The sections that may be left out: by kind in the order of OPTIONAL, those of one family as the file has them."""
    names = list(found)
    return (name for pattern in OPTIONAL for name in names if matches(pattern, name))


def _listed(sections: Iterable[str]) -> dict[str, list[str]]:
    """By family: its sections in their order. Those of a pattern such as `permit.*` are a family."""
    families: dict[str, list[str]] = {}
    for name in sections:
        if name not in SECTIONS and "." in name:
            families.setdefault(name.partition(".")[0], []).append(name)
    return families


def _misplaced(name: str, key: str, allowed: Sequence[str]) -> str:
    """The text for a key that does not belong into the head of the section `name`."""
    if is_beginning(key):
        return f"a date stands under from: [{name}.from.{key}]"
    kind = section_type(name)
    if key == "source" or (kind is not None and key in kind.__struct_fields__):
        return f"needs its date: put it under [{name}.from.YYYY-MM-DD]"
    return f"is not known here; {hint(key, allowed)}"


def _versions(tables: Sequence[_DatedTable]) -> list[EffectiveVersion[Any]]:
    """Each dated table from its beginning until that of the next one."""
    ends = [*(table.begins.at for table in tables[1:]), MAX_TIME]
    return [
        EffectiveVersion(
            table.limits,
            table.begins.name,
            table.begins.at,
            until,
            table.citation,
            table.description,
            table.description_zh,
        )
        for table, until in zip(tables, ends, strict=False)
    ]
