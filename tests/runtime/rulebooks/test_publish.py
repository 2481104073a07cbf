"""A rulebook is published, refused, withdrawn and exported, on Apache Kafka and on the embedded broker."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.rulebook_files import TEXT, dated, read
from vigil.app.cli.main import main
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.topic_audit import survey
from vigil.app.runtime.rulebooks.history_file import newest_in_file
from vigil.app.runtime.rulebooks.publish import PublicationRefused, prepare, publish
from vigil.topics.rulebooks import KEEP_ALL

BOOK = read(TEXT)


@pytest.fixture
def settings(any_broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.chdir(tmp_path)
    name = f"air-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("VIGIL_BROKER", any_broker)
    monkeypatch.setenv("VIGIL_APP_ID", name)
    monkeypatch.setenv("VIGIL_TOPIC_PREFIX", f"{name}.")
    yield Settings(broker=any_broker, app_id=name, topic_prefix=f"{name}.")


def in_s(seconds: float) -> str:
    return f'"{(datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")}"'


def file(name: str, *, seconds: float, lasts_s: str = "77") -> Path:
    path = Path(name)
    path.write_text(dated("absence", in_s(seconds), lasts_s=lasts_s), encoding="utf-8")
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["rules", *arguments], env={"COLUMNS": "200"})


def entries() -> list[dict[str, object]]:
    result = run("history", "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = json.loads(result.stdout)["published"]
    return found


@pytest.mark.usefixtures("settings")
def test_a_rulebook_is_published_shown_exported_and_withdrawn() -> None:
    assert "No rulebook was published" in run("history").stdout
    path = file("candidate.toml", seconds=90)
    done = run("publish", str(path), "--by", "owner-2")
    assert done.exit_code == 0, done.output
    assert "77 s" in done.stdout and "Concerns rooms (absence)." in done.stdout
    assert "by owner-2; the first change begins" in done.stdout
    first, second = entries()  # the file of the settings comes first: all readers begin with it
    assert (first["digest"], first["parent"], first["begins"]) == (BOOK.digest, "", None)
    assert (second["parent"], second["by"]) == (BOOK.digest, "owner-2")
    assert run("history", "--export", "all.jsonl").exit_code == 0
    assert newest_in_file(Path("all.jsonl")).digest == second["digest"] == read(path.read_text()).digest
    original = Path("original.toml")
    original.write_text(TEXT, encoding="utf-8")
    assert run("publish", str(original)).exit_code == 0
    assert [each["digest"] for each in entries()] == [BOOK.digest, second["digest"], BOOK.digest]
    assert "owner-2" in run("history").stdout


@pytest.mark.usefixtures("settings")
def test_what_begins_too_soon_or_counts_always_is_refused_and_not_published() -> None:
    soon = run("publish", str(file("soon.toml", seconds=30)))
    assert (soon.exit_code, "it has to begin 60 s after the publication" in soon.stderr) == (1, True)
    Path("family.toml").write_text(TEXT.replace('family = "reception"', 'family = "obs"', 1), encoding="utf-8")
    always = run("publish", "family.toml")
    assert always.exit_code == 1
    assert "[greeting-miss] family: obs instead of reception" in always.stderr
    checked = run("publish", str(file("later.toml", seconds=90)), "--check")
    assert "It may be published." in checked.stdout
    assert entries() == []


async def test_of_two_publishers_with_one_parent_one_wins(settings: Settings) -> None:
    one = await prepare(settings, file("one.toml", seconds=90, lasts_s="61"), "one")
    two = await prepare(settings, file("two.toml", seconds=90, lasts_s="62"), "two")
    results = await asyncio.gather(publish(settings, one), publish(settings, two), return_exceptions=True)
    refused = [result for result in results if isinstance(result, PublicationRefused)]
    assert len(refused) == 1, results
    assert "it does not count, and changes nothing" in str(refused[0])
    winner = (one, two)[isinstance(results[0], PublicationRefused)]
    newest = await prepare(settings, file("three.toml", seconds=90, lasts_s="63"), "three")
    assert newest.replaces.digest == winner.book.digest


async def test_a_publication_that_waits_for_too_long_does_not_count(settings: Settings) -> None:
    prepared = await prepare(settings, file("late.toml", seconds=62), "late")
    await asyncio.sleep(3)
    with pytest.raises(PublicationRefused, match="too soon after its publication"):
        await publish(settings, prepared)


async def test_the_topic_keeps_every_publication(settings: Settings) -> None:
    await prepare(settings, file("any.toml", seconds=90), "any")
    found, _ = await survey(settings, ())
    topic = found[f"{settings.topic_prefix}rulebook"]
    assert topic.partitions == 1
    if topic.config is not None and "min.compaction.lag.ms" in topic.config:  # the embedded broker knows none
        assert topic.config["min.compaction.lag.ms"] == KEEP_ALL
        assert topic.config["message.timestamp.type"] == "LogAppendTime"
