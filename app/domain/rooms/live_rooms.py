"""How many rooms are on air, at risk, and have buyers waiting: as the published room statuses say.

It holds a line a room that is on air or has a condition that runs, and forgets it with the status that says otherwise.
A worker that has just been given a shard knows its rooms as their next statuses come, about a second later.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.rooms import RoomLimits
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.fields import HIGH_QUALITY

NO_ONE: Final = (0, 0)


class _Run(Struct):
    rule: str
    since: int
    due: int


class _Waiting(Struct):
    buyer_tier: str | None


class _Status(Struct):
    """What is read of a room status; all else is skipped."""

    stream: str | None
    open: list[_Run]
    waiting: list[_Waiting]


_decode = msgspec.json.Decoder(_Status).decode


class LiveRoomGauges:
    """The rooms of one shard."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self._rooms: dict[str, tuple[bool, tuple[tuple[str, int], ...], tuple[int, int]]] = {}
        """By room: is it on air; its open conditions and when each is at risk (ms); buyers waiting, normal, high."""

    def told(self, room_id: str, status: bytes | None) -> None:
        """A status was published; None is the room's end."""
        if status is None:
            self._rooms.pop(room_id, None)
            return
        room = _decode(status)
        if room.stream != "live" and not room.open:
            self._rooms.pop(room_id, None)
            return
        runs = tuple((run.rule, self._at_risk_from(run)) for run in room.open)
        waiting = NO_ONE
        if room.waiting:
            high = sum(entry.buyer_tier in HIGH_QUALITY for entry in room.waiting)
            waiting = (len(room.waiting) - high, high)
        self._rooms[room_id] = (room.stream == "live", runs, waiting)

    def totals(self) -> dict[str, int]:
        """How many rooms are on air and have open conditions, how many buyers of `normal` and `high` priority wait."""
        rooms = self._rooms.values()
        return {
            "on_air": sum(live for live, _, _ in rooms),
            "open": sum(bool(runs) for _, runs, _ in rooms),
            "normal": sum(waiting[0] for _, _, waiting in rooms),
            "high": sum(waiting[1] for _, _, waiting in rooms),
        }

    def at_risk(self, now: int) -> Iterator[str]:
        """The rule of each room's condition that is near its violation at `now` (ms), once a room and rule."""
        for _, runs, _ in self._rooms.values():
            yield from {rule for rule, at_risk_from in runs if at_risk_from <= now}

    def _at_risk_from(self, run: _Run) -> int:
        """When `at-risk` is told of a condition that still runs; NEVER where it is too short for that."""
        dated = self._rulebook.at("rooms", run.since) or self._rulebook.versions("rooms")[0]
        limits: RoomLimits = dated.limits
        lasts = run.due - run.since
        return run.since + round(lasts * limits.at_risk_share) if lasts >= limits.at_risk_from_s * 1000 else MAX_TIME
