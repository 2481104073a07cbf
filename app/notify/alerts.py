"""What is sent: incidents of rooms, lines of suppliers, and brakes that hold alerts back; and one step of each.

An incident is sent as it is published, without what people do about it. The field names of the other two are part of
the contract of webhooks.
"""

import hashlib
from typing import Final, Literal, NamedTuple

import orjson
from msgspec import Struct
from msgspec.structs import replace

from vigil.app.notify.line_alerts import LineAlert, ended
from vigil.topics.fields import Instant
from vigil.topics.incidents import IncidentStatus

WARN_KINDS: Final = ("at-risk", "violation", "signal-lost")
"""The kinds that begin an alert of an incident; the others update one."""


class BrakeAlert(Struct, frozen=True, kw_only=True):
    """A brake holds violations of one rule back on one route, until somebody decides. Times in ms, by the broker."""

    id: str
    route: str
    rule: str
    per_rule: int
    every_s: int
    held: int
    """How many are held back by now."""
    at: Instant
    """When the first one was held back."""
    decided_at: Instant | None = None
    decision: Literal["release", "discard"] | None = None


Alert = IncidentStatus | LineAlert | BrakeAlert
"""What begins and may end."""

AlertEvent = Literal["opened", "violation", "breached", "action", "resolved", "noted", "digest"]
"""`noted` is sent once and has no end; `digest` stands for many lines."""


class AlertChange(Struct, frozen=True, kw_only=True):
    """One step of an alert, with the alert as it is after that step."""

    id: str
    """The idempotency key: the same for every delivery of the same step."""
    event: AlertEvent
    kind: str
    """What routes match (`at-risk`, `violation`, …), `brake`, or `resolved`."""
    at: Instant
    """Event time of the step in ms."""
    alert: Alert


class AlertLife(NamedTuple):
    """When an alert begins and ends, as an Alertmanager needs it. Event times in ms."""

    id: str
    begins: int
    ends: int | None
    """None: it goes on."""
    momentary: bool
    """True for what is sent once and has no end."""


def life_of(alert: Alert) -> AlertLife:
    """Return identity, beginning and end of an alert."""
    if isinstance(alert, LineAlert):
        return AlertLife(alert.id, alert.at if alert.since is None else alert.since, alert.resolved_at, alert.momentary)
    if isinstance(alert, BrakeAlert):
        return AlertLife(alert.id, alert.at, alert.decided_at, momentary=False)
    begins = next((at for at in (alert.at_risk_at, alert.violated_at) if at is not None), alert.since)
    return AlertLife(alert.incident_id, begins, alert.ended_at, alert.kind == "entry")


def over_by_deletion(alert: Alert, at: int) -> Alert:
    """Return an alert as of its end, where its messages were deleted at event time `at` while it went on."""
    if isinstance(alert, LineAlert):
        return ended(alert, "gone", at, alert.status)
    if isinstance(alert, BrakeAlert):
        return alert
    at = max(at, alert.at)
    return replace(alert, stage="ended", ended_by="withdrawn", ended_at=at, at=at)


def letter_key_of(alert: Alert) -> str:
    """Return the key of a dead letter about an alert."""
    if isinstance(alert, LineAlert):
        return alert.supplier_id
    return alert.rule if isinstance(alert, BrakeAlert) else alert.room_id


def key_of(*parts: str | int | None) -> str:
    """Return 32 hex digits that identify the parts. They are hashed as JSON, so that no two lists of parts collide."""
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]
