"""The strict reader of the routing file: a TOML text becomes a Routing, or every problem with its line and remedy.

time_zone = "Asia/Shanghai"
digest_s = 600
[targets.<name>]     kind = "alertmanager" | "webhook" | "chat", and the keys of that kind
[[routes]]           to = ["<name>", …], and what must match
"""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from vigil.app.domain.rulebook.book import Rulebook
from vigil.app.domain.rulebook.hosts import FAMILIES
from vigil.app.domain.rulebook.toml_positions import Path, TomlPositions
from vigil.app.domain.rulebook.validation import Problem, hint, validate
from vigil.app.domain.rulebook.zones import zone_problem
from vigil.app.kafka.settings import SettingsError
from vigil.app.notify.routes import LINE_KINDS, Route, Routing
from vigil.app.notify.targets import Alertmanager, Chat, Target, Webhook
from vigil.app.notify.urls import url_problem

KINDS: Final[Mapping[str, type[Target]]] = {"alertmanager": Alertmanager, "webhook": Webhook, "chat": Chat}
SECTIONS: Final = ("time_zone", "digest_s", "targets", "routes")
MOVED: Final = {
    "signal_hold_s": "is a number of the rulebook now: signal_hold_s in [incidents.from.DATE]; delete it here",
}
"""Keys of earlier versions, and where they are now."""
MIN_DIGEST_S: Final = 1
MAX_DIGEST_S: Final = 24 * 3600
RESERVED_LABELS: Final = (
    "alertname", "duty", "family", "host_id", "incident", "programme", "ref", "room_id", "rule", "supplier_id",
)  # fmt: skip
"""Labels that Vigil sets itself."""
NEEDED_KINDS: Final = (
    (("duties", "owed_by"), frozenset({"obligation"}), 'has no "obligation", which alone has a duty: add it'),
    (("programmes",), frozenset({"participation"}), 'has no "participation", which alone has a programme: add it'),
    (
        ("statuses", "suppliers"),
        frozenset(LINE_KINDS),
        'has neither "obligation" nor "participation": add one, or use hosts',
    ),
)
"""Conditions, the kinds of which one must be there, and what is said where none is."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

Table = dict[str, object]


class KnownNames(NamedTuple):
    """The names of the rulebook that a route can ask for."""

    rules: Collection[str]
    duties: Collection[str]
    programmes: Collection[str]


def names_of(rulebook: Rulebook) -> KnownNames:
    """Return the names that a rulebook gives to rules of rooms, duties and programmes."""
    named = {section: set[str]() for section in ("due", "programme")}
    for section in rulebook.sections:
        head, _, name = section.partition(".")
        if head in named:
            named[head].add(name)
    return KnownNames(rulebook.families, named["due"], named["programme"])


def load_routing(file: FilePath, names: KnownNames) -> Routing:
    """Read a routing file. Raise SettingsError, a line for each problem."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: not UTF-8 at byte {error.start}: save it as UTF-8 text") from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse_routing(text, str(file), names)


def parse_routing(text: str, name: str, names: KnownNames) -> Routing:
    """Return the Routing of a TOML text; `name` is the file's name in error messages. Raise SettingsError."""
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise SettingsError(f"{name}: not valid TOML: {error}") from error
    if problems := list(_problems(raw, names)):
        raise SettingsError("\n".join(_in_order(text, name, problems)))
    return Routing(
        zone=ZoneInfo(raw.get("time_zone", "UTC")),
        targets={name: msgspec.convert(table, KINDS[table["kind"]]) for name, table in raw["targets"].items()},
        routes=tuple(msgspec.convert(table, Route) for table in raw["routes"]),
        digest_s=raw.get("digest_s", 600),
    )


def _in_order(text: str, name: str, problems: list[Problem]) -> list[str]:
    """Return the problems as messages, sorted by the line that each is on."""
    positions = TomlPositions(text)
    messages = []
    for problem in problems:
        line = _line(text, positions, problem.path)
        place = name if line is None else f"{name}:{line}"
        messages.append((line or 0, f"{place}: {_shown(problem.path)} {problem.text}"))
    return [message for _, message in sorted(messages)]


def _problems(raw: Table, names: KnownNames) -> Iterator[Problem]:
    for key in raw.keys() - set(SECTIONS):
        yield Problem((key,), MOVED.get(key) or f"is not known here; {hint(key, SECTIONS)}")
    if "time_zone" in raw:
        yield from _zone_problems(raw["time_zone"], ("time_zone",))
    yield from _seconds_problems(raw, "digest_s", MIN_DIGEST_S, MAX_DIGEST_S)
    targets = raw.get("targets")
    if not isinstance(targets, dict) or not targets:
        yield Problem(("targets",), "is missing: nobody would be notified; add [targets.NAME] with its kind")
        targets = {}
    for name, table in targets.items():
        yield from _target_problems(name, table)
    routes = raw.get("routes")
    if not isinstance(routes, list) or not routes:
        yield Problem(("routes",), 'is missing: nothing would be sent; add [[routes]] with to = ["NAME"]')
        return
    for index, table in enumerate(routes):
        yield from _route_problems(("routes", index), table, targets, names)
    yield from _repeated_names(routes)


def _repeated_names(routes: list[object]) -> Iterator[Problem]:
    seen: set[object] = set()
    for index, table in enumerate(routes):
        name = table.get("name") if isinstance(table, dict) else None
        if isinstance(name, str) and name in seen:
            yield Problem(("routes", index, "name"), f"{name!r} is another route's name")
        seen.add(name if isinstance(name, str) else None)


def _seconds_problems(raw: Table, key: str, least: int, most: int) -> Iterator[Problem]:
    value = raw.get(key, least)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        yield Problem((key,), f"must be a whole number of seconds from {least} to {most}")


def _target_problems(name: str, table: object) -> Iterator[Problem]:
    path: Path = ("targets", name)
    if not _NAME.fullmatch(name):
        yield Problem(path, "is no name: write small letters, digits and -, at most 60")
    if not isinstance(table, dict):
        yield Problem(path, f"must be a table: [targets.{name}]")
        return
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        remedy = hint(kind, KINDS) if isinstance(kind, str) else f"known here: {', '.join(KINDS)}"
        yield Problem((*path, "kind"), f"{'is missing' if kind is None else f'{kind!r} is not known'}; {remedy}")
        return
    if kind == "chat" and "url" in table:
        yield Problem((*path, "url"), "is not known here: such a URL is a secret: give its name as url_secret")
        return
    problems = validate(table, KINDS[kind], path)
    yield from problems
    if not problems:
        yield from _value_problems(msgspec.convert(table, KINDS[kind]), path)


def _value_problems(target: Target, path: Path) -> Iterator[Problem]:
    """What is wrong with the values of a target whose keys and types are right."""
    match target:
        case Webhook(url=url, url_secret=url_secret):
            if (url is None) == (url_secret is None):
                yield Problem(path, "needs url or url_secret, and not both")
            if url is not None:
                yield from _url_problems(url, (*path, "url"))
        case Alertmanager(urls=urls, labels=labels):
            yield from _console_problems(target.console_url, path)
            for index, url in enumerate(urls):
                yield from _url_problems(url, (*path, "urls", index))
            for label in labels:
                yield from _label_problems(label, (*path, "labels", label))
        case Chat(console_url=console_url):
            yield from _console_problems(console_url, path)


def _console_problems(url: str | None, path: Path) -> Iterator[Problem]:
    if url is not None:
        yield from _url_problems(url, (*path, "console_url"))


def _label_problems(label: str, path: Path) -> Iterator[Problem]:
    if not _LABEL.fullmatch(label) or label in RESERVED_LABELS:
        reserved = ", ".join(RESERVED_LABELS)
        yield Problem(path, f"is no label of yours: write letters, digits and _, and none of {reserved}")


def _url_problems(url: str, path: Path) -> Iterator[Problem]:
    if problem := url_problem(url):
        yield Problem(path, problem)
    elif "@" in urlsplit(url).netloc:
        yield Problem(path, "has a password in it: a URL with secrets belongs into the secrets (url_secret)")


def _route_problems(path: Path, table: object, targets: Mapping[str, object], names: KnownNames) -> Iterator[Problem]:
    problems = validate(table, Route, path)
    yield from problems
    if problems:
        return
    route = msgspec.convert(table, Route)
    named: tuple[tuple[str, tuple[str, ...] | None, Collection[str]], ...] = (
        ("to", route.to, targets),
        ("rules", route.rules, names.rules),
        ("families", route.families, FAMILIES),
        ("duties", route.duties, names.duties),
        ("programmes", route.programmes, names.programmes),
    )
    for key, given, known in named:
        for index, name in enumerate(given or ()):
            if name not in known:
                yield Problem((*path, key, index), f"{name!r} is not known; {hint(name, known)}")
    yield from _contradictions(route, path)
    for index, quiet in enumerate(route.quiet):
        here = (*path, "quiet", index)
        if quiet.from_ == quiet.until:
            yield Problem(here, "begins and ends at one time: to send nothing on a day, leave the route out")
        if quiet.time_zone is not None:
            yield from _zone_problems(quiet.time_zone, (*here, "time_zone"))


def _contradictions(route: Route, path: Path) -> Iterator[Problem]:
    """Conditions that no alert can meet together."""
    for keys, kinds, text in NEEDED_KINDS:
        if any(getattr(route, key) is not None for key in keys) and not kinds.intersection(route.kinds):
            yield Problem((*path, "kinds"), text)
    if route.brake is not None and (route.name is None or "violation" not in route.kinds):
        yield Problem((*path, "brake"), 'needs the kind "violation", and a name for vigil notify release')
    if route.programmes is not None and (route.duties is not None or route.owed_by is not None):
        yield Problem((*path, "programmes"), "an alert has a duty or a programme, not both: write two routes")
    if route.asks_of_rooms and (route.asks_of_lines or set(route.kinds).issubset(LINE_KINDS)):
        yield Problem(path, "asks for what rooms have and for what suppliers' lines have: write two routes")


def _zone_problems(name: object, path: Path) -> Iterator[Problem]:
    if problem := zone_problem(name, "Asia/Shanghai"):
        yield Problem(path, problem)


def _line(text: str, positions: TomlPositions, path: Path) -> int | None:
    """Return the line of a path. What stands in the nth [[routes]] is at its key's own line below that heading."""
    if path[:1] != ("routes",) or len(path) < 2 or not isinstance(path[1], int):
        return positions.line_of(path)
    keys = [str(part) for part in path[2:] if isinstance(part, str)]
    return _line_in_route(text, path[1], keys[0] if keys else None)


def _line_in_route(text: str, index: int, key: str | None) -> int | None:
    heading = None
    current = -1
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r"\s*\[\[\s*routes\s*\]\]", line):
            current += 1
            if current > index:
                break
            heading = number if current == index else None
        elif current == index and key is not None and re.match(rf"\s*{re.escape(key)}\s*=", line):
            return number
    return heading


def _shown(path: Path) -> str:
    if path[:1] == ("targets",) and len(path) > 1:
        table, rest = f"[targets.{path[1]}]", path[2:]
    elif path[:1] == ("routes",) and len(path) > 1:
        table, rest = f"[[routes]] no. {int(path[1]) + 1}", path[2:]
    else:
        table, rest = "", path
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest).removeprefix(".")
    return f"{table} {words}".strip()
