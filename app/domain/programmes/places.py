"""The places of one edition of a programme: first come, first served, across all suppliers.

    claim arrives ──▶ its number          claim accepted ──▶ waits ──the clock is past its time──▶ its place, or none
                                             ▲      └─accepted no more, or for another time ─┐
                                             └───────────────────────────────────────────────┘

Places go by the time of the claim or of its completion, then by arrival or supplier. What is accepted in order within
the allowed lateness is put in order first; decisions stand. Where the input is recorded, all are made at its end, when
all claims are there: their suppliers are in different shards, which are read in any order.

Source: announcement of July 2022. Expiry: 500 days after its latest claim.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.storage.buckets import Buckets
from vigil.app.engine.subject import (
    Arrival,
    KeyStateDefaults,
    Order,
    OriginOf,
    SourceRecord,
    StateChunks,
    StateMachineDefaults,
)
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.topics.decoder import decode_own
from vigil.topics.internal import AcceptedClaim, ProgrammeClaim, ProgrammePlace
from vigil.topics.labels import OnIgnored
from vigil.topics.topic import composed_key
from vigil.topics.verdicts import identity

VERSION: Final = 1
"""Of the stored state. New fields go to the end of their struct, with a default; any other change is a new version."""

KEEP_MS: Final = 500 * 24 * 60 * 60 * 1000

COMPLETION_WAIT_MS: Final = 60_000
"""How long after the window's end places are given by completion: suppliers' shards come past it at different times."""


class ClaimEntry(Struct, array_like=True):
    """The claim of one supplier. Stored by position."""

    supplier_id: str
    arrived: dict[int, int]
    """By time of the claim: its number in order of arrival."""
    accepted_at: int | None = None
    places: int = 0
    decided_at: int = 0
    by_id: bool = False
    place: int | None = None
    bucket: int = 0
    number: int = 0
    """Of the last message about its acceptance."""

    def latest(self) -> int:
        """Return the largest event time in it."""
        return max([self.accepted_at or 0, *self.arrived])


class PlacesMainChunk(Struct, array_like=True):
    """The main chunk of an edition's stored state. Stored by position."""

    version: int = VERSION
    arrivals: int = 0
    given: int = 0
    last_at: int = MIN_TIME
    programme: str = ""
    edition: str = ""


_MAIN: Final = msgspec.msgpack.Decoder(PlacesMainChunk)
_CLAIM: Final = msgspec.json.Decoder(ProgrammeClaim)
_encode: Final = msgspec.msgpack.Encoder().encode


class PlacesState(KeyStateDefaults[ProgrammeClaim]):
    """All that is remembered of one edition."""

    def __init__(self, key: str, at_the_end: bool, chunks: StateChunks) -> None:
        self._main = main = _MAIN.decode(chunks[b""]) if chunks else PlacesMainChunk()
        if main.version != VERSION:
            raise ValueError(f"the state of the edition {key!r} has the unknown version {main.version}")
        self._at_the_end = at_the_end
        self._entries: Buckets[ClaimEntry] = Buckets(b"e", ClaimEntry, chunks)
        self._entry = {entry.supplier_id: entry for entry in self._entries}
        self._waiting = {
            entry.supplier_id for entry in self._entries if entry.accepted_at is not None and entry.place is None
        }
        self._expired = False
        self._changed = False

    def apply(self, event: ProgrammeClaim, watermark: int, collector: OutputCollector) -> None:
        """Note that a claim arrived, is accepted, or is accepted no more; a repeat, and what comes after the decision,
        changes nothing."""
        main = self._main
        main.programme, main.edition = event.programme, event.edition
        main.last_at = max(main.last_at, event.at)
        self._changed = True
        entry = self._entry.get(event.supplier_id)
        if entry is None:
            entry = self._entry[event.supplier_id] = ClaimEntry(event.supplier_id, {})
            self._entries.add(entry)
        if event.number == 0:
            if event.at not in entry.arrived:
                main.arrivals += 1
                entry.arrived[event.at] = main.arrivals
        elif event.number > entry.number and entry.place is None:
            entry.number = event.number
            self._set_accepted(entry, event.at, event.accepted)
        self._entries.touch(entry)

    def _set_accepted(self, entry: ClaimEntry, at: int, accepted: AcceptedClaim | None) -> None:
        if accepted is None:
            entry.accepted_at = None
            self._waiting.discard(entry.supplier_id)
            return
        entry.accepted_at, entry.places, entry.by_id = at, accepted.places, accepted.by_id
        entry.decided_at = accepted.decided_at + (COMPLETION_WAIT_MS if accepted.by_id else 0)
        self._waiting.add(entry.supplier_id)

    def next_timer(self) -> int:
        if self._waiting and not self._at_the_end:
            return min(self._entry[supplier_id].decided_at for supplier_id in self._waiting)
        return self._main.last_at + KEEP_MS if self._main.last_at > MIN_TIME else MAX_TIME

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        due = [one for one in self._waiting_entries() if one.decided_at <= at]
        if due and not self._at_the_end:
            self._decide(due, collector)
        elif at >= self._main.last_at + KEEP_MS:
            self._expired = True
            self._main.last_at = at

    def on_end_of_input(self, until: int, collector: OutputCollector) -> None:
        """Give the places of all claims: what waits for the window's end is sent after it only."""
        self._decide(self._waiting_entries(), collector)

    def _waiting_entries(self) -> list[ClaimEntry]:
        return [self._entry[supplier_id] for supplier_id in self._waiting]

    def _decide(self, due: list[ClaimEntry], collector: OutputCollector) -> None:
        main = self._main
        for entry in sorted(due, key=_precedence):
            self._waiting.discard(entry.supplier_id)
            entry.place = main.given + 1 if main.given < entry.places else 0
            main.given += entry.place > 0
            self._entries.touch(entry)
            self._changed = True
            at = entry.accepted_at or 0
            place = ProgrammePlace(
                programme=main.programme,
                edition=main.edition,
                supplier_id=entry.supplier_id,
                at=at,
                place=entry.place,
            )
            id_ = identity("place", main.programme, main.edition, entry.supplier_id)
            collector.emit("programme-place", entry.supplier_id, id_, at, place)

    def expired(self) -> bool:
        return self._expired

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        """The chunks that changed: `e…` claims, some of them each, and the main chunk."""
        if not self._changed:
            return {}
        self._changed = False
        chunks: dict[bytes, bytes | None] = {b"": _encode(self._main)}
        self._entries.dump(chunks)
        return chunks


def _precedence(entry: ClaimEntry) -> tuple[int, int, str]:
    at = entry.accepted_at or 0
    return at, 0 if entry.by_id else entry.arrived.get(at, 0), entry.supplier_id


class PlacesMachine(StateMachineDefaults[ProgrammeClaim]):
    """Editions of programmes by `programme/edition`."""

    topics: tuple[str, ...] = ("programme-claim",)
    order: Order = Arrival()

    def __init__(self, *, at_the_end: bool = False) -> None:
        """`at_the_end`: the input is recorded, and places are given at its end."""
        self._at_the_end = at_the_end

    def decode(
        self, source_index: int, record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> ProgrammeClaim:
        """The claim of a message; raise InvalidEvent."""
        return decode_own(_CLAIM, record.value)

    def key_of(self, event: ProgrammeClaim) -> str:
        return composed_key(event.programme, event.edition)

    def load(self, key: str, chunks: StateChunks) -> PlacesState:
        return PlacesState(key, self._at_the_end, chunks)
