"""Where `vigil explain` reads: what a replay wrote and its recording, or the topics. Both answer the same questions."""

import asyncio
from pathlib import Path
from typing import NamedTuple, Protocol

from vigil.app.cli.replay import lines_with_progress, open_recording
from vigil.app.domain.rulebook import Rulebook
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.rulebooks.log import in_force
from vigil.app.runtime.whatif.lines.sources import SupplierLine, lines_in, lines_on, supplier_raws_on
from vigil.app.runtime.whatif.local_time import Clock
from vigil.app.runtime.whatif.sources import Published, published_in, published_on, raws_of, raws_on, rejected_in
from vigil.app.runtime.whatif.story import Raw
from vigil.topics.read_back import ForeignMessages
from vigil.topics.verdicts import Verdict


class Events(NamedTuple):
    """Events around a verdict."""

    room: list[Raw] | None
    """The events of its room; None without a recording of them."""
    supplier: list[Raw] | None
    """The events of its host as a supplier, where they are asked for; None without a recording of them."""


class Place(Protocol):
    """Outputs and inputs of Vigil. Each call may raise UnreadableOutput or SettingsError."""

    name: str

    def rulebook(self, own: Rulebook) -> Rulebook:
        """The newest rulebook that was published; `own` where there is none."""

    def published(self) -> Published: ...

    def lines(self, topic: str) -> list[SupplierLine]: ...

    def events(self, verdict: Verdict, published: Published, *, supplier: bool) -> Events: ...

    def supplier(self, supplier_id: str) -> list[Raw] | None: ...

    def caveats(self, clock: Clock) -> list[str]: ...


class InFolder:
    """What a replay wrote, and the recording, if it is given."""

    def __init__(self, folder: Path, events: str | None) -> None:
        self.name = f"{folder}"
        self._folder = folder
        self._events = events

    def rulebook(self, own: Rulebook) -> Rulebook:
        if self._events in (None, "-"):  # standard input can be read only once
            return own
        recorded, _ = open_recording(self._events, "reading the rulebook")
        return own if recorded is None else recorded

    def published(self) -> Published:
        return published_in(self._folder)

    def lines(self, topic: str) -> list[SupplierLine]:
        return lines_in(self._folder, topic)

    def events(self, verdict: Verdict, published: Published, *, supplier: bool) -> Events:
        if self._events is None:
            return Events(None, None)
        lines = lines_with_progress(self._events, "searching for the room")
        raws = list(raws_of(lines, verdict.room_id, published.rejected, verdict.host_id if supplier else None))
        return Events(raws, raws if supplier else None)

    def supplier(self, supplier_id: str) -> list[Raw] | None:
        if self._events is None:
            return None
        lines = lines_with_progress(self._events, "searching for the supplier")
        return list(raws_of(lines, supplier_id, rejected_in(self._folder)))

    def caveats(self, clock: Clock) -> list[str]:
        return []


class OnTopics:
    """The topics of a cluster."""

    def __init__(self, settings: Settings) -> None:
        self.name = f"the topics on {settings.broker}"
        self._settings = settings
        self._foreign = ForeignMessages()
        self._expired: dict[str, int] = {}

    def rulebook(self, own: Rulebook) -> Rulebook:
        return asyncio.run(in_force(self._settings, own))

    def published(self) -> Published:
        return asyncio.run(published_on(self._settings))

    def lines(self, topic: str) -> list[SupplierLine]:
        return asyncio.run(lines_on(self._settings, topic, self._foreign))

    def events(self, verdict: Verdict, published: Published, *, supplier: bool) -> Events:
        room = asyncio.run(raws_on(self._settings, verdict, published.foreign))
        self._expired |= room.expired
        return Events(room.raws, self.supplier(verdict.host_id) if supplier else None)

    def supplier(self, supplier_id: str) -> list[Raw] | None:
        found = asyncio.run(supplier_raws_on(self._settings, supplier_id, self._foreign))
        self._expired |= found.expired
        return found.raws

    def caveats(self, clock: Clock) -> list[str]:
        gone = [
            f"{topic} no longer has all messages from before {clock.full(before)}: its retention has deleted them."
            for topic, before in self._expired.items()
        ]
        return [*gone, *self._foreign.lines()]
