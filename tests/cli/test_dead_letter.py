"""`vigil dead-letter`: dead letters are found, shown safely, exported, and sent again once a decoder accepts them."""

import asyncio
import base64
import json
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.harness import make_topics
from tests.support.judged import BAD
from tests.support.run_command import run
from vigil.app.kafka.dead_letters import (
    RESENT_HEADER,
    DeadLetterFilter,
    DeadLetterRecord,
    RepairedMessage,
    UnrepairedLine,
    check,
    send,
    to_line,
)
from vigil.app.kafka.embedded_broker import EmbeddedBroker
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.topic_reader import records
from vigil.app.observability.terminal import escape_control_chars
from vigil.topics.catalog import TOPICS
from vigil.topics.contracts.decoding import decode
from vigil.topics.contracts.examples import EXAMPLES
from vigil.topics.envelope import DeadLetter
from vigil.topics.fields import InvalidEvent

NOW = 1_662_048_030_000


def letter(topic: str | None, key: bytes | None, value: bytes | None, **other: Any) -> DeadLetterRecord:
    said: dict[str, Any] = {
        "partition": 0,
        "offset": 7,
        "reason": "malformed",
        "detail": "Expected …",
        "at": NOW,
    } | other
    said["key"] = None if key is None else base64.b64encode(key).decode()
    said["value"] = None if value is None else base64.b64encode(value).decode()
    return DeadLetterRecord(DeadLetter(topic=topic, **said), key, value)


def checked(
    *lines: bytes, now: int | None = NOW, lateness: int | None = 2000
) -> list[RepairedMessage | UnrepairedLine]:
    return list(check(lines, now, Settings(allowed_lateness_ms=lateness or 0), late=lateness is None))


# ---- lines


@given(st.none() | st.binary(max_size=40), st.none() | st.binary(max_size=80))
def test_a_line_keeps_key_and_value_whatever_their_bytes(key: bytes | None, value: bytes | None):
    line = to_line(letter("comment", key, value))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    result = json.loads(line)
    if "key_base64" in result:
        assert base64.b64decode(result["key_base64"]) == key
    else:
        assert result["key"] == (None if key is None else key.decode())
    if "base64" in result:
        assert base64.b64decode(result["base64"]) == value
    elif "text" in result:
        assert result["text"].encode() == value
    else:
        assert result["value"] == (None if value is None else json.loads(value))


@pytest.mark.parametrize("topic", [topic.name for topic in TOPICS if topic.direction == "in"])
def test_a_valid_message_is_unchanged_by_export_and_check(topic: str):
    value = orjson.dumps(EXAMPLES[topic].value)
    key = EXAMPLES[topic].key.encode()
    (message,) = checked(to_line(letter(topic, key, value)), lateness=None)
    assert message == RepairedMessage(topic, key, value, f"{topic}/0/7")


def test_numbers_keep_their_notation():
    line = to_line(letter("comment", b"k", b'{\n "at": 4.0,\r\n "x": 1e5,\t"big": 123456789012345678901234567890}'))
    assert b'"value":{"at":4.0,"x":1e5,"big":123456789012345678901234567890}' in line


@pytest.mark.parametrize("value", [b"{", b'{"at": NaN}', b"", b"\xef\xbb\xbf{}", b"[" * 20_000])
def test_a_value_that_is_not_json_is_exported_as_text(value: bytes):
    line = to_line(letter("comment", b"room-1", value))
    assert json.loads(line)["text"].encode() == value
    (bad,) = checked(line)
    assert isinstance(bad, UnrepairedLine)
    assert "not repaired" in bad.detail


def test_bytes_that_are_not_utf_8_are_exported_as_base64():
    line = to_line(letter("comment", b"\xff", BAD))
    assert set(json.loads(line)) >= {"key_base64", "base64", "detail", "place"}
    assert isinstance(checked(line)[0], UnrepairedLine)


def line_of(topic: str, **fields: Any) -> bytes:
    value = EXAMPLES[topic].value | fields
    return orjson.dumps({"topic": topic, "key": EXAMPLES[topic].key, "value": value})


@pytest.mark.parametrize(
    "line, words",
    [
        (b"nonsense", "not a line of an export"),
        (b"\xff", "not a line of an export"),
        (b"[]", "not a line of an export"),
        (b'{"topic":"comment","key":"room-1"}', 'it has no "value"'),
        (b'{"topic":"comment","value":{}}', 'it has no "key"'),
        (b'{"topic":"comment","key":7,"value":{}}', "Expected `str | null`"),
        (line_of("verdict"), "'verdict' is no topic that Vigil reads"),
        (line_of("comment", text=None), "got `null` - at `$.text`"),
        (line_of("comment", room_id="other"), "is not the room_id 'other'"),
        (line_of("payment", amount_usd="9.999"), "more than two decimals"),
        (line_of("quote", at=NOW + 60_001), "ahead of the clock"),
        (b'{"topic":"comment","key":"room-1","value":null}', "no value"),
        (line_of("comment", text="x" * 5000), "4096"),
    ],
)
def test_an_invalid_line_is_reported_with_its_number(line: bytes, words: str):
    result = checked(b"\n", line, b"  \n", lateness=None)
    assert result == [UnrepairedLine(2, result[0].detail)]  # type: ignore[union-attr]
    assert words in result[0].detail  # type: ignore[union-attr]


def test_room_events_that_would_be_late_again_are_invalid():
    at = EXAMPLES["comment"].value["at"]
    assert isinstance(checked(line_of("comment"), now=at + 2000)[0], RepairedMessage)
    (bad,) = checked(line_of("comment"), now=at + 2001)
    assert isinstance(bad, UnrepairedLine)
    assert "late by 2 s" in bad.detail
    assert isinstance(checked(line_of("comment"), now=at + 2001, lateness=None)[0], RepairedMessage)
    assert isinstance(checked(line_of("comment"), now=None)[0], RepairedMessage)
    assert isinstance(checked(line_of("quote"), now=at + 10**9)[0], RepairedMessage)


def test_a_tombstone_of_a_profile_may_be_sent_again():
    (message,) = checked(b'{"topic":"supplier-profile","key":"merchant-7","value":null}')
    assert message == RepairedMessage("supplier-profile", b"merchant-7", None, None)


# ---- filters


@pytest.mark.parametrize(
    "wanted, matches",
    [
        (DeadLetterFilter(), True),
        (DeadLetterFilter(topic="comment"), True),
        (DeadLetterFilter(topic="quote"), False),
        (DeadLetterFilter(reason="malformed"), True),
        (DeadLetterFilter(reason="late"), False),
        (DeadLetterFilter(key="room-1"), True),
        (DeadLetterFilter(key="room"), False),
        (DeadLetterFilter(since=NOW), True),
        (DeadLetterFilter(since=NOW + 1), False),
        (DeadLetterFilter(until=NOW + 1), True),
        (DeadLetterFilter(until=NOW), False),
        (DeadLetterFilter(text="Expected"), True),
        (DeadLetterFilter(text="expected"), False),
        (DeadLetterFilter(topic="comment", reason="late"), False),
    ],
)
def test_filters(wanted: DeadLetterFilter, matches: bool):
    assert wanted.matches(letter("comment", b"room-1", b"{}")) == matches


@pytest.mark.parametrize("sign", ["\x1b", "\x07", "\r", "\n", "\x9b", "\u202e", "\u2066", "\u200b", "\ud800", "\x7f"])
def test_characters_that_control_a_terminal_are_escaped(sign: str):
    result = escape_control_chars(f"a{sign}b")
    assert sign not in result
    assert result.startswith("a\\")
    assert result.isprintable()


def test_other_characters_are_unchanged():
    assert escape_control_chars("é 长\u3000短 😀 العربية [red]") == "é 长\u3000短 😀 العربية [red]"


# ---- the command


def test_list_show_and_count(judged: str):
    result = run("dead-letter", "list", "--broker", judged)
    assert result.exit_code == 0
    assert "2 rejected messages" in result.stdout
    assert "`$.buyer_id`" in result.stdout
    assert "\x1b" not in result.stdout
    lines = [json.loads(line) for line in run("dead-letter", "list", "--json", "--broker", judged).stdout.splitlines()]
    lines.sort(key=lambda line: line["at"])
    assert [line["topic"] for line in lines] == ["comment", "buyer-entry"]
    for line in lines:
        shown = run("dead-letter", "show", line["place"], "--broker", judged)
        assert line["detail"] in shown.stdout
        assert "\x1b" not in shown.stdout
        assert "\u202e" not in shown.stdout
    assert "\\x1b[31m\\xff\\u202e" in run("dead-letter", "show", lines[0]["place"], "--broker", judged).stdout
    count = run("dead-letter", "list", "--count", "--broker", judged)
    assert [line.split() for line in count.stdout.splitlines()[2:4]] == [
        ["buyer-entry", "malformed", "1"],
        ["comment", "malformed", "1"],
    ]


@pytest.mark.parametrize(
    "options, number",
    [
        (["--topic", "comment"], 1),
        (["--reason", "late"], 0),
        (["--key", "room-1"], 2),
        (["--key", "room-2"], 0),
        (["--since", "2h"], 0),
        (["--since", "2022-09-01T16:00:00Z"], 1),
        (["--until", "2022-09-01T16:00:00+00:00"], 1),
        (["--containing", "UTF-8"], 1),
    ],
)
def test_filter_options(judged: str, options: list[str], number: int):
    assert f"\n{number} rejected" in "\n" + run("dead-letter", "list", *options, "--broker", judged).stdout


@pytest.mark.parametrize(
    "words, says",
    [
        (["list", "--since", "yesterday"], "'yesterday' is not a time"),
        (["list", "--since", "2022-09-01T16:00:00"], "is not a time"),
        (["list", "--reason", "rude"], "'rude'"),
        (["show", "comment/9/9"], "no rejected message has the place 'comment/9/9'"),
        (["export", "/dev/null/x"], "cannot be written"),
        (["resend", "/nowhere"], "No such file"),
    ],
)
def test_invalid_options_are_usage_errors(judged: str, words: list[str], says: str):
    result = run("dead-letter", *words, "--broker", judged)
    assert result.exit_code == 2
    assert says in result.stderr


async def read(broker: str, topic: str) -> list[Any]:
    return [record async for record in records(Settings(broker=broker), topic)]


def test_export_repair_resend(judged: str, tmp_path: Path):
    file = tmp_path / "bad.jsonl"
    assert run("dead-letter", "export", str(file), "--broker", judged).exit_code == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines.sort(key=lambda line: line["at"])
    assert len(lines) == 2
    with EmbeddedBroker() as other:  # the shared broker must not change
        asyncio.run(make_topics(other.address, 2))

        def resend(*options: str) -> Any:
            written = "".join(json.dumps(line) + "\n" for line in lines)
            return run(
                "dead-letter",
                "resend",
                "-",
                *options,
                "--broker",
                other.address,
                stdin=written,
                idempotent_producer="0",
            )

        refused = resend()
        assert refused.exit_code == 1
        assert ":1: not repaired" in refused.stderr
        assert ":2: Expected `str` of length >= 1" in refused.stderr
        assert "0 of 2 messages valid; nothing was sent" in refused.stderr
        now = round(time.time() * 1000)
        lines[1]["value"] |= {"buyer_id": "buyer-9", "at": now}
        assert "1 of 2 messages valid; nothing was sent" in resend().stderr
        assert asyncio.run(read(other.address, "buyer-entry")) == []
        skipped = resend("--skip", "--dry-run")
        assert "1 of 2 messages would be sent" in skipped.stderr
        assert asyncio.run(read(other.address, "buyer-entry")) == []
        sent = resend("--skip")
        assert (sent.exit_code, "1 of 2 messages sent" in sent.stderr) == (1, True)
        (record,) = asyncio.run(read(other.address, "buyer-entry"))
        assert decode("buyer-entry", record.key, record.value).buyer_id == "buyer-9"
        assert dict(record.headers) == {RESENT_HEADER: lines[1]["place"].encode()}
        lines[0] = {"topic": "comment", "key": "room-1", "value": EXAMPLES["comment"].value}
        assert "late by" in resend().stderr
        assert resend("--late").exit_code == 0
        (record,) = asyncio.run(read(other.address, "comment"))
        assert (record.key, dict(record.headers)) == (b"room-1", {})


def test_foreign_messages_in_the_topic_are_reported_and_skipped():
    ours = letter("comment", b"room-1", b"rubbish").envelope
    forged = msgspec.structs.replace(ours, offset=8, at=10**18)
    foreign = [b"hello", msgspec.json.encode(forged), msgspec.json.encode(forged).replace(b'"key":"', b'"key":"!')]
    with EmbeddedBroker() as broker:
        asyncio.run(make_topics(broker.address, 1))
        settings = Settings(broker=broker.address, idempotent_producer=False)
        sent = [RepairedMessage("dead-letter", b"k", value, None) for value in (*foreign, msgspec.json.encode(ours))]
        asyncio.run(send(settings, sent))
        result = run("dead-letter", "list", "--broker", broker.address)
        assert result.exit_code == 0
        assert "1 rejected messages" in result.stdout
        assert "dead-letter/0/0 is not a dead letter of Vigil" in result.stderr
        assert "(and 2 others); skipped" in result.stderr
        assert run("dead-letter", "show", "comment/0/7", "--broker", broker.address).exit_code == 0


class Record(NamedTuple):
    partition: int
    offset: int
    value: bytes


MANY, LARGE = 1200, 20_000


async def flood(*_: object) -> AsyncIterator[Record]:
    """Dead letters of some tens of megabytes in total."""
    for n in range(MANY):
        said = letter("comment", b"room-1", b"x" * LARGE, offset=n, at=NOW + n).envelope
        yield Record(0, n, msgspec.json.encode(said))


@pytest.mark.parametrize("words", [["list"], ["list", "--count"], ["show", "comment/0/1199"], ["export", "/dev/null"]])
def test_a_flood_is_not_held_in_memory(monkeypatch: pytest.MonkeyPatch, words: list[str]):
    monkeypatch.setattr("vigil.app.kafka.dead_letters.records", flood)
    tracemalloc.start()
    try:
        result = run("dead-letter", *words)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.exit_code == 0
    assert f"{MANY:,}" in result.output or words[0] == "show"
    assert most < MANY * LARGE / 5


def test_a_missing_topic_and_a_missing_broker_are_reported():
    with EmbeddedBroker() as broker:
        result = run("dead-letter", "list", "--broker", broker.address)
        assert result.exit_code == 2
        assert "topic dead-letter: does not exist" in result.stderr
    assert "cannot reach Kafka" in run("dead-letter", "list", "--broker", "127.0.0.1:1").stderr


def test_every_input_topic_can_be_decoded_by_name():
    for topic in TOPICS:
        value = orjson.dumps(EXAMPLES[topic.name].value) if topic.name in EXAMPLES else b"{}"
        if topic.direction == "in":
            assert decode(topic.name, EXAMPLES[topic.name].key.encode(), value)
        else:
            with pytest.raises(InvalidEvent, match="no topic that Vigil reads from outside"):
                decode(topic.name, b"k", value)
