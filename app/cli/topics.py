"""`vigil topics`: shows which topics exist, are missing or do not fit, with remedies."""

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from vigil.app.cli.common import OperatorError, settings_options
from vigil.app.domain.registry import REGISTRY
from vigil.app.kafka.admin import ensure_topics
from vigil.app.kafka.migration import migrate
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_audit import TopicLine, clean_up, judge, survey
from vigil.app.observability.terminal import console, silence_kafka_logs, table

_STYLES: Final = {"ok": "green", "warn": "yellow", "missing": "yellow", "fail": "bold red"}


@click.command(short_help="List, check or create the topics.")
@settings_options
@click.option("--check", is_flag=True, help="Exit with status 1 unless every topic exists and fits.")
@click.option("--create", is_flag=True, help="Create missing topics as a worker would.")
@click.option("--migrate", "migrates", is_flag=True, help="Create missing topics, and copy what waits in former ones.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def topics(settings: Settings, check: bool, create: bool, migrates: bool, as_json: bool) -> None:
    """Show Vigil's topics on a broker: partitions, clean-up policy, and problems.

    The topics of one subject must have the same number of partitions. --create creates missing topics with the
    number of partitions of their subject, or with the setting `partitions`. Existing topics are not changed.

    --migrate is for an upgrade from a version whose internal topics had no app_id in their names: with all workers
    stopped, it copies what they have not read yet. See docs/operations.md.
    """
    silence_kafka_logs()
    lines = asyncio.run(_look(settings, create=create or migrates, migrates=migrates))
    if as_json:
        click.echo(json.dumps([_plain(line) for line in lines], indent=2))
    else:
        _show(lines)
    if check and any(line.level in ("fail", "missing") for line in lines):
        sys.exit(1)


async def _look(settings: Settings, *, create: bool, migrates: bool) -> list[TopicLine]:
    try:
        if create:
            await ensure_topics(settings, REGISTRY.sources)
        if migrates:
            _report(await migrate(settings))
        found, _ = await survey(settings, REGISTRY.sources)
    except SettingsError as error:
        raise OperatorError(str(error)) from error
    return judge(found, settings, REGISTRY.sources)


def _report(copied: Mapping[str, int]) -> None:
    """Print on standard error how many records were copied from which topic."""
    for topic, number in copied.items():
        click.echo(f"{topic}: {number:,} records copied; it is not read any more and may be deleted", err=True)
    if not copied:
        click.echo("nothing to migrate", err=True)


def _show(lines: list[TopicLine]) -> None:
    out, rows = console(), table("topic", "", "shards", "partitions", "clean-up", "")
    for line in lines:
        rows.add_row(*_cells(line))
    out.print(rows)
    _print_findings(out, lines)
    missing = sum(line.level == "missing" for line in lines)
    if missing:
        out.print(f"{missing} of {len(lines)} topics are missing: vigil topics --create creates them.")


def _cells(line: TopicLine) -> list[str | Text]:
    partitions, policy = "", ""
    if line.found is not None:
        partitions = f"{line.found.partitions}, {_replicas(line.found.replicas)}"
        policy = "unknown" if line.found.config is None else clean_up(line.found.config)
        policy = policy or (line.clean_up and "the broker's default")
    level = Text(line.level, style=_STYLES[line.level])
    return [line.topic, line.kind, line.subject or "", partitions, policy, level]


def _print_findings(out: Console, lines: list[TopicLine]) -> None:
    """Print each finding and its remedy once: topics of one subject share some."""
    printed = set()
    for line in lines:
        for finding in line.findings:
            if finding.level != "missing" and finding not in printed:
                printed.add(finding)
                where = "" if finding.words.startswith("the topics of") else f"{line.topic}: "
                out.print(Text(f"{finding.level}: ", style=_STYLES[finding.level]) + f"{where}{finding.words}")
                out.print(Text(f"      {finding.remedy}"), soft_wrap=True)


def _replicas(number: int) -> str:
    return "1 replica" if number == 1 else f"{number} replicas"


def _plain(line: TopicLine) -> dict[str, Any]:
    found = line.found
    return {
        "topic": line.topic,
        "kind": line.kind,
        "shards": line.subject,
        "level": line.level,
        "partitions": None if found is None else found.partitions,
        "replicas": None if found is None else found.replicas,
        "config": None if found is None or found.config is None else dict(found.config),
        "wanted": line.clean_up or None,
        "findings": [finding._asdict() for finding in line.findings],
    }
