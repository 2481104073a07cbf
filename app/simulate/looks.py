"""Looks: the part of a `frame-status` message that stays the same from frame to frame."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import orjson

from vigil.topics.rooms import Activity, Stream

GOOD_LAYOUT: Final = (("camera_share", 0.62), ("uncovered_share", 0.0), ("materials", 1))

Layout = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Look:
    """One state of the picture. It is hashable so that its JSON is encoded once."""

    stream: Stream = "live"
    face: bool = True
    black: bool = False
    offsets: tuple[int | None, ...] = (12, -8, 21, 3)
    """`av_offset_ms` of successive frames, repeated."""
    activity: Activity | None = "hosting"
    layout: Layout | None = None
    labels: tuple[str, ...] = ()

    def but(self, **changes: Any) -> "Look":
        """Return this look with some fields changed."""
        return replace(self, **changes)


@lru_cache(maxsize=4096)
def endings(look: Look) -> tuple[bytes, ...]:
    """Return what follows `at` in the JSON of a frame, once for each offset of the look.

    Optional fields without a value are left out, as real producers do.
    """
    texts = []
    for offset in look.offsets:
        fields: dict[str, Any] = {"stream": look.stream, "face": look.face, "black": look.black}
        if offset is not None:
            fields["av_offset_ms"] = offset
        if look.activity is not None:
            fields["activity"] = look.activity
        if look.layout is not None:
            fields["layout"] = dict(look.layout)
        if look.labels:
            fields["labels"] = list(look.labels)
        texts.append(b"," + orjson.dumps(fields)[1:])
    return tuple(texts)
