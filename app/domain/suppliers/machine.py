"""The state machine of suppliers: quotes, payments, profiles and assessed scores, applied on arrival."""

from collections.abc import Iterator
from typing import Final

import msgspec

from vigil.app.domain.industries.score import ScoreRules
from vigil.app.domain.ledger.rules import OF_LINES, LineRules
from vigil.app.domain.rooms.restricted import decode_referred
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.suppliers import SUPPLIER_SECTIONS
from vigil.app.domain.subject import starts_of
from vigil.app.domain.suppliers.events import SupplierEvent
from vigil.app.domain.suppliers.line_events import LINE_TOPICS, decode_line_event
from vigil.app.domain.suppliers.lines_part import AtTheEnd
from vigil.app.domain.suppliers.rules import SupplierRules
from vigil.app.domain.suppliers.state_rules import StateRules
from vigil.app.domain.suppliers.supplier import SupplierState
from vigil.app.engine.storage.steps import finish
from vigil.app.engine.subject import (
    Arrival,
    Order,
    OriginOf,
    ReadEvent,
    SourceRecord,
    StateChunks,
    StateMachineDefaults,
)
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.decoder import decode_own
from vigil.topics.fields import check_key
from vigil.topics.internal import RESTRICTED_BY_SUPPLIER, AssessedScore, ProgrammePlace
from vigil.topics.labels import OnIgnored
from vigil.topics.products import Order as OrderStep
from vigil.topics.services import ServiceRequest
from vigil.topics.suppliers import SUPPLIER_TOPICS, Payment, Quote, decode_payment, decode_profile, decode_quote
from vigil.topics.verdicts import Verdict

_ASSESSED: Final = msgspec.json.Decoder(AssessedScore)
_PLACES: Final = msgspec.json.Decoder(ProgrammePlace)


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


def _read_place(record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored) -> SupplierRead:
    event = decode_own(_PLACES, record.value)
    check_key(record.key, "supplier_id", event.supplier_id)
    return event, event.supplier_id, None


def _read_referred(record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored) -> SupplierRead:
    event = decode_referred(record.key, record.value, "host_id")
    return event, event.host_id, None


def _line_reader(topic: str, rules: LineRules) -> ReadEvent[SupplierEvent]:
    def read(record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored) -> SupplierRead:
        event = decode_line_event(topic, record.key, record.value, on_ignored, rules)
        return event, event.supplier_id, _dedup_key_of(event)

    return read


def _dedup_key_of(event: SupplierEvent) -> str | None:
    if isinstance(event, Quote):
        return event.quote_id
    if isinstance(event, Payment):
        return event.payment_id
    if isinstance(event, OrderStep):
        return event.order_id
    return event.request_id if isinstance(event, ServiceRequest) else None


class SupplierMachine(StateMachineDefaults[SupplierEvent]):
    """Suppliers by id. The totals do not depend on the order of arrival, so no event is late."""

    topics: tuple[str, ...] = (
        *SUPPLIER_TOPICS,
        "supplier-standing",
        *LINE_TOPICS,
        "programme-place",
        RESTRICTED_BY_SUPPLIER,
    )
    order: Order = Arrival()

    def __init__(self, rulebook: Rulebook, at_the_end: AtTheEnd = AtTheEnd()) -> None:  # noqa: B008 - a value
        lines = LineRules(rulebook)
        self._starts = starts_of(rulebook, (*SUPPLIER_SECTIONS, *OF_LINES))
        """When what suppliers are judged by changes, oldest first."""
        self._rules = StateRules(SupplierRules(rulebook), lines, ScoreRules(rulebook), at_the_end)
        self._readers: tuple[ReadEvent[SupplierEvent], ...] = (
            _read_quote,
            _read_payment,
            _read_profile,
            _read_assessed,
            *(_line_reader(topic, lines) for topic in LINE_TOPICS),
            _read_place,
            _read_referred,
        )
        """By source index: one function for each topic, because it is called for each record."""

    def decode(
        self, source_index: int, record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> SupplierEvent:
        """The event of a record; raise InvalidEvent."""
        return self._readers[source_index](record, watermark, origin_of, on_ignored)[0]

    def reader(self, source_index: int) -> ReadEvent[SupplierEvent]:
        return self._readers[source_index]

    def key_of(self, event: SupplierEvent) -> str:
        return event.host_id if isinstance(event, Verdict) else event.supplier_id

    def dedup_key(self, event: SupplierEvent) -> str | None:
        """See SupplierRead; a repeat of anything else changes nothing."""
        return _dedup_key_of(event)

    def rules_change_after(self, at: int) -> int:
        """Metrics and lines follow the calendar of the rulebook."""
        return next((start for start in self._starts if start > at), MAX_TIME)

    def load(self, key: str, chunks: StateChunks) -> SupplierState:
        state = SupplierState(key, self._rules, chunks)
        finish(state.load(chunks))
        return state

    def load_in_steps(self, key: str, chunks: StateChunks) -> Iterator[SupplierState | None]:
        state = SupplierState(key, self._rules, chunks)
        for _ in state.load(chunks):
            yield None
        yield state
