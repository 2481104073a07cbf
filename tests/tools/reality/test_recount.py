"""The recount in SQL agrees with a replay of a story, shows what differs by its key, and knows nothing of Vigil."""

import ast
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from tests.support.examples import examples
from tools.reality import unicode_functions
from tools.reality.events import (
    RULES_BEGIN_MS,
    RealComment,
    RealEvent,
    RealLine,
    RealRoom,
    by_time,
    comment,
    entry,
    frame,
    written,
)
from tools.reality.recount import SQL, Compared, recounted
from tools.reality.replays import replayed
from tools.reality.scenario import Variant
from vigil.app.domain.rooms.rules.text import columns, folded, says_something

FOLDER = Path(__file__).parents[3] / "tools" / "reality"
ROOMS = ("rooms", "greetings", "statuses", "absences", "repeats", "ladders")
WITHIN = {"within_ms": 10_000}


def story() -> list[RealLine]:
    """A host who misses three buyers, then two, is silent for ten minutes, and says one thing five times.

    The signal is lost before the end, and comes back.
    """
    at, room = RULES_BEGIN_MS, RealRoom("room-1", "host-1")

    def said(after_ms: int, number: str, text: str) -> RealEvent:
        return comment(room, at + after_ms, RealComment(number, "host-1", "host", text))

    texts = (
        "看看我们的新款连衣裙!",
        "看看我们的新款连衣裙",
        "看看我们的新款连衣裙~~",
        "看看 我们的新款连衣裙",
        "看看我们的新款连衣裙。",
    )
    entered = enumerate((1_000, 3_000, 5_000, 19_000, 40_000, 42_000, 60_000))
    return by_time(
        [
            *(frame(room, at + second * 1000) for second in (*range(0, 900, 10), 960)),
            *(entry(room, at + after, f"buyer-{n}") for n, after in entered),
            said(20_500, "hello", "Hello"),
            said(65_000, "again", "Hello again"),
            *(said(700_000 + n * 9_000, f"repeat-{n}", text) for n, text in enumerate(texts)),
            *(comment(room, at + 30_000 + n, RealComment(f"b{n}", "buyer-3", "buyer", "how much?")) for n in range(3)),
        ]
    )


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The story as a recording, and the outputs of its replay."""
    folder = tmp_path_factory.mktemp("reality")
    written(story(), folder / "events.jsonl")
    replayed(folder / "events.jsonl", folder / "outputs", Variant())
    return folder / "events.jsonl", folder / "outputs"


def by_name(compared: list[Compared]) -> dict[str, tuple[int, int]]:
    return {one.name: (one.rows, one.differences) for one in compared}


def test_the_recount_of_a_story_agrees_with_its_replay(recording: tuple[Path, Path]) -> None:
    assert by_name(recounted(*recording, ROOMS, WITHIN)) == {
        "missed entries": (5, 0),
        "greeting verdicts": (1, 0),
        "greetings at risk": (2, 0),
        "greetings cleared": (1, 0),
        "room figures": (1, 0),
        "absence verdicts": (1, 0),
        "absences at risk": (2, 0),
        "absences cleared": (1, 0),
        "lost signals": (2, 0),
        "repeat verdicts": (1, 0),
        "actions": (3, 0),
    }


def test_another_limit_than_that_of_the_replay_is_a_difference(recording: tuple[Path, Path]) -> None:
    scripts = ("rooms", "greetings", "absences")
    compared = {one.name: one for one in recounted(*recording, scripts, {"within_ms": 20_000})}
    assert compared["missed entries"].differences == 7
    assert compared["missed entries"].shown[0] == (
        f"   vigil: room-1, buyer-0, {RULES_BEGIN_MS + 1000}, {RULES_BEGIN_MS + 11_000}"
    )
    assert compared["absence verdicts"].differences == 0


@pytest.mark.parametrize(
    ("topic", "field", "script", "name"),
    [
        ("verdict", "since", "absences", "absence verdicts"),
        ("verdict", "verdict_id", "greetings", "greeting verdicts"),
        ("verdict", "host_id", "repeats", "repeat verdicts"),
        ("notice", "buyer_id", "greetings", "missed entries"),
        ("notice", "kind", "absences", "absences at risk"),
        ("room-status", "received", "statuses", "room figures"),
        ("enforcement", "count", "ladders", "actions"),
        ("enforcement", "ban_until", "ladders", "actions"),
    ],
)
def test_an_output_that_is_wrong_in_one_field_is_shown(
    recording: tuple[Path, Path], tmp_path: Path, topic: str, field: str, script: str, name: str
) -> None:
    events, outputs = recording
    for file in outputs.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    changed = [{**line, field: 7} for line in read(outputs / f"{topic}.jsonl")]
    (tmp_path / f"{topic}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in changed))
    assert {one.name: one for one in recounted(events, tmp_path, ("rooms", script), WITHIN)}[name].differences > 0


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_nothing_of_the_recount_imports_vigil() -> None:
    imported = set()
    for file in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    assert imported & {"vigil", "app", "agents", "topics", "tests", "rapidfuzz"} == set()


def macros() -> duckdb.DuckDBPyConnection:
    """A connection that knows the macros of rooms.sql and repeats.sql."""
    database = duckdb.connect()
    unicode_functions.register(database)
    for script in ("rooms", "repeats"):
        for statement in (SQL / f"{script}.sql").read_text().split(";\n"):
            if "create macro" in statement:
                database.execute(statement)
    return database


DATABASE = macros()
STRANGE = st.text(
    alphabet=st.one_of(st.sampled_from("aA一ß ﬁ①\u200b\u3000\u115f\u0301,。~👍"), st.characters(codec="utf-8"))
)


@settings(max_examples=examples(40))
@given(STRANGE)
def test_texts_are_folded_as_the_product_folds_them(text: str) -> None:
    found = DATABASE.execute("select folded($t), screen_columns(folded($t)), seen($t) <> ''", {"t": text}).fetchone()
    assert found == (folded(text), columns(folded(text)), says_something(text))


@settings(max_examples=examples(20))
@given(st.text("ab一", max_size=8), st.text("ab一", max_size=8))
def test_the_distance_of_texts_is_levenshteins(one: str, other: str) -> None:
    query = "select distance($one::varchar, $other::varchar)"
    assert DATABASE.execute(query, {"one": one, "other": other}).fetchall() == [(Levenshtein.distance(one, other),)]
