"""The clocks of a recording: dumps by partition, lateness by topic, and the line that moved a clock too far."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stories import HOUR, MIN, ROOM, START, S, comment, entry, frame, frames
from vigil.app.cli.main import main
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.runtime.replay import Outputs, Replay
from vigil.app.runtime.replay_clocks import AllowedLateness, Jump
from vigil.topics.rooms import BuyerEntry, Comment, FrameStatus

TOPICS = {BuyerEntry: "buyer-entry", Comment: "comment", FrameStatus: "frame-status"}
RULEBOOK = load_rulebook()


def line(event: Any, partition: int | None = None) -> bytes:
    """An event as a line of a recording."""
    where = {} if partition is None else {"partition": partition}
    return orjson.dumps({"topic": TOPICS[type(event)], "value": msgspec.to_builtins(event), **where})


def replayed(lines: Iterable[bytes], *lateness: Any) -> Outputs:
    run = Replay(RULEBOOK, AllowedLateness(*lateness))
    run.feed(lines)
    return run.end()


def reasons(outputs: Outputs) -> list[str]:
    return [letter.body.reason for letter in outputs.rejected]  # type: ignore[union-attr]


def results(outputs: Outputs) -> Any:
    return {topic: [output.body for output in lines] for topic, lines in outputs.by_topic.items()}


def black(room: str, begin: int = 0) -> list[FrameStatus]:
    return frames(begin, begin + 3 * MIN, room=room, black=True)


# ---- a clock for each partition --------------------------------------------------------------------------------------


def test_a_dump_that_was_written_partition_by_partition_has_no_late_line() -> None:
    dump = [line(event, partition) for partition in range(3) for event in black(f"room-{partition}")]
    outputs = replayed(dump)
    assert reasons(outputs) == []
    assert [output.body.rule for output in outputs["verdict"]] == ["black-screen"] * 3  # type: ignore[union-attr]


def test_lines_without_a_partition_go_by_the_clock_of_the_file_which_all_lines_move() -> None:
    first = [line(event, 0) for event in black("room-0", HOUR)]
    outputs = replayed([*first, *map(line, black("room-1"))])
    assert reasons(outputs) == ["late"] * len(black("room-1"))


def test_nothing_else_moves_the_clock_of_a_partition() -> None:
    ahead = [line(frame(HOUR, room="room-1")), line(frame(HOUR, room="room-2"), 2)]
    outputs = replayed([line(frame(0, room="room-0"), 1), *ahead, line(frame(S, room="room-0"), 1)])
    assert reasons(outputs) == []


def test_a_line_late_by_the_clock_of_its_partition_is_late() -> None:
    outputs = replayed([line(frame(10 * S), 1), line(frame(8 * S), 1), line(frame(8 * S - 1), 1)])
    assert reasons(outputs) == ["late"]


@given(st.permutations([0, 1, 2]), st.lists(st.integers(0, 2), max_size=60))
def test_however_partitions_are_cut_and_merged_the_results_are_the_same(order: list[int], merged: list[int]) -> None:
    waiting = {partition: black(f"room-{partition}", partition * MIN) for partition in range(3)}
    whole = [line(event, partition) for partition in order for event in waiting[partition]]
    mixed = []
    for partition in [*merged, *(partition for partition in order for _ in range(300))]:
        if waiting[partition]:
            mixed.append(line(waiting[partition].pop(0), partition))
    assert results(replayed(mixed)) == results(replayed(whole))


def test_at_the_end_all_clocks_move_to_the_largest_time_of_the_input() -> None:
    """The room of the partition that ended earlier has lost its signal by then."""
    outputs = replayed([line(frame(0, room="room-0"), 0), line(frame(HOUR, room="room-1"), 1)])
    (notice,) = [output.body for output in outputs["notice"]]
    assert (notice.kind, notice.room_id, notice.at) == ("signal-lost", "room-0", START + 15 * S)  # type: ignore[union-attr]
    assert {output.body.at for output in outputs["room-status"]} == {START + HOUR}  # type: ignore[union-attr]


# ---- lateness by topic -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("partition", [None, 3])
def test_each_topic_has_its_own_lateness_and_events_wait_for_the_largest(partition: int | None) -> None:
    late_talk = comment(4 * S)
    story = [
        line(event, partition)
        for event in (frame(0), entry(3 * S), frame(10 * S), late_talk, frame(7 * S), entry(8 * S - 1))
    ]
    assert reasons(replayed(story)) == ["late"] * 3
    outputs = replayed(story, 2000, {"comment": 7000})
    assert reasons(outputs) == ["late"] * 2
    assert outputs["room-status"][0].body.received == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("flags, late", [((), 1), (("--lateness", "7000"), 0), (("--lateness", "comment=7000"), 0)])
def test_the_commands_take_the_lateness_of_all_topics_and_of_one(
    tmp_path: Path, flags: tuple[str, ...], late: int
) -> None:
    events = tmp_path / "events.jsonl"
    events.write_bytes(b"\n".join(map(line, (frame(0), frame(10 * S), comment(4 * S)))))
    result = CliRunner().invoke(main, ["replay", str(events), "--out", str(tmp_path), *flags])
    assert result.exit_code == 0
    assert len((tmp_path / "dead-letter.jsonl").read_bytes().splitlines()) == late
    assert CliRunner().invoke(main, ["backtest", str(events), *flags]).exit_code == 0


def test_a_lateness_of_no_topic_of_ours_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["replay", "-", "--lateness", "coment=7000"])
    assert (result.exit_code, "coment is no topic that Vigil reads" in result.stderr) == (2, True)


# ---- the line that moved a clock furthest ----------------------------------------------------------------------------


@pytest.mark.parametrize("partition", [None, 1])
def test_the_line_that_moved_a_clock_furthest_ahead_is_named(partition: int | None) -> None:
    story = [frame(0), frame(S), frame(8 * HOUR), frame(2 * S), frame(8 * HOUR + MIN)]
    outputs = replayed([line(event, partition) for event in story])
    assert outputs.furthest == Jump(8 * HOUR - S, 3)


def test_the_first_line_of_a_clock_moves_nothing() -> None:
    assert replayed([line(frame(0), 0), line(frame(HOUR, room=ROOM + "2"), 1)]).furthest == Jump(0, 0)
