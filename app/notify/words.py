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
from urllib.parse import urlencode

from vigil.app.messages import CATALOGUES, Language, Message
from vigil.app.notify.alerts import Alert, AlertChange, BrakeAlert
from vigil.app.notify.line_alerts import LineAlert
from vigil.topics.incidents import IncidentStatus

_MARKUP: Final = frozenset("<>&@*`~|[](){}#!\\$^\"'=+/")
_PLAIN: Final = _MARKUP - frozenset("()/'+=")
_DOT: Final = re.compile(r"(?<=\w)\.(?=[^\W\d])")
_LONE: Final = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
LONGEST: Final = 300
"""Maximum characters of a text from an event in an alert: chats cut messages that are too long without warning."""


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


def title(change: AlertChange, language: Language = "en") -> str:
    """The alert on one line, such as `VIOLATION: black screen in room r-17`."""
    head = Message(f"alert.head.{_head(change)}")
    alert = change.alert
    if isinstance(alert, BrakeAlert):
        return _say(language, "brake-title", head=head, **_of_brake(alert))
    if isinstance(alert, LineAlert):
        raise TypeError("line_words.py shows lines of suppliers")
    return _say(language, "title", head=head, what=_what(alert), room=escape_control_chars(alert.room_id, 80))


def summary(alert: IncidentStatus | BrakeAlert, language: Language = "en") -> str:
    """What it is, whatever became of it."""
    if isinstance(alert, BrakeAlert):
        return _say(language, "brake-summary", **_of_brake(alert))
    room, host = escape_control_chars(alert.room_id, 80), escape_control_chars(alert.host_id, 80)
    return _say(language, "summary", what=_what(alert), room=room, host=host)


def body(alert: IncidentStatus | BrakeAlert, console_url: str | None = None, language: Language = "en") -> str:
    """What one needs to know, a line each, and where the console shows it."""
    facts = _brake_facts(alert) if isinstance(alert, BrakeAlert) else _facts(alert)
    lines = [CATALOGUES[language].render(*message) for message in facts]
    return "\n".join(lines if console_url is None else [*lines, page_of(alert, console_url)])


def page_of(alert: Alert, console_url: str) -> str:
    """The page of the console that shows an incident and its evidence; for other alerts the console itself."""
    if not isinstance(alert, IncidentStatus):
        return console_url
    return f"{console_url.rstrip('/')}/incident?{urlencode({'id': alert.incident_id})}"


def steps(incident: IncidentStatus, language: Language = "en") -> str:
    """What the ladder recommends, as a sentence."""
    message = _recommendation(incident)
    return "" if message is None else CATALOGUES[language].render(*message)


def _facts(incident: IncidentStatus) -> Iterator[Message]:
    yield Message(
        "alert.host", {"host": escape_control_chars(incident.host_id, 80), "since": time_text(incident.since)}
    )
    yield from _concerned(incident)
    yield from _violation(incident)
    if incident.still_live:
        yield Message("alert.still-live")
    if incident.contested:
        yield Message("alert.contested")
    if (recommendation := _recommendation(incident)) is not None:
        yield recommendation
    if incident.losses > 1:
        yield Message("alert.losses", {"count": incident.losses})
    if incident.ended_by is not None and incident.ended_at is not None and incident.kind != "entry":
        end = Message(f"alert.end.{incident.ended_by}")
        yield Message("alert.over", {"at": time_text(incident.ended_at), "why": end})


def _concerned(incident: IncidentStatus) -> Iterator[Message]:
    """The label and the buyers that it is about, where it has them."""
    if incident.subject is not None:
        yield Message("alert.label", {"label": escape_control_chars(incident.subject, 120)})
    if incident.buyer_id is not None:
        yield Message("alert.buyer-high", {"buyer": escape_control_chars(incident.buyer_id, 80)})
    elif incident.priority == "high":
        yield Message("alert.buyers-high")


def _violation(incident: IncidentStatus) -> Iterator[Message]:
    """When it became a violation, or would become one."""
    if incident.violated_at is not None:
        yield Message("alert.violated", {"at": time_text(incident.violated_at)})
    elif incident.ended_at is None and incident.due is not None:
        yield Message("alert.becomes", {"at": time_text(incident.due)})


def _recommendation(incident: IncidentStatus) -> Message | None:
    action = incident.action
    if action is None:
        return None
    if action.status == "withdrawn":
        return Message("alert.withdrawn")
    if action.status == "held":
        return Message("alert.held")
    until = action.ban_until
    named = (
        Message("alert.step-until", {"step": step, "at": time_text(until)})
        if step == "ban" and until is not None
        else Message("alert.step", {"step": step})
        for step in action.steps
    )
    code = "alert.recommended-choice" if action.choice else "alert.recommended"
    family = escape_control_chars(incident.family or "", 40)
    return Message(code, {"count": action.count, "family": family, "steps": tuple(named)})


def _brake_facts(alert: BrakeAlert) -> Iterator[Message]:
    yield Message("alert.brake-why", {"count": alert.per_rule, "seconds": alert.every_s, **_of_brake(alert)})
    if alert.decision is None or alert.decided_at is None:
        yield Message("alert.brake-remedy", {"route": alert.route, "rule": escape_control_chars(alert.rule, 60)})
    else:
        end = Message(f"alert.end.{alert.decision}")
        yield Message("alert.over", {"at": time_text(alert.decided_at), "why": end})


def _of_brake(alert: BrakeAlert) -> dict[str, object]:
    return {"rule": _rule(alert.rule), "route": alert.route}


def _say(language: Language, code: str, **params: object) -> str:
    return CATALOGUES[language].render(f"alert.{code}", params)


def _head(change: AlertChange) -> str:
    if change.event == "resolved":
        return "over"
    return "missed" if change.kind == "entry-missed" else change.kind


def _what(incident: IncidentStatus) -> object:
    """What the alert is about; a rule of a later version, which the catalogue does not know, is called by its id."""
    if incident.kind == "signal":
        return Message("alert.no-pictures")
    return Message("alert.entry") if incident.kind == "entry" else _rule(incident.rule)


def _rule(rule: str | None) -> Message | str:
    code = f"rule.{rule}.alert"
    return Message(code) if code in CATALOGUES["en"] else escape_control_chars(rule or "", 60)


def time_text(at: int) -> str:
    """A time in ms as people read it."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def alert_name(incident: IncidentStatus) -> str:
    """Return `VigilBlackScreen`, `VigilSignalLost`, …: a name that stays the same for the life of the incident."""
    name = {"signal": "signal-lost", "entry": "entry-missed"}.get(incident.kind, incident.rule or "")
    return "Vigil" + "".join(part.capitalize() for part in name.split("-"))
