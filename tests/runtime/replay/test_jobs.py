"""Rooms and suppliers judged in several processes: whatever the recording, the outputs are those of one process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import orjson
import pytest
from click.testing import CliRunner
from msgspec import structs

from tests.runtime.replay.test_recorded_events import SIMULATION, story
from tests.support.harness import recorded
from tests.support.line_stories import certificate, product
from tests.support.line_stories import recorded as line_recording
from tests.support.local_jobs import local_jobs
from tests.support.stories import HOUR, MIN, START, S, comment, entry, frame, frames
from vigil.app.cli import common
from vigil.app.cli.main import main
from vigil.app.domain.ledger import bounds
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.output_collector import MAX_NAMES
from vigil.app.runtime.jobs.group import JobGroup
from vigil.app.runtime.jobs.pool import CHUNK, PIPE_BYTES, Jobs, Process
from vigil.app.runtime.jobs.recipe import RulebookRecipe
from vigil.app.runtime.replay import Replay, written
from vigil.app.runtime.replay_clocks import AllowedLateness
from vigil.topics.envelope import Output
from vigil.topics.rooms import BuyerEntry, Comment, FrameStatus

STORIES: Final = sorted(Path(__file__).with_name("stories").glob("*[!t].jsonl"))
TOPICS: Final = {BuyerEntry: "buyer-entry", Comment: "comment", FrameStatus: "frame-status"}
RULEBOOK: Final = load_rulebook()


class WatchedReplay(Replay):
    """A replay that notes in which order the outputs of each topic are delivered."""

    def __init__(self, jobs: JobGroup | None) -> None:
        super().__init__(RULEBOOK, jobs=jobs)
        self.delivered: dict[str, list[str]] = {}

    def _deliver_all(self, outputs: list[Output]) -> None:
        for output in outputs:
            self.delivered.setdefault(output.topic, []).append(output.id)
        super()._deliver_all(outputs)


def outcome(lines: Iterable[bytes], number: int = 0) -> Any:
    """What a replay leads to, with so many jobs or, for 0, without: its files first."""
    with local_jobs(number) as jobs:
        group = JobGroup(jobs, RulebookRecipe(RULEBOOK), AllowedLateness()) if number else None
        run = WatchedReplay(group)
        run.feed(lines)
        outputs = run.end()
    files = {name: list(content) for name, content in written(outputs)}
    return files, dict(outputs.counts), outputs.until, outputs.furthest, outputs.rooms_begin, run.delivered


def check(lines: Sequence[bytes], *numbers: int) -> Any:
    """Compare replays with so many jobs with one without; return its files."""
    expected = outcome(lines)
    for number in numbers:
        assert outcome(lines, number) == expected
    return expected[0]


def line(event: Any, **place: Any) -> bytes:
    return orjson.dumps({"topic": TOPICS[type(event)], "value": msgspec.to_builtins(event), **place})


def permit(host: str, at: int) -> bytes:
    content = certificate(START + at, "medical-3", supplier=host)
    return orjson.dumps({"topic": content.topic, "value": content.value})


def restricted(room: str, host: str, begin: int, label: str = "restricted:medical-3") -> list[Any]:
    """Frames of goods that need a permit, until after they are a violation."""
    shown = [
        *frames(begin, begin + 4 * S, room=room, labels=(label,)),
        *frames(begin + 5 * S, begin + 12 * S, room=room),
    ]
    return [structs.replace(event, host_id=host) for event in shown]


# ---- the same outputs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", STORIES, ids=lambda file: file.stem)
def test_a_story_ends_as_in_one_process(file: Path) -> None:
    check(file.read_bytes().splitlines(keepends=True), 2)


@pytest.mark.parametrize("seed", range(2))
def test_partitions_dumps_and_broken_lines_change_nothing(seed: int) -> None:
    files = check(story(seed), 3)
    assert files["verdict.jsonl"]
    assert any(b'"late"' in letter for letter in files["dead-letter.jsonl"])
    assert any(b'"malformed"' in letter for letter in files["dead-letter.jsonl"])


def test_lines_that_come_late_change_nothing() -> None:
    rng = Random(4)
    lines = list(recorded(SIMULATION.messages()))
    delayed = [each for _, each in sorted((number + rng.randrange(300), each) for number, each in enumerate(lines))]
    files = check(delayed, 2)
    assert sum(b'"late"' in letter for letter in files["dead-letter.jsonl"]) > 100


def test_a_host_with_rooms_in_several_jobs_and_partitions_has_the_same_revisions() -> None:
    rooms = [f"room-{number}" for number in range(12)]
    dark = [event for n, room in enumerate(rooms) for event in frames(n * S, 2 * MIN + n * S, room=room, black=True)]
    dark.sort(key=lambda event: event.at)
    files = check([line(event, partition=int(event.room_id[5:]) % 3) for event in dark], 2, 5)
    assert len(files["verdict.jsonl"]) == len(rooms)
    assert len(files["enforcement.jsonl"]) >= len(rooms)


def test_permits_are_asked_for_and_answered_between_jobs() -> None:
    hosts = [f"host-{number}" for number in range(8)]
    permits = [permit(host, 0 if number % 2 else 2 * S) for number, host in enumerate(hosts[:4])]
    shown = [event for host in hosts for event in restricted(f"room-{host}", host, 0)]
    shown.sort(key=lambda event: event.at)
    later = [line(event) for host in hosts[4:] for event in restricted(f"room-{host}", host, MIN)]
    files = check([*map(line, shown[:20]), *permits, *map(line, shown[20:]), b"no line", *later], 3)
    assert len(files["verdict.jsonl"]) >= 4


def test_months_end_and_scores_come_back_between_jobs() -> None:
    lines = [each for each in recorded(SIMULATION.messages()) if b'"quote"' in each or b'"supplier-profile"' in each]
    profile = {"supplier_id": "moved", "industry": "sports", "membership": "verified", "stars": 4}
    month = 32 * 24 * HOUR
    moves = [("sports", 0), ("packaging", 2 * month), ("sports", 3 * month)]
    for industry, at in moves:
        value = {**profile, "industry": industry, "at": START + at}
        lines.append(orjson.dumps({"topic": "supplier-profile", "value": value}))
    lines.append(orjson.dumps({"topic": "supplier-profile", "key": "moved", "value": None}))
    files = check(lines, 3)
    assert any(b'"assessed":{' in score for score in files["supplier-score.jsonl"])


def test_of_more_names_than_are_counted_the_first_are_counted() -> None:
    labels = [f"label-{number}" for number in range(2 * MAX_NAMES)]
    Random(1).shuffle(labels)
    shown = [frame(number // 9, room=f"room-{number % 7}", labels=(label,)) for number, label in enumerate(labels * 2)]
    check([line(event) for event in shown], 2, 4)


def test_names_count_from_where_a_late_line_lets_a_partition_judge() -> None:
    """Jobs judge the first partition before its turn: what the other one has counted comes first all the same."""
    names = [f"label-{number}" for number in range(3 * CHUNK)]
    first = [frame(100 * number, room="room-1", labels=(name,)) for number, name in enumerate(names)]
    other = [frame(number, room="room-1", labels=(name,)) for number, name in enumerate(names[100:130])]
    late = [frame(MIN, room="room-1"), frame(0, room="room-1")]
    check([line(event, partition=1) for event in first] + [line(event, partition=2) for event in other + late], 2)


def test_a_jump_of_the_clock_is_named() -> None:
    events = [frame(0), entry(S), frame(8 * HOUR), frame(2 * S), comment(3 * S), frame(8 * HOUR + MIN)]
    _, _, _, furthest, begin, _ = outcome(map(line, events), 2)
    assert (furthest.line, begin) == (3, START)
    check([line(event) for event in events], 2)


# ---- processes -------------------------------------------------------------------------------------------------------


def test_jobs_are_processes_and_standard_input_is_read(tmp_path: Path) -> None:
    lines = b"\n".join(story(0)[-400:])
    for jobs in ("1", "2"):
        arguments = ["replay", "-", "--out", str(tmp_path / jobs), "--jobs", jobs]
        done = CliRunner().invoke(main, arguments, input=lines)
        assert done.exit_code == 0, done.output
    for file in (tmp_path / "1").iterdir():
        assert (tmp_path / "2" / file.name).read_bytes() == file.read_bytes()


class Killed(Process):
    """A job that is killed as soon as it has begun."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        os.kill(self.pid, signal.SIGKILL)


def test_what_keys_refuse_is_refused_in_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_PRODUCTS", 2)
    story = [product(START + n, f"p{n % 4}", f"s{n % 3}") for n in range(40)]
    one = outcome(line_recording(story))
    assert one == outcome(line_recording(story), 3)
    letters = [orjson.loads(line) for line in one[0]["dead-letter.jsonl"]]
    assert {letter["reason"] for letter in letters} == {"too-many"}
    assert len(letters) == 18


def test_a_job_that_dies_ends_the_command_with_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "events").write_bytes(b"\n".join(story(0)))
    monkeypatch.setattr(common, "Jobs", lambda number: Jobs(number, Killed))
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["replay", str(tmp_path / "events"), "--out", str(out), "--jobs", "2"])
    assert done.exit_code == 1
    assert "was ended by signal 9: nothing is written; if memory is short, try fewer --jobs" in done.stderr
    assert list(out.iterdir()) == []


def test_where_pipes_may_not_be_large_a_job_has_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    start = subprocess.Popen

    def limited(command: Any, *, pipesize: int, **options: Any) -> Any:
        sizes.append(pipesize)
        if pipesize > 0:
            raise PermissionError
        return start(command, pipesize=pipesize, **options)

    monkeypatch.setattr(subprocess, "Popen", limited)
    with Jobs(1) as jobs:
        assert jobs.processes[0].pid
    assert sizes == [PIPE_BYTES, -1]


def test_ctrl_c_ends_all_jobs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vigil", "replay", "-", "--out", str(tmp_path), "--jobs", "2"]
    run = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdin is not None
    run.stdin.write(line(frame(0)) + b"\n")
    run.stdin.flush()
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    while len(jobs := children.read_text().split()) < 2:
        assert run.poll() is None
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, words = run.communicate()
    assert (run.returncode, words.strip()) == (1, b"Aborted!")
    while any(Path(f"/proc/{job}").exists() for job in jobs):  # one that is just starting ends by itself
        time.sleep(0.02)
