"""The incidents in memory: by id, by room and by verdict, in the order in which they were last heard of.

Every container is ordered by `heard`, the wall-clock time at which the latest message about an entry was read: what
expires first stands first. Whatever changes is remembered as dirty until `changed` has given its record.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vigil.app.notify.changes import MAX_STORED_BYTES, Incident
from vigil.topics.fields import Instant
from vigil.topics.read_back import ForeignMessageError, read_back
from vigil.topics.verdicts import Action


class Parked(Struct, frozen=True, omit_defaults=True):
    """The latest revision of an action whose verdict has not been read yet."""

    action: Action
    heard: Instant


class Ended(Struct, frozen=True, omit_defaults=True):
    """A room was over at the event time `at`."""

    at: Instant
    heard: Instant


_Stored = Incident | Parked | Ended

_DECODERS: Final[Mapping[str, "msgspec.json.Decoder[_Stored]"]] = {
    "i": msgspec.json.Decoder(Incident),
    "p": msgspec.json.Decoder(Parked),
    "r": msgspec.json.Decoder(Ended),
}
"""The decoder of a stored record by the first letter of its name."""

_encode: Final = msgspec.json.Encoder().encode


def _decode(letter: str, key: str, raw: bytes) -> _Stored:
    """Return a stored record; raise ForeignMessageError where it was not stored here."""
    if letter not in _DECODERS:
        raise ForeignMessageError("no record of this state")
    value: _Stored = read_back(_DECODERS[letter], raw, MAX_STORED_BYTES)
    if (isinstance(value, Incident) and value.id != key) or (
        isinstance(value, Parked) and value.action.action_id != key
    ):
        raise ForeignMessageError("its key is another's")
    return value


def last_loss(incident: Incident) -> int:
    """The last frame before the latest loss of a signal's incident."""
    return incident.since if incident.lost_since is None else incident.lost_since


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
        self._signals: dict[str, str] = {}
        """By room id, the id of the room's latest incident of a lost signal."""
        self.returned: dict[str, Incident] = {}
        """By id, the open incidents of signals that are back."""
        self._dirty: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self.open) + len(self.resolved)

    def get(self, id_: str) -> Incident | None:
        return self.open.get(id_) or self.resolved.get(id_)

    def of_verdict(self, verdict_id: str) -> Incident | None:
        """The incident of a verdict."""
        return self.get(self._of_verdict.get(verdict_id, ""))

    def signal_of(self, room_id: str) -> Incident | None:
        """The room's latest incident of a lost signal, open or resolved."""
        return self.get(self._signals.get(room_id, ""))

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
        if incident.sort == "signal":
            self._put_signal(incident)
        elif incident.verdict_id is not None:
            self._put_verdict(incident, incident.verdict_id)
        self._dirty[f"i:{id_}"] = None

    def _put_verdict(self, incident: Incident, verdict_id: str) -> None:
        """Actions of a verdict belong to its condition; until the verdict is read, to what was published alone."""
        known = self.of_verdict(verdict_id)
        alone = incident.sort == "action" and (known is None or known.sort == "action")
        if incident.sort == "condition" or alone:
            self._of_verdict[verdict_id] = incident.id

    def _put_signal(self, incident: Incident) -> None:
        self.returned.pop(incident.id, None)
        if incident.open and incident.back_at is not None:
            self.returned[incident.id] = incident
        known = self.signal_of(incident.room_id)
        if known is None or last_loss(known) <= last_loss(incident):
            self._signals[incident.room_id] = incident.id

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
        if self._signals.get(incident.room_id) == id_:
            del self._signals[incident.room_id]
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

    @property
    def heard(self) -> int | None:
        """The wall-clock time at which the latest message was read of which something is known."""
        kept: tuple[Mapping[str, _Stored], ...] = (self.open, self.resolved, self.parked, self.ended)
        return max((one.heard for entries in kept for one in entries.values()), default=None)

    # ---- what is stored

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """The records that changed since the last call; None deletes one."""
        dirty, self._dirty = self._dirty, {}
        for name in dirty:
            letter, _, key = name.partition(":")
            value: Any = self.get(key) if letter == "i" else (self.parked if letter == "p" else self.ended).get(key)
            yield name, None if value is None else _encode(value)

    def load(self, records: Mapping[str, bytes]) -> dict[str, str]:
        """Restore what `changed` gave, into an empty table.

        Return the names of records that it cannot have given, each with what is wrong: they are left out.
        """
        read: dict[str, list[tuple[int, str, Any]]] = {"i": [], "p": [], "r": []}
        unreadable = {}
        for name, raw in records.items():
            letter, _, key = name.partition(":")
            try:
                value = _decode(letter, key, raw)
                read[letter].append((value.heard, key, value))
            except ForeignMessageError as error:
                unreadable[name] = str(error)
        for _, _, incident in sorted(read["i"], key=lambda one: one[:2]):
            self.put(incident)
        self.parked = {key: parked for _, key, parked in sorted(read["p"], key=lambda one: one[:2])}
        self.ended = {key: ended for _, key, ended in sorted(read["r"], key=lambda one: one[:2])}
        self._dirty.clear()
        return unreadable

    def _leave_room(self, incident: Incident) -> None:
        room_id = incident.room_id
        inside = self._of_room.get(room_id)
        if inside is not None:
            inside.discard(incident.id)
            if not inside:
                del self._of_room[room_id]
                self.room_heard.pop(room_id, None)


def older(entries: Mapping[str, Incident] | Mapping[str, Parked] | Mapping[str, Ended], until: int) -> list[str]:
    """The keys of the entries, which are in the order of `heard`, that were last heard of by `until`."""
    found = []
    for key, value in entries.items():
        if value.heard > until:
            break
        found.append(key)
    return found
