"""Recordings written by hand: lines of JSON as producers send them, and identities as the specification defines them.

Nothing here is shared with what is tested. Times are seconds after START.
"""

import hashlib
from typing import Any

import msgspec
import orjson

from vigil.app.domain.rulebook.reader import BUILT_IN, parse_rulebook
from vigil.app.runtime.replay import replay

START = 1_660_000_000_000
"""2022-08-08, after every rule came into force."""
DAY = 86_400

Line = dict[str, Any]


def at(seconds: float) -> int:
    return START + round(seconds * 1000)


def sha(*parts: Any) -> str:
    text = "|".join("" if part is None else str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def verdict_id(rule: str, since: float, when: float, subject: str | None = None, room: str = "r") -> str:
    return sha(rule, subject, room, at(since), at(when))


def incident_id(
    kind: str, since: float, rule: str | None = None, subject: str | None = None, buyer: str | None = None
) -> str:
    return sha(kind, "r", rule, subject, buyer, at(since))


def line(topic: str, when: float, offset: int | None = None, **value: Any) -> Line:
    made: Line = {"topic": topic, "value": {**value, "at": at(when)}}
    return made if offset is None else {**made, "offset": offset}


def frame(when: float, **more: Any) -> Line:
    looks = {"room_id": "r", "host_id": "h", "stream": "live", "face": True, "black": False, "activity": "hosting"}
    return line("frame-status", when, **{**looks, **more})


def frames(first: int, last: int, **more: Any) -> list[Line]:
    return [frame(when, **more) for when in range(first, last + 1)]


def entry(when: float, buyer: str, tier: str | None = None) -> Line:
    return line("buyer-entry", when, room_id="r", host_id="h", buyer_id=buyer, buyer_tier=tier)


def said(when: float, **more: Any) -> Line:
    """The host says something."""
    value = {"comment_id": f"c{when}", "author_id": "h", "author_role": "host", "text": "hello", **more}
    return line("comment", when, room_id="r", host_id="h", **value)


def case(when: float, kind: str, of: str, by: str = "mei", offset: int = 0, **more: Any) -> Line:
    return line("case", when, offset, incident_id=of, room_id="r", kind=kind, by=by, **more)


def review(when: float, verdict: str, decision: str, by: str = "mei", offset: int = 0, **more: Any) -> Line:
    return line("review", when, offset, verdict_id=verdict, host_id="h", decision=decision, by=by, reason="x", **more)


def result(when: float, action: str, step: str, outcome: str = "done", revision: int = 1) -> Line:
    value = {"action_id": action, "revision": revision, "host_id": "h", "step": step, "outcome": outcome}
    return line("enforcement-result", when, 0, **value, by="shop", detail=None)


def clock(when: float) -> Line:
    """A frame of another room, which has not ended: event time goes on."""
    return frame(when, room_id="clock", host_id="clock")


def played(*parts: Line | list[Line], until: float | None = None, rules: str = "") -> dict[str, list[Any]]:
    """What a replay writes, by topic: lines are read in order of their time; `rules`: appended to the rulebook."""
    lines = [one for part in parts for one in (part if isinstance(part, list) else [part])]
    lines.sort(key=lambda one: one["value"]["at"])
    return in_order(*lines, *([] if until is None else [clock(until)]), rules=rules)


def in_order(*lines: Line, rules: str = "") -> dict[str, list[Any]]:
    """What a replay writes of lines that are read in the order given."""
    book = parse_rulebook(BUILT_IN.read_text(encoding="utf-8") + rules, "rules.toml")
    outputs = replay([orjson.dumps(one) + b"\n" for one in lines], book)
    return {
        topic: [orjson.loads(orjson.dumps(msgspec.to_builtins(output.body))) for output in of_topic]
        for topic, of_topic in outputs.by_topic.items()
    }


def incident(out: dict[str, list[Any]], id_: str) -> Line | None:
    """The line of an incident; None where there is none."""
    found = [one for one in out["incident"] if one["incident_id"] == id_]
    assert len(found) < 2
    return found[0] if found else None
