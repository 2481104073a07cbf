"""The events of a supplier's state, by what they are to it."""

from typing import Final

from vigil.app.domain.suppliers.lines_part import LineEvent
from vigil.topics.internal import AssessedScore, ProgrammePlace
from vigil.topics.products import Certificate, Order, Product
from vigil.topics.services import Activity, ServiceRequest
from vigil.topics.suppliers import Payment, ProfileDeleted, Quote, SupplierProfile
from vigil.topics.verdicts import Verdict

SupplierEvent = (
    Quote | Payment | SupplierProfile | ProfileDeleted | AssessedScore | LineEvent | ProgrammePlace | Verdict
)

COUNTED: Final = (Quote, Payment)
"""Totals count them."""

LINE_EVENTS_WITH_ID: Final = (Order, ServiceRequest)
"""Of the ledger's events, those that may be duplicates."""

OF_LINES: Final = (Product, Order, Certificate, ServiceRequest, Activity)
"""The ledger notes them: the types of LineEvent."""

PIN_KINDS: Final = ("pinned", "rejected")
"""What of a quote decides about pins."""
