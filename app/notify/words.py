"""An alert in words, with every text of others made harmless: no markup, no mention, no link, no hidden sign.

What an event names (rooms, hosts, buyers, labels, what somebody wrote) may be meant to page a whole channel, to pass
for a link or to turn a line around. Signs that any chat takes for markup become their full-width twins, which look
alike and do nothing.
"""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Final

from vigil.app.notify.changes import Incident, IncidentChange

_MARKUP: Final = frozenset("<>&@*`~|[](){}#!\\$^\"'=+/")
_PLAIN: Final = _MARKUP - frozenset("()/'+=")
_DOT: Final = re.compile(r"(?<=\w)\.(?=[^\W\d])")
_LONE: Final = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
LONGEST: Final = 300


def escape_control_chars(text: str, longest: int = LONGEST) -> str:
    """Somebody else's text as it may stand in any chat: cut, on one line, and without a sign that does anything."""
    return _DOT.sub("．", _LONE.sub("＿", _signs(text, _MARKUP, longest)))


def label(text: str) -> str:
    """Somebody else's identifier as a label's value: as `harmless`, but identifiers as they usually are stay whole."""
    return _signs(text, _PLAIN, LONGEST)


def _signs(text: str, markup: frozenset[str], longest: int) -> str:
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    told = []
    for sign in unicodedata.normalize("NFC", text):
        if sign in markup:
            sign = chr(ord(sign) + 0xFEE0)
        elif sign.isspace():
            sign = " "
        elif unicodedata.category(sign) in _INVISIBLE:
            sign = "�"
        told.append(sign)
    return "".join(told)


RULE_WORDS: Final = {
    "greeting-miss": "buyers not greeted",
    "absence": "host absent",
    "black-screen": "black screen",
    "av-desync": "sound and picture apart",
    "dead-air": "dead air",
    "sleeping": "host asleep",
    "no-content": "no content",
    "theme-mismatch": "off theme",
    "layout": "bad layout",
    "illegal-background": "illegal background",
    "rights": "rights infringed",
    "harassment": "harassment",
    "minor": "a minor on screen",
    "prohibited-goods": "prohibited goods",
}

_ENDS: Final = {
    "risk-cleared": "it ended without a violation",
    "signal-back": "the signal is back",
    "violation": "it became a violation, told on its own",
    "room-ended": "the room ended",
    "withdrawn": "a review withdrew the verdict",
    "expired": "nothing more was heard of it",
    "evicted": "too many others came after it",
}


def title(change: IncidentChange) -> str:
    """The alert on one line, such as `VIOLATION: black screen in room r-17`."""
    incident = change.incident
    return f"{_head(change)}: {_what(incident)} in room {escape_control_chars(incident.room_id, 80)}"


def summary(incident: Incident) -> str:
    """What it is, whatever became of it."""
    room, host = escape_control_chars(incident.room_id, 80), escape_control_chars(incident.host_id, 80)
    return f"{_what(incident)} in room {room} of host {host}"


def body(change: IncidentChange, console_url: str | None = None) -> str:
    """What one needs to know, a line each."""
    incident = change.incident
    lines = [f"Host {escape_control_chars(incident.host_id, 80)}. Since {_time(incident.since)}."]
    if incident.subject is not None:
        lines.append(f"Label: {escape_control_chars(incident.subject, 120)}")
    if incident.buyer_id is not None:
        tier = " of tier L1 or above" if incident.priority == "high" else ""
        lines.append(f"Buyer{tier}: {escape_control_chars(incident.buyer_id, 80)}")
    if incident.open and incident.violated_at is None and incident.due is not None:
        lines.append(f"Becomes a violation at {_time(incident.due)}.")
    if incident.violated_at is not None:
        lines.append(f"Violation at {_time(incident.violated_at)}.")
    lines += [f"- {_time(one.at)} {escape_control_chars(one.note)}" for one in incident.evidence[:5]]
    if incident.action is not None:
        lines.append(steps(incident))
    if incident.why is not None and incident.resolved_at is not None:
        lines.append(f"Over at {_time(incident.resolved_at)}: {_ENDS[incident.why]}.")
    if console_url is not None:
        lines.append(console_url)
    return "\n".join(lines)


def steps(incident: Incident) -> str:
    """What the ladder recommends, in words."""
    action = incident.action
    if action is None:
        return ""
    if action.status == "withdrawn":
        return "The recommendation is withdrawn."
    told = [f"{step} {days} days" if days else step for step, days in action.sanctions]
    choice = "; a moderator's choice" if action.choice else ""
    family = escape_control_chars(action.family, 40)
    return f"Recommended (violation no. {action.count} of {family}): {', '.join(told)}{choice}."


def _head(change: IncidentChange) -> str:
    if change.event == "resolved":
        return "Over"
    if change.event == "action":
        return "Action"
    return {"at-risk": "At risk", "violation": "VIOLATION", "signal-lost": "Signal lost"}.get(change.kind, "Missed")


def _what(incident: Incident) -> str:
    if incident.sort == "signal":
        return "no pictures"
    if incident.sort == "entry":
        return "a buyer not greeted"
    rule = incident.rule or ""
    return RULE_WORDS.get(rule, escape_control_chars(rule, 60))


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
