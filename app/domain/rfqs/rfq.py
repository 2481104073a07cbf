"""The pinned quotes of one RFQ: at most three, first come first served; a rejected quote cannot be pinned.

    pinned ──rejected before?──▶ refused: rejected
       └─no─place left?──no──▶ refused: full
               └─yes──▶ granted, with its place        (a rejection that happens later leaves the pin)

Events are applied in the order of (`at`, arrival), so the places go to the earliest requests. A late event is applied
on arrival, but a rejection that happened after it is not held against it. A decision is final.

Source: RFQ service score announcement of July 2022.

Expiry: an RFQ 90 days after its latest event.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec import Struct

from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.suppliers import PinLimits
from vigil.app.domain.suppliers.rules import DAY_MS
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.storage.buckets import Buckets
from vigil.app.engine.subject import KeyStateDefaults, StateChunks
from vigil.app.engine.watermark import MIN_TIME
from vigil.topics.scores import PinDecision
from vigil.topics.suppliers import Quote
from vigil.topics.verdicts import identity

VERSION: Final = 1
"""Of the stored state. New fields go to the end of their struct, with a default; any other change is a new version."""


class PinEntry(Struct, array_like=True, gc=False):
    """One quote to the RFQ: when it was rejected, and when it was to be pinned. Stored by position."""

    supplier_id: str
    quote_id: str
    rejected: int | None = None
    pinned: int | None = None
    bucket: int = 0

    def latest(self) -> int:
        return max(at for at in (self.rejected, self.pinned) if at is not None)


class RfqMainChunk(Struct, array_like=True):
    """The main chunk of an RFQ's stored state. Stored by position."""

    version: int = VERSION
    granted: int = 0
    """Number of places that are taken."""
    last_at: int = MIN_TIME


class RfqLimits:
    """The section [pins] by time."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._versions = rulebook.section("pins", PinLimits)
        self.shortest_keep = min(version.limits.keep_days for version in self._versions.versions) * DAY_MS
        """How long any RFQ is kept at least, ms."""

    def places(self, at: int) -> int:
        """How many quotes of an RFQ are pinned, by the limits that are effective at `at`."""
        return self._versions.at_or_first(at).limits.places

    def keep(self, at: int) -> int:
        """How long an RFQ is kept after its latest event, which was at `at`, in ms."""
        return self._versions.at_or_first(at).limits.keep_days * DAY_MS


_MAIN: Final = msgspec.msgpack.Decoder(RfqMainChunk)
_encode: Final = msgspec.msgpack.Encoder().encode


class RfqState(KeyStateDefaults[Quote]):
    """All that is remembered of one RFQ."""

    __slots__ = ("_changed", "_entries", "_entry", "_expired", "_limits", "_main", "_rfq_id", "earliest_timer")
    earliest_timer: int

    def __init__(self, rfq_id: str, limits: RfqLimits, chunks: StateChunks) -> None:
        self._rfq_id = rfq_id
        self._limits = limits
        self._main = main = _MAIN.decode(chunks[b""]) if chunks else RfqMainChunk()
        if main.version != VERSION:
            raise ValueError(f"the state of RFQ {rfq_id!r} has the unknown version {main.version}")
        self._entries: Buckets[PinEntry] = Buckets(b"e", PinEntry, chunks)
        # A quote_id is unique only within its supplier.
        self._entry = {(entry.supplier_id, entry.quote_id): entry for entry in self._entries}
        self._expired = False
        self._changed = False
        self.earliest_timer = main.last_at + limits.shortest_keep

    def is_duplicate(self, event: Quote) -> bool:
        """True if an event of the same kind and quote was applied before."""
        entry = self._entry.get((event.supplier_id, event.quote_id))
        return entry is not None and getattr(entry, event.kind) is not None

    def apply(self, event: Quote, watermark: int, collector: OutputCollector) -> None:
        """Record a rejection, or decide a pin request."""
        main = self._main
        entry = self._entry.get((event.supplier_id, event.quote_id))
        if entry is None:
            entry = PinEntry(event.supplier_id, event.quote_id)
            self._entry[entry.supplier_id, entry.quote_id] = entry
            self._entries.add(entry)
        else:
            self._entries.touch(entry)
        setattr(entry, event.kind, event.at)
        self._changed = True
        if event.at > main.last_at:
            main.last_at = event.at
            self.earliest_timer = event.at + self._limits.shortest_keep
        if event.kind == "pinned":
            self._decide(event, entry, collector)

    def _decide(self, event: Quote, entry: PinEntry, collector: OutputCollector) -> None:
        main = self._main
        place: int | None = None
        reason: Literal["rejected", "full"] | None = None
        if entry.rejected is not None and entry.rejected <= event.at:
            reason = "rejected"
        elif main.granted >= self._limits.places(event.at):
            reason = "full"
        else:
            main.granted = place = main.granted + 1
        decision = PinDecision(
            rfq_id=self._rfq_id,
            quote_id=event.quote_id,
            supplier_id=event.supplier_id,
            at=event.at,
            decision="granted" if place is not None else "refused",
            place=place,
            reason=reason,
        )
        id_ = identity("pin", self._rfq_id, event.supplier_id, event.quote_id, event.at)
        collector.emit("pin-decision", self._rfq_id, id_, event.at, decision)

    def next_timer(self) -> int:
        return self._main.last_at + self._limits.keep(self._main.last_at)

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        self._expired = True
        self._main.last_at = at

    def expired(self) -> bool:
        return self._expired

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        if not self._changed:
            return {}
        self._changed = False
        chunks: dict[bytes, bytes | None] = {b"": _encode(self._main)}
        self._entries.dump(chunks)
        return chunks
