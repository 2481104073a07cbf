"""Changes of the contract: additions are accepted, breaking changes are rejected with their place."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools import compat
from vigil.topics.catalog import VERSION
from vigil.topics.contracts.compat import breaks

TODAY = compat.today()
Change = Callable[[dict[str, Any]], object]


def after(topic: str, change: Change) -> dict[str, Any]:
    """Return the present schemas with one of them changed."""
    schemas = copy.deepcopy(TODAY)
    change(schemas[topic])
    return schemas


def props(schema: dict[str, Any]) -> Any:
    return schema["properties"]


def drop(field: str) -> Change:
    def change(schema: dict[str, Any]) -> None:
        del schema["properties"][field]
        schema["required"] = [name for name in schema["required"] if name != field]

    return change


def layout(schema: dict[str, Any]) -> Any:
    return schema["$defs"]["Layout"]["properties"]


def test_the_present_contract_is_compatible():
    assert compat.main_with([]) == 0


BREAKS: list[tuple[str, str, Change, str]] = [
    ("a field removed", "verdict", drop("room_id"), "verdict: $.room_id: is gone"),
    ("required became optional", "verdict", lambda s: s["required"].remove("rule"), "$.rule: may be missing"),
    ("a type changed", "verdict", lambda s: props(s)["at"].update(type="string"), "$.at: may be string"),
    ("an int became a number", "notice", lambda s: props(s)["at"].update(type="number"), "$.at: may be number"),
    (
        "null where there was none",
        "verdict",
        lambda s: props(s).update(rule={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        "$.rule: may be null",
    ),
    ("a value added", "notice", lambda s: props(s)["kind"]["enum"].append("new"), "$.kind: has the new value 'new'"),
    (
        "a list of values opened",
        "notice",
        lambda s: props(s).update(kind={"type": "string"}),
        "no longer one of a list",
    ),
    (
        "a value added in a list",
        "enforcement",
        lambda s: props(s)["steps"]["items"]["enum"].append("shame"),
        "$.steps[]: has the new value 'shame'",
    ),
    (
        "a field of a part removed",
        "verdict",
        lambda s: drop("note")(s["$defs"]["Evidence"]),
        "$.evidence[].note: is gone",
    ),
    (
        "a part that may be null changed",
        "supplier-score",
        lambda s: s["$defs"]["Rank"]["properties"]["of"].update(type="string"),
        "of: may be string",
    ),
    (
        "an array became an object",
        "verdict",
        lambda s: props(s).update(evidence={"type": "object"}),
        "$.evidence: may be object",
    ),
    ("another key", "verdict", lambda s: s.update({"x-key": "host_id"}), "x-key was 'room_id' and is 'host_id'"),
    ("another identity", "verdict", lambda s: s.update({"$id": "urn:other"}), "$id was"),
    ("a tombstone", "verdict", lambda s: s.update({"x-tombstone": "gone"}), "x-tombstone was None"),
    # what comes in
    (
        "a new field required",
        "comment",
        lambda s: (props(s).update(language={"type": "string"}), s["required"].append("language")),
        "$.language: is new and required",
    ),
    ("an optional field required", "comment", lambda s: s["required"].append("via"), "$.via: is required now"),
    ("a value taken away", "comment", lambda s: props(s)["via"]["enum"].remove("text"), "does not take 'text'"),
    (
        "null taken away",
        "quote",
        lambda s: props(s).update(buyer_tier={"enum": ["L0"]}),
        "$.buyer_tier: may not be null",
    ),
    ("a shorter text", "comment", lambda s: props(s)["text"].update(maxLength=100), "`maxLength` was 4096 and is 100"),
    ("a longer minimum", "review", lambda s: props(s)["by"].update(minLength=1), "`minLength` was not given and is 1"),
    ("a lower maximum", "supplier-profile", lambda s: props(s)["stars"].update(maximum=4), "`maximum` was 5 and is 4"),
    (
        "a number became an int",
        "frame-status",
        lambda s: layout(s)["camera_share"]["anyOf"][0].update(type="integer"),
        "may not be number",
    ),
    ("a type taken away", "payment", lambda s: props(s)["amount_usd"]["anyOf"].pop(), "$.amount_usd: may not be"),
    (
        "a stricter pattern",
        "payment",
        lambda s: props(s)["amount_usd"]["anyOf"][0].update(pattern="^1$"),
        "`pattern` changed",
    ),
    ("a field not read any more", "comment", drop("intent"), "$.intent: is not read any more"),
    ("a stricter condition", "quote", lambda s: s["then"]["required"].append("buyer_tier"), "`then` changed"),
    ("another default", "comment", lambda s: props(s)["via"].update(default="speech"), "`default` changed"),
    (
        "a list closed",
        "supplier-profile",
        lambda s: props(s)["industry"].update(enum=["toys"]),
        "must be one of a list now",
    ),
]


@pytest.mark.parametrize("topic, change, words", [case[1:] for case in BREAKS], ids=[case[0] for case in BREAKS])
def test_a_breaking_change_is_rejected(topic: str, change: Change, words: str):
    report = compat.compare("1.0", TODAY, "1.1", after(topic, change))
    assert any(words in line for line in report.breaks), report.breaks
    assert all(line.startswith(f"{topic}: ") for line in report.breaks)
    assert report.is_rejected("1.1")
    assert not report.is_rejected("2.0")


FINE: list[tuple[str, str, Change]] = [
    ("an output that keeps to a pattern", "verdict", lambda s: props(s)["family"].update(pattern="^[a-z-]+$")),
    (
        "an output has one more field",
        "verdict",
        lambda s: (props(s).update(x={"type": "null"}), s["required"].append("x")),
    ),
    ("an output gives one value less", "notice", lambda s: props(s)["kind"]["enum"].pop()),
    ("an output is null no more", "notice", lambda s: props(s).update(rule=props(s)["rule"]["anyOf"][0])),
    ("an output is narrower", "verdict", lambda s: props(s)["at"].update(minimum=0)),
    ("an input may have one more field", "comment", lambda s: props(s).update(language={"type": "string"})),
    ("an input may have one more value", "comment", lambda s: props(s)["via"]["enum"].append("gesture")),
    ("an input may be null", "review", lambda s: props(s).update(by={"anyOf": [props(s)["by"], {"type": "null"}]})),
    ("an input may be left out", "review", lambda s: s["required"].remove("by")),
    ("an input may be longer", "comment", lambda s: props(s)["text"].update(maxLength=9000)),
    ("an input may be any number", "frame-status", lambda s: layout(s)["materials"].update(type="number")),
]


@pytest.mark.parametrize("topic, change", [case[1:] for case in FINE], ids=[case[0] for case in FINE])
def test_an_addition_with_a_new_version_is_accepted(topic: str, change: Change):
    report = compat.compare("1.0", TODAY, "1.1", after(topic, change))
    assert report.breaks == []
    assert not report.is_rejected("1.1")


def test_a_change_without_a_new_version_is_rejected():
    changed = after("verdict", FINE[0][2])
    report = compat.compare("1.0", TODAY, "1.0", changed)
    assert (report.unversioned, report.breaks) == (["verdict"], [])
    assert report.is_rejected("1.0")


def test_other_descriptions_and_examples_are_not_a_change():
    changed = after("verdict", lambda s: (props(s)["at"].update(description="Other words."), s.update(examples=[])))
    assert compat.compare("1.0", TODAY, "1.0", changed) == compat.CompatReport("1.0", [], [])


def test_a_topic_that_is_gone_is_a_break_and_a_new_one_is_not():
    without = {name: schema for name, schema in TODAY.items() if name != "notice"}
    assert compat.compare("1.0", TODAY, "1.1", without).breaks == ["notice: the topic was removed"]
    assert compat.compare("1.0", without, "1.1", TODAY).breaks == []


def test_the_released_versions_come_in_the_order_of_their_numbers(tmp_path: Path):
    for version in ("1.9", "1.10", "1.2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "verdict.json").write_text(json.dumps({"version": version}))
    assert list(compat.released(tmp_path)) == ["1.2", "1.9", "1.10"]
    assert compat.released(tmp_path)["1.10"] == {"verdict": {"version": "1.10"}}


def test_without_a_released_version_it_says_what_to_do(tmp_path: Path):
    with pytest.raises(SystemExit, match="--release"):
        compat.released(tmp_path)


def test_the_check_compares_with_every_released_version_of_the_contract(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A field that only the oldest version has is missed, too."""
    oldest, *newer = compat.released()
    assert newer
    changed = copy.deepcopy(compat.released())
    props(changed[oldest]["verdict"])["once"] = {"type": "string"}
    monkeypatch.setattr(compat, "released", lambda: changed)
    assert compat.main_with([]) == 1
    assert f"breaks contract {oldest}: verdict: $.once: is gone" in capsys.readouterr().err


def test_every_accepted_break_is_one_between_released_versions():
    """An entry that no comparison needs would hide a later break."""
    oldest = next(iter(compat.released().values()))
    found = {f"{topic}: {words}" for topic in oldest for words in breaks(oldest[topic], TODAY[topic])}
    assert found == set(compat.ACCEPTED)


def test_a_planted_break_fails_the_check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(compat, "today", lambda: after("verdict", drop("room_id")))
    assert compat.main_with([]) == 1
    line = capsys.readouterr().err
    assert f"breaks contract {VERSION}: verdict: $.room_id: is gone" in line
    assert "raise VERSION" in line
