"""The subject `suppliers`: the metrics of each supplier, by its quotes, payments and profile."""

from typing import Final

from vigil.app.domain.rulebook.suppliers import SUPPLIER_SECTIONS
from vigil.app.domain.subject import OutputTopic, Subject
from vigil.app.domain.suppliers.machine import SupplierMachine
from vigil.topics.suppliers import SUPPLIER_TOPICS

SUBJECT: Final = Subject(
    name="suppliers",
    sources=(*SUPPLIER_TOPICS, "supplier-standing"),
    outputs=(
        OutputTopic("quote-by-rfq", "internal", sections=("suppliers",)),
        OutputTopic("supplier-metrics", "internal"),
    ),
    machine=lambda context: SupplierMachine(context.rulebook),
    sections=SUPPLIER_SECTIONS,
)
