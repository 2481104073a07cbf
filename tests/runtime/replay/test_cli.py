"""The contract of `vigil replay`: what it reads and writes, what it refuses, and with which exit status it ends."""

import base64
import gzip
import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
import pytest
import zstandard
from click.testing import CliRunner, Result

from tests.support.harness import recorded
from tests.support.stories import HOUR, MIN, ROOM, START, S, comment, entry, frame, frames
from vigil.app.cli.main import main
from vigil.app.domain.registry import REGISTRY
from vigil.app.simulate import Simulation
from vigil.topics.rooms import BuyerEntry, Comment

FILES: Final = {
    "verdict.jsonl",
    "notice.jsonl",
    "enforcement.jsonl",
    "supplier-score.jsonl",
    "room-status.jsonl",
    "pin-decision.jsonl",
    "dead-letter.jsonl",
}


def topic_of(event: msgspec.Struct) -> str:
    return {BuyerEntry: "buyer-entry", Comment: "comment"}.get(type(event), "frame-status")


def line(event: msgspec.Struct, **rest: Any) -> bytes:
    """An event as a line of a recording."""
    return orjson.dumps({"topic": topic_of(event), "value": msgspec.to_builtins(event), **rest})


def lines(events: Iterable[msgspec.Struct]) -> bytes:
    return b"\n".join(line(event) for event in events) + b"\n"


def quote(at: int, kind: str = "submitted", supplier: str = "supplier-1", number: int = 1) -> bytes:
    """A quote as a line of a recording."""
    value = {
        "supplier_id": supplier,
        "at": START + at,
        "kind": kind,
        "quote_id": f"quote-{supplier}-{number}",
        "rfq_id": "rfq-1",
        "buyer_id": "buyer-1",
        "rfq_at": START + at - 1000,
    }
    return orjson.dumps({"topic": "quote", "value": value}) + b"\n"


def missed() -> list[msgspec.Struct]:
    """A host on air greets none of three buyers: one greeting-miss, at 30 s."""
    story = [*frames(0, 40 * S), entry(S), entry(10 * S), entry(20 * S)]
    return sorted(story, key=lambda event: event.at)


def run(tmp_path: Path, events: bytes | str | Path, *options: str) -> tuple[Result, dict[str, list[Any]]]:
    """Replay bytes (as a file), or what is named; the result, and each file's lines."""
    if isinstance(events, bytes):
        (tmp_path / "events.jsonl").write_bytes(events)
        events = tmp_path / "events.jsonl"
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["replay", str(events), "--out", str(out), *options])
    return result, answer(out)


def answer(out: Path) -> dict[str, list[Any]]:
    return {file.name: [orjson.loads(raw) for raw in file.read_bytes().splitlines()] for file in out.glob("*")}


def refused(tmp_path: Path, events: bytes) -> list[Any]:
    """What stands in dead-letter.jsonl after a replay, whether or not any line was accepted."""
    result, files = run(tmp_path, events)
    assert result.exit_code in (0, 1), result.output
    return files["dead-letter.jsonl"]


# ---- exit status, and where events come from --------------------------------------------------------------------


def test_a_replay_writes_every_file_and_ends_with_0(tmp_path: Path) -> None:
    result, files = run(tmp_path, lines(missed()))
    assert result.exit_code == 0
    assert files.keys() == {f"{output.topic}.jsonl" for output in REGISTRY.replayed} | {"dead-letter.jsonl"}
    assert files.keys() >= FILES
    (verdict,) = files["verdict.jsonl"]
    assert (verdict["rule"], verdict["since"], verdict["at"]) == ("greeting-miss", START + S, START + 30 * S)
    assert [action["action_id"] for action in files["enforcement.jsonl"]] == [verdict["verdict_id"]]
    (status,) = files["room-status.jsonl"]
    assert (status["room_id"], status["at"], status["missed"]) == (ROOM, START + 40 * S, 3)
    assert result.stdout == ""
    assert "verdicts, greeting-miss" in result.stderr
    assert "written to" in result.stderr


@pytest.mark.parametrize("how", ["-", ".gz", ".zst", "two members .gz", "two frames .zst"])
def test_however_the_events_come_the_output_is_the_same(tmp_path: Path, how: str) -> None:
    raw = lines(missed())
    half = raw.index(b"\n", len(raw) // 2) + 1
    (tmp_path / "plain").mkdir()
    _, expected = run(tmp_path / "plain", raw)
    out = tmp_path / "out"
    pack = zstandard.ZstdCompressor().compress
    packed = {
        ".gz": gzip.compress(raw),
        ".zst": pack(raw),
        "two members .gz": gzip.compress(raw[:half]) + gzip.compress(raw[half:]),
        "two frames .zst": pack(raw[:half]) + pack(raw[half:]),
    }
    if how == "-":
        result = CliRunner().invoke(main, ["replay", "-", "--out", str(out)], input=raw)
    else:
        file = tmp_path / f"events.jsonl{how.split()[-1]}"
        file.write_bytes(packed[how])
        result = CliRunner().invoke(main, ["replay", str(file), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert expected["verdict.jsonl"]
    assert answer(out) == expected


def corrupt(packed: bytes) -> bytes:
    """Packed bytes with some in the middle changed."""
    middle = len(packed) // 2
    return packed[:middle] + b"\0" * 16 + packed[middle + 16 :]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("none.jsonl", None),
        ("plain.gz", lines(missed())),
        ("corrupt.gz", corrupt(gzip.compress(lines(missed())))),
        ("cut-off.gz", gzip.compress(lines(missed()))[:-20]),
        ("plain.zst", lines(missed())),
        ("cut-off.zst", zstandard.ZstdCompressor().compress(lines(missed()))[:-20]),
        ("corrupt.zst", corrupt(zstandard.ZstdCompressor(write_checksum=True).compress(lines(missed())))),
    ],
)
def test_events_that_cannot_be_read_end_it_with_1_and_words(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result, files = run(tmp_path, tmp_path / name)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {tmp_path / name} cannot be read: ")
    assert isinstance(result.exception, SystemExit)
    assert files == {}


def test_a_folder_is_no_recording(tmp_path: Path) -> None:
    result, _ = run(tmp_path, tmp_path)
    assert result.exit_code == 1
    assert "cannot be read: Is a directory" in result.stderr
    assert not (tmp_path / "out").exists()


def test_bad_usage_ends_it_with_2_and_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "events").write_bytes(lines(missed()))
    events = str(tmp_path / "events")
    for arguments, words in (
        ([], "Missing argument 'EVENTS'"),
        ([events, "--lateness", "-1"], "'-1' is neither MS nor TOPIC=MS"),
        ([events, "--latenes", "1"], "No such option"),
        ([events, "--out", str(tmp_path / "file")], "is a file"),
        ([events, "--out", str(tmp_path / "file" / "below")], "--out: cannot create"),
        ([events, "--rulebook", str(tmp_path / "none.toml")], "none.toml"),
    ):
        result = CliRunner().invoke(main, ["replay", *arguments])
        assert result.exit_code == 2, (arguments, result.output)
        assert words in " ".join(result.stderr.split())
        assert isinstance(result.exception, SystemExit)


def test_a_rulebook_with_a_mistake_ends_it_with_2_and_its_place(tmp_path: Path) -> None:
    book = tmp_path / "mine.toml"
    book.write_text("[greeting-miss]\nfamly = 'reception'\n")
    result, files = run(tmp_path, lines(missed()), "--rulebook", str(book))
    assert result.exit_code == 2
    assert "mine.toml" in result.stderr
    assert "famly" in result.stderr
    assert files == {}


# ---- lines ------------------------------------------------------------------------------------------------------


def test_no_events_give_empty_files(tmp_path: Path) -> None:
    for empty in (b"", b"\n", b" \n\r\n\t\n"):
        result, files = run(tmp_path, empty)
        assert result.exit_code == 1
        assert files.keys() >= FILES
        assert not any(files.values())


def test_blank_lines_are_skipped_but_count_as_lines(tmp_path: Path) -> None:
    story = b"\n\r\n" + line(frame(0)) + b"\n   \nnonsense\n" + line(frame(S)) + b"\r\n\n"
    (letter,) = refused(tmp_path, story)
    assert (letter["topic"], letter["offset"]) == (None, 5)


def test_the_last_line_needs_no_end(tmp_path: Path) -> None:
    result, files = run(tmp_path, lines(missed()).rstrip(b"\n"))
    assert result.exit_code == 0
    assert files["room-status.jsonl"][0]["at"] == START + 40 * S


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"nonsense", "not a line of a recording: "),
        (b"[1]", "not a line of a recording: Expected `object`, got `array`"),
        (b"{}", "not a line of a recording: Object missing required field `topic`"),
        (b'{"value":{"topic":"comment"}', "not a line of a recording: "),
        (b'{"value":nonsense,"topic":"comment"}', "not a line of a recording: "),
        (b'{"topic":"comments","value":', "not a line of a recording: "),
        (b'{"topic":1,"value":{}}', "not a line of a recording: Expected `str`, got `int` - at `$.topic`"),
        (b'{"topic":"comments"}', "not a line of a recording: Object missing required field `value`"),
        (b'{"topic":"\\ud800","value":{}}', "not a line of a recording: a lone surrogate "),
        (b"\xff", "not a line of a recording: "),
    ],
)
def test_what_is_no_line_of_a_recording_is_malformed_and_kept_whole(tmp_path: Path, raw: bytes, words: str) -> None:
    (letter,) = refused(tmp_path, line(frame(0)) + b"\n" + raw + b"\n")
    assert letter["detail"].startswith(words)
    assert base64.b64decode(letter["value"]) == raw
    assert letter | {"detail": "", "value": ""} == {
        "topic": None,
        "partition": None,
        "offset": 2,
        "reason": "malformed",
        "detail": "",
        "at": START - 2000,
        "key": None,
        "value": "",
    }


@pytest.mark.parametrize(
    ("raw", "words", "offset", "key", "value"),
    [
        (b'{"topic":"comment"}', "missing required field `value`", 1, None, None),
        (b'{"topic":"comment","value":{}', "it is cut off after 29 characters", 1, None, None),
        (b'{"key":"r","topic" : "comment" ,"value":nonsense}', "Expecting value", 1, None, None),
        (b'{"topic":"comment","value":{"a":' + b"[" * 100_000, "it is nested too deeply", 1, None, None),
        (b'{"topic":"comment","value":"\xff",}', "not UTF-8", 1, None, None),
        (b'{"value":{},"topic":"comment","key":"r","offset":"9"}', "Expected `int | null`, got `str`", 1, b"r", b"{}"),
        (b'{"topic":"comment","value":{},"offset":true}', "Expected `int | null`, got `bool`", 1, None, b"{}"),
        (b'{"topic":"comment","value":{},"offset":9223372036854775808}', "Expected `int", 1, None, b"{}"),
        (b'{"topic":"comment","offset":9,"value":{ },"key":1}', "Expected `str", 9, None, b"{ }"),
        (b'{"topic":"comment","offset":9,"key":"r","value":{"a":"\\uD83d"}}', "lone", 9, b"r", b'{"a":"\\uD83d"}'),
        (b'{"topic":"comment","value":{"a":"\\ude00\\ud83d"}}', "lone", 1, None, b'{"a":"\\ude00\\ud83d"}'),
        (b'{"topic":"comment","value":{},"key":"\\ud800"}', "lone", 1, None, b"{}"),
    ],
)
def test_a_bad_line_that_names_a_topic_is_reported_by_its_parts(
    tmp_path: Path, raw: bytes, words: str, offset: int, key: bytes | None, value: bytes | None
) -> None:
    (letter,) = refused(tmp_path, raw)
    assert (letter["topic"], letter["offset"], letter["reason"]) == ("comment", offset, "malformed")
    assert "not a line of a recording: " in letter["detail"]
    assert words in letter["detail"]
    assert base64.b64decode(letter["value"]) == (raw if value is None else value)
    assert letter["key"] == (None if key is None else base64.b64encode(key).decode())


def test_an_offset_is_as_large_as_kafkas_at_most(tmp_path: Path) -> None:
    (letter,) = refused(tmp_path, b'{"topic":"comment","value":{},"offset":9223372036854775807}')
    assert letter["offset"] == 2**63 - 1


@pytest.mark.parametrize("topic", ["comments", "verdict", "verdict-by-host", "dead-letter", ""])
def test_a_topic_that_does_not_come_in_is_malformed_with_the_topic_null(tmp_path: Path, topic: str) -> None:
    value = orjson.loads(orjson.dumps(msgspec.to_builtins(comment(0))))
    raw = orjson.dumps({"topic": topic, "key": ROOM, "offset": 7, "value": value})
    (letter,) = refused(tmp_path, raw)
    assert (letter["topic"], letter["offset"], letter["reason"]) == (None, 7, "malformed")
    assert f"unknown topic {topic!r}; known here: buyer-entry, comment, frame-status" in letter["detail"]
    assert base64.b64decode(letter["key"]) == ROOM.encode()
    assert orjson.loads(base64.b64decode(letter["value"])) == value


def test_a_key_is_taken_to_be_right_where_it_is_not_written_and_must_be_the_field_where_it_is(tmp_path: Path) -> None:
    spoken = comment(0)
    value = orjson.dumps(msgspec.to_builtins(spoken))
    story = b"\n".join([line(frame(0)), line(spoken), line(comment(1), key=ROOM)])
    assert refused(tmp_path, story) == []
    other, none = refused(tmp_path, b"\n".join([line(spoken, key="other"), line(spoken, key=None)]))
    assert other["detail"] == f"the key 'other' is not the room_id '{ROOM}'"
    assert base64.b64decode(other["key"]) == b"other"
    assert none["detail"] == f"the message has no key; it must be the room_id, '{ROOM}'"
    assert none["key"] is None
    for letter in (other, none):
        assert (letter["topic"], letter["reason"]) == ("comment", "malformed")
        assert orjson.loads(base64.b64decode(letter["value"])) == orjson.loads(value)


def test_a_rejected_message_has_its_offset_or_else_the_number_of_its_line(tmp_path: Path) -> None:
    bad = {"topic": "comment", "value": {"room_id": ROOM}}
    story = b"\n".join(orjson.dumps(answer) for answer in (bad, {**bad, "offset": 4711}, bad, {**bad, "offset": 0}))
    assert [letter["offset"] for letter in refused(tmp_path, story)] == [1, 4711, 3, 0]


def test_a_rejected_message_has_its_partition_where_one_was_recorded(tmp_path: Path) -> None:
    bad = {"topic": "comment", "partition": 3, "offset": 7, "value": {"room_id": ROOM}}
    late = line(frame(-3 * S), partition=2, offset=7)
    answer = [bad, {**bad, "partition": 0}, {**bad, "partition": None}, {**bad, "topic": "verdict"}]
    no_line = b'{"topic":"comment","partition":5,"offset":8,"key":1,"value":{}}'
    no_number = b'{"topic":"comment","partition":-1,"value":{}}'
    story = [line(frame(0), partition=2), *map(orjson.dumps, answer), late, no_line, no_number]
    places = [(letter["partition"], letter["offset"]) for letter in refused(tmp_path, b"\n".join(story))]
    assert places == [(3, 7), (0, 7), (None, 7), (3, 7), (2, 7), (5, 8), (None, 8)]


def test_offsets_written_down_do_not_change_the_order_of_arrival(tmp_path: Path) -> None:
    events = missed()
    backwards = b"\n".join(line(event, offset=1000 - number) for number, event in enumerate(events))
    _, expected = run(tmp_path, lines(events))
    _, files = run(tmp_path, backwards)
    assert files == expected


def test_null_is_a_tombstone_of_a_profile_and_malformed_elsewhere(tmp_path: Path) -> None:
    profile = {"supplier_id": "s", "industry": "shoes", "membership": "verified", "stars": 5, "at": START}
    story = [
        {"topic": "supplier-profile", "key": "s", "value": profile},
        {"topic": "supplier-profile", "key": "s", "value": None},
        {"topic": "comment", "key": ROOM, "value": None},
    ]
    result, files = run(tmp_path, b"\n".join(map(orjson.dumps, story)))
    assert result.exit_code == 0
    assert files["supplier-score.jsonl"] == []
    (letter,) = files["dead-letter.jsonl"]
    assert (letter["topic"], letter["value"]) == ("comment", None)


def test_the_limit_of_size_holds_for_compact_json(tmp_path: Path) -> None:
    spread = orjson.dumps(msgspec.to_builtins(comment(0))).replace(b",", b"," + b" " * 20_000)
    assert len(spread) > 64 * 1024
    assert refused(tmp_path, b'{"topic":"comment","value":' + spread + b"}\n") == []
    large = orjson.dumps({**msgspec.to_builtins(comment(0)), "more": "x" * 65_536})
    (letter,) = refused(tmp_path, b'{"topic":"comment","value":' + large + b"}\n")
    assert "bytes, more than 65536" in letter["detail"]


def test_the_number_of_rejected_lines_is_reported(tmp_path: Path) -> None:
    result, files = run(tmp_path, line(frame(0)) + b"\n" + b"nonsense\n" * 1234)
    assert result.exit_code == 0
    assert len(files["dead-letter.jsonl"]) == 1234
    assert "1,234 lines were rejected: see" in " ".join(result.stderr.split())


# ---- time -------------------------------------------------------------------------------------------------------


def test_what_is_late_by_more_than_the_lateness_is_refused(tmp_path: Path) -> None:
    story = lines([frame(10 * S), frame(8 * S), frame(8 * S - 1)])
    (letter,) = refused(tmp_path, story)
    assert (letter["reason"], letter["topic"], letter["offset"]) == ("late", "frame-status", 3)
    assert letter["detail"] == f"at {START + 8 * S - 1} is 1 ms below the clock"
    assert letter["at"] == START + 8 * S


@pytest.mark.parametrize(("lateness", "offsets"), [(0, [2, 3]), (2000, [3]), (2001, [])])
def test_the_lateness_can_be_given(tmp_path: Path, lateness: int, offsets: list[int]) -> None:
    story = lines([frame(10 * S), frame(8 * S), frame(8 * S - 1)])
    _, files = run(tmp_path, story, "--lateness", str(lateness))
    assert [letter["offset"] for letter in files["dead-letter.jsonl"]] == offsets


def test_refused_lines_and_late_ones_do_not_move_the_clock(tmp_path: Path) -> None:
    ahead = msgspec.to_builtins(frame(HOUR)) | {"face": "yes"}
    story = [line(frame(10 * S)), orjson.dumps({"topic": "frame-status", "value": ahead}), line(frame(9 * S))]
    (letter,) = refused(tmp_path, b"\n".join(story))
    assert letter["reason"] == "malformed"


def test_events_of_suppliers_move_the_clock_of_the_file_and_are_never_late(tmp_path: Path) -> None:
    story = quote(MIN) + lines([frame(MIN - 2001)]) + quote(0, number=2)
    result, files = run(tmp_path, story)
    assert result.exit_code == 0
    (letter,) = files["dead-letter.jsonl"]
    assert letter["topic"] == "frame-status"
    assert files["supplier-score.jsonl"][0]["metrics"]["quotes_month"] == 1


def test_deadlines_up_to_the_largest_at_are_met_and_later_ones_are_not(tmp_path: Path) -> None:
    for last, verdicts in ((30 * S, 1), (30 * S - 1, 0)):
        story = [event for event in missed() if event.at <= START + 20 * S] + [frame(last)]
        _, files = run(tmp_path, lines(story))
        assert len(files["verdict.jsonl"]) == verdicts, last


def test_published_at_is_at(tmp_path: Path) -> None:
    _, files = run(tmp_path, lines(missed()))
    assert [verdict["published_at"] for verdict in files["verdict.jsonl"]] == [START + 30 * S]
    assert "published_at" not in files["notice.jsonl"][0]


# ---- what is written --------------------------------------------------------------------------------------------


def test_a_room_that_was_forgotten_has_no_line(tmp_path: Path) -> None:
    ended = [frame(0, room="ended"), frame(S, "ended", room="ended")]
    for later, rooms in ((HOUR + S - 1, ["ended", "other"]), (HOUR + S, ["other"])):
        _, files = run(tmp_path, lines([*ended, frame(later, room="other")]))
        statuses = files["room-status.jsonl"]
        assert [status["room_id"] for status in statuses] == rooms
        assert {status["at"] for status in statuses} == {START + later}


def simulated() -> bytes:
    """A recording with everything in it: every rule, suppliers with pins, reviews, duplicates, malformed messages."""
    simulation = Simulation(
        seed=3,
        rooms=12,
        suppliers=12,
        start_ms=1_662_048_000_000,
        duration_s=420,
        history_days=20,
        reviews=0.5,
        duplicates=0.02,
        malformed=0.02,
    )
    whole = []
    for message in simulation.messages():
        try:
            whole += recorded([message])
        except UnicodeDecodeError:  # a key that a line cannot say
            continue
    return b"\n".join(whole) + b"\n"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recording") / "events.jsonl"
    file.write_bytes(simulated())
    return file


def test_the_same_recording_gives_the_same_bytes_whatever_the_hash_seed(recording: Path, tmp_path: Path) -> None:
    digests = []
    for seed in ("1", "4242"):
        out = tmp_path / seed
        done = subprocess.run(
            [sys.executable, "-m", "vigil", "replay", str(recording), "--out", str(out)],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Shanghai" if seed == "1" else "UTC"},
            capture_output=True,
            check=True,
        )
        assert done.stdout == b""
        digests.append({name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in FILES})
        assert all((out / name).stat().st_size for name in FILES), "a file without lines shows nothing"
    assert digests[0] == digests[1]


def identity(name: str) -> Sequence[str]:
    return {
        "verdict.jsonl": ("at", "verdict_id"),
        "notice.jsonl": ("at", "notice_id"),
        "enforcement.jsonl": ("at", "action_id", "revision"),
        "pin-decision.jsonl": ("at",),
        "supplier-score.jsonl": ("supplier_id",),
        "room-status.jsonl": ("room_id",),
    }[name]


def test_each_file_has_its_order(recording: Path, tmp_path: Path) -> None:
    _, files = run(tmp_path, recording)
    for name in FILES - {"dead-letter.jsonl"}:
        places = [tuple(body[field] for field in identity(name)) for body in files[name]]
        assert places == sorted(places), name
        if name != "pin-decision.jsonl":
            assert len(set(places)) == len(places), name
    revisions = [action["revision"] for action in files["enforcement.jsonl"]]
    assert max(revisions) > 1, "a story without a revision shows nothing of their order"
    until = files["room-status.jsonl"][0]["at"]
    assert {score["at"] for score in files["supplier-score.jsonl"]} == {until}


def test_the_order_of_arrival_within_the_lateness_changes_no_judgement(tmp_path: Path) -> None:
    events = missed()
    _, expected = run(tmp_path, lines(events))
    chance = random.Random(5)
    for _ in range(3):
        shuffled = sorted(events, key=lambda event: event.at + chance.randrange(1999))
        assert [event.at for event in shuffled] != [event.at for event in events]
        _, files = run(tmp_path, lines(shuffled))
        assert files == expected
