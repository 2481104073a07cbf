"""The strict reader of the routing file: one TOML text in, a Routing out, or every problem with its line and remedy.

time_zone = "Asia/Shanghai"
[targets.<name>]     kind = "alertmanager" | "webhook" | "chat", and what that kind can be told
[[routes]]           to = ["<name>", …], and what must fit
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from vigil.app.domain.rulebook.hosts import FAMILIES
from vigil.app.domain.rulebook.toml_positions import Path, TomlPositions
from vigil.app.domain.rulebook.validation import Problem, hint, validate
from vigil.app.domain.rulebook.zones import zone_problem
from vigil.app.kafka.settings import SettingsError
from vigil.app.notify.routes import Alertmanager, Chat, Route, Routing, Target, Webhook

KINDS: Final[Mapping[str, type[Target]]] = {"alertmanager": Alertmanager, "webhook": Webhook, "chat": Chat}
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
OWN_LABELS: Final = ("alertname", "family", "host_id", "incident", "room_id", "rule")


def load_routing(file: FilePath, rules: Mapping[str, str]) -> Routing:
    """Read a routing file; `rules`: the room rules that there are. Raise SettingsError, a problem a line."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: not UTF-8 at byte {error.start}: save it as UTF-8 text") from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse_routing(text, str(file), rules)


def parse_routing(text: str, name: str, rules: Mapping[str, str]) -> Routing:
    """The Routing of a TOML text; `name` is what the problems call the file. Raise SettingsError."""
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise SettingsError(f"{name}: not valid TOML: {error}") from error
    problems = list(_problems(raw, rules))
    if problems:
        lines = TomlPositions(text)
        told = []
        for problem in problems:
            line = _line(text, lines, problem.path)
            place = name if line is None else f"{name}:{line}"
            told.append((line or 0, f"{place}: {_shown(problem.path)} {problem.text}"))
        raise SettingsError("\n".join(one for _, one in sorted(told)))
    return Routing(
        zone=ZoneInfo(raw.get("time_zone", "UTC")),
        targets={name: msgspec.convert(table, KINDS[table["kind"]]) for name, table in raw["targets"].items()},
        routes=tuple(msgspec.convert(table, Route) for table in raw["routes"]),
    )


def _problems(raw: dict[str, Any], rules: Mapping[str, str]) -> Iterator[Problem]:
    known = ("time_zone", "targets", "routes")
    for key in raw:
        if key not in known:
            yield Problem((key,), f"is not known here; {hint(key, known)}")
    if "time_zone" in raw:
        yield from _zone(raw["time_zone"], ("time_zone",))
    targets = raw.get("targets")
    if not isinstance(targets, dict) or not targets:
        yield Problem(("targets",), "is missing: nobody is there to tell; add [targets.NAME] with its kind")
        targets = {}
    for name, table in targets.items():
        yield from _target(name, table)
    routes = raw.get("routes")
    if not isinstance(routes, list) or not routes:
        yield Problem(("routes",), 'is missing: nothing would be told; add [[routes]] with to = ["NAME"]')
        return
    for index, table in enumerate(routes):
        yield from _route(("routes", index), table, targets, rules)


def _target(name: str, table: Any) -> Iterator[Problem]:
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
    if problems:
        return
    if kind == "webhook" and ("url" in table) == ("url_secret" in table):
        yield Problem(path, "needs url or url_secret, and not both")
    for key in ("url", "console_url"):
        if key in table:
            yield from _url(table[key], (*path, key))
    for index, url in enumerate(table.get("urls", ())):
        yield from _url(url, (*path, "urls", index))
    for label in table.get("labels", {}):
        if not _LABEL.fullmatch(label) or label in OWN_LABELS:
            yield Problem((*path, "labels", label), "is no label of yours: write letters, digits and _, and none of "
                          f"{', '.join(OWN_LABELS)}")  # fmt: skip


def _url(said: str, path: Path) -> Iterator[Problem]:
    words = wrong_url(said)
    if words:
        yield Problem(path, words)
    elif "@" in urlsplit(said).netloc:
        yield Problem(path, "has a password in it: a URL with secrets belongs into the secrets (url_secret)")


def wrong_url(said: str) -> str | None:
    """In words, why this cannot be posted to; None where it can. The words do not repeat it: it may be a secret."""
    try:
        parts = urlsplit(said)
        _ = parts.port
    except ValueError:
        return "is no URL: write https://host/path"
    if parts.scheme not in ("http", "https") or not parts.hostname or any(sign.isspace() for sign in said):
        return "is no URL that can be posted to: write https://host/path"
    return None


def _route(path: Path, table: Any, targets: Mapping[str, Any], rules: Mapping[str, str]) -> Iterator[Problem]:
    problems = validate(table, Route, path)
    yield from problems
    if problems:
        return
    for key, known in (("to", targets), ("rules", rules), ("families", FAMILIES)):
        for index, name in enumerate(table.get(key, ())):
            if name not in known:
                yield Problem((*path, key, index), f"{name!r} is not known; {hint(name, known)}")
    for index, quiet in enumerate(table.get("quiet", ())):
        here = (*path, "quiet", index)
        if quiet["from"] == quiet["until"]:
            yield Problem(here, "begins and ends at one time: to tell nothing on a day, leave the route out")
        if "time_zone" in quiet:
            yield from _zone(quiet["time_zone"], (*here, "time_zone"))


def _zone(said: Any, path: Path) -> Iterator[Problem]:
    if wrong := zone_problem(said, "Asia/Shanghai"):
        yield Problem(path, wrong)


def _line(text: str, lines: TomlPositions, path: Path) -> int | None:
    """The line of a path; of what stands in the nth [[routes]], the key's own line below that heading."""
    if path[:1] != ("routes",) or len(path) < 2 or not isinstance(path[1], int):
        return lines.line_of(path)
    found = -1
    heading = None
    keys = [str(part) for part in path[2:] if isinstance(part, str)]
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r"\s*\[\[\s*routes\s*\]\]", line):
            found += 1
            heading = number if found == path[1] else heading
            if found > path[1]:
                break
        elif found == path[1] and keys and re.match(rf"\s*{re.escape(keys[0])}\s*=", line):
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
