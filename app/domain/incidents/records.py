"""The records of one room's incidents: loaded from chunks, and dumped where they changed."""

from typing import Any

from msgspec import Struct

from vigil.app.domain.incidents.cases import PendingCases
from vigil.app.domain.incidents.facts import Groups
from vigil.app.domain.incidents.stored import (
    CONDITION,
    DECODERS,
    ENTRY,
    FOLLOW_UP,
    INCIDENT,
    PENDING,
    SIGNAL,
    VERSION,
    FollowUp,
    IncidentRecord,
    RoomRecord,
    decode_main,
    encode,
)
from vigil.app.engine.subject import ChangedChunks, StateChunks


class RoomRecords:
    """What is remembered of one room. Whoever changes a record names its chunk in `changed`."""

    def __init__(self, room_id: str, wait_ms: int | None, chunks: StateChunks) -> None:
        self.main = decode_main(chunks[b""]) if chunks else RoomRecord(ends=[])
        if self.main.version != VERSION:
            raise ValueError(
                f"the incidents of room {room_id!r} are stored in version {self.main.version}; this is for {VERSION}"
            )
        found: dict[str, dict[str, Any]] = {letter: {} for letter in DECODERS}
        for name in sorted(name.decode() for name in chunks if name):
            found[name[0]][name] = DECODERS[name[0]].decode(chunks[name.encode()])
        self.groups: Groups = found[CONDITION] | found[ENTRY] | found[SIGNAL]
        self.follow_ups: dict[str, FollowUp] = {name[1:]: one for name, one in found[FOLLOW_UP].items()}
        """By verdict."""
        self.incidents: dict[str, IncidentRecord] = {name[1:]: one for name, one in found[INCIDENT].items()}
        """By incident. `know` and `drop_incident` add to it and remove from it."""
        self._ids: dict[str, set[str]] = {}
        """By group: the incidents that it has had."""
        for id_, record in self.incidents.items():
            self._ids.setdefault(record.group, set()).add(id_)
        self.pending = PendingCases(self.main, found[PENDING], wait_ms)
        self.changed: set[str] = set() if chunks else {""}
        """The names of the chunks that changed since they were dumped."""

    def dump(self) -> ChangedChunks:
        """The chunks that changed."""
        chunks: ChangedChunks = {}
        for name in sorted(self.changed):
            record = self._record(name)
            chunks[name.encode()] = None if record is None else encode(record)
        self.changed.clear()
        return chunks

    def _record(self, name: str) -> Struct | None:
        if not name:
            return self.main
        if name[0] == FOLLOW_UP:
            return self.follow_ups.get(name[1:])
        if name[0] == INCIDENT:
            return self.incidents.get(name[1:])
        return self.pending.records.get(name) if name[0] == PENDING else self.groups.get(name)

    def know(self, id_: str, group: str) -> None:
        """Remember a new incident."""
        self.incidents[id_] = IncidentRecord(group, commands=[])
        self._ids.setdefault(group, set()).add(id_)
        self.changed.add(INCIDENT + id_)

    def of_group(self, group: str) -> dict[str, IncidentRecord]:
        """The incidents of a group by identity, in order."""
        return {id_: self.incidents[id_] for id_ in sorted(self._ids.get(group, ()))}

    def drop_incident(self, id_: str) -> IncidentRecord | None:
        """Forget an incident and return it; None: it is not known."""
        record = self.incidents.pop(id_, None)
        if record is not None:
            self.changed.add(INCIDENT + id_)
            ids = self._ids[record.group]
            ids.discard(id_)
            if not ids:
                del self._ids[record.group]
        return record

    def drop_follow_up(self, verdict_id: str) -> None:
        """Forget what follows from a verdict."""
        if self.follow_ups.pop(verdict_id, None) is not None:
            self.changed.add(FOLLOW_UP + verdict_id)
