"""Runs scenarios: fetch, events, replay, recount; and the rows of the table that come of it."""

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from tools.packages import fetched
from tools.reality.events import RealLine, by_time, written
from tools.reality.recount import Compared, recounted
from tools.reality.replays import replayed
from tools.reality.scenario import Scenario, Variant


class ScenarioRun(NamedTuple):
    """One replay of a scenario, and its comparisons."""

    scenario: Scenario
    variant: Variant
    events: dict[str, int]
    """Number by topic."""
    compared: list[Compared]


def runs(scenario: Scenario, work: Path, every: int = 1) -> Iterator[ScenarioRun]:
    """Run all replays of a scenario in a folder; `every`: only every nth room or supplier."""
    lines = by_time(scenario.events(fetched(scenario.package), every))
    for number, variant in enumerate(scenario.variants):
        recording = work / f"{scenario.name}-{number}.jsonl"
        outputs = work / f"{scenario.name}-{number}"
        numbers = written(first_part(lines, variant.share), recording)
        replayed(recording, outputs, variant)
        compared = recounted(recording, outputs, scenario.scripts, {"within_ms": variant.within_s * 1000})
        yield ScenarioRun(scenario, variant, numbers, compared)


def first_part(lines: list[RealLine], share: float) -> Iterator[RealLine]:
    """The lines of the first part of the time between the first and the last one."""
    until = lines[0].at + (lines[-1].at - lines[0].at) * share
    return takewhile(lambda line: line.at <= until, lines)
