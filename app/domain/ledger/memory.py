"""How long what a supplier's lines follow from is remembered. Decided by Vigil: the announcement gives no numbers."""

from typing import Final

DAY_MS: Final = 24 * 60 * 60 * 1000

ORDER_MEMORY: Final = 520 * DAY_MS
"""From the later of payment and dispatch."""

MEMORY: Final = 400 * DAY_MS
"""Of activities, certificates, measures and profiles; of closed duties from when they were due."""

PRODUCT_MEMORY: Final = 30 * DAY_MS
"""Of product states that another one has superseded."""

RETENTION: Final = 600 * DAY_MS
"""How long records are kept that are remembered for 400 days after something that follows from them: the window of a
programme ends up to a month after a claim, and its rewards up to four months after that."""

REQUEST_RETENTION: Final = (400 + 91) * DAY_MS
"""A request is due 90 days after it at the latest."""
