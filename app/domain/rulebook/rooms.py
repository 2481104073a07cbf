"""The room part of the rulebook as types. Fields are keys of the file: their names end with the unit of the value."""

from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[int, Meta(gt=0)]
OptionalSeconds = Annotated[int, Meta(ge=0)]
"""0: not at all."""
Count = Annotated[int, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class RoomLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of every room, whatever the rule."""

    max_frame_gap_s: Seconds
    """Frames further apart than this do not continue a condition; after as long without a frame the signal is lost."""
    forget_ended_s: Seconds
    """A room expires this long after the first of its last unbroken series of `ended` frames."""
    forget_silent_s: Seconds
    """A room expires this long after its last event."""
    comment_memory_s: Seconds
    """How long a `comment_id` is remembered, to recognise duplicates."""
    presence_s: Seconds
    """A buyer counts as present this long after an entry or a comment."""
    engaged_comments: Count
    """A buyer with this many comments counts as engaged."""
    status_every_s: Seconds
    """A room's `room-status` is published at most once in this time."""
    waiting_shown: Count
    """A `room-status` lists at most this many undecided entries, so that a rush does not outgrow a message."""
    at_risk_from_s: Seconds
    """Only rules of at least this duration publish an at-risk notice."""
    at_risk_share: Share
    """The share of the rule's duration after which they publish it."""
    contested_s: OptionalSeconds = 0
    """A verdict is contested by a reception that comes late, within this time after the violation. 0: never."""


class GreetingLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Buyer after buyer enters and the host greets none of them."""

    within_s: Seconds
    """How long the host has to greet a buyer who entered."""
    in_a_row: Count
    """How many consecutive misses make a violation."""
    at_risk_misses: Count
    """After how many consecutive misses the room is at risk."""
    early_s: OptionalSeconds = 0
    """A reception so long before the entry counts, too: entries and comments are stamped by clocks of their own."""
    greeting_alone_counts: bool = True
    """True: a greeting receives a buyer. False: it takes a question as well, in either order. A rulebook that does not
    say it is one from before this was asked."""


class DurationLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """A condition that is a violation once it lasts this long without interruption."""

    lasts_s: Seconds
    tolerate_s: OptionalSeconds = 0
    """Frames that do not satisfy the condition for no longer than this do not end it. 0: the first one does."""
    tolerate_share: Share = 0.0
    """Of the condition's time so far, at most this share may be bridged in this way."""


class AvLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Sound and picture are in sync while sound minus picture is from `earliest_ms` to `latest_ms`, both included."""

    lasts_s: Seconds
    earliest_ms: int
    latest_ms: int
    tolerate_s: OptionalSeconds = 0
    tolerate_share: Share = 0.0


class LayoutLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """From when on the layout of a broadcast canvas is a violation."""

    lasts_s: Seconds
    camera_share_at_most: Share
    """A camera picture of this share of the canvas or less is too small."""
    uncovered_share_over: Share
    materials_over: Annotated[int, Meta(ge=0)]
    videos_over: Annotated[int, Meta(ge=0)]
    tolerate_s: OptionalSeconds = 0
    tolerate_share: Share = 0.0


class LabelLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """A label that is a violation after some time on frames, and at once on a host comment."""

    lasts_s: Seconds
    again_s: Seconds
    """In comments, the same label is a violation again only after this time."""
    tolerate_s: OptionalSeconds = 0
    tolerate_share: Share = 0.0


class HarassmentLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """A label on a host comment, or repeated near-identical host comments."""

    again_s: Seconds
    repeats: Annotated[int, Meta(ge=2)]
    """How many near-identical comments are a violation."""
    within_s: Seconds
    similarity: Share
    """Two comments are near-identical from this share of equal text on."""
    shortest: Count
    """Comments narrower than this after folding do not count: in columns, of which wide characters take two."""
