"""Golden stories: recordings with all that must come out of them beside them, reviewed as a diff when it changes.

    stories/<name>.jsonl        what is read
    stories/<name>.out.jsonl   every line that a replay writes, by topic

`pytest tests/runtime/replay --rewrite-goldens` writes what comes out now; look at the diff before you keep it.
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import orjson
import pytest

from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.runtime.replay import json_line, replay

STORIES = sorted(
    path for path in (Path(__file__).parent / "stories").glob("*.jsonl") if not path.name.endswith(".out.jsonl")
)


def outputs_of(story: Path) -> bytes:
    """All that a replay of the story writes, a line each with its topic."""
    outputs = replay(story.read_bytes().splitlines(keepends=True), load_rulebook())
    return b"".join(
        b'{"topic":"%b","value":%b}\n' % (topic.encode(), json_line(output).rstrip())
        for topic, lines in outputs.by_topic.items()
        for output in lines
    )


def golden(story: Path) -> Path:
    return story.with_name(f"{story.stem}.out.jsonl")


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.stem)
def test_a_story_is_replayed_as_recorded(story: Path, request: pytest.FixtureRequest) -> None:
    now = outputs_of(story)
    if request.config.getoption("--rewrite-goldens"):
        golden(story).write_bytes(now)
    then = golden(story).read_bytes()
    # Line by line, so that a failure shows what is another.
    assert [orjson.loads(line) for line in now.splitlines()] == [orjson.loads(line) for line in then.splitlines()]
    assert now == then


def test_the_stories_are_there_and_say_something() -> None:
    """Every kind of output and every family comes out of one of them."""
    assert len(STORIES) >= 8
    topics: Counter[str] = Counter()
    families = set()
    for story in STORIES:
        for line in map(orjson.loads, golden(story).read_bytes().splitlines()):
            topics[line["topic"]] += 1
            families.add(line["value"].get("family"))
    assert set(topics) == {
        "verdict", "notice", "enforcement", "supplier-score", "room-status", "pin-decision", "dead-letter",
        "supplier-rights", "incident",
    }  # fmt: skip
    assert families >= {"reception", "low-quality", "obs", "rights", "harassment", "minors", "prohibited-goods"}


def test_a_golden_without_its_story_is_no_test() -> None:
    folder = Path(__file__).parent / "stories"
    assert {golden(story) for story in STORIES} == set(folder.glob("*.out.jsonl"))


def test_stories_are_replayed_alike_whatever_the_hash_seed() -> None:
    """Sets and dicts of strings have another order under another seed: none may show."""
    program = (
        "import hashlib; from tests.runtime.replay.test_stories import STORIES, outputs_of; "
        "print(hashlib.sha256(b''.join(map(outputs_of, STORIES))).hexdigest())"
    )
    digests = set()
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            cwd=Path(__file__).parents[3],
            env=environment,
        )
        digests.add(ran.stdout)
    assert len(digests) == 1
