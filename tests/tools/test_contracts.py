"""The pages of the contract are current, and their examples work."""

import json
import re
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.support import kafka as real
from tests.support.needs import program
from tools import contracts
from vigil.topics.contracts import EXAMPLES, PUBLIC, VERSION
from vigil.topics.contracts.decoding import decode
from vigil.topics.envelope import cloud_event_headers

PAGE = contracts.PAGE.read_text()


def test_generated_files_and_parts_are_current():
    assert contracts.stale() == [], "python tools/contracts.py write"


def test_files_that_are_out_of_date_are_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    shutil.copytree(contracts.FOLDER, tmp_path / "docs" / "contracts")
    page = tmp_path / "docs" / "contracts.md"
    page.write_text(PAGE.replace("| `verdict` | out | `room_id`", "| `verdict` | out | `host_id`"))
    monkeypatch.setattr(contracts, "FOLDER", tmp_path / "docs" / "contracts")
    monkeypatch.setattr(contracts, "PAGE", page)
    (contracts.FOLDER / "schemas" / "verdict.json").unlink()
    (contracts.FOLDER / "schemas" / "verdikt.json").write_text("{}")
    monkeypatch.setattr(contracts, "ROOT", tmp_path)
    shutil.copytree(Path(__file__).parents[2] / "examples", tmp_path / "examples")
    assert contracts.stale() == [
        "docs/contracts/schemas/verdict.json",
        "docs/contracts.md",
        "docs/contracts/schemas/verdikt.json (no such topic)",
    ]


def test_every_example_of_the_page_is_valid():
    parts = re.findall(r"`([a-z-]+)`, key `([^`]+)`.*?```json\n(.*?)```", PAGE, re.DOTALL)
    assert {topic for topic, _, _ in parts} == set(PUBLIC) - {"verdict-shadow"}
    for topic, key, body in parts:
        assert json.loads(body) == EXAMPLES[topic].value
        if PUBLIC[topic].direction == "in":
            decode(topic, key.encode(), body.encode())


def test_the_schemas_of_the_present_version_are_saved():
    assert (contracts.FOLDER / "released" / VERSION).is_dir()


def test_fields_that_the_page_names_exist():
    identities = re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \| (.*?) \| (?:insert|update)", PAGE, re.MULTILINE)
    assert len(identities) == 5
    for topics, fields in identities:
        for topic in re.findall(r"`([a-z-]+)`", topics):
            for field in re.findall(r"`(\w+)`", fields):
                assert field in EXAMPLES[topic].value


def lines_of(command: list[str], count: int, within_s: float) -> list[str]:
    """Return the first lines that a program prints, and kill it."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            lines, until = [], time.monotonic() + within_s
            while len(lines) < count and time.monotonic() < until:
                line = program.stdout.readline()
                if not line:
                    break
                lines.append(line.rstrip("\n"))
        finally:
            program.kill()
    return lines


VERDICT = EXAMPLES["verdict"].value


@pytest.mark.ci
def test_the_example_consumer_in_python_works_and_is_short(judged: str):
    file = contracts.ROOT / "examples" / "consumer.py"
    assert len([line for line in file.read_text().splitlines() if line.strip()]) <= 16
    lines = lines_of([sys.executable, str(file), judged], 1, 30)
    assert lines == [f"room-1 greeting-miss {VERDICT['at']}"]


@pytest.mark.ci
def test_the_example_consumer_in_java_works(judged: str, kafka_here: None):
    jars = real.fetch_jars()
    file = contracts.ROOT / "examples" / "Verdicts.java"
    (line,) = lines_of(["java", "-cp", f"{jars}/*", str(file), judged], 1, 60)
    key, _, body = line.partition(" ")
    assert key == "room-1"
    assert json.loads(body)["verdict_id"] == VERDICT["verdict_id"]


KCAT = PAGE.partition("### With kcat\n\n```sh\n")[2].partition("```")[0]


async def test_the_commands_for_kcat_work_unchanged(kafka: str):
    for name in ("kcat", "jq"):
        program("KCAT", "the page's commands for kcat are", name, name)
    own = uuid.uuid4().hex[:8]  # suffix of the topics, since other tests use this Kafka
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    names = ("verdict", "enforcement", "room-status", "review")
    await admin.create_topics([NewTopic(f"{topic}-{own}", 1, 1) for topic in names])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for topic in names[:3]:
            one = EXAMPLES[topic]
            headers = cloud_event_headers(topic, one.id or "", one.value["at"])
            body = json.dumps(one.value, separators=(",", ":")).encode()
            await producer.send_and_wait(f"{topic}-{own}", body, key=one.key.encode(), headers=headers)

    def run(command: str) -> str:
        command = re.sub(r"-t ([a-z-]+)", rf"-t \1-{own}", command).replace("localhost:9092", kafka)
        command = command.replace("-o end", "-o beginning -e")  # otherwise it waits for new messages
        shell = ["bash", "-o", "pipefail", "-c", command]
        return subprocess.run(shell, check=True, capture_output=True, text=True, timeout=30).stdout

    commands = re.findall(r"^(?:kcat|echo) .*(?:\n {4}.*)*", KCAT, re.MULTILINE)
    verdicts, with_headers, actions, rooms, _ = map(run, commands)
    assert verdicts.startswith(f'room-1 {{"verdict_id":"{VERDICT["verdict_id"]}"')
    assert f"ce_id={VERDICT['verdict_id']}" in with_headers
    assert json.loads(actions) == [EXAMPLES["enforcement"].value]
    assert rooms.startswith("room-1|{")
    assert run("kcat -b localhost:9092 -C -t review -o beginning -e -f '%k'") == "merchant-7"
