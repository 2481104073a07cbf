"""The numbers of the room rules, as types; durations carry their unit in their name."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

Seconds = Annotated[int, Meta(gt=0)]
Count = Annotated[int, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class RoomLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What holds for every room, whatever the rule."""

    max_frame_gap_s: Seconds
    """Frames further apart than this are no run; after as long without one the signal is lost."""
    forget_ended_s: Seconds
    """A room is forgotten this long after the first of its last unbroken series of `ended` frames."""
    forget_silent_s: Seconds
    """A room is forgotten this long after its last event."""
    comment_memory_s: Seconds
    """How long a `comment_id` is remembered, to know its duplicates."""
    presence_s: Seconds
    """A buyer is present this long after an entry or a comment."""
    engaged_comments: Count
    """A buyer with this many comments is engaged."""
    status_every_s: Seconds
    """A room's figures are published at most this often."""
    waiting_shown: Count
    """A room's figures list at most this many undecided entries, so that a rush does not outgrow a message."""
    at_risk_from_s: Seconds
    """Rules of this length and more tell when a condition comes near its violation."""
    at_risk_share: Share
    """After which share of the rule's time they do."""


class GreetingLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Buyer after buyer came in and nobody greeted them."""

    within_s: Seconds
    """How long the host has to greet an entry."""
    in_a_row: Count
    """How many consecutive misses make a violation."""
    at_risk_misses: Count
    """After how many the room is at risk."""


class RunLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """A rule that says "for N continuous seconds" and no more."""

    lasts_s: Seconds


class AvLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Sound and picture are together from `earliest_ms` to `latest_ms` (sound minus picture), both included."""

    lasts_s: Seconds
    earliest_ms: int
    latest_ms: int


class LayoutLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What a broadcast canvas must not show."""

    lasts_s: Seconds
    camera_share_at_most: Share
    """A camera picture of this share of the canvas is too small yet."""
    uncovered_share_over: Share
    materials_over: Annotated[int, Meta(ge=0)]
    videos_over: Annotated[int, Meta(ge=0)]


class LabelLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """A label on a run of frames, or at once on a host comment."""

    lasts_s: Seconds
    again_s: Seconds
    """In comments, the same label counts again after this time."""


class HarassmentLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """A label on a host comment, or near-identical host comments."""

    again_s: Seconds
    repeats: Annotated[int, Meta(ge=2)]
    """How many near-identical comments are a violation."""
    within_s: Seconds
    similarity: Share
    """From which share of equal text on two comments are near-identical."""
    shortest: Count
    """Comments shorter than this many code points after folding are left out."""


_TYPES: Final[Mapping[str, type[Struct]]] = {
    "rooms": RoomLimits,
    "greeting-miss": GreetingLimits,
    "av-desync": AvLimits,
    "layout": LayoutLimits,
    "rights": LabelLimits,
    "harassment": HarassmentLimits,
    "prohibited-goods": LabelLimits,
}
"""What has numbers of its own; every other rule says no more than how long its condition lasts."""


def _sections() -> dict[str, type[Struct]]:
    """The room sections: the rules are those that the built-in rulebook has, so that a new one is named once."""
    try:
        tables = tomllib.loads(Path(__file__).with_name("rulebook.toml").read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError:
        tables = {}  # the reader will tell where
    rules = (name for name, table in tables.items() if isinstance(table, dict) and "family" in table)
    return {**_TYPES, **{name: _TYPES.get(name, RunLimits) for name in rules}}


SECTIONS: Final[Mapping[str, type[Struct]]] = _sections()
