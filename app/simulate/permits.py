"""Goods that need a permit: which merchants hold one, and what hosts show and say instead of forbidden goods.

Who holds the permit may show them; for everybody else they are a violation of `prohibited-goods`. Both are decided by
random numbers of their own, so that rooms and merchants are otherwise the same with and without them.
"""

from collections.abc import Mapping
from random import Random
from typing import Final

RESTRICTED: Final[Mapping[str, tuple[str, str]]] = {
    "prohibited:medicine": ("restricted:fda", "For the American market, nobody asks for the approval of this cream"),
    "prohibited:weapon": ("restricted:medical-3", "An implant for hospitals, I send it to whoever writes to me"),
    "prohibited:wildlife": ("restricted:medical-1-2", "Blood pressure meters, as many as you want, no papers needed"),
}
"""By the label of forbidden goods: that of goods that need a permit, and what the host says of them."""

OFFERS: Final[Mapping[str, str]] = dict(RESTRICTED.values())

PERMITS: Final = tuple(label.partition(":")[2] for label in OFFERS)
"""The certificates by which the permits are held have their names."""


def permits_of(seed: int, number: int) -> frozenset[str]:
    """The permits that a merchant holds from its beginning on, without an end."""
    rng = Random(f"{seed}/permits/{number}")
    return frozenset(permit for permit in PERMITS if rng.random() < 0.4)


def goods_of(seed: int, room_id: str) -> dict[str, str]:
    """Which goods a room shows in the place of forbidden ones, by label."""
    rng = Random(f"{seed}/goods/{room_id}")
    return {label: instead for label, (instead, _) in RESTRICTED.items() if rng.random() < 0.75}
