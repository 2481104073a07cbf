"""The state machine of RFQs: pin requests and rejections, in the order of event time."""

from typing import Final

import msgspec

from vigil.app.domain.rfqs.rfq import RfqLimits, RfqState
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.subject import (
    EventTime,
    Order,
    OriginOf,
    ReadEvent,
    SourceRecord,
    StateChunks,
    StateMachineDefaults,
)
from vigil.topics.decoder import decode_own
from vigil.topics.fields import InvalidEvent, check_key
from vigil.topics.labels import OnIgnored
from vigil.topics.suppliers import Quote

_QUOTE: Final = msgspec.json.Decoder(Quote)


RfqRead = tuple[Quote, str, str | None]
"""A pin request or rejection with its RFQ and its dedup key."""


def _read(record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored) -> RfqRead:
    """The pin request or rejection of a message; raise InvalidEvent."""
    quote = decode_own(_QUOTE, record.value)
    rfq_id = quote.rfq_id
    if record.key != rfq_id.encode():
        check_key(record.key, "rfq_id", rfq_id)
    if quote.kind not in ("pinned", "rejected"):
        raise InvalidEvent(f"{quote.kind!r} decides no pin")
    return quote, rfq_id, f"{quote.kind}:{quote.quote_id}:{quote.supplier_id}:{rfq_id}"


class RfqMachine(StateMachineDefaults[Quote]):
    """RFQs by id. Events are applied in the order of event time, late ones on arrival."""

    topics: tuple[str, ...] = ("quote-by-rfq",)
    order: Order = EventTime(drop_late=False)

    def __init__(self, rulebook: Rulebook) -> None:
        self._limits = RfqLimits(rulebook)

    def decode(
        self, source_index: int, record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> Quote:
        """The pin request or rejection of a message; raise InvalidEvent."""
        return _read(record, watermark, origin_of, on_ignored)[0]

    def reader(self, source_index: int) -> ReadEvent[Quote]:
        return _read

    def key_of(self, event: Quote) -> str:
        return event.rfq_id

    def dedup_key(self, event: Quote) -> str | None:
        return f"{event.kind}:{event.quote_id}:{event.supplier_id}:{event.rfq_id}"

    def load(self, key: str, chunks: StateChunks) -> RfqState:
        return RfqState(key, self._limits, chunks)
