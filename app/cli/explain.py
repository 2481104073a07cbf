"""`vigil explain`: one verdict, from a replay's output or from the topics, in words."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.text import Text

from vigil.app.cli.common import rulebook_option, settings_options
from vigil.app.cli.replay import UnreadableError, lines_with_progress
from vigil.app.domain.rulebook import Rulebook
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.observability.terminal import console, escape_control_chars, silence_kafka_logs, table
from vigil.app.runtime.whatif.explain import Clock, Explanation, chosen
from vigil.app.runtime.whatif.explain import explain as explained
from vigil.app.runtime.whatif.sources import Published, UnreadableOutput, published_in, published_on, raws_of, raws_on
from vigil.app.runtime.whatif.story import Raw
from vigil.topics.verdicts import Verdict

_SHORTEST: Final = 6
"""A verdict may be named by so many first digits of its identity."""


@click.command()
@click.argument("verdict_id")
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="What `vigil replay` wrote; without it, the topics are read.",
)
@click.option("--events", metavar="EVENTS", help="The recording that was replayed, for the timeline; with --from.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@rulebook_option
@settings_options
def explain(
    settings: Settings, rulebook: Rulebook, verdict_id: str, folder: Path | None, events: str | None, as_json: bool
) -> None:
    """Explain a verdict: what happened, by which limits and whose word, what prevents it, and what follows.

    \b
    vigil explain 4f1c0a… --from replayed --events day.jsonl.zst    from a replay, with the timeline
    vigil explain 4f1c0a… --broker kafka:9092                       from the topics

    VERDICT_ID may be cut to its first digits where that names one verdict. --rulebook names the rulebook that judged.
    """
    if events is not None and folder is None:
        raise click.UsageError("--events belongs to --from: without it, the events are read from the topics.")
    if len(verdict_id) < _SHORTEST:
        raise click.UsageError(f"VERDICT_ID: give at least {_SHORTEST} of its digits.")
    raws: list[Raw] | None
    if folder is not None:
        published = _in_folder(folder)
        verdict = _choose(published, verdict_id, f"{folder}")
        raws = None
        if events is not None:
            lines = lines_with_progress(events, "looking for the room")
            raws = list(raws_of(lines, verdict.room_id, published.late))
    else:
        silence_kafka_logs()
        published, verdict, raws = asyncio.run(_on_topics(settings, verdict_id))
    own = [each for each in published.verdicts if each.host_id == verdict.host_id]
    actions = [each for each in published.actions if each.host_id == verdict.host_id]
    told = explained(verdict, own, actions, rulebook, raws)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(told), indent=2))  # every sign beyond ASCII is written out
        return
    _tell(console(), told, rulebook, raws is not None)


def _in_folder(folder: Path) -> Published:
    try:
        return published_in(folder)
    except UnreadableOutput as error:
        raise UnreadableError(str(error)) from error


async def _on_topics(settings: Settings, verdict_id: str) -> tuple[Published, Verdict, list[Raw]]:
    try:
        published = await published_on(settings)
        verdict = _choose(published, verdict_id, f"the topic verdict on {settings.broker}")
        return published, verdict, await raws_on(settings, verdict)
    except SettingsError as error:
        raise UnreadableError(str(error)) from error


def _choose(published: Published, verdict_id: str, where: str) -> Verdict:
    found = {verdict.verdict_id: verdict for verdict in chosen(published.verdicts, verdict_id)}
    if not found:
        raise click.ClickException(
            f"no verdict {escape_control_chars(verdict_id)} in {where}, which has {len(published.verdicts):,}"
        )
    if len(found) > 1:
        raise click.ClickException(
            f"{len(found):,} verdicts in {where} begin with {verdict_id}: give more of its digits"
        )
    return next(iter(found.values()))


def _tell(out: Console, told: Explanation, rulebook: Rulebook, with_timeline: bool) -> None:
    clock = Clock(rulebook)
    verdict = told.verdict

    def title(words: str) -> None:
        out.print()
        out.print(words, style="bold")

    def line(words: str, style: str = "") -> None:
        out.print(Text(f"  {escape_control_chars(words)}", style=style), soft_wrap=not out.is_terminal)

    out.print(Text(f"Verdict {escape_control_chars(verdict.verdict_id)}", style="bold"))
    line(told.happened)
    for caveat in told.caveats:
        line(caveat, "yellow")
    title("Which limits, since when, by whose word")
    if told.limits is not None:
        until = f" until {told.limits.until}" if told.limits.until else ""
        line(told.limits.says)
        line(", ".join(f"{name}: {words}" for name, words in told.limits.numbers.items()))
        line(f"in force since {told.limits.effective}{until} ({told.time_zone}); {told.limits.source}")
    title("Evidence")
    for each in told.evidence:
        line(f"{clock(each.at)}  {each.topic}  {each.note}")
    if with_timeline and told.timeline:
        title("Timeline")
        _tell_timeline(out, told, clock)
    if told.prevented:
        title("What would have prevented it")
        for words in told.prevented:
            line(words)
    title("Which count in the ladder")
    _tell_ladder(line, told, clock)
    title("What follows")
    for words in told.follows:
        line(words)


def _tell_timeline(out: Console, told: Explanation, clock: Clock) -> None:
    made = table("when", "", "what")
    occurred = False

    def occur() -> None:
        made.add_row(clock(told.verdict.at), "▶", Text(f"the violation: {told.verdict.rule}", style="bold red"))

    for moment in told.timeline:
        if moment.at > told.verdict.at and not occurred:
            occur()
            occurred = True
        when = clock(moment.at) if moment.until is None else f"{clock(moment.at)} – {clock(moment.until)}"
        style = "" if moment.evidence else "dim"
        made.add_row(when, "●" if moment.evidence else "", Text(escape_control_chars(moment.words), style=style))
    if not occurred:
        occur()
    out.print(made)
    out.print("  ● the verdict rests on it", style="dim")


def _tell_ladder(line: Callable[..., None], told: Explanation, clock: Clock) -> None:
    ladder = told.ladder
    if ladder.count is None:
        line(f"It does not count: {'it was overturned' if told.action else ladder.window}.")
        return
    line(f"Number {ladder.count} of the family {ladder.family} (window: {ladder.window}): {ladder.rung}")
    for each in ladder.counted:
        line(f"after {each.rule} on {clock.full(each.at)} in room {each.room_id} ({each.verdict_id})")
