"""A live room under the live-broadcast rules: pure, in order of event time, one state a room."""

from app.rooms.logic import RoomsLogic
from app.rooms.room import Room

__all__ = ["Room", "RoomsLogic"]
