"""`vigil rules publish` and `vigil rules history`: the rulebooks that a group takes over while it runs."""

import asyncio
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from vigil.app.cli.common import OperatorError, settings_options
from vigil.app.cli.rules_changes import clean, print_differences, print_json, rules_console
from vigil.app.domain.rulebook import RulebookError
from vigil.app.domain.rulebook.changes import compare_rulebooks
from vigil.app.domain.rulebook.history import RulebookHistory, RulebookRecord
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.observability.terminal import silence_kafka_logs, table
from vigil.app.runtime.rulebooks.history_file import lines_of
from vigil.app.runtime.rulebooks.log import read_history
from vigil.app.runtime.rulebooks.publish import Prepared, PublicationRefused, prepare
from vigil.app.runtime.rulebooks.publish import publish as publish_prepared


class RefusedError(click.ClickException):
    """A publication that was refused; exit status 1."""

    exit_code = 1


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user, as in some containers
        return "unknown"


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@settings_options
@click.option("--by", default=_user, metavar="NAME", help="Who publishes it. [default: the user of this machine]")
@click.option("--check", "only_check", is_flag=True, help="Check it and show the changes, but publish nothing.")
def publish(file: Path, settings: Settings, by: str, only_check: bool) -> None:
    """Publish the rulebook FILE to workers that run.

    Shows what changes and whom it concerns. Everything that differs has to begin `rulebook_notice_ms` after the
    publication at the earliest, and nobody may have published another rulebook meanwhile. Workers, standbys and the
    console take it over without a restart. To withdraw a change, publish another.
    """
    silence_kafka_logs()
    try:
        prepared = asyncio.run(prepare(settings, file, by))
        print_differences(compare_rulebooks(prepared.replaces, prepared.book), prepared.replaces.digest[:12])
        if only_check:
            click.echo("It may be published.")
            return
        offset = asyncio.run(publish_prepared(settings, prepared))
    except PublicationRefused as refused:
        raise RefusedError(str(refused)) from refused
    except (RulebookError, SettingsError) as error:
        raise OperatorError(str(error)) from error
    click.echo(_published(prepared, offset))


def _published(prepared: Prepared, offset: int) -> str:
    message = prepared.messages[-1]
    begins = (
        "nothing that is judged changes"
        if message.begins is None
        else f"the first change begins {_time(message.begins)}"
    )
    return f"Published {message.digest[:12]} (offset {offset}) by {message.by}; {begins}."


@click.command()
@settings_options
@click.option("--refused", is_flag=True, help="Also show what was published and does not count.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--export",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    metavar="FILE",
    help="Write all of it to a file of JSON lines, for `vigil replay --rulebook-history`.",
)
def history(settings: Settings, refused: bool, as_json: bool, export: Path | None) -> None:
    """Show who published which rulebook, and when."""
    silence_kafka_logs()
    try:
        found = asyncio.run(read_history(settings))
    except SettingsError as error:
        raise OperatorError(str(error)) from error
    if export is not None:
        export.write_bytes(b"".join(lines_of(found)))
    if as_json:
        print_json({"published": [_plain(each) for each in found.entries], "refused": _refused(found)})
        return
    if not found.entries:
        click.echo("No rulebook was published: each worker has its own file.")
    else:
        _print_history(found, refused=refused)


def _print_history(found: RulebookHistory, *, refused: bool) -> None:
    console, rows = rules_console(), table("published", "by", "digest", "replaces", "first change", "")
    refusals = {each.offset: each for each in found.refusals} if refused else {}
    shown = [*found.entries, *(each.published for each in refusals.values() if each.published is not None)]
    for each in sorted(shown):
        body, refusal = each.body, refusals.get(each.offset)
        note = "newest" if each is found.newest else "" if refusal is None else f"{refusal.reason}: {refusal.text}"
        begins = "–" if body.begins is None else _time(body.begins)
        cells = (_time(each.published_at), body.by, body.digest[:12], body.parent[:12] or "–", begins, note)
        rows.add_row(*map(clean, cells))
    console.print(rows)


def _plain(each: RulebookRecord) -> dict[str, Any]:
    return {"offset": each.offset, "published_at": each.published_at, **msgspec.to_builtins(each.body)}


def _refused(found: RulebookHistory) -> list[dict[str, Any]]:
    return [{"offset": each.offset, "reason": each.reason, "text": each.text} for each in found.refusals]


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
