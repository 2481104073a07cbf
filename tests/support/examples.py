"""How many examples a property test tries.

`make test` tries a part of them, to stay within five minutes; `make test-properties` tries ten times as many.
"""

import os
from typing import Final

SHARE: Final = float(os.environ.get("VIGIL_EXAMPLES", "0.4"))
"""1: as many as each test names."""


def examples(number: int) -> int:
    """Return how many examples to try of the `number` that a test names; at least 5, or `number` if it is less."""
    return max(min(number, 5), round(number * SHARE))
