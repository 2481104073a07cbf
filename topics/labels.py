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
    """NFKC, case-folded, without white space at the ends and around `:`; other white space and `_` is `-`."""
    # Folding case can undo the normalisation, hence once more.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    text = _INNER_SPACE.sub("-", _AROUND_COLON.sub(":", folded.strip()))
    return f"{text}unspecified" if text in _WITHOUT_SUBJECT else text
