"""What the documents point to is there, and what they list is all of it."""

import re
from pathlib import Path

import pytest

from vigil.app.cli.main import COMMANDS
from vigil.app.console.settings import PREFIX as OF_CONSOLE
from vigil.app.console.settings import ConsoleSettings
from vigil.app.kafka.settings import PREFIX, Settings
from vigil.app.notify.metrics import NotifyMetrics
from vigil.app.notify.routing_file import KINDS
from vigil.app.runtime.metrics_reporter import worker_metrics
from vigil.topics.catalog import TOPICS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    links = [match[1] for match in _LINK.finditer(page.read_text()) if "://" not in match[1]]
    missing = [link for link in links if not link.startswith("mailto:") and not (page.parent / link).exists()]
    assert missing == []


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"vigil {name}" not in text and f"make {name}" not in text] == []


def test_the_readme_names_every_topic_that_comes_in() -> None:
    text = (ROOT / "README.md").read_text()
    assert [topic.name for topic in TOPICS if topic.direction == "in" and f"`{topic.name}`" not in text] == []


OPERATORS = ("security", "operations", "operations-limits", "runbook", "upstream", "dead-letters", "chaos")
"""Pages that somebody reads when something is wrong: each name on them must be one."""

_QUOTED = re.compile(r"`([^`\n]+)`")
_OF_METRICS = ("", "_total", "_bucket", "_count", "_sum")


def names() -> dict[str, set[str]]:
    """What the code has, by kind."""
    registries = (worker_metrics().registry, NotifyMetrics().registry)
    metrics = {metric.name for registry in registries for metric in registry.collect()}
    fields = {name for topic in TOPICS for name in topic.carries.__struct_fields__}
    settings = {*Settings.__struct_fields__, *ConsoleSettings.__struct_fields__}
    routing = {name for kind in KINDS.values() for name in kind.__struct_encode_fields__}
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
    "process_cpu_seconds_total",  # of every Prometheus client
    "runbook_url",  # of an alert
    "key_base64",  # of an export of dead letters
    "deploy/notify/secrets.env",  # an operator's own
}


def kind_of(quoted: str) -> tuple[str, str] | None:
    """What kind of name it is that a page quotes, and the name; None where it is something else."""
    word = re.split(r"[{ =(]", quoted, maxsplit=1)[0]
    if re.fullmatch(r"vigil_[a-z_]+", word):
        return "metric", word
    if re.fullmatch(r"VIGIL_[A-Z_]+", word):
        return "variable", word
    if (told := re.fullmatch(r"(vigil|make) ([a-z-]+).*", quoted)) is not None:
        return "command" if told[1] == "vigil" else "target", told[2]
    if re.fullmatch(r"(tests|tools|app|agents|deploy|dashboards)/[\w/.*-]+", word):
        return "path", word
    if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", word):
        return "setting", word
    return None


@pytest.mark.parametrize("page", OPERATORS)
def test_every_name_that_an_operator_reads_is_one(page: str) -> None:
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


def test_names_are_told_from_words() -> None:
    assert kind_of('vigil_refused_total{reason="late"}') == ("metric", "vigil_refused_total")
    assert kind_of("standbys = 1") is None
    assert kind_of("max_buffered_events") == ("setting", "max_buffered_events")
    assert kind_of("vigil dead-letter list --count") == ("command", "dead-letter")
    assert kind_of("VIGIL_CONFIG") == ("variable", "VIGIL_CONFIG")


def test_every_picture_is_small_and_shown_and_every_one_that_is_shown_is_there() -> None:
    shown = {name for page in PAGES for name in re.findall(r"pictures/([\w-]+\.png)", page.read_text())}
    pictures = {path.name: path.stat().st_size for path in (ROOT / "docs/pictures").iterdir()}
    assert set(pictures) == shown
    assert max(pictures.values()) < 150_000
