"""The incidents in memory: by id, by room and by verdict, in the order in which they were last heard of.

Every container is ordered by `heard`, the wall-clock time at which the latest message about an entry was read: what
expires first stands first. Whatever changes is remembered as dirty until `changed` has given its record.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vigil.app.notify.changes import Incident
from vigil.topics.verdicts import Action


class Parked(Struct, frozen=True, omit_defaults=True):
    """The latest revision of an action whose verdict has not been read yet."""

    action: Action
    heard: int


class Ended(Struct, frozen=True, omit_defaults=True):
    """A room was over at the event time `at`."""

    at: int
    heard: int


_TYPES: Final[Mapping[str, Any]] = {"i": Incident, "p": Parked, "r": Ended}
"""The type of a stored record by the first letter of its name."""

_encode: Final = msgspec.json.Encoder().encode


class IncidentTable:
    """Incidents, actions that wait for their verdict, and rooms that are over."""

    def __init__(self) -> None:
        self.open: dict[str, Incident] = {}
        """By id."""
        self.resolved: dict[str, Incident] = {}
        self.parked: dict[str, Parked] = {}
        """By verdict id."""
        self.ended: dict[str, Ended] = {}
        """By room id."""
        self.room_heard: dict[str, int] = {}
        """When the latest status of a room with open incidents was read."""
        self._of_room: dict[str, set[str]] = {}
        """The ids of a room's open incidents."""
        self._of_verdict: dict[str, str] = {}
        self._dirty: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self.open) + len(self.resolved)

    def get(self, id_: str) -> Incident | None:
        return self.open.get(id_) or self.resolved.get(id_)

    def of_verdict(self, verdict_id: str) -> Incident | None:
        """The incident of a verdict."""
        return self.get(self._of_verdict.get(verdict_id, ""))

    def of_room(self, room_id: str) -> list[Incident]:
        """The open incidents of a room, in no particular order."""
        return [self.open[id_] for id_ in self._of_room.get(room_id, ())]

    def put(self, incident: Incident) -> None:
        """Replace an incident; it becomes the one that was heard of last."""
        id_ = incident.id
        self.open.pop(id_, None)
        self.resolved.pop(id_, None)
        if incident.open:
            self.open[id_] = incident
            self._of_room.setdefault(incident.room_id, set()).add(id_)
        else:
            self.resolved[id_] = incident
            self._leave_room(incident)
        if incident.verdict_id is not None:
            self._of_verdict[incident.verdict_id] = id_
        self._dirty[f"i:{id_}"] = None

    def add_end_targets(self, id_: str, targets: tuple[str, ...]) -> None:
        """Remember that these targets must be notified of the incident's end. Its place in the order stays."""
        incident = self.get(id_)
        if incident is not None and (more := tuple(name for name in targets if name not in incident.end_targets)):
            where = self.open if incident.open else self.resolved
            where[id_] = replace(incident, end_targets=incident.end_targets + more)
            self._dirty[f"i:{id_}"] = None

    def forget(self, id_: str) -> None:
        """Drop a resolved incident."""
        incident = self.resolved.pop(id_)
        if incident.verdict_id is not None and self._of_verdict.get(incident.verdict_id) == id_:
            del self._of_verdict[incident.verdict_id]
        self._dirty[f"i:{id_}"] = None

    def park(self, action: Action, now: int) -> None:
        """Keep the highest revision of an action until its verdict is read."""
        before = self.parked.pop(action.action_id, None)
        if before is None or before.action.revision < action.revision:
            before = Parked(action, now)
        self.parked[action.action_id] = before
        self._dirty[f"p:{action.action_id}"] = None

    def unpark(self, verdict_id: str) -> Action | None:
        """Remove and return the action that waits for a verdict."""
        parked = self.parked.pop(verdict_id, None)
        if parked is None:
            return None
        self._dirty[f"p:{verdict_id}"] = None
        return parked.action

    def end_room(self, room_id: str, at: int, now: int) -> int:
        """Remember that a room was over at `at` or, if that is later, at what was known before; return which."""
        before = self.ended.pop(room_id, None)
        at = max(at, before.at if before else 0)
        self.ended[room_id] = Ended(at, now)
        self._dirty[f"r:{room_id}"] = None
        return at

    def forget_end(self, room_id: str) -> None:
        """Forget that a room was over."""
        del self.ended[room_id]
        self._dirty[f"r:{room_id}"] = None

    # ---- what is stored

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """The records that changed since the last call; None deletes one."""
        dirty, self._dirty = self._dirty, {}
        for name in dirty:
            letter, _, key = name.partition(":")
            value: Any = self.get(key) if letter == "i" else (self.parked if letter == "p" else self.ended).get(key)
            yield name, None if value is None else _encode(value)

    def load(self, records: Mapping[str, bytes]) -> None:
        """Restore what `changed` gave, into an empty table."""
        read: dict[str, list[tuple[int, str, Any]]] = {"i": [], "p": [], "r": []}
        for name, raw in records.items():
            letter, _, key = name.partition(":")
            value = msgspec.json.decode(raw, type=_TYPES[letter])
            read[letter].append((value.heard, key, value))
        for _, _, incident in sorted(read["i"], key=lambda one: one[:2]):
            self.put(incident)
        self.parked = {key: parked for _, key, parked in sorted(read["p"], key=lambda one: one[:2])}
        self.ended = {key: ended for _, key, ended in sorted(read["r"], key=lambda one: one[:2])}
        self._dirty.clear()

    def _leave_room(self, incident: Incident) -> None:
        room_id = incident.room_id
        inside = self._of_room.get(room_id)
        if inside is not None:
            inside.discard(incident.id)
            if not inside:
                del self._of_room[room_id]
                self.room_heard.pop(room_id, None)
