"""`vigil schema` as it is typed."""

import json
from pathlib import Path

import pytest

from tests.support.run_command import run
from vigil.app.domain.registry import REGISTRY
from vigil.topics.contracts import PUBLIC, asyncapi, schema_of
from vigil.topics.contracts.files import files


def test_without_a_topic_it_lists_them():
    told = run("schema")
    assert told.exit_code == 0
    for topic in PUBLIC:
        assert topic in told.stdout
    assert "supplier-metrics" not in told.stdout


@pytest.mark.parametrize("topic", PUBLIC)
def test_the_schema_of_a_topic(topic: str):
    told = run("schema", topic)
    assert told.exit_code == 0
    assert json.loads(told.stdout) == json.loads(json.dumps(schema_of(PUBLIC[topic])))


def test_asyncapi():
    assert json.loads(run("schema", "--asyncapi").stdout) == json.loads(json.dumps(asyncapi(REGISTRY.readers)))


def test_everything_as_files(tmp_path: Path):
    assert run("schema", "--out", str(tmp_path / "new")).exit_code == 0
    for name, text in files(REGISTRY.readers).items():
        assert (tmp_path / "new" / name).read_text() == text


@pytest.mark.parametrize(
    "words, says",
    [
        (["verdikt"], "did you mean 'verdict'?"),
        (["zzz"], "`vigil schema` lists them"),
        (["quote-by-rfq"], "is internal"),
        (["verdict", "--asyncapi"], "Give only one of"),
        (["--out", "/dev/null/x"], "--out: cannot write to /dev/null/x"),
    ],
)
def test_what_cannot_be_meant(words: list[str], says: str):
    told = run("schema", *words)
    assert told.exit_code == 2
    assert says in told.stderr
