"""Labels in their canonical form: the spelling in which rules see them, however detectors write them."""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Final

MAX_LABELS: Final = 32
"""Further labels of one event are not read: they bound what one message can cause."""

MAX_LABEL_LENGTH: Final = 128
"""A label of more code points, as sent, is left out."""

_INVISIBLE: Final = frozenset(("Cc", "Cf"))
"""Categories of characters that cannot be seen: controls (white space is none here) and format characters."""

_BLANK: Final = re.compile(
    "[\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u2800\\u3164\\ufe00-\\ufe0f\\uffa0\\U000e0100-\\U000e01ef]"
)
"""What cannot be seen besides: joiners, fillers, the Braille pattern of no dots, and variation selectors."""

_WITHOUT_SUBJECT: Final = frozenset({"rights:", "prohibited:", "restricted:"})
_AROUND_COLON: Final = re.compile(r"\s*:\s*")
_INNER_SPACE: Final = re.compile(r"[\s_]+")

OnIgnored = Callable[[str, int], object]
"""Receives the name of an optional field that cannot be read (or a part of it), and how many values that were."""


def canonical_labels(labels: tuple[str, ...], on_ignored: OnIgnored) -> tuple[str, ...]:
    """The labels of an event as rules see them, each once; what is beyond the bounds is left out and reported."""
    if len(labels) > MAX_LABELS:
        on_ignored("labels", len(labels) - MAX_LABELS)
    found: dict[str, None] = {}
    for label in labels[:MAX_LABELS]:
        if len(label) > MAX_LABEL_LENGTH:
            on_ignored("labels", 1)
        else:
            found[_canonical(label)] = None
    return tuple(found)


@lru_cache(maxsize=4096)
def _canonical(label: str) -> str:
    """NFKC, case-folded, without what cannot be seen and white space around `:`; other white space and `_` is `-`."""
    visible = "".join(sign for sign in unicodedata.normalize("NFKC", label).casefold() if not _is_invisible(sign))
    # Folding case can undo the normalisation, and so can leaving out what stood between two characters.
    folded = unicodedata.normalize("NFKC", visible)
    text = _INNER_SPACE.sub("-", _AROUND_COLON.sub(":", folded.strip()))
    return f"{text}unspecified" if text in _WITHOUT_SUBJECT else text


def _is_invisible(sign: str) -> bool:
    """True for what would make a label another one that looks the same."""
    if sign.isspace():
        return False
    return unicodedata.category(sign) in _INVISIBLE or _BLANK.match(sign) is not None
