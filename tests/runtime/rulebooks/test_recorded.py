"""A recording has the rulebooks that were published at its beginning, and replays judge by the newest that counts."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.rulebook_files import TEXT, dated, read
from tests.support.run_command import run
from tests.support.stories import START, S, as_message, frame, frames
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.history import RulebookHistory, RulebookRecord
from vigil.app.kafka.admin import ensure_topics
from vigil.app.kafka.clients import new_producer
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.rulebooks.history_file import lines_of, take_publications
from vigil.topics.rulebooks import RULEBOOK, RulebookPublication

DAY = 86_400_000
FIRST = dated("black-screen", '"2022-08-01T00:00:00-07:00"', lasts_s="60")
REFUSED = dated("black-screen", '"2022-08-01T00:00:00-07:00"', lasts_s="30")


def publication(text: str, parent: str = "", begins: int | None = None) -> RulebookPublication:
    return RulebookPublication(
        text=text, digest=read(text).digest, parent=parent, begins=begins, notice_ms=60_000, by="p", at=START - 30 * DAY
    )


def head(*texts: str) -> list[bytes]:
    """The lines of publications, each of which names the first one as its parent: the second counts, no further one."""
    history = RulebookHistory()
    for offset, text in enumerate(texts):
        body = publication(text, read(texts[0]).digest, START - DAY) if offset else publication(text)
        history.add(RulebookRecord(offset, START - 30 * DAY, body))
    return lines_of(history)


def black() -> list[bytes]:
    """A black picture for 100 s: a violation by FIRST, and none by the built-in rulebook."""
    story = [*frames(0, 100 * S, black=True), frame(101 * S, "ended")]
    return [msgspec.json.encode(as_message(event)) + b"\n" for event in story]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    file = tmp_path / "day.jsonl"
    file.write_bytes(b"".join([*head(TEXT, FIRST, REFUSED), *black()]))
    return file


class TestTakingThem:
    def test_the_newest_that_counts_is_taken_and_lines_keep_their_numbers(self) -> None:
        found, lines = take_publications(iter([*head(TEXT, FIRST, REFUSED), b"one\n", b"two\n"]), "day.jsonl")
        assert isinstance(found, Rulebook) and found.digest == read(FIRST).digest
        assert list(lines) == [b"\n", b"\n", b"\n", b"one\n", b"two\n"]

    @pytest.mark.parametrize("lines", [[], [b"no JSON\n"], [b'{"topic":"comment","value":"rulebook"}\n', b"x"]])
    def test_without_any_the_lines_are_as_they_were(self, lines: list[bytes]) -> None:
        found, left = take_publications(iter(lines), "day.jsonl")
        assert found is None
        assert list(left) == lines

    def test_one_that_is_broken_is_refused_with_its_line(self) -> None:
        with pytest.raises(RulebookError, match=r"day\.jsonl:2: no publication of a rulebook"):
            take_publications(iter([*head(TEXT), b'{"topic":"rulebook","value":{}}\n']), "day.jsonl")


class TestCommands:
    def replayed(self, recording: Path, *options: str) -> list[tuple[str, str]]:
        out = recording.parent / "out"
        result = run("replay", str(recording), "--out", str(out), *options)
        assert result.exit_code == 0, result.output
        assert (out / "dead-letter.jsonl").read_bytes() == b""
        return [(one["rule"], one["rulebook"]) for one in map(json.loads, (out / "verdict.jsonl").open())]

    def test_a_replay_judges_by_it_unless_it_is_given_another_one(self, recording: Path) -> None:
        assert self.replayed(recording) == [("black-screen", "2022-08-01")]
        own = recording.parent / "own.toml"
        own.write_text(TEXT)
        assert self.replayed(recording, "--rulebook", str(own)) == []
        history = recording.parent / "history.jsonl"
        history.write_bytes(b"".join(head(TEXT)))
        assert self.replayed(recording, "--rulebook-history", str(history)) == []

    def test_a_backtest_takes_it_as_its_base_unless_it_is_given_another_one(self, recording: Path) -> None:
        def answer(*options: str) -> Any:
            result = run("backtest", str(recording), "--json", "--set", "black-screen.lasts_s=200", *options)
            assert result.exit_code == 0, result.output
            return json.loads(result.stdout)

        assert [one["rule"] for one in answer()["verdicts"]["gone"]] == ["black-screen"]
        assert answer()["base"] == {"rulebook": "published", "digest": read(FIRST).digest}
        own = recording.parent / "own.toml"
        own.write_text(TEXT)
        assert answer("--base", str(own))["verdicts"]["gone"] == []

    def test_an_explanation_goes_by_it_unless_it_is_given_another_one(self, recording: Path) -> None:
        self.replayed(recording)
        out = recording.parent / "out"
        (verdict,) = map(json.loads, (out / "verdict.jsonl").open())

        def limits(*options: str) -> Any:
            place = ("--from", str(out), "--events", str(recording))
            result = run("explain", verdict["verdict_id"], *place, "--json", *options)
            assert result.exit_code == 0, result.output
            return json.loads(result.stdout)["limits"]

        own = recording.parent / "own.toml"
        own.write_text(TEXT)
        assert limits()["numbers"] == {"lasts_s": "1 min"}
        assert limits("--rulebook", str(own)) is None, "it has no such version"

    def test_a_rulebook_of_another_version_is_refused_with_a_remedy(self, recording: Path) -> None:
        recording.write_bytes(recording.read_bytes().replace(read(FIRST).digest.encode(), b"0" * 64))
        result = run("replay", str(recording), "--out", str(recording.parent / "out"))
        assert result.exit_code == 2
        assert "--rulebook names another one to judge by" in result.stderr


async def test_vigil_record_writes_them_first_whatever_is_selected(any_broker: str, tmp_path: Path) -> None:
    name = f"rec-{uuid.uuid4().hex[:8]}"
    settings = Settings(broker=any_broker, app_id=name, topic_prefix=f"{name}.", partitions=1)
    await ensure_topics(settings, REGISTRY.sources)
    names = TopicNames.of(settings)
    first = publication(TEXT)
    async with new_producer(settings, "test") as producer:
        for body in (first, publication(FIRST, first.digest, 4_000_000_000_000)):
            await producer.send_and_wait(names.on_cluster(RULEBOOK), msgspec.json.encode(body), RULEBOOK.encode())
        await producer.send_and_wait(names.on_cluster("comment"), b"{}", b"room-1")
    file = tmp_path / "day.jsonl"
    given = {"broker": any_broker, "app_id": name, "topic_prefix": f"{name}."}
    result = await asyncio.to_thread(run, "record", str(file), "--topic", "comment", "--since", "1h", **given)
    assert result.exit_code == 0, result.output
    assert "rulebook 2" in result.stderr
    lines = [json.loads(line) for line in file.open()]
    assert [line["topic"] for line in lines] == ["rulebook", "rulebook", "comment"]
    found, _ = take_publications(iter(file.read_bytes().splitlines(keepends=True)), "day.jsonl")
    assert found is not None and found.digest == read(FIRST).digest
