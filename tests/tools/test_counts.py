"""What each kind of event costs is recorded, and a change of more than 3 % is noticed."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import counts
from benchmarks.counting.tracer import Cost, counted

FRAME = "frame, same picture"


@pytest.mark.ci
def test_no_kind_of_event_costs_more_than_is_recorded_or_less() -> None:
    """In a process of its own: what other tests have loaded would be missing from the counts."""
    command = [sys.executable, "-m", "benchmarks", "counts", "--check"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    if result.returncode == counts.NOT_RECORDED:
        pytest.skip(result.stdout.strip())
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "now, problem",
    [
        (Cost(103, 10, 1000), None),
        (Cost(97, 10, 1000), None),
        (Cost(104, 10, 1000), "calls are recorded, and now there are 104.00: dearer"),
        (Cost(96, 10, 1000), "calls are recorded, and now there are 96.00: cheaper"),
        (Cost(100, 10, 1031), "instructions are recorded, and now there are 1,031.00: dearer"),
        (Cost(100, 9, 1000), "c_calls are recorded, and now there are 9.00: cheaper"),
    ],
)
def test_a_kind_may_differ_by_3_percent(now: Cost, problem: str | None) -> None:
    found = counts.differences({FRAME: now}, {FRAME: Cost(100, 10, 1000)})
    assert len(found) == (problem is not None)
    if problem:
        assert problem in found[0] and found[0].startswith(FRAME) and "make counts" in found[0]


def test_what_is_rare_may_differ_by_a_twentieth_of_a_call() -> None:
    assert counts.differences({FRAME: Cost(0.45, 0, 3)}, {FRAME: Cost(0.41, 0, 3)}) == []
    assert counts.differences({FRAME: Cost(0.47, 0, 3)}, {FRAME: Cost(0.41, 0, 3)}) != []


def test_a_new_kind_and_one_that_is_gone_ask_for_a_renewal() -> None:
    found = counts.differences({"entry": Cost(1, 1, 1)}, {FRAME: Cost(1, 1, 1)})
    assert [text.split(";")[0] for text in found] == ["entry: not recorded yet", f"{FRAME}: not counted any more"]


def test_what_is_written_is_what_is_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = counts.VERSION
    monkeypatch.setattr(counts, "RECORDED", tmp_path / "counts.json")
    assert counts.read() is None
    counts.write({FRAME: Cost(9, 12, 377.25)})
    monkeypatch.setattr(counts, "VERSION", "3.99")
    counts.write({FRAME: Cost(1, 2, 3)})
    assert counts.read() == {FRAME: Cost(1, 2, 3)}
    monkeypatch.setattr(counts, "VERSION", here)
    assert counts.read() == {FRAME: Cost(9, 12, 377.25)}


def test_the_table_shows_what_has_changed() -> None:
    rows = counts.table({"entry": Cost(2, 2, 30), FRAME: Cost(9, 12, 400)}, {FRAME: Cost(10, 12, 400)})
    assert rows[1].split() == ["entry", "2.00", "2.00", "30.00"]
    assert rows[2].split() == ["frame,", "same", "picture", "9.00", "(-10.0%)", "12.00", "400.00"]


def _called(text: str) -> int:
    return len(text)


def _calls(times: int) -> None:
    for _ in range(times):
        _called("text")


def test_calls_and_instructions_are_counted_exactly() -> None:
    once, twice, often = (counted(_calls, times).total() for times in (1, 2, 11))
    assert (once.calls, twice.calls, often.calls) == (2, 3, 12)
    assert often.c_calls - once.c_calls == 10
    assert often.instructions - once.instructions == 10 * (twice.instructions - once.instructions) > 100
    assert counted(_calls, 11).calls_of("_called") == 11


def test_a_count_leaves_the_tracer_of_others_in_place() -> None:
    before = sys.gettrace(), sys.getprofile()

    def fails() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        counted(fails)
    assert (sys.gettrace(), sys.getprofile()) == before
