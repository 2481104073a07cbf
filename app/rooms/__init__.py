"""A live room under the live-broadcast rules: pure, in order of event time, one state a room."""

from app.rooms.room import Room, RoomsLogic

__all__ = ["Room", "RoomsLogic"]
