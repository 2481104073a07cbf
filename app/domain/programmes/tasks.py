"""One task of a programme as of now: how much there is of it, and since when it is done."""

from collections.abc import Sequence

from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.records import MeasureRecord
from vigil.app.domain.programmes.editions import EditionWindow
from vigil.app.domain.rulebook.programmes import Task
from vigil.topics.programmes import TaskState


def task_state(  # noqa: PLR0913 - a task and its circumstances
    task: Task,
    times: Sequence[int] | None,
    claimed_at: int,
    window: EditionWindow,
    facts: Facts,
    *,
    at_the_end: bool = False,
) -> TaskState:
    """The state of a task, now or at the window's end.

    `times`: when each thing that is counted happened, in order; None for a measure. `at_the_end`: the task must hold at
    the window's last instant; otherwise it is done at the first instant at which it holds.
    """
    until = window.closes if facts.moment.reached(window.closes) else facts.now
    if times is None:
        value, done_at = _measured(task, claimed_at, until, facts, at_the_end)
    else:
        value, done_at = _counted(task, times, claimed_at, until)
    return TaskState(task=task.name, value=value, needs=task.at_least, done_at=done_at)


def _counted(task: Task, times: Sequence[int], claimed_at: int, until: int) -> tuple[float, int | None]:
    """Things that happen and stay: done with the last that is needed."""
    seen = [at for at in times if at <= until]
    needed = int(task.at_least)
    return len(seen), max(claimed_at, seen[needed - 1]) if len(seen) >= needed else None


def _measured(task: Task, claimed_at: int, until: int, facts: Facts, at_the_end: bool) -> tuple[float, int | None]:
    records = [one for one in facts.ledger.measures.get(task.measure or "", ()) if one.at <= until]
    value = records[-1].value if records else 0.0
    since = _holds_since(records, task.at_least) if at_the_end else _first_held(records, task.at_least, claimed_at)
    return value, None if since is None else max(since, claimed_at)


def _holds_since(records: Sequence[MeasureRecord], at_least: float) -> int | None:
    """Since when a measure has been large enough without a break; None if it is not."""
    since = None
    for record in reversed(records):
        if record.value < at_least:
            break
        since = record.at
    return since


def _first_held(records: Sequence[MeasureRecord], at_least: float, claimed_at: int) -> int | None:
    """The first instant from the claim on at which a measure is large enough, or one before at which it became so."""
    since = None
    for record in records:
        if record.at > claimed_at and since is not None:
            break
        since = record.at if record.value >= at_least else None
    return since
