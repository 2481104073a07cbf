"""Links of the documentation lead to existing files, and its lists are complete."""

import re
from pathlib import Path

import pytest

from vigil.app.cli.main import COMMANDS
from vigil.app.console.console_metrics import ConsoleMetrics
from vigil.app.console.settings import PREFIX as OF_CONSOLE
from vigil.app.console.settings import ConsoleSettings
from vigil.app.kafka.settings import PREFIX, Settings
from vigil.app.notify.brakes import Brake
from vigil.app.notify.metrics import NotifyMetrics
from vigil.app.notify.routes import Route
from vigil.app.notify.routing_file import KINDS
from vigil.app.probe.metrics import ProbeMetrics
from vigil.app.runtime.metrics_reporter import worker_metrics
from vigil.topics.catalog import TOPICS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_project_has_a_target(page: Path) -> None:
    links = [match[1] for match in _LINK.finditer(page.read_text()) if "://" not in match[1]]
    missing = [link for link in links if not link.startswith("mailto:") and not (page.parent / link).exists()]
    assert missing == []


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"vigil {name}" not in text and f"make {name}" not in text] == []


def test_the_readme_names_every_input_topic() -> None:
    text = (ROOT / "README.md").read_text()
    assert [topic.name for topic in TOPICS if topic.direction == "in" and f"`{topic.name}`" not in text] == []


OPERATORS = ("security", "operations", "operations-limits", "runbook", "upstream", "dead-letters", "chaos", "probe")
"""Pages for operators, on which every name must exist."""

_QUOTED = re.compile(r"`([^`\n]+)`")
_OF_METRICS = ("", "_total", "_bucket", "_count", "_sum")


def names() -> dict[str, set[str]]:
    """Return the names that exist in the code, by kind."""
    registries = (
        worker_metrics().registry,
        NotifyMetrics().registry,
        ConsoleMetrics().registry,
        ProbeMetrics().registry,
    )
    metrics = {metric.name for registry in registries for metric in registry.collect()}
    fields = {name for topic in TOPICS for name in topic.carries.__struct_fields__}
    settings = {*Settings.__struct_fields__, *ConsoleSettings.__struct_fields__}
    routing = {name for kind in (*KINDS.values(), Route, Brake) for name in kind.__struct_encode_fields__}
    return {
        "metric": {f"{name}{end}" for name in metrics for end in _OF_METRICS},
        "setting": settings | fields | routing,
        "variable": {f"{PREFIX}{name.upper()}" for name in Settings.__struct_fields__}
        | {f"{OF_CONSOLE}{name.upper()}" for name in ConsoleSettings.__struct_fields__}
        | {"VIGIL_CONFIG"},
        "command": set(COMMANDS),
        "target": set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)),
    }


KNOWN = names()
FOREIGN = {
    "process_cpu_seconds_total",  # from the Prometheus client
    "runbook_url",  # an annotation of alerts
    "key_base64",  # a field of exported dead letters
    "ce_source",  # a header of CloudEvents
    "deploy/notify/secrets.env",  # created by operators
}


def kind_of(quoted: str) -> tuple[str, str] | None:
    """Return kind and name of what a page quotes; None if it is not a name."""
    word = re.split(r"[{ =(]", quoted, maxsplit=1)[0]
    if re.fullmatch(r"vigil_[a-z_]+", word):
        return "metric", word
    if re.fullmatch(r"VIGIL_[A-Z_]+", word):
        return "variable", word
    if (match := re.fullmatch(r"(vigil|make) ([a-z-]+).*", quoted)) is not None:
        return "command" if match[1] == "vigil" else "target", match[2]
    if re.fullmatch(r"(tests|tools|app|agents|deploy|dashboards)/[\w/.*-]+", word):
        return "path", word
    if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", word):
        return "setting", word
    return None


@pytest.mark.parametrize("page", OPERATORS)
def test_every_name_on_the_pages_for_operators_exists(page: str) -> None:
    unknown = []
    for quoted in _QUOTED.findall((ROOT / "docs" / f"{page}.md").read_text()):
        found = kind_of(quoted)
        if found is None or found[1] in FOREIGN:
            continue
        kind, name = found
        there = any(ROOT.glob(name.rstrip("/"))) if kind == "path" else name in KNOWN[kind]
        if not there:
            unknown.append(found)
    assert unknown == []


def test_names_are_distinguished_from_words() -> None:
    assert kind_of('vigil_refused_total{reason="late"}') == ("metric", "vigil_refused_total")
    assert kind_of("standbys = 1") is None
    assert kind_of("max_buffered_events") == ("setting", "max_buffered_events")
    assert kind_of("vigil dead-letter list --count") == ("command", "dead-letter")
    assert kind_of("VIGIL_CONFIG") == ("variable", "VIGIL_CONFIG")


def test_every_picture_exists_is_used_and_is_small() -> None:
    shown = {name for page in PAGES for name in re.findall(r"pictures/([\w-]+\.(?:png|svg))", page.read_text())}
    pictures = {path.name: path.stat().st_size for path in (ROOT / "docs/pictures").iterdir()}
    assert set(pictures) == shown
    assert max(pictures.values()) < 150_000
