"""The schemas are schemas, every field has words, the examples are true, and what Vigil says fits."""

import hashlib
import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from tests.support.harness import replayed
from vigil.app.domain.registry import DEAD_LETTER, REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.runtime.replay import json_line, replay
from vigil.app.simulate import Simulation
from vigil.topics.catalog import TOPICS
from vigil.topics.contracts import EXAMPLES, PUBLIC, schema_of
from vigil.topics.contracts.examples import STORY
from vigil.topics.contracts.files import STORY_FILE, files
from vigil.topics.contracts.schemas import components, major
from vigil.topics.contracts.words import docstrings, words_of
from vigil.topics.rooms import Comment
from vigil.topics.topic import Topic
from vigil.topics.verdicts import Verdict, identity

every_topic = pytest.mark.parametrize("topic", PUBLIC)
FILES = sorted((Path(__file__).parents[3] / "docs" / "contracts" / "released").glob(f"{major()}.*/*.json"))
VALIDATORS = {name: jsonschema.Draft202012Validator(schema_of(topic)) for name, topic in PUBLIC.items()}


class GrownOutput(msgspec.Struct):
    """An output to which a later version added a field."""

    known: int
    """A field of the first version."""
    added: float | None = None
    """A field of the later one; its default is for messages of the first."""


@every_topic
def test_it_is_a_json_schema(topic: str):
    jsonschema.Draft202012Validator.check_schema(schema_of(PUBLIC[topic]))


@every_topic
def test_every_field_of_every_type_has_words(topic: str):
    schema = schema_of(PUBLIC[topic])
    for part in (schema, *schema.get("$defs", {}).values()):
        for field in part["properties"].values():
            assert field["description"].endswith((".", "?")), field


def test_words_come_from_docstrings_where_there_are_any():
    assert docstrings(Verdict)["at"] == "When the violation occurred."
    assert words_of(Verdict, "at") == "When the violation occurred."
    assert words_of(Comment, "at") == "Event time: integer milliseconds since the Unix epoch, UTC."


def test_a_field_without_a_meaning_is_refused():
    class New(msgspec.Struct):
        nobody_said: int

    New.__module__ = Verdict.__module__
    with pytest.raises((KeyError, StopIteration)):
        words_of(New, "nobody_said")


@every_topic
def test_the_example_fits_and_carries_its_key(topic: str):
    example = EXAMPLES[topic]
    VALIDATORS[topic].validate(example.value)
    if topic != "dead-letter":
        assert example.key == PUBLIC[topic].key_of(example.value)


@every_topic
def test_outputs_always_have_all_their_fields(topic: str):
    if PUBLIC[topic].direction == "out":
        schema = schema_of(PUBLIC[topic])
        for part in (schema, *schema.get("$defs", {}).values()):
            assert set(part["required"]) == set(part["properties"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_messages_of_released_versions_are_read(file: Path):
    """If this fails for a new field: give it a default, since messages without it are retained."""
    (message,) = json.loads(file.read_text())["examples"]
    msgspec.convert(message, PUBLIC[file.stem].carries)


def test_an_output_field_with_a_default_is_always_published():
    topic = Topic("grown", "out", "known", GrownOutput, "an output to which a later version added a field")
    schema = components([topic], "{name}")["GrownOutput"]
    assert schema["required"] == ["known", "added"]
    assert "default" not in schema["properties"]["added"]


def test_an_output_without_its_time_of_publishing_does_not_fit():
    value = {name: content for name, content in EXAMPLES["verdict"].value.items() if name != "published_at"}
    assert not VALIDATORS["verdict"].is_valid(value)
    assert not VALIDATORS["verdict"].is_valid(value | {"published_at": None})
    assert VALIDATORS["verdict"].is_valid(value | {"published_at": 1})


def test_the_story_leads_to_the_examples():
    """What comes in leads to exactly what the examples say goes out."""
    by_topic = replay(files(REGISTRY.readers)[STORY_FILE].encode().splitlines(), load_rulebook()).by_topic
    for topic, outputs in by_topic.items():
        example = EXAMPLES[topic]
        said = json.loads(json_line(outputs[0]))
        expected, id_ = dict(example.value), outputs[0].id
        if topic == "verdict":
            assert expected.pop("published_at") >= said.pop("published_at")
        if topic == "dead-letter":
            assert (said.pop("partition"), expected.pop("partition")) == (None, 0)
            assert said["offset"] == 1 + [line["value"].get("buyer_id") for line in STORY].index("")
            said["offset"] = expected["offset"]  # of Kafka, where it is not the number of the line
            id_ = f"{said['topic']}/0/{expected['offset']}"
        assert said == expected
        assert (id_, (outputs[0].key or b"").decode()) == (example.id, example.key)
    verdict = EXAMPLES["verdict"].value
    assert verdict["verdict_id"] == identity(
        verdict["rule"], verdict["subject"], verdict["room_id"], verdict["since"], verdict["at"]
    )


MADE_FROM = {
    "product-standing": ("product",),
    "obligation": ("service-request", "certificate", "activity"),
    "participation": ("activity",),
}
"""Outputs that only some of their writer's inputs lead to."""


@pytest.mark.ci
def test_everything_that_a_simulated_day_brings_and_leads_to_fits():
    simulation = Simulation(
        seed=5,
        rooms=25,
        suppliers=12,
        start_ms=1_662_048_000_000,
        duration_s=900,
        history_days=40,
        reviews=0.3,
    )
    messages = list(simulation.messages())
    for message in messages:
        if message.value is not None:
            VALIDATORS[message.topic].validate(json.loads(message.value))
    sent = {message.topic for message in messages}
    for topic, outputs in replayed(messages).by_topic.items():
        if topic != DEAD_LETTER:
            writer = REGISTRY.writers[topic]
            fed = not sent.isdisjoint(
                MADE_FROM.get(topic) or (*REGISTRY.sources[writer], *REGISTRY.upstream.get(writer, ()))
            )
            assert bool(outputs) == fed, topic
        for output in outputs:
            VALIDATORS[topic].validate(json.loads(json_line(output)))


def test_internal_topics_are_not_part_of_the_contract():
    assert set(PUBLIC) == {topic.name for topic in TOPICS if topic.direction != "internal"}


def test_no_two_things_share_an_identity():
    """Ids and labels may hold the sign that joins them."""
    assert identity("a|b", "c") != identity("a", "b|c")
    assert identity("a%7Cb") != identity("a|b")
    assert identity("a", None, 1) == hashlib.sha256(b"a||1").hexdigest()[:32]
