"""`vigil dead-letter`: list dead letters, export them to a file, and send repaired messages again."""

import asyncio
import functools
import heapq
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar, get_args

import click
import msgspec
from rich.text import Text

from vigil.app.cli.common import OperatorError, TimeParam, settings_options
from vigil.app.kafka.dead_letters import (
    DeadLetterFilter,
    DeadLetterRecord,
    RepairedMessage,
    UnrepairedLine,
    check,
    find,
    send,
    to_line,
)
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.observability.terminal import console, escape_control_chars, silence_kafka_logs, table
from vigil.topics.envelope import timestamp
from vigil.topics.fields import Reason

F = TypeVar("F", bound=Callable[..., Any])


def _filters(command: F) -> F:
    """Add the options that select dead letters; the command receives them as a DeadLetterFilter."""

    @functools.wraps(command)
    def with_filter(
        *args: Any,
        topic: str | None,
        reason: Reason | None,
        key: str | None,
        since: int | None,
        until: int | None,
        text: str | None,
        **options: Any,
    ) -> Any:
        return command(*args, wanted=DeadLetterFilter(topic, reason, key, since, until, text), **options)

    for option in (
        click.option("--containing", "text", metavar="TEXT", help="Only messages whose detail contains TEXT."),
        click.option("--until", type=TimeParam(), metavar="TIME", help="Only messages rejected before TIME."),
        click.option(
            "--since",
            type=TimeParam(),
            metavar="TIME",
            help="Only messages rejected at TIME or later: 2h (ago) or ISO 8601.",
        ),
        click.option("--key", metavar="KEY", help="Only messages with this key."),
        click.option(
            "--reason",
            type=click.Choice(get_args(Reason)),
            help="Only messages rejected for this reason.",
        ),
        click.option("--topic", metavar="TOPIC", help="Only messages of this input topic."),
    ):
        option(with_filter)
    return with_filter  # type: ignore[return-value]


@click.group(short_help="Inspect, export and resend dead letters.")
def dead_letter() -> None:
    """Inspect rejected messages, and send repaired ones again.

    \b
    vigil dead-letter list --reason malformed --since 2h    list rejected messages
    vigil dead-letter show comment/3/118                    show one in full
    vigil dead-letter export bad.jsonl --topic comment      export them to a file for repair
    vigil dead-letter resend bad.jsonl                      send the file if every line is valid
    """
    silence_kafka_logs()


@dead_letter.command("list")
@_filters
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most this many, the latest."
)
@click.option("--count", "only_count", is_flag=True, help="Show only their number by topic and reason.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line, as `export` does, without a limit."
)
@settings_options
def list_(settings: Settings, wanted: DeadLetterFilter, limit: int, only_count: bool, as_json: bool) -> None:
    """List rejected messages, the latest last."""
    if as_json:
        out = click.get_binary_stream("stdout")
        _for_each(settings, wanted, lambda letter: out.write(to_line(letter)))
        return
    screen = console()
    counts: Counter[tuple[str, str]] = Counter()
    latest: list[tuple[int, str, DeadLetterRecord]] = []
    """A heap with the earliest message first."""

    def add(letter: DeadLetterRecord) -> None:
        envelope = letter.envelope
        counts[envelope.topic or "unknown", envelope.reason] += 1
        if not only_count:
            # Key and value are dropped to save memory: the list does not show the value.
            bare = DeadLetterRecord(msgspec.structs.replace(envelope, key=None, value=None), letter.key, None)
            heapq.heappush(latest, (envelope.at, letter.place, bare))
            if len(latest) > limit:
                heapq.heappop(latest)

    _for_each(settings, wanted, add)
    if only_count:
        rows = table("topic", "reason", "messages")
        for (topic, reason), number in sorted(counts.items()):
            rows.add_row(escape_control_chars(topic), reason, f"{number:,}")
        screen.print(rows)
        return
    rows = table("place", "rejected at", "reason", "key", "detail")
    for at, place, letter in sorted(latest):
        rows.add_row(
            Text(escape_control_chars(place)),
            timestamp(at)[:19] + "Z",
            letter.envelope.reason,
            Text(_cut(_text(letter.key), 30)),
            Text(_cut(escape_control_chars(letter.envelope.detail), 200)),
        )
    number = counts.total()
    if number:
        screen.print(rows)
    left_out = f", the latest {limit:,} shown (--limit)" if number > limit else ""
    screen.print(f"{number:,} rejected messages{left_out}")


@dead_letter.command()
@click.argument("place")
@click.option("--json", "as_json", is_flag=True, help="Print it as `export` does.")
@settings_options
def show(settings: Settings, place: str, as_json: bool) -> None:
    """Show one rejected message in full. PLACE is its topic/partition/offset."""
    letters: list[DeadLetterRecord] = []
    _for_each(settings, DeadLetterFilter(place=place), letters.append)
    if not letters:
        raise click.UsageError(
            f"no rejected message has the place {place!r}; `vigil dead-letter list` shows the places."
        )
    (letter,) = letters
    if as_json:
        click.get_binary_stream("stdout").write(to_line(letter))
        return
    screen = console()
    for name, value in (
        ("place", letter.place),
        ("rejected at", timestamp(letter.envelope.at)),
        ("reason", letter.envelope.reason),
        ("detail", letter.envelope.detail),
        ("key", _text(letter.key)),
        ("value", _whole(letter)),
    ):
        screen.print(
            Text(f"{name:<11}", style="bold") + Text(value if name in ("key", "value") else escape_control_chars(value))
        )


@dead_letter.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@_filters
@settings_options
def export(settings: Settings, wanted: DeadLetterFilter, file: Path) -> None:
    """Export rejected messages to FILE ("-" for standard output), one JSON object a line.

    A line has "topic", "key" and "value", and for information "place", "reason", "detail" and "at". A value that is
    not JSON is in "text", or in "base64" if it is not UTF-8: replace that by the "value" that was intended.
    """
    number = 0

    def write(letter: DeadLetterRecord) -> None:
        nonlocal number
        out.write(to_line(letter))
        number += 1

    if str(file) == "-":
        out = click.get_binary_stream("stdout")
        _for_each(settings, wanted, write)
    else:
        try:
            with file.open("wb") as out:
                _for_each(settings, wanted, write)
        except OSError as error:
            raise click.UsageError(f"{file} cannot be written: {error.strerror}") from error
    click.echo(f"{number:,} rejected messages written", err=True)


@dead_letter.command()
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Check the file only; send nothing.")
@click.option("--skip", is_flag=True, help="Send the valid lines even if others are not.")
@click.option(
    "--late", "take_late", is_flag=True, help="Also send room events that a live worker would reject as late."
)
@settings_options
def resend(settings: Settings, file: IO[bytes], dry_run: bool, skip: bool, take_late: bool) -> None:
    """Send the messages in FILE ("-" for standard input) to their topics.

    Each line is checked as a worker would check it. If one is invalid, nothing is sent and every invalid line is
    reported. Comments, quotes and payments that were judged before have no second effect. Exits with status 1 if a
    line was invalid.
    """
    valid, invalid = _check(settings, file, take_late)
    name = getattr(file, "name", "-")
    for line in invalid:
        click.echo(f"{name}:{line.number}: {escape_control_chars(line.detail)}", err=True)
    acceptable = skip or not invalid
    if acceptable and not dry_run:
        number, words = _send(settings, valid), "sent"
    else:
        number = len(valid)
        words = "would be sent" if acceptable else "valid; nothing was sent (--skip sends the valid ones)"
    click.echo(f"{number:,} of {len(valid) + len(invalid):,} messages {words}", err=True)
    if invalid:
        sys.exit(1)


def _check(settings: Settings, file: IO[bytes], take_late: bool) -> tuple[list[RepairedMessage], list[UnrepairedLine]]:
    """Return the messages of the valid lines, and the invalid lines."""
    now = wall_ms() if settings.clock == "live" else None
    lines = list(check(file, now, settings, late=take_late))
    valid = [line for line in lines if isinstance(line, RepairedMessage)]
    return valid, [line for line in lines if isinstance(line, UnrepairedLine)]


def _send(settings: Settings, messages: list[RepairedMessage]) -> int:
    try:
        return asyncio.run(send(settings, messages))
    except SettingsError as error:
        raise OperatorError(str(error)) from error


def _for_each(settings: Settings, wanted: DeadLetterFilter, process: Callable[[DeadLetterRecord], object]) -> None:
    """Call `process` for each dead letter that matches; skip other messages of the topic and report them once."""
    first_foreign = ""
    foreign = 0

    def on_foreign(place: str, error: Exception) -> None:
        nonlocal first_foreign, foreign
        foreign += 1
        first_foreign = first_foreign or f"{place} is not a dead letter of Vigil: {error}"

    async def read() -> None:
        async for letter in find(settings, wanted, on_foreign):
            process(letter)

    try:
        asyncio.run(read())
    except SettingsError as error:
        raise OperatorError(str(error)) from error
    if foreign:
        more = f" (and {foreign - 1:,} others)" if foreign > 1 else ""
        text = f"{first_foreign}{more}; skipped. Check which other application writes to this topic."
        click.echo(escape_control_chars(text), err=True)


def _text(raw: bytes | None) -> str:
    """Return bytes from outside as text that is safe in a terminal."""
    return "none" if raw is None else escape_control_chars(raw.decode(errors="backslashreplace"))


def _whole(letter: DeadLetterRecord) -> str:
    """Return the value, indented if it is JSON."""
    if letter.value is None:
        return "none"
    try:
        indented = json.dumps(json.loads(letter.value), ensure_ascii=False, indent=2)
        return "\n" + "\n".join(escape_control_chars(line) for line in indented.split("\n"))
    except (ValueError, RecursionError):
        return _cut(_text(letter.value), 4000)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
