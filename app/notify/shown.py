"""How a change is shown, whatever it is about: by words.py where it is about a room, else by line_words.py."""

from typing import Any

import msgspec

from vigil.app.messages import Language
from vigil.app.notify import line_words, words
from vigil.app.notify.alerts import Alert, AlertChange
from vigil.app.notify.changes import IncidentChange
from vigil.app.notify.line_alerts import LineAlert, LineAlertChange

INTERNAL_FIELDS = ("heard", "told", "lost_since", "back_at")
"""Fields of an incident, by their encoded names, that matter to `vigil notify` only."""


def title(change: AlertChange, language: Language = "en") -> str:
    """The alert on one line."""
    if isinstance(change, LineAlertChange):
        return line_words.title(change, language)
    return words.title(change, language)


def body(change: AlertChange, console_url: str | None = None, language: Language = "en") -> str:
    """What one needs to know, a line each."""
    if isinstance(change, LineAlertChange):
        return line_words.body(change.line, console_url, language)
    return words.body(change, console_url, language)


def payload(change: AlertChange) -> dict[str, Any]:
    """Return a change for a webhook. Its texts are data as they came: whoever shows them must escape them."""
    if isinstance(change, LineAlertChange):
        return line_words.payload(change)
    incident = msgspec.to_builtins(change.incident)
    for name in INTERNAL_FIELDS:
        incident.pop(name, None)
    incident["open"] = change.incident.open
    return {"id": change.id, "event": change.event, "kind": change.kind, "at": change.at, "incident": incident}


def labels(alert: Alert) -> dict[str, str]:
    """The labels of an alert for Alertmanager: they stay the same from its beginning to its end."""
    if isinstance(alert, LineAlert):
        return line_words.labels(alert)
    return {
        "alertname": words.alert_name(alert),
        "family": alert.family or "",
        "host_id": alert.host_id,
        "incident": alert.id,
        "room_id": alert.room_id,
        "rule": alert.rule or "",
    }


def annotations(alert: Alert, language: Language = "en") -> dict[str, str]:
    """What becomes of an alert, for Alertmanager."""
    if isinstance(alert, LineAlert):
        return line_words.annotations(alert, language)
    violated = alert.violated_at is not None
    noted = IncidentChange(id="", event="noted", at=alert.at, incident=alert)
    return {
        "summary": words.summary(alert, language),
        "description": words.body(noted, None, language),
        "stage": "over" if not alert.open else "violation" if violated else "at-risk",
        "severity": "critical" if violated else "warning",
        "steps": words.steps(alert, language),
        "why": alert.why or "",
    }
