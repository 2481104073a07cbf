"""Vigil with one more rule, in a process of its own: what a rule costs, and that everything else derives from it.

    python -m tests.support.new_rule FOLDER    play a host who phones for 90 s; print what each part makes of it as JSON

The rule `phone-call` is added as a developer adds one: a descriptor in the table, a section of the rulebook, its words
in the catalogues, and, as it needs a new value on the wire, that value in `topics/rooms.py`. Only then is the rest of
Vigil imported. Nothing else is changed.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

SECTION = """
[phone-call]
family = "low-quality"
says = "The host is on the phone for a minute."

[phone-call.from.2022-07-19]
lasts_s = 60
source = "a test"
"""

WORDS = {
    "en": """
activity.phone = "phone call"
[rule.phone-call]
name = "Phone call"
alert = "host on the phone"
frames = "of a host on the phone"
instead = "the host not on the phone"
""",
    "zh": """
activity.phone = "打电话"
[rule.phone-call]
name = "打电话"
alert = "主播打电话"
frames = "主播在打电话"
instead = "主播没有打电话"
""",
}


def add_activity(activity: str) -> None:
    """Load `topics/rooms.py` with one more value in its list of activities."""
    name = "vigil.topics.rooms"
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None and name not in sys.modules
    source, last = Path(spec.origin).read_text(encoding="utf-8"), '"none"]'
    assert source.count(last) == 1, f"the list of activities in {spec.origin} does not end with {last}"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    exec(compile(source.replace(last, f'"{activity}", {last}'), spec.origin, "exec"), module.__dict__)


def add_rule(rulebook: Path) -> None:
    """Add the rule; `rulebook`: where the rulebook with its section is written, as the built-in one."""
    add_activity("phone")
    from vigil.app.domain.rooms.rules.frame_conditions import showing
    from vigil.app.domain.rooms.rules.rule import Rule
    from vigil.app.domain.rooms.rules.table import RULES
    from vigil.app.messages import CATALOGUES

    RULES["phone-call"] = Rule(id="phone-call", holds=showing("phone"))  # type: ignore[arg-type]
    for language, words in WORDS.items():
        CATALOGUES[language] = CATALOGUES[language].with_toml(words)  # type: ignore[index]

    from vigil.app.domain.rulebook import reader

    rulebook.write_text(reader.BUILT_IN.read_text(encoding="utf-8") + SECTION, encoding="utf-8")
    reader.BUILT_IN = rulebook  # type: ignore[misc]


def findings(folder: Path) -> dict[str, Any]:
    """What each part of Vigil makes of a room whose host is on the phone for 90 s."""
    add_rule(folder / "rulebook.toml")
    from tests.support.stories import START, S, as_message, frame, frames

    story = [frame(0), *frames(1 * S, 91 * S, activity="phone"), *frames(92 * S, 95 * S), frame(96 * S, "ended")]
    recording = folder / "events.jsonl"
    recording.write_text("".join(json.dumps(as_message(event)) + "\n" for event in story), encoding="utf-8")
    return {
        "start": START,
        **by_commands(folder, recording),
        **by_console(folder, recording),
        **by_notify(folder),
        **by_registry(),
    }


def by_commands(folder: Path, recording: Path) -> dict[str, Any]:
    from tests.support.run_command import run

    assert run("replay", str(recording), "--out", str(folder / "out")).exit_code == 0
    longer = run("backtest", str(recording), "--set", "phone-call.lasts_s=100", "--json")
    (verdict,) = lines(folder, "verdict")
    explained = run("explain", verdict["verdict_id"], "--from", str(folder / "out"), "--json")
    return {
        "verdict": verdict,
        "notices": lines(folder, "notice"),
        "action": lines(folder, "enforcement")[0],
        "backtest": json.loads(longer.stdout)["verdicts"],
        "explain": json.loads(explained.stdout),
        "rules": json.loads(run("rules", "--only", "phone-call", "--on", "2022-08-08", "--json").stdout),
    }


def by_console(folder: Path, recording: Path) -> dict[str, Any]:
    """The console, which has read the recording's frames and Vigil's outputs up to the warning."""
    import msgspec

    from tests.support.console_stories import ConsoleStage
    from tests.support.stories import ROOM, START, S
    from vigil.app.console.views.canvas import Window
    from vigil.app.console.views.text import WORDS as PAGES
    from vigil.app.console.views.timeline import draw
    from vigil.topics.verdicts import Evidence

    stage = ConsoleStage()
    model = stage.state.model
    for line in recording.read_text(encoding="utf-8").splitlines()[:-1]:
        value = json.loads(line)["value"]
        model.ingest("frame-status", ROOM.encode(), json.dumps(value).encode(), START + 3_600 * S)
    violation = lines(folder, "incident")[0]
    warning = {**violation, "stage": "at-risk", "violated_at": None, "verdict_id": None, "action": None}
    model.ingest("incident", violation["incident_id"].encode(), json.dumps(warning).encode(), START + 3_600 * S)
    stage.state.wall.refresh(START + 40 * S)
    row = json.loads(dict(stage.state.wall.rows.since(0))[ROOM] or b"null")
    verdict = lines(folder, "verdict")[0]
    model.ingest("verdict", ROOM.encode(), json.dumps(verdict).encode(), START + 3_600 * S)
    room, track = model.rooms.get(ROOM), model.tracks.get(ROOM)
    assert room is not None
    verdicts = model.verdicts_of(room.verdicts)
    words = PAGES["zh"]
    timeline = draw(room, track, verdicts, Window(START, START + 100 * S, START + 95 * S, stage.state.zone, words))
    return {
        "wall": row["o"],
        "lanes": [lane.name for lane in timeline.lanes],
        "hints": [shape.hint for shape in timeline.shapes],
        "note": words.note(msgspec.convert(verdict["evidence"][0], Evidence)),
        "search": sorted(words.rules_called("打电话")),
        "script": words.script()["rule.phone-call"],
    }


def by_notify(folder: Path) -> dict[str, Any]:
    import msgspec

    from vigil.app.notify import words
    from vigil.app.notify.alerts import AlertChange
    from vigil.topics.incidents import IncidentStatus

    incident = msgspec.convert(lines(folder, "incident")[0], IncidentStatus)
    steps = [AlertChange(id="", event="opened", kind=kind, at=0, alert=incident) for kind in ("at-risk", "violation")]
    return {"alerts": [words.title(step) for step in steps], "alert": words.title(steps[-1], "zh")}


def by_registry() -> dict[str, Any]:
    from tests.docs.test_docs_rulebook import tables
    from vigil.app.domain.rooms.subject import SUBJECT
    from vigil.app.domain.rulebook.reader import load_rulebook
    from vigil.topics.catalog import BY_NAME
    from vigil.topics.contracts.schemas import schema_of

    activity = schema_of(BY_NAME["frame-status"])["properties"]["activity"]
    return {
        "metrics": {
            metric.name: sum("phone-call" in labels for labels in metric.initial) for metric in SUBJECT.metrics.metrics
        },
        "docs": [line for line in tables(load_rulebook()).splitlines() if "phone-call" in line],
        "activities": activity["anyOf"],
    }


def lines(folder: Path, topic: str) -> list[dict[str, Any]]:
    """What the replay wrote to a topic."""
    return [json.loads(line) for line in (folder / "out" / f"{topic}.jsonl").read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    print(json.dumps(findings(Path(sys.argv[1]))))
