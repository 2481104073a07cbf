"""The state machine of suppliers: quotes, payments, profiles and assessed scores, applied on arrival."""

from typing import Final

import msgspec

from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.suppliers.rules import SupplierRules
from vigil.app.domain.suppliers.supplier import SupplierEvent, SupplierState
from vigil.app.engine.subject import (
    Arrival,
    Order,
    OriginOf,
    ReadEvent,
    SourceRecord,
    StateChunks,
    StateMachineDefaults,
)
from vigil.topics.decoder import decode_own
from vigil.topics.fields import check_key
from vigil.topics.internal import AssessedScore
from vigil.topics.labels import OnIgnored
from vigil.topics.suppliers import Payment, Quote, decode_payment, decode_profile, decode_quote

_ASSESSED: Final = msgspec.json.Decoder(AssessedScore)


SupplierRead = tuple[SupplierEvent, str, str | None]
"""An event with its supplier and its dedup key.

On arrival the supplier's state says what is a duplicate, so only whether there is a dedup key matters: it need not
differ from those of other kinds and suppliers."""


def _read_quote(record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored) -> SupplierRead:
    event = decode_quote(record.key, record.value, on_ignored)
    return event, event.supplier_id, event.quote_id


def _read_payment(record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored) -> SupplierRead:
    event = decode_payment(record.key, record.value, on_ignored)
    return event, event.supplier_id, event.payment_id


def _read_profile(record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored) -> SupplierRead:
    """The tombstone of a profile takes effect at the watermark."""
    event = decode_profile(record.key, record.value, watermark, on_ignored)
    return event, event.supplier_id, None


def _read_assessed(record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored) -> SupplierRead:
    event = decode_own(_ASSESSED, record.value)
    check_key(record.key, "supplier_id", event.supplier_id)
    return event, event.supplier_id, None


_READERS: Final[tuple[ReadEvent[SupplierEvent], ...]] = (_read_quote, _read_payment, _read_profile, _read_assessed)
"""By source index: one function for each topic, because it is called for each record."""


class SupplierMachine(StateMachineDefaults[SupplierEvent]):
    """Suppliers by id. The totals do not depend on the order of arrival, so no event is late."""

    topics: tuple[str, ...] = ("quote", "payment", "supplier-profile", "supplier-standing")
    order: Order = Arrival()

    def __init__(self, rulebook: Rulebook) -> None:
        self._rules = SupplierRules(rulebook)

    def decode(
        self, source_index: int, record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> SupplierEvent:
        """The event of a record; raise InvalidEvent."""
        return _READERS[source_index](record, watermark, origin_of, on_ignored)[0]

    def reader(self, source_index: int) -> ReadEvent[SupplierEvent]:
        return _READERS[source_index]

    def key_of(self, event: SupplierEvent) -> str:
        return event.supplier_id

    def dedup_key(self, event: SupplierEvent) -> str | None:
        """See SupplierRead; a repeat of anything but quotes and payments changes nothing."""
        if isinstance(event, Quote):
            return event.quote_id
        return event.payment_id if isinstance(event, Payment) else None

    def load(self, key: str, chunks: StateChunks) -> SupplierState:
        return SupplierState(key, self._rules, chunks)
