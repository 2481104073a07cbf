"""What others write into Vigil's own topics is counted, reported and left out: no reader ends in a traceback."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
import pytest
from starlette.testclient import TestClient

from tests.support.console_stories import ConsoleStage
from tests.support.foreign import BYTES, spoilt
from tests.support.run_command import run
from vigil.app.console.ingest.model import OUTPUTS
from vigil.app.domain.rulebook import Rulebook
from vigil.app.kafka.dead_letters import DeadLetterFilter, find
from vigil.app.kafka.settings import Settings
from vigil.topics.catalog import BY_NAME
from vigil.topics.contracts.examples import EXAMPLES
from vigil.topics.read_back import ForeignMessageError, read_back


class Record(NamedTuple):
    """A record as a consumer returns it."""

    value: bytes | None
    key: bytes | None = None
    partition: int = 0
    offset: int = 0
    timestamp: int = 0
    topic: str = ""


@pytest.mark.parametrize("topic", OUTPUTS)
def test_the_console_shows_every_page_whatever_stands_in_a_topic(topic: str) -> None:
    console = ConsoleStage()
    model = console.state.model
    for value in BYTES:
        model.ingest(topic, b"room-1", value, 0)
    assert (model.foreign[topic], len(model.rooms)) == (len(BYTES), 0)
    for value in spoilt(topic):
        model.ingest(topic, b"\xff", value, 0)
    console.state.tick()
    browser = TestClient(console.app, base_url="http://127.0.0.1", client=("127.0.0.1", 1))
    paths = ["/", "/suppliers", "/search?q=room"]
    for kind, names in (
        ("room", model.rooms),
        ("host", model.hosts),
        ("verdict", model.verdicts),
        ("supplier", model.suppliers),
    ):
        paths += [f"/{kind}?id={name}" for name in names]
    for path in paths:
        assert browser.get(path).status_code == 200, path


def test_the_count_and_the_last_of_them_are_known() -> None:
    model = ConsoleStage().state.model
    model.ingest("verdict", None, b"hello", 0)
    model.ingest("comment", None, b"hello", 0)  # an input: the worker reports it
    assert (model.rejected, model.foreign) == (2, {"verdict": 1})
    assert model.last_foreign.startswith("verdict: JSON is malformed")


def topics_with(monkeypatch: pytest.MonkeyPatch, where: str, topics: dict[str, list[Record]]) -> None:
    async def records(_: object, topic: str, *__: object, **___: object) -> AsyncIterator[Record]:
        for record in topics.get(topic, ()):
            yield record

    async def nothing_deleted(*_: object) -> None:
        return None

    async def no_publication(_: object, own: Rulebook) -> Rulebook:
        return own

    monkeypatch.setattr(f"{where}.records", records)
    monkeypatch.setattr("vigil.app.cli.explain_places.in_force", no_publication)
    for module in ("vigil.app.runtime.whatif.sources", "vigil.app.runtime.whatif.lines.sources"):
        monkeypatch.setattr(f"{module}.records", records)
        monkeypatch.setattr(f"{module}.deleted_before", nothing_deleted)


def test_an_explanation_reports_what_it_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    junk = {
        topic: [Record(value, offset=number) for number, value in enumerate((*BYTES, *spoilt(topic)))]
        for topic in ("verdict", "enforcement", "dead-letter")
    }
    example = EXAMPLES["verdict"].value
    junk["verdict"].append(Record(json.dumps(example).encode(), b"room-1"))
    topics_with(monkeypatch, "vigil.app.runtime.whatif.sources", junk)
    shown = run("explain", example["verdict_id"])
    assert shown.exit_code == 0, shown.output
    assert "messages in verdict that Vigil did not write left out (the first: partition 0, offset 0: " in shown.stdout
    caveats = json.loads(run("explain", example["verdict_id"], "--json").stdout)["caveats"]
    assert [words.split(" in ")[1].split()[0] for words in caveats[-3:]] == ["dead-letter", "enforcement", "verdict"]


def test_every_spoilt_verdict_that_is_read_can_be_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    example = EXAMPLES["verdict"].value
    decoder = msgspec.json.Decoder(BY_NAME["verdict"].carries)
    readable = [value for value in spoilt("verdict") if _is_read(decoder, value)]  # the others: see the test above
    assert len(readable) > 50
    for value in readable:
        topics_with(monkeypatch, "vigil.app.runtime.whatif.sources", {"verdict": [Record(value, b"room-1")]})
        shown = run("explain", example["verdict_id"][:20])
        assert not shown.exception or isinstance(shown.exception, SystemExit), value
        assert "cannot reach Kafka" not in shown.output


def _is_read(decoder: msgspec.json.Decoder[Any], value: bytes) -> bool:
    try:
        read_back(decoder, value)
    except ForeignMessageError:
        return False
    return True


def test_dead_letters_of_others_are_reported_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    good = EXAMPLES["dead-letter"].value
    bad_base64 = json.dumps({**good, "value": base64.b64encode(b"x").decode()[:-1] + "ü"}).encode()
    values = [*BYTES, *spoilt("dead-letter"), bad_base64, json.dumps(good).encode()]
    records = [Record(value, offset=number) for number, value in enumerate(values)]
    topics_with(monkeypatch, "vigil.app.kafka.dead_letters", {"dead-letter": records})
    reported: list[str] = []

    async def letters() -> list[str]:
        found = find(Settings(), DeadLetterFilter(), lambda place, error: reported.append(place))
        return [letter.place async for letter in found]

    assert asyncio.run(letters())[-1] == "buyer-entry/0/11"
    assert len(reported) > len(BYTES)
