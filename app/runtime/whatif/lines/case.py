"""The events of one supplier, decoded and kept as its worker keeps them: lines and facts as of any time follow. Pure.

raw messages ──▶ decoded, duplicates left out ──▶ ledger and profiles ──▶ facts as of a time
                               └──▶ the events themselves: evidence
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from vigil.app.domain.ledger.as_of import AsOf
from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.ledger import Ledger
from vigil.app.domain.ledger.rules import LineRules
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.suppliers.line_events import LINE_TOPICS, decode_line_event
from vigil.app.domain.suppliers.lines_part import REPLAY, LineEvent, LinesPart
from vigil.app.domain.suppliers.profiles import Profiles
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.runtime.whatif.story import Raw
from vigil.topics.decoder import nobody
from vigil.topics.fields import InvalidEvent
from vigil.topics.products import Order
from vigil.topics.services import ServiceRequest
from vigil.topics.suppliers import ProfileDeleted, Quote, SupplierProfile, decode_profile, decode_quote

CASE_TOPICS: Final = ("supplier-profile", "quote", *LINE_TOPICS)
"""The topics whose events the lines of a supplier follow from."""

CaseEvent = LineEvent | Quote | SupplierProfile | ProfileDeleted


class CaseRead(NamedTuple):
    """One event of the supplier."""

    at: int
    topic: str
    event: CaseEvent


class SupplierCase:
    """One supplier by its events, whatever places and quotas others have given it."""

    def __init__(self, supplier_id: str, raws: Iterable[Raw], rulebook: Rulebook) -> None:
        """`raws`: messages in order of arrival; those of other suppliers and topics, and invalid ones, are left out."""
        self.supplier_id = supplier_id
        self.rulebook = rulebook
        self.rules = LineRules(rulebook)
        self.profiles = Profiles([])
        self._part = LinesPart(supplier_id, self.rules, self.profiles, REPLAY)
        self.events: list[CaseRead] = []
        """In order of arrival, without duplicates."""
        latest = 0
        for raw in raws:
            read = self._decoded(raw, latest)
            if read is None or read.event.supplier_id != supplier_id:
                continue
            latest = max(latest, read.at)
            if self._apply(read.event, latest):
                self.events.append(read)
        self.until = latest
        """The largest event time of its events; 0 without any."""

    @property
    def ledger(self) -> Ledger:
        return self._part.ledger

    def facts(self, at: int) -> Facts:
        """The supplier as of a time. What was asked of it says when an answer changes: `Facts.moment.until`."""
        return Facts(self.ledger, self.profiles, self.rules, AsOf(at))

    def seen(self, topic: str, matters: Callable[[CaseEvent], bool], until: int) -> Iterator[CaseRead]:
        """The events of a topic up to a time that matter, in order of arrival."""
        return (read for read in self.events if read.topic == topic and read.at <= until and matters(read.event))

    def _decoded(self, raw: Raw, latest: int) -> CaseRead | None:
        if raw.rejected is not None or raw.topic not in CASE_TOPICS:
            return None
        try:
            event = self._event(raw, latest)
        except InvalidEvent:
            return None
        return CaseRead(event.at, raw.topic, event)

    def _event(self, raw: Raw, latest: int) -> CaseEvent:
        value = None if raw.value == b"null" else raw.value
        if raw.topic == "supplier-profile":
            return decode_profile(raw.key, value, latest)
        if raw.topic == "quote":
            return decode_quote(raw.key, value)
        return decode_line_event(raw.topic, raw.key, value, nobody, self.rules)

    def _apply(self, event: CaseEvent, now: int) -> bool:
        """Take an event; False for a duplicate, and for a quote from which no line follows."""
        if isinstance(event, SupplierProfile | ProfileDeleted):
            self.profiles.add(event)
        elif isinstance(event, Quote):
            if event.kind != "submitted" or event.rfq_grade != "gold":
                return False
            self._part.gold_quote(event)
        else:
            if isinstance(event, Order | ServiceRequest) and self._part.is_duplicate(event):
                return False
            self._part.apply(event, now, OutputCollector())
        return True
