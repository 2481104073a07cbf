"""What a text says: whether it says anything at all, and whether two texts are nearly the same.

A text is folded before it is compared, so that what the eye does not distinguish is the same: invisible characters,
full-width letters, accents, case, punctuation. Letters of other scripts that look alike are not mapped.

Nearly all comments are plain ASCII, for which folding has a short way with the same result.
"""

import unicodedata
from fractions import Fraction
from functools import lru_cache
from typing import Final

from rapidfuzz.distance import Levenshtein

_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols by category, but without a shape: the Hangul fillers, and the Braille pattern of no dots."""

_INVISIBLE: Final = frozenset(("Cc", "Cf", "Mn", "Me"))
"""Categories of characters that add nothing to a text: controls, formats, marks over or around a letter."""

_SPACES: Final = frozenset(("Zs", "Zl", "Zp"))

_SEEN: Final = frozenset(map(chr, range(0x21, 0x7F)))
"""The ASCII characters that can be seen."""

_ASCII_DROPPED: Final = {
    code: None for code in range(128) if not chr(code).isalnum() and not chr(code).isspace()
}  # fmt: skip
"""Every ASCII character that folding drops: all but letters, digits and white space."""


def says_something(text: str) -> bool:
    """True if a character of the text can be seen: nearly always the first one."""
    if text[:1] in _SEEN:
        return True
    return any(not _is_blank(sign) for sign in text)


def folded(text: str) -> str:
    """A text without what does not make it a different one."""
    if text.isascii():
        return " ".join(text.lower().translate(_ASCII_DROPPED).split())
    # White space first: some of it is a control character, which would be dropped and join two words.
    visible = "".join(sign for sign in unicodedata.normalize("NFKD", " ".join(text.split())) if not _is_invisible(sign))
    plain = unicodedata.normalize("NFKC", visible).casefold()
    return " ".join("".join(sign for sign in plain if not _is_punctuation(sign)).split())


def columns(text: str) -> int:
    """The width of a text on a screen: East Asian wide and full-width characters take two columns."""
    if text.isascii():
        return len(text)
    return len(text) + sum(map(_is_wide, text))


def near_identical(one: str, other: str, similarity: float) -> bool:
    """True if 1 − Levenshtein distance / length of the longer is at least `similarity`, computed in whole numbers."""
    if one == other:
        return True
    most = _changes(similarity, max(len(one), len(other)))
    return Levenshtein.distance(one, other, score_cutoff=most) <= most


@lru_cache(maxsize=8192)
def _changes(similarity: float, length: int) -> int:
    """How many changes leave two texts near-identical."""
    # The decimal as it is written in the rulebook, not the double nearest to it.
    return int((1 - Fraction(repr(similarity))) * length)


@lru_cache(maxsize=4096)
def _is_blank(sign: str) -> bool:
    return _is_invisible(sign) or unicodedata.category(sign) in _SPACES


@lru_cache(maxsize=4096)
def _is_invisible(sign: str) -> bool:
    return sign in _BLANK or unicodedata.category(sign) in _INVISIBLE


@lru_cache(maxsize=4096)
def _is_punctuation(sign: str) -> bool:
    return unicodedata.category(sign)[0] in "PS"


@lru_cache(maxsize=4096)
def _is_wide(sign: str) -> bool:
    return unicodedata.east_asian_width(sign) in "WF"
