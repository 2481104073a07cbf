"""The AsyncAPI document: valid by the official schema, whole, and true to the catalogue of topics."""

import copy
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.needs import lacking
from vigil.app.domain.registry import REGISTRY
from vigil.topics.contracts import EXAMPLES, PUBLIC, asyncapi
from vigil.topics.envelope import cloud_event_headers

DOCUMENT = asyncapi(REGISTRY.readers)
UNTESTED = "the AsyncAPI document against its official schema is"
SPECS = "6.11.1"
"""The version of npm's @asyncapi/specs that has the official schemas."""


@pytest.fixture(scope="module")
def official() -> jsonschema.Draft7Validator:
    """The official JSON Schema of AsyncAPI 3.0.0, fetched once with npm and kept."""
    cache = Path(os.environ.get("VIGIL_KAFKA_CACHE") or Path.home() / ".cache" / "vigil") / f"asyncapi-{SPECS}"
    file = cache / "3.0.0.json"
    if not file.exists():
        npm = shutil.which("npm")
        if npm is None:
            lacking("ASYNCAPI", UNTESTED, "the official schema is not here, and there is no npm to fetch it with")
        cache.mkdir(parents=True, exist_ok=True)
        command = [npm, "pack", "--silent", "--pack-destination", str(cache), f"@asyncapi/specs@{SPECS}"]
        fetched = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        if fetched.returncode:
            lacking("ASYNCAPI", UNTESTED, f"npm could not fetch the official schema: {fetched.stderr[-500:]}")
        with tarfile.open(cache / fetched.stdout.strip().splitlines()[-1]) as packed:
            content = packed.extractfile("package/schemas/3.0.0.json")
            assert content is not None
            part = file.with_suffix(f".{os.getpid()}")
            part.write_bytes(content.read())
        part.replace(file)
    return jsonschema.Draft7Validator(json.loads(file.read_text()))


def test_it_is_valid_by_the_official_schema(official: jsonschema.Draft7Validator):
    assert [error.message for error in official.iter_errors(DOCUMENT)] == []


@pytest.mark.parametrize(
    "path, value",
    [
        (("asyncapi",), "2.6.0"),
        (("info", "title"), None),
        (("channels", "verdict", "address"), 7),
        (("channels", "verdict", "bindings", "kafka", "partitions"), "many"),
        (("operations", "send-verdict", "action"), "publish"),
        (("components", "messages", "verdict", "payload"), 7),
        (("components", "schemas", "Verdict", "type"), "objekt"),
        (("servers", "kafka", "protocol"), None),
    ],
)
def test_the_official_schema_sees_what_is_wrong(
    official: jsonschema.Draft7Validator, path: tuple[str, ...], value: object
):
    broken = copy.deepcopy(DOCUMENT)
    place = broken
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    assert not official.is_valid(broken)


def references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [found for inner in part for found in references(inner)]
    if not isinstance(part, dict):
        return []
    if "$ref" in part:
        assert list(part) == ["$ref"], "what stands beside a reference is ignored"
        return [part["$ref"]]
    return [found for inner in part.values() for found in references(inner)]


def resolve(reference: str) -> Any:
    place: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        place = place[part]
    return place


def test_every_reference_leads_somewhere_and_every_part_is_used():
    led_to = references(DOCUMENT)
    for reference in led_to:
        assert resolve(reference)
    for kind in ("schemas", "messages"):
        for name in DOCUMENT["components"][kind]:
            assert f"#/components/{kind}/{name}" in led_to


def inlined(part: Any) -> Any:
    if isinstance(part, list):
        return [inlined(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return inlined(resolve(part["$ref"]))
    return {name: inlined(inner) for name, inner in part.items()}


@pytest.mark.parametrize("topic", PUBLIC)
def test_payloads_are_json_schemas_of_draft_7_that_the_examples_fit(topic: str):
    message = resolve(f"#/components/messages/{topic}")
    schema = inlined(message["payload"])
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(EXAMPLES[topic].value)
    for example in message["examples"]:
        jsonschema.Draft7Validator(schema).validate(example["payload"])
        if "headers" in message:
            jsonschema.Draft7Validator(message["headers"]).validate(example["headers"])


@pytest.mark.parametrize("topic", PUBLIC)
def test_topics_are_described_as_in_the_catalogue(topic: str):
    channel, known = DOCUMENT["channels"][topic], PUBLIC[topic]
    assert channel["address"] == topic
    kafka = channel["bindings"]["kafka"]
    configuration = kafka.get("topicConfiguration", {})
    assert configuration.get("cleanup.policy", []) == [
        policy for policy in known.config.get("cleanup.policy", "").split(",") if policy
    ]
    assert str(configuration.get("retention.ms", "")) == known.config.get("retention.ms", "")
    way = "receive" if known.direction == "in" else "send"
    assert DOCUMENT["operations"][f"{way}-{topic}"]["action"] == way


def test_the_headers_are_those_that_are_sent():
    for topic in PUBLIC.values():
        if topic.direction == "out":
            headers = DOCUMENT["components"]["messages"][topic.name]["headers"]
            sent = {name: value.decode() for name, value in cloud_event_headers(topic.name, "id", 0)}
            assert set(headers["required"]) == set(headers["properties"]) == set(sent)
            jsonschema.Draft7Validator(headers).validate(sent)
            assert not jsonschema.Draft7Validator(headers).is_valid(sent | {"ce_type": "vigil.else.v1"})
