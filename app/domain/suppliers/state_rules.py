"""All rules that the state of a supplier follows."""

from typing import NamedTuple

from vigil.app.domain.industries.score import ScoreRules
from vigil.app.domain.ledger.rules import LineRules
from vigil.app.domain.suppliers.lines_part import AtTheEnd
from vigil.app.domain.suppliers.rules import SupplierRules


class StateRules(NamedTuple):
    """What all suppliers of a worker share."""

    counting: SupplierRules
    lines: LineRules
    scores: ScoreRules
    at_the_end: AtTheEnd
