"""How many rooms are on air or at risk, and how many buyers wait, from the published room statuses.

State: an entry per room that is on air or has an open condition, dropped with the status that says otherwise. A worker
that has just acquired a shard learns about its rooms as their next statuses are published, about a second later.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from vigil.app.domain.rooms.risk import at_risk_at
from vigil.app.domain.rulebook.book import Rulebook
from vigil.topics.fields import HIGH_QUALITY

NO_ONE: Final = (0, 0)


class _Open(Struct):
    rule: str
    since: int
    due: int


class _Waiting(Struct):
    buyer_tier: str | None


class _Status(Struct):
    """What is read of a room status; all else is skipped."""

    stream: str | None
    open: list[_Open]
    waiting: list[_Waiting]


_decode = msgspec.json.Decoder(_Status).decode


class _Room(NamedTuple):
    live: bool
    conditions: int
    warnings: tuple[tuple[str, int], ...]
    """Of the conditions that give a warning: the rule, and from when on they are at risk."""
    waiting: tuple[int, int]
    """Buyers of normal and of high priority."""


class LiveRoomGauges:
    """The rooms of one shard."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.rulebook = rulebook
        self._rooms: dict[str, _Room] = {}

    def update(self, room_id: str, status: bytes | None) -> None:
        """A status was published; None: the room has expired."""
        if status is None:
            self._rooms.pop(room_id, None)
            return
        room = _decode(status)
        if room.stream != "live" and not room.open:
            self._rooms.pop(room_id, None)
            return
        waiting = NO_ONE
        if room.waiting:
            high = sum(entry.buyer_tier in HIGH_QUALITY for entry in room.waiting)
            waiting = (len(room.waiting) - high, high)
        self._rooms[room_id] = _Room(room.stream == "live", len(room.open), self._warnings(room.open), waiting)

    def totals(self) -> dict[str, int]:
        """How many rooms are on air and have open conditions, how many buyers of `normal` and `high` priority wait."""
        rooms = self._rooms.values()
        return {
            "on_air": sum(room.live for room in rooms),
            "open": sum(bool(room.conditions) for room in rooms),
            "normal": sum(room.waiting[0] for room in rooms),
            "high": sum(room.waiting[1] for room in rooms),
        }

    def at_risk(self, now: int) -> Iterator[str]:
        """The rule of each room's condition that is at risk at `now` (ms), once a room and rule."""
        for room in self._rooms.values():
            yield from {rule for rule, at_risk_from in room.warnings if at_risk_from <= now}

    def _warnings(self, conditions: list[_Open]) -> tuple[tuple[str, int], ...]:
        times = ((one.rule, at_risk_at(self.rulebook, one.since, one.due)) for one in conditions)
        return tuple((rule, at) for rule, at in times if at is not None)
