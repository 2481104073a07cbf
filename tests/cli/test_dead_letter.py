"""`vigil dead-letter`: found, told harmlessly, exported, and sent again once a decoder takes it."""

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
    return list(check(lines, now, lateness))


# ---- lines


@given(st.none() | st.binary(max_size=40), st.none() | st.binary(max_size=80))
def test_a_line_keeps_the_message_whatever_its_bytes(key: bytes | None, value: bytes | None):
    line = to_line(letter("comment", key, value))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    told = json.loads(line)
    if "key_base64" in told:
        assert base64.b64decode(told["key_base64"]) == key
    else:
        assert told["key"] == (None if key is None else key.decode())
    if "base64" in told:
        assert base64.b64decode(told["base64"]) == value
    elif "text" in told:
        assert told["text"].encode() == value
    else:
        assert told["value"] == (None if value is None else json.loads(value))


@pytest.mark.parametrize("topic", [topic.name for topic in TOPICS if topic.direction == "in"])
def test_a_good_message_goes_through_a_file_unchanged(topic: str):
    value = orjson.dumps(EXAMPLES[topic].value)
    key = EXAMPLES[topic].key.encode()
    (message,) = checked(to_line(letter(topic, key, value)), lateness=None)
    assert message == RepairedMessage(topic, key, value, f"{topic}/0/7")


def test_numbers_stay_as_they_were_written():
    line = to_line(letter("comment", b"k", b'{\n "at": 4.0,\r\n "x": 1e5,\t"big": 123456789012345678901234567890}'))
    assert b'"value":{"at":4.0,"x":1e5,"big":123456789012345678901234567890}' in line


@pytest.mark.parametrize("value", [b"{", b'{"at": NaN}', b"", b"\xef\xbb\xbf{}", b"[" * 20_000])
def test_what_is_no_json_is_text_to_be_repaired(value: bytes):
    line = to_line(letter("comment", b"room-1", value))
    assert json.loads(line)["text"].encode() == value
    (bad,) = checked(line)
    assert isinstance(bad, UnrepairedLine)
    assert "not repaired" in bad.detail


def test_bytes_that_are_no_text_are_base64():
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
        (line_of("quote", at=NOW + 86_400_001), "more than a day ahead"),
        (b'{"topic":"comment","key":"room-1","value":null}', "no value"),
        (line_of("comment", text="x" * 5000), "4096"),
    ],
)
def test_what_is_still_bad_is_told_with_its_line(line: bytes, words: str):
    told = checked(b"\n", line, b"  \n", lateness=None)
    assert told == [UnrepairedLine(2, told[0].detail)]  # type: ignore[union-attr]
    assert words in told[0].detail  # type: ignore[union-attr]


def test_room_events_that_would_be_late_again_are_bad():
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
    "wanted, taken",
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
def test_filters(wanted: DeadLetterFilter, taken: bool):
    assert wanted.takes(letter("comment", b"room-1", b"{}")) == taken


@pytest.mark.parametrize("sign", ["\x1b", "\x07", "\r", "\n", "\x9b", "\u202e", "\u2066", "\u200b", "\ud800", "\x7f"])
def test_signs_that_give_orders_to_a_terminal_are_written_out(sign: str):
    told = escape_control_chars(f"a{sign}b")
    assert sign not in told
    assert told.startswith("a\\")
    assert told.isprintable()


def test_other_signs_stay():
    assert escape_control_chars("é 长\u3000短 😀 العربية [red]") == "é 长\u3000短 😀 العربية [red]"


# ---- as it is typed


def test_list_show_and_count(judged: str):
    told = run("dead-letter", "list", "--broker", judged)
    assert told.exit_code == 0
    assert "2 refused messages" in told.stdout
    assert "`$.buyer_id`" in told.stdout
    assert "\x1b" not in told.stdout
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
def test_filters_as_they_are_typed(judged: str, options: list[str], number: int):
    assert f"\n{number} refused" in "\n" + run("dead-letter", "list", *options, "--broker", judged).stdout


@pytest.mark.parametrize(
    "words, says",
    [
        (["list", "--since", "yesterday"], "'yesterday' is no time"),
        (["list", "--since", "2022-09-01T16:00:00"], "is no time"),
        (["list", "--reason", "rude"], "'rude'"),
        (["show", "comment/9/9"], "no refused message stood at 'comment/9/9'"),
        (["export", "/dev/null/x"], "cannot be written"),
        (["resend", "/nowhere"], "No such file"),
    ],
)
def test_what_cannot_be_meant(judged: str, words: list[str], says: str):
    told = run("dead-letter", *words, "--broker", judged)
    assert told.exit_code == 2
    assert says in told.stderr


async def read(broker: str, topic: str) -> list[Any]:
    return [record async for record in records(Settings(broker=broker), topic)]


def test_export_repair_resend(judged: str, tmp_path: Path):
    file = tmp_path / "bad.jsonl"
    assert run("dead-letter", "export", str(file), "--broker", judged).exit_code == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines.sort(key=lambda line: line["at"])
    assert len(lines) == 2
    with EmbeddedBroker() as other:  # so that the judged one stays as it is
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
        assert "0 of 2 messages good: nothing was sent" in refused.stderr
        now = round(time.time() * 1000)
        lines[1]["value"] |= {"buyer_id": "buyer-9", "at": now}
        assert "1 of 2 messages good: nothing was sent" in resend().stderr
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


def test_strangers_in_the_topic_are_told_and_keep_nobody_from_the_letters():
    ours = letter("comment", b"room-1", b"rubbish").said
    forged = msgspec.structs.replace(ours, offset=8, at=10**18)
    strangers = [b"hello", msgspec.json.encode(forged), msgspec.json.encode(forged).replace(b'"key":"', b'"key":"!')]
    with EmbeddedBroker() as broker:
        asyncio.run(make_topics(broker.address, 1))
        settings = Settings(broker=broker.address, idempotent_producer=False)
        sent = [RepairedMessage("dead-letter", b"k", value, None) for value in (*strangers, msgspec.json.encode(ours))]
        asyncio.run(send(settings, sent))
        told = run("dead-letter", "list", "--broker", broker.address)
        assert told.exit_code == 0
        assert "1 refused messages" in told.stdout
        assert "dead-letter/0/0 is not a message of Vigil's" in told.stderr
        assert "nor are 2 others" in told.stderr
        assert run("dead-letter", "show", "comment/0/7", "--broker", broker.address).exit_code == 0


class Record(NamedTuple):
    partition: int
    offset: int
    value: bytes


MANY, LARGE = 1200, 20_000


async def flood(*_: object) -> AsyncIterator[Record]:
    """Letters of tens of megabytes together."""
    for n in range(MANY):
        said = letter("comment", b"room-1", b"x" * LARGE, offset=n, at=NOW + n).said
        yield Record(0, n, msgspec.json.encode(said))


@pytest.mark.parametrize("words", [["list"], ["list", "--count"], ["show", "comment/0/1199"], ["export", "/dev/null"]])
def test_a_flood_is_not_held_in_memory(monkeypatch: pytest.MonkeyPatch, words: list[str]):
    monkeypatch.setattr("vigil.app.kafka.dead_letters.records", flood)
    tracemalloc.start()
    try:
        told = run("dead-letter", *words)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert told.exit_code == 0
    assert f"{MANY:,}" in told.output or words[0] == "show"
    assert most < MANY * LARGE / 5


def test_no_such_topic_and_no_broker_are_told():
    with EmbeddedBroker() as broker:
        told = run("dead-letter", "list", "--broker", broker.address)
        assert told.exit_code == 2
        assert "topic dead-letter: does not exist" in told.stderr
    assert "cannot reach Kafka" in run("dead-letter", "list", "--broker", "127.0.0.1:1").stderr


def test_every_topic_that_comes_in_can_be_decoded_by_name():
    for topic in TOPICS:
        value = orjson.dumps(EXAMPLES[topic.name].value) if topic.name in EXAMPLES else b"{}"
        if topic.direction == "in":
            assert decode(topic.name, EXAMPLES[topic.name].key.encode(), value)
        else:
            with pytest.raises(InvalidEvent, match="no topic that Vigil reads from outside"):
                decode(topic.name, b"k", value)
