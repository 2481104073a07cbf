"""Real data through replay and through workers on Kafka, counted again in SQL: a part of it, and all of it.

The data come from registries. Without them the tests are skipped, or fail with VIGIL_REQUIRE_REGISTRIES=1.
"""

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.harness import WorkerProcess, finished, make_topics, read, send
from tests.support.kafka import KafkaBroker
from tests.support.needs import lacking
from tools.packages import PackageMissing, fetched
from tools.reality.__main__ import main
from tools.reality.catalogue import SCENARIOS
from tools.reality.events import RealLine, by_time, written
from tools.reality.recount import recounted
from tools.reality.report import PAGE
from tools.reality.scenario import Scenario
from vigil.app.domain.registry import DEAD_LETTER, REGISTRY
from vigil.app.simulate.message import SimulatedMessage

PARTITIONS = 4
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def archive(scenario: Scenario) -> Path:
    """The package of a scenario, from the cache or its registry."""
    try:
        return fetched(scenario.package)
    except PackageMissing as missing:
        lacking("REGISTRIES", "real data are", str(missing))


def message(line: RealLine) -> SimulatedMessage:
    value = orjson.loads(line.json)["value"]
    key = value.get("room_id") or value["supplier_id"]
    return SimulatedMessage(line.topic, key.encode(), orjson.dumps(value), line.at, line.at)


def write_published(consumed: dict[str, list[tuple[bytes | None, Any]]], folder: Path) -> None:
    """Write what consumers have as a replay writes it: of a state the last message of each key."""
    folder.mkdir()
    states = {output.topic for output in REGISTRY.replayed if output.kind == "state"}
    for topic, messages in consumed.items():
        kept = dict(messages).values() if topic in states else [value for _, value in messages]
        lines = [orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in kept if value is not None]
        (folder / f"{topic}.jsonl").write_bytes(b"".join(lines))


def test_the_page_names_every_package_with_its_version_hash_and_licence() -> None:
    page = PAGE.read_text()
    packages = {scenario.package for scenario in SCENARIOS}
    assert [
        part for one in packages for part in (one.name, one.version, one.sha256, one.licence) if part not in page
    ] == []
    assert [scenario.name for scenario in SCENARIOS if f"`{scenario.name}`" not in page] == []


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_a_part_of_the_data_has_no_difference(capsys: pytest.CaptureFixture[str]) -> None:
    """Every eighth chat and room of Chinese reviews, every fiftieth aircraft, all short films: the short form of CI."""
    for name in ("chats", "reviews", "flights", "streets"):
        archive(BY_NAME[name])
    assert main(["chats", "reviews", "--every", "8"]) == 0
    assert main(["flights", "--every", "50"]) == 0
    assert main(["streets"]) == 0
    assert "absence verdicts" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_data_have_no_difference() -> None:
    """The long form, of minutes: what `make reality` runs."""
    for scenario in SCENARIOS:
        archive(scenario)
    assert main([]) == 0


@pytest.mark.ci
@pytest.mark.parametrize(("name", "every"), [("chats", 40), ("flights", 100)])
async def test_a_part_through_a_worker_on_kafka_has_no_difference(
    own_kafka: KafkaBroker, tmp_path: Path, name: str, every: int
) -> None:
    scenario = BY_NAME[name]
    lines = by_time(scenario.events(archive(scenario), every))
    written(lines, tmp_path / "events.jsonl")
    await make_topics(own_kafka.address, PARTITIONS)
    await send(own_kafka.address, map(message, lines))
    settings = {"clock": "recorded", "recorded_until": lines[-1].at, "log_format": "text"}
    worker = await WorkerProcess(own_kafka.address, tmp_path / "worker.log", **settings).ready()
    try:
        await finished(own_kafka.address)
        topics = (*(output.topic for output in REGISTRY.replayed), DEAD_LETTER)
        write_published(await read(own_kafka.address, topics), tmp_path / "published")
    finally:
        assert worker.stop() == 0
    compared = recounted(tmp_path / "events.jsonl", tmp_path / "published", scenario.scripts, {"within_ms": 10_000})
    assert sum(one.rows for one in compared) > 500
    assert [line for one in compared for line in one.shown] == []
