"""What was said about which line: each status of a line is sent once, however often the line is published.

State: an entry per line that a route matched, until the line is deleted. Beyond `most`, those whose status began
earliest are dropped, and nothing is sent about a status that began as early (`floor`). Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.notify.changes import MAX_STORED_BYTES
from vigil.topics.fields import Instant
from vigil.topics.read_back import ForeignMessageError, read_back

KEY_PREFIX: Final = "t:"
"""Begins the keys of what was said in the state topic; the line's id follows."""

FLOOR: Final = ""
"""No line has this id: its record has the floor."""

MAX_LINES: Final = 1_000_000
"""Lines that are remembered, in some 200 MB: ten of each of 100,000 suppliers."""

KEPT_SHARE: Final = 0.9
"""What is kept where there are too many: dropping is rare, and costs a pass over all."""


class SaidStatus(Struct, frozen=True, gc=False):
    """The latest status of a line that was sent, or that ended what was sent, and since when it held."""

    status: str
    at: Instant


_decoder: Final = msgspec.json.Decoder(SaidStatus)


class KnownStatuses:
    """What was said, by line."""

    def __init__(self, most: int = MAX_LINES) -> None:
        self._most = most
        self._said: dict[str, SaidStatus] = {}
        self._floor = SaidStatus("", 0)
        """Its `at`: nothing that began by then is sent any more; 0 until something was dropped."""
        self._dirty: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._said)

    def __contains__(self, id_: str) -> bool:
        return id_ in self._said

    def status_of(self, id_: str) -> str:
        """Return the status of a line that was sent last; empty if none was."""
        said = self._said.get(id_)
        return "" if said is None else said.status

    def is_news(self, id_: str, status: str, at: int) -> bool:
        """Return whether nothing was sent of a line since it has this status; `at`: since when it has it."""
        said = self._said.get(id_)
        return said.status != status if said is not None else at > self._floor.at

    def note(self, id_: str, status: str, at: int) -> None:
        """Remember what was said of a line."""
        self._said[id_] = SaidStatus(status, at)
        self._dirty[id_] = None
        if len(self._said) > self._most:
            self._drop()

    def forget(self, id_: str) -> None:
        """Forget a line that was deleted."""
        if self._said.pop(id_, None) is not None:
            self._dirty[id_] = None

    def _drop(self) -> None:
        """Drop the lines whose status began earliest, and all that began with the last of them."""
        times = sorted(said.at for said in self._said.values())
        until = times[len(times) - round(self._most * KEPT_SHARE) - 1]
        self._floor = SaidStatus("", max(until, self._floor.at))
        for id_ in [id_ for id_, said in self._said.items() if said.at <= until]:
            self.forget(id_)
        self._dirty[FLOOR] = None

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """The records that changed since the last call; None deletes one."""
        dirty, self._dirty = self._dirty, {}
        for id_ in dirty:
            said = self._floor if id_ == FLOOR else self._said.get(id_)
            yield KEY_PREFIX + id_, None if said is None else msgspec.json.encode(said)

    def load(self, records: Mapping[str, bytes]) -> dict[str, str]:
        """Restore what `changed` gave; return the names of records that it cannot have given, with what is wrong."""
        unreadable = {}
        for name, raw in records.items():
            id_ = name.removeprefix(KEY_PREFIX)
            try:
                said = read_back(_decoder, raw, MAX_STORED_BYTES)
            except ForeignMessageError as error:
                unreadable[name] = str(error)
                continue
            if id_ == FLOOR:
                self._floor = said
            else:
                self._said[id_] = said
        return unreadable
