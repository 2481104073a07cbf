"""The buyers part of the rulebook as types: labels, activities, permits. All of its sections may be left out."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct

from vigil.app.domain.rulebook.products import Name, Names
from vigil.app.domain.rulebook.suppliers import Share
from vigil.topics.fields import Tier

StarCount = Annotated[int, Meta(ge=0, le=5)]


class BuyerLabels(Struct, frozen=True, forbid_unknown_fields=True):
    """Which tiers of buyers a supplier sees marked."""

    marked: tuple[Tier, ...]
    """Tiers that bear the common label."""
    label: Name
    """The common label."""
    own: tuple[Tier, ...]
    """Tiers that bear their own name for those who take part in the programme."""
    programme: Name
    least_stars: StarCount


class BuyerActivity(Struct, frozen=True, forbid_unknown_fields=True):
    """An activity for buyers of some tiers, and how a supplier takes part in it."""

    tiers: Annotated[tuple[Tier, ...], Meta(min_length=1)]
    offer: str = ""
    """What the buyer gets, in words; empty where it gets nothing of its own."""
    programme: Name | None = None
    """By being accepted in the edition of the month before; None: by being verified."""


class Standing(Struct, frozen=True, forbid_unknown_fields=True):
    """One way to be good enough."""

    least_stars: StarCount
    verified: bool = False


class Permit(Struct, frozen=True, forbid_unknown_fields=True):
    """What a supplier may do while all of this holds."""

    certificates: Names = ()
    """Kinds of certificates that are in force."""
    permits: Names = ()
    """Other permits that it holds."""
    verified: bool = False
    any_of: tuple[Standing, ...] = ()
    """It has one of these standings."""
    on_time_over_share: Share | None = None
    disputes_below_share: Share | None = None


BUYER_SECTIONS: Final[Mapping[str, type[Struct]]] = {
    "buyer-labels": BuyerLabels,
    "activity.*": BuyerActivity,
    "permit.*": Permit,
}
"""`activity.NAME`, `permit.NAME`; lists show them in the order of the file."""
