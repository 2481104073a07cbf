"""Stored states as bytes: what a version of Vigil wrote must stay readable by those that come after.

`python -m tests.support.golden_suppliers` writes them again: only where the stored form is meant to change, together
with its version number, and keeping the file of the version before. A field or total that is added at the end keeps
the version: see that the old file is read before it is written again.
"""

import json
from pathlib import Path
from typing import Final

from tests.support.supplier_stories import (
    DAY,
    HOUR,
    RULEBOOK,
    Chain,
    at,
    payment,
    pinned,
    profile,
    quote,
    rejected,
    replied,
    tick,
)
from vigil.app.domain.industries.industry import IndustryMachine
from vigil.app.domain.rfqs.machine import RfqMachine
from vigil.app.domain.suppliers.machine import SupplierMachine

FILE: Final = Path(__file__).parents[1] / "domain" / "suppliers" / "golden-state-1.json"
MACHINES: Final = (SupplierMachine(RULEBOOK), IndustryMachine(RULEBOOK), RfqMachine(RULEBOOK))
KEYS: Final = ("s", "toys", "rfq")
UNTIL: Final = at("2022-09-20")


def played() -> Chain:
    """A story that leaves something in every part of every state."""
    august = at("2022-08-15")
    chain = Chain().play(
        profile(at("2022-07-01"), "s", "toys", "verified", 4),
        profile(at("2022-07-01"), "t", "toys", "standard", 3),
        payment(at("2022-07-20"), "settled", "1000.01", id_="p1"),
        quote(august, id_="q1", rfq="r1", after=12 * HOUR),
        quote(august + DAY, id_="q2", rfq="r1", after=13 * HOUR),
        replied(august + DAY, "q1"),
        pinned(august + 1, "q1"),
        rejected(august + 2, "q2"),
        quote(august, "t", id_="q1", rfq="r1", after=13 * HOUR),
        payment(august, "paid", 750, id_="p2"),
        tick(at("2022-09-05")),
        quote(at("2022-09-06"), id_="q3", rfq="r2"),
        payment(at("2022-09-07"), "refunded", "0.5", id_="p2"),
        payment(at("2022-09-07"), "paid", 5, id_="p3", rfq=None),
        tick(UNTIL),
    )
    return chain.checkpoint().checkpoint()


def stored() -> dict[str, dict[str, str]]:
    """The records of each key by part, in hex."""
    chain = played()
    return {
        key: {name.decode(): part.hex() for name, part in sorted(shard.store.payloads(key).items())}
        for shard, key in zip(chain.shards[: len(KEYS)], KEYS, strict=True)
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(stored(), indent=1) + "\n")
