"""The rooms that a probe watches: one from the command line, or a list in a file.

# source                                        room      host
rtmp://media.example.com/live/8f2c              room-1    merchant-7
"recordings/of today.mp4"                       room-2    merchant-9
"""

import shlex
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from vigil.app.probe.addresses import Address, AddressError
from vigil.topics.fields import Id

MAX_ROOMS: Final = 2_000
"""Rooms of one process. Each has a thread and a decoder: more are several processes."""


class RoomsError(Exception):
    """The list, or a room of it, cannot be used. The text names the line and what to write."""


class WatchedRoom(NamedTuple):
    """A room and where its stream is."""

    address: Address
    room_id: str
    host_id: str


def watched_room(
    source: str, room_id: str, host_id: str, place: str, names: tuple[str, str] = ("the room", "the host")
) -> WatchedRoom:
    """Return a room as it was given; raise RoomsError, which begins with `place`.

    `names`: what room and host are called there.
    """
    for name, value in zip(names, (room_id, host_id), strict=True):
        try:
            msgspec.convert(value, Id)
        except msgspec.ValidationError as error:
            raise RoomsError(f"{place}: {name} has no or more than 128 characters") from error
    try:
        return WatchedRoom(Address.of(source), room_id, host_id)
    except AddressError as error:
        raise RoomsError(f"{place}: {error}") from error


def read_rooms(file: Path) -> list[WatchedRoom]:
    """Read a list of rooms; raise RoomsError at the first line that cannot be used.

    Files are found from the folder of the list.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise RoomsError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RoomsError(f"{file}: is not UTF-8") from error
    rooms: dict[str, tuple[int, WatchedRoom]] = {}
    for number, line in enumerate(lines, start=1):
        room = _room(line, file, number)
        if room is None:
            continue
        if room.room_id in rooms:
            first = rooms[room.room_id][0]
            raise RoomsError(f"{file}, line {number}: room {room.room_id} is in line {first} already; leave one out")
        rooms[room.room_id] = number, room
    if not rooms:
        raise RoomsError(f"{file}: has no rooms; write one a line: SOURCE ROOM HOST")
    if len(rooms) > MAX_ROOMS:
        raise RoomsError(f"{file}: has {len(rooms)} rooms; one process takes {MAX_ROOMS}: divide the list")
    return [room for _, room in rooms.values()]


def _room(line: str, file: Path, number: int) -> WatchedRoom | None:
    """The room of a line; None for an empty line or a comment."""
    place = f"{file}, line {number}"
    if line.lstrip().startswith("#"):
        return None
    try:
        # No comments behind values: an address may contain a #.
        values = shlex.split(line)
    except ValueError as error:
        raise RoomsError(f"{place}: a quotation mark has no partner") from error
    if not values:
        return None
    if len(values) != 3:
        raise RoomsError(f"{place}: has {len(values)} values; write: SOURCE ROOM HOST (quote what has spaces)")
    source, room_id, host_id = values
    if "://" not in source:
        source = str(file.parent / source)
    return watched_room(source, room_id, host_id, place)


class ChangedRooms:
    """Reads a list of rooms again when the file has changed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = self._mark()

    def __call__(self) -> list[WatchedRoom] | None:
        """Return the rooms of a file that has changed, None of one that has not; raise RoomsError, once a change."""
        mark = self._mark()
        if mark == self._read:
            return None
        self._read = mark
        return read_rooms(self._file)

    def _mark(self) -> tuple[int, int, int] | None:
        """What differs between two versions of the file; None: it cannot be read now."""
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
