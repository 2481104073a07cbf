"""The logic of a supplier shard: quotes, payments, profiles and the standings that come back, applied on arrival."""

import msgspec

from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.suppliers.rules import SupplierRules
from vigil.app.domain.suppliers.supplier import SupplierEvent, SupplierState
from vigil.app.engine.subject import Arrival, Order, StateChunks
from vigil.topics.fields import check_key, decode_json
from vigil.topics.internal import SupplierStanding
from vigil.topics.suppliers import Payment, Quote, decode_payment, decode_profile, decode_quote

_STANDING = msgspec.json.Decoder(SupplierStanding)


class SupplierMachine:
    """Shards of suppliers. Order of arrival does not matter and nothing is late."""

    topics: tuple[str, ...] = ("quote", "payment", "supplier-profile", "supplier-standing")
    order: Order = Arrival()

    def __init__(self, rulebook: Rulebook) -> None:
        self._rules = SupplierRules(rulebook)

    def decode(self, source_index: int, key: bytes | None, value: bytes | None, watermark: int) -> SupplierEvent:
        """The event of a message; a tombstone of a profile takes effect at `clock`. Raise Refused."""
        if source_index == 0:
            return decode_quote(key, value)
        if source_index == 1:
            return decode_payment(key, value)
        if source_index == 2:
            return decode_profile(key, value, watermark)
        standing = decode_json(_STANDING, value)
        check_key(key, "supplier_id", standing.supplier_id)
        return standing

    def key_of(self, event: SupplierEvent) -> str:
        return event.supplier_id

    def dedup_key(self, event: SupplierEvent) -> str | None:
        """Quotes and payments have one within their supplier; the rest needs none."""
        if isinstance(event, Quote):
            return f"{event.kind}:{event.quote_id}:{event.supplier_id}"
        if isinstance(event, Payment):
            return f"{event.kind}:{event.payment_id}:{event.supplier_id}"
        return None

    def load(self, key: str, parts: StateChunks) -> SupplierState:
        return SupplierState(key, self._rules, parts)

    def is_duplicate(self, state: SupplierState, event: SupplierEvent) -> bool:
        return state.is_duplicate(event)
