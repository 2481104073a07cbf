"""The subject `suppliers`: the metrics of each supplier, and the lines of its products, duties and rights."""

from typing import Final

from vigil.app.domain.rulebook.buyers import BUYER_SECTIONS
from vigil.app.domain.rulebook.products import PRODUCT_SECTIONS
from vigil.app.domain.rulebook.programmes import PROGRAMME_SECTIONS
from vigil.app.domain.rulebook.services import SERVICE_SECTIONS
from vigil.app.domain.rulebook.suppliers import SUPPLIER_SECTIONS
from vigil.app.domain.subject import OutputTopic, Subject
from vigil.app.domain.suppliers.line_metrics import LINE_METRICS
from vigil.app.domain.suppliers.lines_part import AtTheEnd
from vigil.app.domain.suppliers.machine import SupplierMachine

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
    optional_sections={**PRODUCT_SECTIONS, **SERVICE_SECTIONS, **PROGRAMME_SECTIONS, **BUYER_SECTIONS},
    metrics=LINE_METRICS,
)
