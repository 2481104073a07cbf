"""A recording of topics keeps the order of each partition, and gives a replay what the workers had."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from tests.support.comparison import differences
from tests.support.harness import WorkerProcess, finished, make_topics, read
from tests.support.run_command import run
from vigil.app.cli.replay import lines_with_progress
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.clients import new_producer
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.recorder import Recorded, Recorder, Selection, Source, line_of, merge
from vigil.app.runtime.recording import decode_line
from vigil.app.runtime.replay import Replay
from vigil.app.simulate import Simulation
from vigil.topics.contracts.examples import EXAMPLES

START = 1_662_048_000_000
LATENESS = 2000


class Record(NamedTuple):
    partition: int
    offset: int
    key: bytes
    value: bytes
    timestamp: int = START


def frame(partition: int, offset: int, at: int) -> Record:
    room = f"room-{partition}"
    value = {"room_id": room, "host_id": "h", "at": at, "stream": "live", "face": True, "black": False}
    return Record(partition, offset, room.encode(), json.dumps(value).encode())


def merged(partitions: list[list[int]], fetched: list[int]) -> list[Recorded]:
    """The merge of partitions of which a few records are fetched at a time; `partitions`: seconds after the start."""
    sources = [Source("frame-status", TopicPartition("frame-status", n), 0, len(p)) for n, p in enumerate(partitions)]
    positions = [0] * len(partitions)
    lines: list[Recorded] = []
    turn = 0
    while any(position < len(each) for position, each in zip(positions, partitions, strict=True)) or any(
        source.queue for source in sources
    ):
        for number, source in enumerate(sources):
            if not source.queue:
                size = fetched[turn % len(fetched)]
                turn += 1
                for offset in range(positions[number], min(positions[number] + size, len(partitions[number]))):
                    source.add(frame(number, offset, START + partitions[number][offset] * 1000))  # type: ignore[arg-type]
                positions[number] = min(positions[number] + size, len(partitions[number]))
        done = {s.tp for n, s in enumerate(sources) if positions[n] >= len(partitions[n])}
        lines += merge(sources, done)
    return lines


@given(
    st.lists(st.lists(st.integers(0, 60), max_size=30), min_size=1, max_size=4),
    st.lists(st.integers(1, 7), min_size=1, max_size=5),
)
def test_a_recording_keeps_offsets_and_what_is_late(partitions: list[list[int]], fetched: list[int]) -> None:
    lines = merged(partitions, fetched)
    assert len(lines) == sum(map(len, partitions))
    newest_of_all = 0
    newest: dict[int, int] = {}
    offsets: dict[int, int] = {}
    for line in lines:
        at = json.loads(line.value or b"{}")["at"]
        assert line.offset == offsets.get(line.partition, -1) + 1
        offsets[line.partition] = line.offset
        late_live = at < newest.get(line.partition, 0) - LATENESS
        late_in_replay = at < newest_of_all - LATENESS
        assert late_live == late_in_replay
        newest[line.partition] = max(newest.get(line.partition, 0), at)
        newest_of_all = max(newest_of_all, at)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, b"null"),
        (b'{"at": 4.0}', b'{"at": 4.0}'),
        (b'{\n  "at": 4.0\n}', b'{"at":4.0}'),
        (b"\xef\xbb\xbf{}", b"{}"),
    ],
)
def test_a_value_stands_on_one_line_as_it_was(value: bytes | None, written: bytes) -> None:
    line = line_of(Recorded("comment", 3, 7, b"room-1", value))
    assert line.count(b"\n") == 1
    assert bytes(decode_line(line).value) == written
    assert (decode_line(line).key, decode_line(line).partition, decode_line(line).offset) == ("room-1", 3, 7)


@pytest.mark.parametrize("value", [b"hello\nworld", b"", b"\xff", b'{"a":\r'])
def test_what_is_no_event_is_one_line_that_a_replay_rejects(value: bytes) -> None:
    line = line_of(Recorded("comment", 3, 7, b"\xff\n", value))
    assert line.count(b"\n") == 1 and b"\r" not in line
    replay = Replay(load_rulebook())
    replay.feed([line])
    (rejected,) = replay.end().rejected
    assert rejected.body is not None


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_replay_of_a_recording_equals_what_the_workers_published(own_kafka: Any, tmp_path: Path) -> None:
    broker = own_kafka.address
    await make_topics(broker, 3)
    simulation = Simulation(seed=11, rooms=8, suppliers=6, start_ms=START, duration_s=240)
    messages = list(simulation.messages())
    settings = Settings(broker=broker)
    async with new_producer(settings, "test", transactional_id="recorded") as producer:
        for begin in range(0, len(messages), 500):
            await producer.begin_transaction()
            for message in messages[begin : begin + 20]:
                await producer.send(message.topic, b"never said", key=message.key)
            await producer.abort_transaction()
            async with producer.transaction():
                for message in messages[begin : begin + 500]:
                    await producer.send(message.topic, message.value, key=message.key)
    until = max(message.at for message in messages)
    worker = await WorkerProcess(
        broker, tmp_path / "worker.log", clock="recorded", recorded_until=until, session_timeout_ms=6000
    ).ready()
    try:
        await finished(broker, within_s=60, still_s=1.0)
        found = await read(broker)
    finally:
        assert worker.stop() == 0
    for name in ("day.jsonl", "day.jsonl.zst", "day.jsonl.gz"):
        shown = await asyncio.to_thread(run, "record", str(tmp_path / name), "--broker", broker)
        assert shown.exit_code == 0, shown.output
        assert f"{len(messages):,} messages in" in shown.stderr
    contents = [b"".join(lines_with_progress(str(tmp_path / f"day.jsonl{end}"), "")) for end in ("", ".zst", ".gz")]
    assert contents[0] == contents[1] == contents[2]
    replay = Replay(load_rulebook())
    replay.feed(contents[0].splitlines(keepends=True))
    assert differences(replay.end(), found) == []
    assert found["verdict"]
    room = json.loads(contents[0].splitlines()[-1])["value"].get("room_id") or "room-1"
    shown = await asyncio.to_thread(run, "record", str(tmp_path / "room.jsonl"), "--broker", broker, "--room", room)
    lines = (tmp_path / "room.jsonl").read_bytes().splitlines()
    assert {json.loads(line)["value"]["room_id"] for line in lines} == {room}
    shown = await asyncio.to_thread(run, "record", str(tmp_path / "none.jsonl"), "--broker", broker, "--until", "1d")
    assert shown.exit_code == 1
    assert "nothing to record" in shown.output


async def test_what_workers_rejected_and_a_replay_would_not_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    letter = EXAMPLES["dead-letter"].value
    reasons = ("misrouted", "future", "late", "malformed")

    async def records(*_: object, **__: object) -> AsyncIterator[Record]:
        yield Record(0, 0, b"", b'hello "future"')
        for offset, reason in enumerate(reasons):
            value = json.dumps({**letter, "topic": "comment", "offset": offset, "reason": reason}).encode()
            yield Record(0, offset, b"", value)

    monkeypatch.setattr("vigil.app.runtime.recorder.records", records)
    recorder = Recorder(Settings(), Selection())
    assert await recorder._rejections() == {("comment", 0, 0): "misrouted", ("comment", 0, 1): "future"}
