"""How losses of a room's signal become incidents: a stream that flaps is one, with its number of losses. Pure.

lost ──▶ open ──lost again──▶ one loss more ──back──▶ back ──lost within signal_hold_s──▶ one loss more …
          └──the room ends──▶ ended                    └──no other loss for signal_hold_s──▶ ended, as of then
"""

from typing import NamedTuple

from vigil.app.domain.incidents.facts import end_after
from vigil.app.domain.incidents.stored import Loss, RoomRecord, SignalRecord
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.incidents import EndedBy


class SignalIncident(NamedTuple):
    """Losses that belong together."""

    since: int
    """The last frame before the first of them."""
    host_id: str
    lost_at: int
    losses: int
    back_at: int | None
    """When the signal came back after the last of them; None: it is away."""
    ended_at: int | None
    ended_by: EndedBy | None
    due: int = MAX_TIME
    """When time alone ends it."""
    at: int = 0
    """The latest thing that is known of it."""


def signal_incidents(record: SignalRecord, main: RoomRecord, hold_ms: int, now: int) -> list[SignalIncident]:
    """The incidents of all losses, as of `now`."""
    found: list[SignalIncident] = []
    for loss in record.losses:
        if loss.lost_at is None:
            continue  # its beginning has not been read yet
        last = found[-1] if found else None
        over_at = None if last is None else _over(last, main, hold_ms)[0]
        if last is None or (over_at is not None and over_at <= loss.lost_at):
            losses = 1 + (0 if found else record.left_out)
            found.append(
                SignalIncident(loss.since, loss.host_id, loss.lost_at, losses, loss.back_at, None, None, at=_at(loss))
            )
        else:
            at = max(last.at, _at(loss))
            found[-1] = last._replace(losses=last.losses + 1, back_at=loss.back_at, at=at)
    return [_as_of(incident, main, hold_ms, now, last=incident is found[-1]) for incident in found]


def _at(loss: Loss) -> int:
    return max(loss.lost_at or 0, loss.back_at or 0)


def _over(incident: SignalIncident, main: RoomRecord, hold_ms: int) -> tuple[int | None, EndedBy]:
    """When an incident is over if nothing else is lost, and by what; None: not yet."""
    room_end = end_after(main, incident.lost_at)
    steady = None if incident.back_at is None else incident.back_at + hold_ms
    if room_end is not None and (steady is None or room_end <= steady):
        return room_end, "room-ended"
    return steady, "steady"


def _as_of(incident: SignalIncident, main: RoomRecord, hold_ms: int, now: int, *, last: bool) -> SignalIncident:
    over_at, by = _over(incident, main, hold_ms)
    if over_at is None:
        return incident
    if last and by == "steady" and over_at > now:
        return incident._replace(due=over_at)
    return incident._replace(ended_at=over_at, ended_by=by, at=max(incident.at, over_at))
