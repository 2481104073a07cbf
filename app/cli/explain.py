"""`vigil explain`: explains one verdict, from the output of a replay or from the topics."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import click
import msgspec
from rich.console import Console
from rich.text import Text

from vigil.app.cli.common import settings_options, shared_rulebook_option
from vigil.app.cli.replay import UnreadableError, lines_with_progress
from vigil.app.domain.rulebook import Rulebook
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.messages import published_sentence
from vigil.app.observability.terminal import console, escape_control_chars, silence_kafka_logs, table
from vigil.app.runtime.whatif.explain import Explanation, chosen
from vigil.app.runtime.whatif.explain import explain as explained
from vigil.app.runtime.whatif.local_time import Clock
from vigil.app.runtime.whatif.sources import Published, UnreadableOutput, published_in, published_on, raws_of, raws_on
from vigil.app.runtime.whatif.story import Raw
from vigil.topics.verdicts import Verdict

_SHORTEST: Final = 6
"""Digits of a verdict id that must be given at least."""


@click.command(short_help="Explain a verdict.")
@click.argument("verdict_id")
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Output folder of `vigil replay`. [default: read the topics]",
)
@click.option("--events", metavar="EVENTS", help="With --from: the recording that was replayed, for the timeline.")
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
@settings_options
@shared_rulebook_option
def explain(
    settings: Settings, rulebook: Rulebook, verdict_id: str, folder: Path | None, events: str | None, as_json: bool
) -> None:
    """Explain a verdict: what happened, the limits and their source, what would have prevented it, what follows.

    \b
    vigil explain 4f1c0a… --from replayed --events day.jsonl.zst    from a replay, with a timeline
    vigil explain 4f1c0a… --broker kafka:9092                       from the topics

    VERDICT_ID may be shortened to its first digits if they identify one verdict. --rulebook is the one that judged.
    """
    if events is not None and folder is None:
        raise click.UsageError("--events requires --from: without it, the events are read from the topics.")
    if len(verdict_id) < _SHORTEST:
        raise click.UsageError(f"VERDICT_ID: give at least {_SHORTEST} digits.")
    if folder is not None:
        found = _in_folder(folder, verdict_id, events)
    else:
        silence_kafka_logs()
        found = asyncio.run(_on_topics(settings, verdict_id))
    published, verdict, raws, expired = found
    own = [each for each in published.verdicts if each.host_id == verdict.host_id]
    actions = [each for each in published.actions if each.host_id == verdict.host_id]
    explanation = explained(verdict, own, actions, rulebook, raws)
    clock = Clock(rulebook)
    gone = [
        f"{topic} no longer has all messages from before {clock.full(before)}: its retention has deleted them."
        for topic, before in expired.items()
    ]
    caveats = [*explanation.caveats, *gone, *published.foreign.lines()]
    explanation = msgspec.structs.replace(explanation, caveats=caveats)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(explanation), indent=2))  # ASCII only: safe in a terminal
        return
    _print(console(), explanation, rulebook, raws is not None)


class _Found(NamedTuple):
    """What there is to explain a verdict by."""

    published: Published
    verdict: Verdict
    raws: list[Raw] | None
    """The events of its room; None without a recording of them."""
    expired: dict[str, int]
    """The topics that do not go back far enough, with the time (ms) before which messages were deleted."""


def _in_folder(folder: Path, verdict_id: str, events: str | None) -> _Found:
    """What a replay wrote, and what stands in the recording `events`."""
    try:
        published = published_in(folder)
    except UnreadableOutput as error:
        raise UnreadableError(str(error)) from error
    verdict = _choose(published, verdict_id, f"{folder}")
    if events is None:
        return _Found(published, verdict, None, {})
    lines = lines_with_progress(events, "searching for the room")
    return _Found(published, verdict, list(raws_of(lines, verdict.room_id, published.rejected)), {})


async def _on_topics(settings: Settings, verdict_id: str) -> _Found:
    try:
        published = await published_on(settings)
        verdict = _choose(published, verdict_id, f"the topic verdict on {settings.broker}")
        return _Found(published, verdict, *await raws_on(settings, verdict, published.foreign))
    except SettingsError as error:
        raise UnreadableError(str(error)) from error


def _choose(published: Published, verdict_id: str, where: str) -> Verdict:
    found = {verdict.verdict_id: verdict for verdict in chosen(published.verdicts, verdict_id)}
    if not found:
        raise click.ClickException(
            f"no verdict {escape_control_chars(verdict_id)} among the {len(published.verdicts):,} in {where}"
        )
    if len(found) > 1:
        raise click.ClickException(f"{len(found):,} verdicts in {where} begin with {verdict_id}: give more digits")
    return next(iter(found.values()))


def _print(out: Console, explanation: Explanation, rulebook: Rulebook, with_timeline: bool) -> None:
    clock = Clock(rulebook)
    verdict = explanation.verdict

    def title(words: str) -> None:
        out.print()
        out.print(words, style="bold")

    def line(words: str, style: str = "") -> None:
        out.print(Text(f"  {escape_control_chars(words)}", style=style), soft_wrap=not out.is_terminal)

    out.print(Text(f"Verdict {escape_control_chars(verdict.verdict_id)}", style="bold"))
    line(explanation.happened)
    for caveat in explanation.caveats:
        line(caveat, "yellow")
    title("Limits and their source")
    _print_limits(line, explanation)
    title("Evidence")
    for each in explanation.evidence:
        line(f"{clock(each.at)}  {each.topic}  {published_sentence(each, 'en')}")
    if with_timeline and explanation.timeline:
        title("Timeline")
        _print_timeline(out, explanation, clock)
    if explanation.prevented:
        title("What would have prevented it")
        for words in explanation.prevented:
            line(words)
    title("Place in the ladder")
    _print_ladder(line, explanation, clock)
    title("What follows")
    for words in explanation.follows:
        line(words)


def _print_limits(line: Callable[..., None], explanation: Explanation) -> None:
    limits = explanation.limits
    if limits is None:
        return
    until = f" until {limits.until}" if limits.until else ""
    line(limits.says)
    line(", ".join(f"{name}: {words}" for name, words in limits.numbers.items()))
    line(f"in force since {limits.effective}{until} ({explanation.time_zone}); {limits.source}")


def _print_timeline(out: Console, explanation: Explanation, clock: Clock) -> None:
    grid = table("when", "", "what")
    occurred = False

    def add_violation() -> None:
        grid.add_row(
            clock(explanation.verdict.at), "▶", Text(f"the violation: {explanation.verdict.rule}", style="bold red")
        )

    for moment in explanation.timeline:
        if moment.at > explanation.verdict.at and not occurred:
            add_violation()
            occurred = True
        when = clock(moment.at) if moment.until is None else f"{clock(moment.at)} – {clock(moment.until)}"
        style = "" if moment.evidence else "dim"
        grid.add_row(when, "●" if moment.evidence else "", Text(escape_control_chars(moment.words), style=style))
    if not occurred:
        add_violation()
    out.print(grid)
    out.print("  ● evidence of the verdict", style="dim")


def _print_ladder(line: Callable[..., None], explanation: Explanation, clock: Clock) -> None:
    ladder = explanation.ladder
    if ladder.count is None:
        line(f"It does not count: {'it was overturned' if explanation.action else ladder.window}.")
        return
    line(f"Number {ladder.count} of the family {ladder.family} (window: {ladder.window}): {ladder.rung}")
    for each in ladder.counted:
        line(f"after {each.rule} on {clock.full(each.at)} in room {each.room_id} ({each.verdict_id})")
