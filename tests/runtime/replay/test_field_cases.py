"""Recordings as real producers, detectors and dumps write them: what is judged, what is reported, and what is named."""

import io
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from tests.runtime.replay.test_cli import line, lines, missed, quote, refused, run
from tests.support.stories import MIN, START, S, comment, frame, frames
from vigil.app.runtime.recorded_lines import MAX_LINE_BYTES, CutLine, bounded_lines
from vigil.app.runtime.whatif.sources import raws_of

BYTE_ORDER_MARK = "\ufeff".encode()


def black(**drift: Any) -> bytes:
    """Ten minutes of a black picture; after half a minute the detector begins to write other fields."""
    story = []
    for number in range(600):
        event = orjson.loads(line(frame(number * S, black=True)))
        story.append(orjson.dumps({**event, "value": event["value"] | (drift if number >= 30 else {})}))
    return b"\n".join(story) + b"\n"


def verdicts(files: dict[str, list[Any]]) -> list[tuple[str, str | None]]:
    return [(verdict["rule"], verdict["subject"]) for verdict in files["verdict.jsonl"]]


# ---- drift


@pytest.mark.parametrize(
    ("drift", "field"),
    [
        ({"activity": "knitting"}, "activity"),
        ({"labels": None}, "labels"),
        ({"av_offset_ms": "12"}, "av_offset_ms"),
        ({"layout": {"camera_share": 1.5, "uncovered_share": 0, "materials": 1}}, "layout"),
        ({"layout": {"camera_share": 1, "uncovered_share": 0, "materials": 1, "videos": None}}, "layout.videos"),
        ({"layout": {"camera_share": 1.0000000002, "uncovered_share": 0, "materials": 1}}, None),
        ({"av_offset_ms": 12.0}, None),
    ],
)
def test_a_black_screen_is_found_whatever_else_a_detector_says(
    tmp_path: Path, drift: dict[str, Any], field: str | None
) -> None:
    result, files = run(tmp_path, black(**drift))
    assert verdicts(files) == [("black-screen", None)]
    assert files["dead-letter.jsonl"] == []
    reported = [row.split("│")[1:3] for row in result.stderr.splitlines() if "not readable" in row]
    assert [[cell.strip() for cell in row] for row in reported] == (
        [[f"not readable, frame-status {field}", "570"]] if field else []
    )


def test_one_statement_in_fifteen_spellings_of_its_labels(tmp_path: Path) -> None:
    """Each family is counted once for what was said once, however the label is written."""
    spellings = ["abuse", "Abuse", "abuse ", "ABUSE", "ａｂｕｓｅ", "prohibited:medicine", "Prohibited:medicine"]
    spellings += ["prohibited: medicine", "prohibited\uff1amedicine", "prohibited:Medicine", "prohibited_medicine"]
    story: list[Any] = [frame(0)]
    for number, label in enumerate(spellings):
        said = comment(S + number, "x y z", id_=f"c{number}", labels=(label,))
        story.append(said)
    _, files = run(tmp_path, lines([*story, *frames(2 * S, 10 * S)]))
    assert {subject for _, subject in verdicts(files)} == {"abuse", "prohibited:medicine"}


# ---- byte order marks, encodings, envelopes


def test_a_byte_order_mark_of_a_recording_or_a_line_is_skipped(tmp_path: Path) -> None:
    story = lines(missed())
    _, plain = run(tmp_path, story)
    for marked in (BYTE_ORDER_MARK + story, b"".join(BYTE_ORDER_MARK + raw for raw in story.splitlines(keepends=True))):
        result, files = run(tmp_path, marked)
        assert result.exit_code == 0
        assert files == plain
    assert refused(tmp_path, BYTE_ORDER_MARK + b"\n" + story) == [], "a blank line with a mark is blank"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_recording_in_utf_16_is_named(tmp_path: Path, encoding: str) -> None:
    result, files = run(tmp_path, line(frame(0)).decode().encode(encoding))
    assert result.exit_code == 1
    assert "UTF-16" in files["dead-letter.jsonl"][0]["detail"]


def test_lines_of_kcat_are_named(tmp_path: Path) -> None:
    value = line(frame(0)).decode()
    raw = {"topic": "frame-status", "partition": 0, "offset": 0, "tstype": "create", "ts": START, "payload": value}
    result, files = run(tmp_path, orjson.dumps(raw))
    assert result.exit_code == 1
    assert "it is a line of kcat -J: its payload is the value" in files["dead-letter.jsonl"][0]["detail"]


def test_nan_in_a_value_of_a_line_voids_its_optional_field_alone(tmp_path: Path) -> None:
    story = lines(missed())
    _, plain = run(tmp_path, story)
    noted = story.replace(b'"face":', b'"av_offset_ms":NaN,"extra":"NaN \\" -Infinity","face":')
    assert noted != story
    result, files = run(tmp_path, noted)
    assert result.exit_code == 0
    assert files == plain


@pytest.mark.parametrize("place", ['"offset":NaN', '"partition":Infinity', '"offset":-Infinity'])
def test_nan_for_the_place_of_a_line_is_malformed(tmp_path: Path, place: str) -> None:
    result, files = run(tmp_path, line(frame(0))[:-1] + b"," + place.encode() + b"}")
    assert result.exit_code == 1
    assert [letter["reason"] for letter in files["dead-letter.jsonl"]] == ["malformed"]


# ---- lines


@pytest.mark.parametrize(
    ("place", "read"),
    [
        ('"offset":0', True),
        ('"offset":12.0,"partition":3.0', True),
        ('"offset":1.2e1', True),
        ('"offset":null,"partition":null', True),
        ('"offset":-1', False),
        ('"partition":-1', False),
        ('"offset":1.5', False),
        ('"offset":true', False),
        ('"partition":"0"', False),
        ('"partition":2147483648', False),
        ('"offset":1e300', False),
    ],
)
def test_partition_and_offset_are_whole_numbers_from_0(tmp_path: Path, place: str, read: bool) -> None:
    raw = line(frame(0))[:-1] + b"," + place.encode() + b"}"
    result, files = run(tmp_path, raw)
    assert result.exit_code == (0 if read else 1)
    assert [letter["reason"] for letter in files["dead-letter.jsonl"]] == ([] if read else ["malformed"])


def test_a_number_with_a_fraction_is_the_offset_of_the_dead_letter(tmp_path: Path) -> None:
    raw = b'{"topic":"comment","value":{},"partition":3.0,"offset":12.0}'
    (letter,) = refused(tmp_path, line(frame(0)) + b"\n" + raw)
    assert (letter["partition"], letter["offset"]) == (3, 12)


def cut(story: bytes) -> list[bytes]:
    return list(bounded_lines(io.BytesIO(story)))


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_is_read_up_to_its_bound(end: bytes) -> None:
    longest = b"x" * MAX_LINE_BYTES + end
    assert cut(longest) == [longest]
    for more in (1, 2, MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 5 * MAX_LINE_BYTES):
        (first, long, last) = cut(b"first\n" + b"x" * more + longest.rstrip(b"\n") + b"\n" + b"last" + end)
        assert (first, last) == (b"first\n", b"last" + end)
        assert isinstance(long, CutLine)
        assert long.size == MAX_LINE_BYTES + more + 1


def test_a_line_that_is_too_long_is_malformed_and_the_next_is_read(tmp_path: Path) -> None:
    long = line(frame(S)) + b" " * MAX_LINE_BYTES
    (letter,) = refused(tmp_path, line(frame(0)) + b"\n" + long + b"\n" + line(frame(2 * S)) + b"\n")
    assert (letter["topic"], letter["offset"], letter["reason"], letter["value"]) == (None, 2, "malformed", None)
    assert f"it has {len(long) + 1:,} bytes, more than 1,048,576" in letter["detail"]


def test_a_packed_recording_of_one_endless_line_takes_little_memory(tmp_path: Path) -> None:
    def chunks() -> Iterable[bytes]:
        yield from (b"0" * 2**20 for _ in range(96))
        yield b"\n" + line(frame(0)) + b"\n"

    packer = zstandard.ZstdCompressor().compressobj()
    bomb = b"".join(packer.compress(chunk) for chunk in chunks()) + packer.flush()
    assert len(bomb) < 50_000
    (tmp_path / "bomb.jsonl.zst").write_bytes(bomb)
    tracemalloc.start()
    try:
        result, files = run(tmp_path, tmp_path / "bomb.jsonl.zst")
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()
    assert result.exit_code == 0
    assert "it has 100,663,297 bytes" in files["dead-letter.jsonl"][0]["detail"]
    assert len(files["room-status.jsonl"]) == 1


# ---- exit status and warnings


@pytest.mark.parametrize("story", [b"", b"\n \n", b"nonsense\n", line(frame(0, room="")), quote(0, kind="lost")])
def test_a_recording_of_which_no_line_is_accepted_ends_with_1(tmp_path: Path, story: bytes) -> None:
    result, files = run(tmp_path, story)
    assert result.exit_code == 1
    assert "no line of" in result.stderr
    assert "dead-letter.jsonl" in files


def test_one_accepted_line_is_enough(tmp_path: Path) -> None:
    for one in (line(frame(0)), quote(0), b'{"topic":"supplier-profile","key":"s","value":null}'):
        result, _ = run(tmp_path, b"nonsense\n" + one + b"\nnonsense\n")
        assert result.exit_code == 0, one


def warned(tmp_path: Path, story: bytes) -> list[str]:
    result, _ = run(tmp_path, story)
    assert result.exit_code == 0
    return [row.removeprefix("warning: ") for row in result.stderr.splitlines() if row.startswith("warning: ")]


def test_a_recording_from_before_any_rule_is_warned_of(tmp_path: Path) -> None:
    (words,) = warned(tmp_path, lines(frame(number * S - 365 * 24 * 60 * MIN, black=True) for number in range(300)))
    assert words.startswith("all events lie before any rule is in force")
    assert "2022-07-19" in words


def test_a_recording_that_begins_before_the_first_rule_is_warned_of(tmp_path: Path) -> None:
    story = [frame(-365 * 24 * 60 * MIN), *frames(0, 10 * S)]
    (words,) = warned(tmp_path, lines(story))
    assert words.startswith("some events lie before any rule is in force")


def test_supplier_history_from_before_the_first_rule_is_no_reason_to_warn(tmp_path: Path) -> None:
    assert warned(tmp_path, quote(-365 * 24 * 60 * MIN) + lines(missed())) == []


def test_a_line_that_moves_the_clock_far_ahead_is_named(tmp_path: Path) -> None:
    story = lines(frames(0, 600 * S)).splitlines(keepends=True)
    story.insert(60, line(frame(8 * 60 * MIN + MIN)) + b"\n")
    (words,) = warned(tmp_path, b"".join(story))
    assert "were late and not judged: line 61 moved the clock furthest ahead, by 8.0 h" in words


@pytest.mark.parametrize(("late", "warns"), [(1, 0), (2, 1)])
def test_more_than_one_line_in_a_hundred_must_be_late(tmp_path: Path, late: int, warns: int) -> None:
    story = [frame(number * S) for number in range(100 - late)] + [frame(number * S) for number in range(late)]
    assert len(warned(tmp_path, lines(story))) == warns


def test_an_explanation_reads_the_lines_that_the_replay_reads(tmp_path: Path) -> None:
    raw = BYTE_ORDER_MARK + line(frame(0), partition=3.0, offset=12.0)
    (read,) = raws_of([raw, b"nonsense room-1"], "room-1", {("frame-status", 3, 12): "late"})
    assert (read.topic, read.rejected) == ("frame-status", "late")
