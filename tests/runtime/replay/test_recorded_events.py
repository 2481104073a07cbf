"""However the lines of a recording are read, one step or two, alone or together, the outputs are the same."""

import json
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, Final

import msgspec
import pytest

from tests.support.harness import recorded
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.runtime import recorded_events
from vigil.app.runtime import replay as replay_module
from vigil.app.runtime.recorded_events import LineReader, RecordedEvent, RecordedMessage
from vigil.app.runtime.recording import RejectedLine
from vigil.app.runtime.replay import Replay, written
from vigil.app.simulate import Simulation

TOPICS: Final = [topic for topic in REGISTRY.topics.values() if topic.direction == "in"]
SIMULATION: Final = Simulation(
    seed=11, rooms=6, suppliers=4, start_ms=1_662_048_000_000, duration_s=120, history_days=2, reviews=0.5
)


START: Final = SIMULATION.start_ms


def two_steps(line: str) -> RecordedEvent:
    raise msgspec.DecodeError("not in one step")


def outcome(lines: Iterable[bytes]) -> Any:
    run = Replay(load_rulebook())
    run.feed(lines)
    outputs = run.end()
    files = {name: list(content) for name, content in written(outputs)}
    return files, dict(outputs.counts), outputs.until, outputs.furthest, outputs.rooms_begin


def in_two_steps(lines: Iterable[bytes], monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(recorded_events, "event_decoder", lambda topics: two_steps)
        return outcome(lines)


def one_by_one(lines: Iterable[bytes], monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(replay_module, "BATCH", 1)
        return outcome(lines)


def changed(line: bytes, rng: Random) -> bytes:
    """A line as other writers might have it; some are no events, and some no lines."""
    content = json.loads(line)
    value = content["value"] if isinstance(content["value"], dict) else {}
    place, byte = rng.randrange(len(line)), bytes([rng.randrange(256)])
    in_content: list[dict[str, Any]] = [
        {"key": None},
        {"key": rng.choice(["another", '"quoted"'])},
        {"value": None},
        {"": rng.choice([5, "x"]), " ": rng.choice(["x", 4]), "place": 1, "raw": 2, "decoded": False},
        {"topic": "nowhere"},
    ]
    in_value: list[dict[str, Any]] = [
        {"labels": ["  Rights:X ", "rights:x", "\u200b", "Minor"]},
        {"at": float(value.get("at", 0))},
        {"at": value.get("at", 0) + rng.randrange(-6000, 6000)},
        {"unknown": "y" * 70_000},
        {"amount_usd": rng.choice([12.5, 12, "12.505", "12.50"])},
        {"detector": float("nan")},
    ]
    others = [
        line[:place] + byte + line[place + 1 :],
        json.dumps(dict(reversed(content.items()))).encode(),
        b"\xef\xbb\xbf" + line,
        line[:-1] + rng.choice([b',"topic":"comment"}', b',"value":{}}', b',"unknown":"\xff"}']),
        json.dumps({name: part for name, part in content.items() if name != "key"}).encode(),
        b"   ",
    ]
    return rng.choice(
        [json.dumps(content | change).encode() for change in in_content]
        + [json.dumps(content | {"value": value | change}).encode() for change in in_value]
        + others
    )


def story(seed: int) -> list[bytes]:
    """A simulated recording, some lines changed, some with their places, the second half a dump of one topic each."""
    rng = Random(seed)
    lines = []
    for line in recorded(SIMULATION.messages()):
        if rng.random() < 0.5:
            place = {"partition": rng.randrange(3), "offset": rng.randrange(10**6)}
            line = line[:-1] + b"," + json.dumps(place).encode()[1:]
        lines.append(changed(line, rng) if rng.random() < 0.1 else line)
    middle = len(lines) // 2
    return lines[:middle] + sorted(lines[middle:], key=lambda line: line[:30])


@pytest.mark.parametrize("seed", range(3))
def test_one_step_leads_where_two_lead(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = story(seed)
    files, *rest = outcome(lines)
    assert files["verdict.jsonl"]
    assert files["dead-letter.jsonl"]
    assert [files, *rest] == list(in_two_steps(lines, monkeypatch))


@pytest.mark.parametrize("seed", range(3, 6))
def test_lines_together_lead_where_single_ones_lead(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = story(seed)
    assert outcome(lines) == one_by_one(lines, monkeypatch)


def read(*lines: bytes) -> Iterator[Any]:
    return LineReader(TOPICS).read(lines)


def entry(at: Any = START, **more: Any) -> bytes:
    value = {"room_id": "r", "host_id": "h", "at": at, "buyer_id": "b"}
    return json.dumps({"topic": "buyer-entry", "value": value} | more).encode()


def test_a_line_that_is_an_event_is_decoded_at_once() -> None:
    """Otherwise the comparisons above would compare the long way with itself."""
    (line,) = read(entry(key="r", partition=2, offset=9))
    assert isinstance(line, RecordedEvent)
    assert (line.topic, line.event.room_id, line.key, line.place, line.offset) == ("buyer-entry", "r", b"r", (2, 9), 1)
    assert json.loads(line.value or b"") == {"room_id": "r", "host_id": "h", "at": START, "buyer_id": "b"}


def test_what_is_no_event_at_once_keeps_its_number() -> None:
    lines = list(read(b"", entry(at="soon"), b"{}", entry(), entry(topic="nowhere")))
    kinds = [(type(line), getattr(line, "record", line).offset) for line in lines]
    assert kinds[:2] == [(RecordedMessage, 2), (RejectedLine, 3)]
    assert kinds[2][1] == 4
    assert isinstance(lines[2], RecordedEvent)
    assert kinds[3:] == [(RejectedLine, 5)]
