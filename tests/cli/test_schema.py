"""The command `vigil schema`."""

import json
from pathlib import Path

import pytest

from tests.support.run_command import run
from vigil.app.domain.registry import REGISTRY
from vigil.topics.contracts import PUBLIC, asyncapi, schema_of
from vigil.topics.contracts.files import files


def test_without_a_topic_it_lists_all():
    result = run("schema")
    assert result.exit_code == 0
    for topic in PUBLIC:
        assert topic in result.stdout
    assert "supplier-metrics" not in result.stdout


@pytest.mark.parametrize("topic", PUBLIC)
def test_the_schema_of_a_topic(topic: str):
    result = run("schema", topic)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(json.dumps(schema_of(PUBLIC[topic])))


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
def test_invalid_arguments_are_usage_errors(words: list[str], says: str):
    result = run("schema", *words)
    assert result.exit_code == 2
    assert says in result.stderr
