"""Numbers of 64 bits that stand for identifiers: what is stored and looked up instead of them.

There are two ways of making them, because a state goes on with the keys that it has: by BLAKE2b, and by a remainder,
which takes half of the time. It is that of the identifier's bytes, read as one number, by a prime of 64 bits.
Identifiers that differ in seven neighbouring characters, such as running numbers, never share one; others share one as
rarely as by chance: two of a million with a probability of 3 in 10^8. Who chooses identifiers can make two that share
one, which gains nothing over using one of them twice.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

KeyOf = Callable[[str], int]
"""Returns the key of an identifier or label."""

_PRIME: Final = 0xC90FDAA22168C241
"""The first prime from π · 2^62 on. Digits of π, because powers of 256 leave small remainders by primes near a power
of two: texts would share a key that differ in two characters."""


def hash64(text: str) -> int:
    """Return a key by BLAKE2b: as rooms of version 1 have them."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def remainder64(text: str) -> int:
    """Return a key by a remainder. The byte at the end distinguishes texts that end with zero bytes."""
    return int.from_bytes(text.encode() + b"\x01", "little") % _PRIME


KEYS_BY: Final[tuple[KeyOf, ...]] = (hash64, remainder64)
"""By the number that is stored with a state."""
