"""The state machine of suppliers: quotes, payments, profiles and assessed scores, applied on arrival."""

from typing import Final

import msgspec

from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.suppliers.rules import SupplierRules
from vigil.app.domain.suppliers.supplier import SupplierEvent, SupplierState
from vigil.app.engine.subject import Arrival, Order, OriginOf, SourceRecord, StateChunks, StateMachineDefaults
from vigil.topics.decoder import decode_own
from vigil.topics.fields import check_key
from vigil.topics.internal import AssessedScore
from vigil.topics.labels import OnIgnored
from vigil.topics.suppliers import Payment, Quote, decode_payment, decode_profile, decode_quote

_ASSESSED: Final = msgspec.json.Decoder(AssessedScore)


class SupplierMachine(StateMachineDefaults[SupplierEvent]):
    """Suppliers by id. The totals do not depend on the order of arrival, so no event is late."""

    topics: tuple[str, ...] = ("quote", "payment", "supplier-profile", "supplier-standing")
    order: Order = Arrival()

    def __init__(self, rulebook: Rulebook) -> None:
        self._rules = SupplierRules(rulebook)

    def decode(
        self, source_index: int, record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> SupplierEvent:
        """The event of a message; raise InvalidEvent. The tombstone of a profile takes effect at the watermark."""
        key, value = record.key, record.value
        if source_index == 0:
            return decode_quote(key, value, on_ignored)
        if source_index == 1:
            return decode_payment(key, value, on_ignored)
        if source_index == 2:
            return decode_profile(key, value, watermark, on_ignored)
        assessed = decode_own(_ASSESSED, value)
        check_key(key, "supplier_id", assessed.supplier_id)
        return assessed

    def key_of(self, event: SupplierEvent) -> str:
        return event.supplier_id

    def dedup_key(self, event: SupplierEvent) -> str | None:
        """Quotes and payments have an identity; a repeat of anything else changes nothing.

        On arrival the state of its supplier says whether an event is a duplicate, so it does not matter here that
        another supplier's quote may have the same id.
        """
        if isinstance(event, Quote):
            return event.quote_id
        return event.payment_id if isinstance(event, Payment) else None

    def load(self, key: str, chunks: StateChunks) -> SupplierState:
        return SupplierState(key, self._rules, chunks)
