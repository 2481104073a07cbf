"""A live room under the live-broadcast rules: pure, in order of event time, one state a room."""

from vigil.app.domain.rooms.machine import RoomMachine
from vigil.app.domain.rooms.room import RoomState

__all__ = ["RoomMachine", "RoomState"]
