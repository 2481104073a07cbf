"""`vigil backtest`: replays a recording under candidate rulebooks and shows what would change."""

from typing import Any

import click

from vigil.app.cli.backtest_comparison import print_comparison, print_comparison_as_json
from vigil.app.cli.backtest_sweep import print_sweep
from vigil.app.cli.common import OperatorError, jobs_option, lateness_option, read_rulebook, started_jobs
from vigil.app.cli.replay import open_recording
from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.changes import compare_rulebooks
from vigil.app.runtime.interpreter import tune_collector
from vigil.app.runtime.replay_clocks import AllowedLateness
from vigil.app.runtime.whatif.backtest import Point, by_host, point
from vigil.app.runtime.whatif.compare import compare
from vigil.app.runtime.whatif.multi_replay import MultiCandidateReplay
from vigil.app.runtime.whatif.outcome import Outcome
from vigil.app.runtime.whatif.patch import patched, sweep


@click.command(short_help="Compare rulebooks on recorded events.")
@click.argument("events")
@click.option(
    "--base",
    metavar="RULEBOOK",
    help="The rulebook in force. [default: the one published in the recording, or the built-in one]",
)
@click.option("--with", "other", metavar="RULEBOOK", help="The candidate. [default: the built-in one]")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="CHANGE",
    help="Change a number of the candidate, such as absence.lasts_s=240. Repeatable.",
)
@click.option(
    "--sweep", "sweep_spec", metavar="SWEEP", help="Try each value of a number, such as greeting-miss.within_s=8:15."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything that would change as JSON.")
@click.option(
    "--hosts", type=click.IntRange(0), default=20, show_default=True, help="The number of hosts and suppliers to list."
)
@lateness_option
@jobs_option
def backtest(
    events: str,
    base: str | None,
    other: str | None,
    changes: tuple[str, ...],
    sweep_spec: str | None,
    as_json: bool,
    hosts: int,
    lateness: AllowedLateness,
    jobs: int,
) -> None:
    """Show what other rulebooks would have decided about recorded EVENTS.

    \b
    vigil backtest day.jsonl.zst --with candidate.toml           compare two rulebooks
    vigil backtest day.jsonl.zst --set absence.lasts_s=240       change one number
    vigil backtest day.jsonl.zst --sweep greeting-miss.within_s=8:15
    vigil backtest day.jsonl.zst --sweep harassment.similarity=0.8:0.95:0.05

    EVENTS is a recording as for `vigil replay`. It is read once, however many rulebooks are compared. --set and --sweep
    change the rulebook of --with, or that of --base without it.
    """
    recorded, lines = open_recording(events, "replaying")
    in_force = recorded if recorded is not None and base is None else read_rulebook(base)
    # Without --with, --set and --sweep change the rulebook in force.
    start = read_rulebook(other) if other or not (changes or sweep_spec) else in_force
    candidate, candidates = _candidates(start, changes, sweep_spec)
    tune_collector()
    with started_jobs(jobs) as processes:
        run = MultiCandidateReplay(in_force, [book for _, book in candidates], lateness, jobs=processes)
        run.feed(lines)
        was, *outcomes = run.outcomes()
    judged_by = "published" if recorded is in_force else base
    names = {"events": events, "base": _name(judged_by, in_force), "with": _name(other, candidate, changes)}
    if sweep_spec:
        points = [
            _point(value, book.digest == candidate.digest, was, outcome)
            for (value, book), outcome in zip(candidates, outcomes, strict=True)
        ]
        print_sweep(sweep_spec, points, names, as_json)
    elif as_json:
        print_comparison_as_json(names, compare_rulebooks(in_force, candidate), was, outcomes[0])
    else:
        print_comparison(compare_rulebooks(in_force, candidate), was, outcomes[0], hosts)


def _candidates(
    start: Rulebook, changes: tuple[str, ...], sweep_spec: str | None
) -> tuple[Rulebook, list[tuple[int | float, Rulebook]]]:
    """The rulebook after --set, and those to replay: itself, or one for each value of --sweep."""
    try:
        candidate = patched(start, changes) if changes else start
        return candidate, sweep(candidate, sweep_spec) if sweep_spec else [(0, candidate)]
    except RulebookError as error:
        raise OperatorError(str(error)) from error


def _name(file: str | None, book: Rulebook, changes: tuple[str, ...] = ()) -> dict[str, Any]:
    name: dict[str, Any] = {"rulebook": file or "built-in", "digest": book.digest}
    return {**name, "set": list(changes)} if changes else name


def _point(value: int | float, in_force: bool, was: Outcome, outcome: Outcome) -> Point:
    changes = compare(was, outcome)
    return point(value, in_force, outcome, changes, len(by_host(was, outcome, changes)))
