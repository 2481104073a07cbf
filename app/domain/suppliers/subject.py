"""The subject `suppliers`: the metrics of each supplier, and the lines of its products, duties and rights."""

from typing import Final

from vigil.app.domain.ledger.rules import OF_LINES, LineRules
from vigil.app.domain.rulebook.book import Rulebook, first_versions
from vigil.app.domain.rulebook.suppliers import SUPPLIER_SECTIONS
from vigil.app.domain.subject import OutputTopic, Subject, sections_of
from vigil.app.domain.suppliers.line_metrics import LINE_METRICS
from vigil.app.domain.suppliers.lines_part import AtTheEnd
from vigil.app.domain.suppliers.machine import SupplierMachine
from vigil.app.domain.suppliers.rules import SupplierRules

COUNT_BEFORE: Final = ("suppliers", "star-conditions", "selection.*", "programme.*")
"""Sections whose first version counts before its beginning, too, by name or pattern."""


def _always(rulebook: Rulebook) -> dict[str, object]:
    counting, lines = SupplierRules(rulebook), LineRules(rulebook)
    return {
        "[suppliers] quote_memory_days, the longest (ms)": counting.quote_memory,
        "[suppliers] payment_memory_days, the longest (ms)": counting.payment_memory,
        "[suppliers] forget_silent_days, the longest (ms)": counting.expire_silent,
        "products are judged": lines.judges_products,
        "rights are judged": lines.judges_rights,
        "known kinds of certificates": lines.certificate_kinds,
        "known categories of EPR": frozenset(lines.epr),
        "known measures": lines.measures,
        "known programmes": frozenset(lines.programmes),
        "programmes with places by claim": frozenset(name for name in lines.programmes if lines.has_places(name)),
        "known duties": frozenset(lines.dues),
        **first_versions(rulebook, sections_of(rulebook, COUNT_BEFORE)),
    }


SUBJECT: Final = Subject(
    name="suppliers",
    sources=SupplierMachine.topics,
    outputs=(
        OutputTopic("quote-by-rfq", "internal", sections=("suppliers",)),
        OutputTopic("supplier-metrics", "internal", sections=("suppliers",)),
        OutputTopic("programme-claim", "internal", sections=("programme.*", "growth")),
        OutputTopic("restricted-by-room", "internal", sections=("permit.*",), awaited=False),
        OutputTopic("product-standing", "state", "product_id", summary="products"),
        OutputTopic("obligation", "state", "obligation_id", summary="obligations"),
        OutputTopic("participation", "state", "programme", summary="participations"),
        OutputTopic("supplier-rights", "state", "supplier_id", summary="suppliers' rights"),
    ),
    machine=lambda context: SupplierMachine(context.rulebook, AtTheEnd(context.replay, context.at_the_end)),
    sections=SUPPLIER_SECTIONS,
    optional_sections=OF_LINES,
    always=_always,
    metrics=LINE_METRICS,
)
