"""`vigil dead-letter`: look at refused messages, write them to a file, and send what was repaired."""

import asyncio
import functools
import heapq
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import click
import msgspec
from rich.text import Text

from vigil.app.cli.common import OperatorError, settings_options
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

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class _When(click.ParamType):
    """A time: ISO 8601 with an offset, or how long ago, such as 90s, 10m, 2h, 3d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        ago = re.fullmatch(r"(\d{1,6})([smhd])", value)
        if ago:
            past = timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            return wall_ms() - round(past.total_seconds() * 1000)
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            when = None
        if when is None or when.tzinfo is None:
            self.fail(f"{value!r} is no time: write 2h for two hours ago, or 2022-09-01T16:00:00Z.", param, ctx)
        return round(when.timestamp() * 1000)


def _filters(command: F) -> F:
    """Options that choose letters, given to the command as a DeadLetterFilter."""

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
        click.option("--containing", "text", metavar="TEXT", help="Only those whose detail contains TEXT."),
        click.option("--until", type=_When(), metavar="TIME", help="Only those refused before TIME."),
        click.option(
            "--since", type=_When(), metavar="TIME", help="Only those refused at TIME or later: 2h, or ISO 8601."
        ),
        click.option("--key", metavar="KEY", help="Only those with this key."),
        click.option(
            "--reason", type=click.Choice(["malformed", "late", "unknown-verdict"]), help="Only for this reason."
        ),
        click.option("--topic", metavar="TOPIC", help="Only those that came in by this topic."),
    ):
        option(with_filter)
    return with_filter  # type: ignore[return-value]


@click.group()
def dead_letter() -> None:
    """Look at the messages that were refused, and send again what was repaired.

    \b
    vigil dead-letter list --reason malformed --since 2h    what was refused, and why
    vigil dead-letter show comment/3/118                    one of them, in full
    vigil dead-letter export bad.jsonl --topic comment      to a file, to be repaired there
    vigil dead-letter resend bad.jsonl                      send it, if all of it is good now
    """
    silence_kafka_logs()


@dead_letter.command("list")
@_filters
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, the latest.")
@click.option("--count", "only_count", is_flag=True, help="Only how many there are, by topic and reason.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, as `export` writes it; no limit.")
@settings_options
def list_(settings: Settings, wanted: DeadLetterFilter, limit: int, only_count: bool, as_json: bool) -> None:
    """List refused messages, the latest last."""
    if as_json:
        out = click.get_binary_stream("stdout")
        _each(settings, wanted, lambda letter: out.write(to_line(letter)))
        return
    screen = console()
    counts: Counter[tuple[str, str]] = Counter()
    latest: list[tuple[int, str, DeadLetterRecord]] = []
    """A heap: the earliest first."""

    def take(letter: DeadLetterRecord) -> None:
        counts[letter.said.topic or "unknown", letter.said.reason] += 1
        if not only_count:
            # Without the message: it is not shown.
            bare = DeadLetterRecord(msgspec.structs.replace(letter.said, key=None, value=None), letter.key, None)
            heapq.heappush(latest, (letter.said.at, letter.place, bare))
            if len(latest) > limit:
                heapq.heappop(latest)

    _each(settings, wanted, take)
    if only_count:
        rows = table("topic", "reason", "messages")
        for (topic, reason), number in sorted(counts.items()):
            rows.add_row(escape_control_chars(topic), reason, f"{number:,}")
        screen.print(rows)
        return
    rows = table("place", "refused at", "reason", "key", "detail")
    for at, place, letter in sorted(latest):
        rows.add_row(
            Text(escape_control_chars(place)),
            timestamp(at)[:19] + "Z",
            letter.said.reason,
            Text(_cut(_text(letter.key), 30)),
            Text(_cut(escape_control_chars(letter.said.detail), 200)),
        )
    number = counts.total()
    if number:
        screen.print(rows)
    left_out = f", the latest {limit:,} shown (--limit)" if number > limit else ""
    screen.print(f"{number:,} refused messages{left_out}")


@dead_letter.command()
@click.argument("place")
@click.option("--json", "as_json", is_flag=True, help="As `export` writes it.")
@settings_options
def show(settings: Settings, place: str, as_json: bool) -> None:
    """Show one refused message in full: PLACE is its topic/partition/offset."""
    letters: list[DeadLetterRecord] = []
    _each(settings, DeadLetterFilter(place=place), letters.append)
    if not letters:
        raise click.UsageError(f"no refused message stood at {place!r}; `vigil dead-letter list` shows the places.")
    (letter,) = letters
    if as_json:
        click.get_binary_stream("stdout").write(to_line(letter))
        return
    screen = console()
    for name, told in (
        ("place", letter.place),
        ("refused at", timestamp(letter.said.at)),
        ("reason", letter.said.reason),
        ("detail", letter.said.detail),
        ("key", _text(letter.key)),
        ("value", _whole(letter)),
    ):
        screen.print(
            Text(f"{name:<11}", style="bold") + Text(told if name in ("key", "value") else escape_control_chars(told))
        )


@dead_letter.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@_filters
@settings_options
def export(settings: Settings, wanted: DeadLetterFilter, file: Path) -> None:
    """Write refused messages to FILE ("-": standard output), one JSON object a line.

    A line has "topic", "key" and "value", and for people "place", "reason", "detail" and "at". Where the value is no
    JSON it has "text", or "base64" where it is no text: replace that by the "value" that was meant.
    """
    number = 0

    def write(letter: DeadLetterRecord) -> None:
        nonlocal number
        out.write(to_line(letter))
        number += 1

    if str(file) == "-":
        out = click.get_binary_stream("stdout")
        _each(settings, wanted, write)
    else:
        try:
            with file.open("wb") as out:
                _each(settings, wanted, write)
        except OSError as error:
            raise click.UsageError(f"{file} cannot be written: {error.strerror}") from error
    click.echo(f"{number:,} refused messages written", err=True)


@dead_letter.command()
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Only check.")
@click.option("--skip", is_flag=True, help="Send the good lines though others are bad.")
@click.option("--late", "take_late", is_flag=True, help="Send room events too that a live worker takes for late.")
@settings_options
def resend(settings: Settings, file: IO[bytes], dry_run: bool, skip: bool, take_late: bool) -> None:
    """Send the messages in FILE ("-": standard input) to the topics that they were meant for.

    Each line is checked as a worker would: while one is bad, nothing is sent, and each bad line is told. Comments,
    quotes and payments that were judged before have no second effect. Exits with 1 where a line was bad.
    """
    now = wall_ms() if settings.clock == "live" else None
    told = list(check(file, now, None if take_late else settings.allowed_lateness_ms))
    bad = [one for one in told if isinstance(one, UnrepairedLine)]
    good = [one for one in told if isinstance(one, RepairedMessage)]
    name = getattr(file, "name", "-")
    for one in bad:
        click.echo(f"{name}:{one.number}: {escape_control_chars(one.detail)}", err=True)
    if dry_run or (bad and not skip):
        words = (
            "would be sent" if dry_run and (skip or not bad) else "good: nothing was sent (--skip sends the good ones)"
        )
        click.echo(f"{len(good):,} of {len(told):,} messages {words}", err=True)
    else:
        try:
            number = asyncio.run(send(settings, good))
        except SettingsError as error:
            raise OperatorError(str(error)) from error
        click.echo(f"{number:,} of {len(told):,} messages sent", err=True)
    if bad:
        sys.exit(1)


def _each(settings: Settings, wanted: DeadLetterFilter, take: Callable[[DeadLetterRecord], object]) -> None:
    """Give each letter meant to `take`; tell what in the topic is none, and go on."""
    strangers: list[str] = []
    others = 0

    def stranger(place: str, error: Exception) -> None:
        nonlocal others
        if strangers:
            others += 1
        else:
            strangers.append(f"{place} is not a message of Vigil's: {error}")

    async def read() -> None:
        async for letter in find(settings, wanted, stranger):
            take(letter)

    try:
        asyncio.run(read())
    except SettingsError as error:
        raise OperatorError(str(error)) from error
    for told in strangers:
        more = f", nor are {others:,} others" if others else ""
        click.echo(escape_control_chars(f"{told}{more}; left out; who else writes there?"), err=True)


def _text(raw: bytes | None) -> str:
    """Bytes of others for a terminal."""
    return "none" if raw is None else escape_control_chars(raw.decode(errors="backslashreplace"))


def _whole(letter: DeadLetterRecord) -> str:
    """The value, laid out where it is JSON."""
    if letter.value is None:
        return "none"
    try:
        laid_out = json.dumps(json.loads(letter.value), ensure_ascii=False, indent=2)
        return "\n" + "\n".join(escape_control_chars(line) for line in laid_out.split("\n"))
    except (ValueError, RecursionError):
        return _cut(_text(letter.value), 4000)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
