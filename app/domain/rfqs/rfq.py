"""The pinned quotes of one RFQ: at most three, first come first served; a rejected quote cannot be pinned.

    pinned ──rejected before?──▶ refused: rejected
       └─no─places left?──no──▶ refused: full
                └─yes──▶ granted, with its place        (a rejection that comes after leaves the pin)

Events are judged in order of (`at`, arrival); one that comes later than the lateness allows is judged on arrival, but
never against a rejection that happened after it. Decisions stand.

Forgets: an RFQ 90 days after the last event.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec
from msgspec import Struct

from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.suppliers import PinLimits
from vigil.app.domain.suppliers.rules import DAY_MS
from vigil.app.engine.storage.buckets import Buckets
from vigil.app.engine.subject import EventTime, Order, OutputCollector, StateChunks
from vigil.app.engine.watermark import MIN_TIME
from vigil.topics.envelope import Output
from vigil.topics.fields import InvalidEvent, check_key, decode_json
from vigil.topics.scores import PinDecision
from vigil.topics.suppliers import Quote
from vigil.topics.verdicts import identity

VERSION: Final = 1


class PinEntry(Struct, array_like=True, gc=False):
    """One quote to the RFQ: when it was rejected, and when it asked to be pinned."""

    supplier_id: str
    quote_id: str
    rejected: int | None = None
    pinned: int | None = None
    bucket: int = 0

    def latest(self) -> int:
        return max(at for at in (self.rejected, self.pinned) if at is not None)


class _Main(Struct, array_like=True):
    """The main part of an RFQ's stored state."""

    version: int = VERSION
    granted: int = 0
    """How many places are taken."""
    last_at: int = MIN_TIME


_MAIN: Final = msgspec.msgpack.Decoder(_Main)
_QUOTE: Final = msgspec.json.Decoder(Quote)
_encode: Final = msgspec.msgpack.Encoder().encode


class RfqState:
    """All that is remembered of one RFQ."""

    def __init__(self, rfq_id: str, rulebook: Rulebook, parts: StateChunks) -> None:
        self._rfq_id = rfq_id
        self._rulebook = rulebook
        self._main = main = _MAIN.decode(parts[b""]) if parts else _Main()
        if main.version != VERSION:
            raise ValueError(f"the state of RFQ {rfq_id!r} has the unknown version {main.version}")
        self._entries: Buckets[PinEntry] = Buckets(b"e", PinEntry, parts)
        # A quote_id is one supplier's own.
        self._entry = {(entry.supplier_id, entry.quote_id): entry for entry in self._entries}
        self._forgotten = False
        self._changed = False

    def _limits(self, at: int) -> PinLimits:
        limits: PinLimits = (self._rulebook.at("pins", at) or self._rulebook.versions("pins")[0]).limits
        return limits

    def is_duplicate(self, event: Quote) -> bool:
        """Is it a duplicate?"""
        entry = self._entry.get((event.supplier_id, event.quote_id))
        return entry is not None and getattr(entry, event.kind) is not None

    def apply(self, event: Quote, watermark: int, collector: OutputCollector) -> None:
        """Take in a rejection, or decide a pin request."""
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
        main.last_at = max(main.last_at, event.at)
        if event.kind == "pinned":
            self._decide(event, entry, collector)

    def _decide(self, event: Quote, entry: PinEntry, collector: OutputCollector) -> None:
        main = self._main
        place: int | None = None
        reason: Literal["rejected", "full"] | None = None
        if entry.rejected is not None and entry.rejected <= event.at:
            reason = "rejected"
        elif main.granted >= self._limits(event.at).places:
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
        return self._main.last_at + self._limits(self._main.last_at).keep_days * DAY_MS

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        self._forgotten = True
        self._main.last_at = at

    def pending_outputs(self, watermark: int, final: bool) -> Iterable[Output]:
        return ()

    def has_deferred_output(self) -> bool:
        return False

    def expired(self) -> bool:
        return self._forgotten

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        if not self._changed:
            return {}
        self._changed = False
        parts: dict[bytes, bytes | None] = {b"": _encode(self._main)}
        self._entries.dump(parts)
        return parts


class RfqMachine:
    """Shards of RFQs: pin requests and rejections in order of time; late ones on arrival."""

    topics: tuple[str, ...] = ("quote-by-rfq",)
    order: Order = EventTime(drop_late=False)

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook

    def decode(self, source_index: int, key: bytes | None, value: bytes | None, watermark: int) -> Quote:
        """The pin request or rejection of a message; raise Refused."""
        quote = decode_json(_QUOTE, value)
        check_key(key, "rfq_id", quote.rfq_id)
        if quote.kind not in ("pinned", "rejected"):
            raise InvalidEvent(f"{quote.kind!r} decides no pin")
        return quote

    def key_of(self, event: Quote) -> str:
        return event.rfq_id

    def dedup_key(self, event: Quote) -> str | None:
        return f"{event.kind}:{event.quote_id}:{event.supplier_id}:{event.rfq_id}"

    def load(self, key: str, parts: StateChunks) -> RfqState:
        return RfqState(key, self._rulebook, parts)

    def is_duplicate(self, state: RfqState, event: Quote) -> bool:
        return state.is_duplicate(event)
