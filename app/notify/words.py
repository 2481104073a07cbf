"""Alerts as text, from the catalogue (app/messages), with markup in texts from events disabled.

A text from an event (room, host, buyer, label, comment) may have been written to notify a whole channel, to look like a
link or to reverse a line. Characters that any chat takes for markup become their full-width forms, which look alike and
have no effect; control and direction characters are replaced.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from vigil.app.messages import CATALOGUES, Language, Message, published_sentence
from vigil.app.notify.changes import Incident, IncidentChange

_MARKUP: Final = frozenset("<>&@*`~|[](){}#!\\$^\"'=+/")
_PLAIN: Final = _MARKUP - frozenset("()/'+=")
_DOT: Final = re.compile(r"(?<=\w)\.(?=[^\W\d])")
_LONE: Final = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
LONGEST: Final = 300
"""Maximum characters of a text from an event in an alert: chats cut messages that are too long without warning."""

SHOWN_EVIDENCE: Final = 5
"""Pieces of evidence in an alert. The console shows all of them."""


def escape_control_chars(text: str, longest: int = LONGEST) -> str:
    """A text from an event, safe in any chat: cut to `longest` characters, on one line, and without markup."""
    return _DOT.sub("．", _LONE.sub("＿", _signs(text, _MARKUP, longest)))


def label(text: str) -> str:
    """An identifier from an event as the value of a label: as above, but usual identifiers do not change."""
    return _signs(text, _PLAIN, LONGEST)


def _signs(text: str, markup: frozenset[str], longest: int) -> str:
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    shown = []
    for sign in unicodedata.normalize("NFC", text):
        if sign in markup:
            sign = chr(ord(sign) + 0xFEE0)
        elif sign.isspace():
            sign = " "
        elif unicodedata.category(sign) in _INVISIBLE:
            sign = "�"
        shown.append(sign)
    return "".join(shown)


def title(change: IncidentChange, language: Language = "en") -> str:
    """The alert on one line, such as `VIOLATION: black screen in room r-17`."""
    incident = change.incident
    room = escape_control_chars(incident.room_id, 80)
    return _say(language, "title", head=Message(f"alert.head.{_head(change)}"), what=_what(incident), room=room)


def summary(incident: Incident, language: Language = "en") -> str:
    """What it is, whatever became of it."""
    room, host = escape_control_chars(incident.room_id, 80), escape_control_chars(incident.host_id, 80)
    return _say(language, "summary", what=_what(incident), room=room, host=host)


def body(change: IncidentChange, console_url: str | None = None, language: Language = "en") -> str:
    """What one needs to know, a line each."""
    lines = [CATALOGUES[language].render(*message) for message in _facts(change.incident, language)]
    return "\n".join(lines if console_url is None else [*lines, console_url])


def steps(incident: Incident, language: Language = "en") -> str:
    """What the ladder recommends, as a sentence."""
    message = _recommendation(incident)
    return "" if message is None else CATALOGUES[language].render(*message)


def _facts(incident: Incident, language: Language) -> Iterator[Message]:
    yield Message(
        "alert.host", {"host": escape_control_chars(incident.host_id, 80), "since": time_text(incident.since)}
    )
    yield from _concerned(incident)
    yield from _violation(incident)
    for one in incident.evidence[:SHOWN_EVIDENCE]:
        note = escape_control_chars(published_sentence(one, language))
        yield Message("alert.evidence", {"at": time_text(one.at), "note": note})
    if (recommendation := _recommendation(incident)) is not None:
        yield recommendation
    if incident.losses > 1:
        yield Message("alert.losses", {"count": incident.losses})
    if incident.why is not None and incident.resolved_at is not None:
        end = Message(f"alert.end.{incident.why}")
        yield Message("alert.over", {"at": time_text(incident.resolved_at), "why": end})


def _concerned(incident: Incident) -> Iterator[Message]:
    """The label and the buyer that it is about, where it has them."""
    if incident.subject is not None:
        yield Message("alert.label", {"label": escape_control_chars(incident.subject, 120)})
    if incident.buyer_id is not None:
        code = "alert.buyer-high" if incident.priority == "high" else "alert.buyer"
        yield Message(code, {"buyer": escape_control_chars(incident.buyer_id, 80)})


def _violation(incident: Incident) -> Iterator[Message]:
    """When it became a violation, or would become one."""
    if incident.violated_at is not None:
        yield Message("alert.violated", {"at": time_text(incident.violated_at)})
    elif incident.open and incident.due is not None:
        yield Message("alert.becomes", {"at": time_text(incident.due)})


def _recommendation(incident: Incident) -> Message | None:
    action = incident.action
    if action is None:
        return None
    if action.status == "withdrawn":
        return Message("alert.withdrawn")
    if action.status == "held":
        return Message("alert.held")
    named = (
        Message("alert.step-days", {"step": step, "days": days}) if days else Message("alert.step", {"step": step})
        for step, days in action.sanctions
    )
    code = "alert.recommended-choice" if action.choice else "alert.recommended"
    family = escape_control_chars(action.family, 40)
    return Message(code, {"count": action.count, "family": family, "steps": tuple(named)})


def _say(language: Language, code: str, **params: object) -> str:
    return CATALOGUES[language].render(f"alert.{code}", params)


def _head(change: IncidentChange) -> str:
    if change.event == "resolved":
        return "over"
    if change.event == "action":
        return "action"
    return "missed" if change.kind == "entry-missed" else change.kind


def _what(incident: Incident) -> object:
    """What the alert is about; a rule of a later version, which the catalogue does not know, is called by its id."""
    if incident.sort == "signal":
        return Message("alert.no-pictures")
    if incident.sort == "entry":
        return Message("alert.entry")
    rule = _rule(incident)
    return Message("alert.contested", {"rule": rule}) if incident.sort == "contested" else rule


def _rule(incident: Incident) -> Message | str:
    code = f"rule.{incident.rule}.alert"
    return Message(code) if code in CATALOGUES["en"] else escape_control_chars(incident.rule or "", 60)


def time_text(at: int) -> str:
    """A time in ms as people read it."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def alert_name(incident: Incident) -> str:
    """Return `VigilBlackScreen`, `VigilSignalLost`, …: a name that stays the same for the life of the incident."""
    names = {"signal": "signal-lost", "entry": "entry-missed", "action": "action", "contested": "verdict-contested"}
    name = names.get(incident.sort, incident.rule or "")
    return "Vigil" + "".join(part.capitalize() for part in name.split("-"))
