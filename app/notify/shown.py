"""How a step is shown, by what it is about: words.py for incidents and brakes, line_words.py for lines of suppliers."""

from typing import Any, Final

import msgspec

from vigil.app.messages import Language
from vigil.app.notify import line_words, words
from vigil.app.notify.alerts import Alert, AlertChange, BrakeAlert
from vigil.app.notify.line_alerts import LineAlert

OF_MODERATORS: Final = (
    "claimed_by", "claimed_at", "first_claimed_at", "snoozed_until", "notes", "commands", "outcomes",
)  # fmt: skip
"""Fields of an incident that say what people of the marketplace do about it: targets do not receive them."""


def title(change: AlertChange, language: Language = "en") -> str:
    """The alert on one line."""
    if isinstance(change.alert, LineAlert):
        return line_words.title(change, change.alert, language)
    return words.title(change, language)


def body(change: AlertChange, console_url: str | None = None, language: Language = "en") -> str:
    """What one needs to know, a line each."""
    if isinstance(change.alert, LineAlert):
        return line_words.body(change.alert, console_url, language)
    return words.body(change.alert, console_url, language)


def payload(change: AlertChange) -> dict[str, Any]:
    """Return a step for a webhook. Its texts are data as they came: whoever shows them must escape them."""
    alert = change.alert
    content = msgspec.to_builtins(alert)
    kind = change.kind
    if isinstance(alert, LineAlert):
        what: str = "digest" if alert.count else alert.kind
        kind = content.pop("kind")
        content["open"] = alert.resolved_at is None and not alert.momentary
    elif isinstance(alert, BrakeAlert):
        what = "brake"
    else:
        what = "incident"
        for name in OF_MODERATORS:
            content.pop(name, None)
    return {"id": change.id, "event": change.event, "kind": kind, "at": change.at, what: content}


def labels(alert: Alert) -> dict[str, str]:
    """The labels of an alert for Alertmanager: they stay the same from its beginning to its end."""
    if isinstance(alert, LineAlert):
        return line_words.labels(alert)
    if isinstance(alert, BrakeAlert):
        return {"alertname": "VigilBrake", "route": alert.route, "rule": alert.rule, "incident": alert.id}
    return {
        "alertname": words.alert_name(alert),
        "family": alert.family or "",
        "host_id": alert.host_id,
        "incident": alert.incident_id,
        "room_id": alert.room_id,
        "rule": alert.rule or "",
    }


def annotations(alert: Alert, language: Language = "en") -> dict[str, str]:
    """What becomes of an alert, for Alertmanager."""
    if isinstance(alert, LineAlert):
        return line_words.annotations(alert, language)
    texts = {"summary": words.summary(alert, language), "description": words.body(alert, None, language)}
    if isinstance(alert, BrakeAlert):
        return {**texts, "stage": "held" if alert.decided_at is None else "over", "severity": "critical"}
    return {
        **texts,
        "stage": "over" if alert.ended_at is not None else alert.stage,
        "severity": alert.severity,
        "steps": words.steps(alert, language),
        "why": alert.ended_by or "",
    }
