"""How losses of a room's signal become one incident. Pure.

    lost ─▶ open ──lost again──▶ one loss more ──back──▶ back ──lost within the hold──▶ one loss more …
                                                          └── the hold has passed ─▶ resolved, as of its end

A repeated notice changes nothing: a loss is known by the last frame before it, and those of a room come in order.
"""

from typing import NamedTuple

from msgspec.structs import replace

from vigil.app.notify.changes import Incident
from vigil.app.notify.incident_table import last_loss
from vigil.topics.verdicts import NoticeKind


class SignalStep(NamedTuple):
    """What follows from a notice about a room's signal."""

    known: Incident | None = None
    """The incident as it is now; None where it did not change."""
    steady_at: int | None = None
    """Event time at which `known` had ended; None where it goes on."""
    begun: Incident | None = None
    """The incident that begins."""


def step(known: Incident | None, of_notice: Incident, kind: NoticeKind, hold_ms: int) -> SignalStep:
    """Return what follows from a `signal-lost` or `signal-back`.

    `known`: the room's latest incident of a lost signal; `of_notice`: one that would begin with this notice.
    """
    incident = replace(of_notice, losses=1, lost_since=of_notice.since)
    if known is not None and (incident.since < last_loss(known) or not _says_more(known, incident, kind)):
        return SignalStep()
    if kind == "signal-back":
        return SignalStep(_back(known, incident))
    if known is None or not known.open:
        return SignalStep(begun=incident)
    if known.back_at is not None and incident.at - known.back_at >= hold_ms:
        return SignalStep(known, known.back_at + hold_ms, incident)
    return SignalStep(_as_of(known, incident, losses=max(known.losses, 1) + 1, back_at=None))


def _says_more(known: Incident, incident: Incident, kind: NoticeKind) -> bool:
    """Return whether a notice says more than is known, if it is not about an earlier loss."""
    if incident.since > last_loss(known):
        return True
    return kind == "signal-back" and known.open and known.back_at is None


def _back(known: Incident | None, incident: Incident) -> Incident:
    """Return the incident of a signal that came back; one whose loss was not read is over, and never published."""
    if known is None or not known.open:
        return replace(incident, resolved_at=incident.at, why="signal-back")
    return _as_of(known, incident, losses=max(known.losses, 1), back_at=incident.at)


def _as_of(known: Incident, incident: Incident, losses: int, back_at: int | None) -> Incident:
    at = max(known.at, incident.at)
    return replace(known, losses=losses, back_at=back_at, lost_since=incident.since, at=at, heard=incident.heard)
