"""The profiles of a supplier by event time. Before the first one, and once deleted, the default profile applies.

A message of `supplier-profile` is a version that is effective from its `at` on, not from its arrival: a month is
assessed by the profile as of its end, whatever arrived since.
"""

from bisect import bisect_right
from operator import attrgetter
from typing import Final, NamedTuple

from msgspec import Struct

from vigil.topics.scores import Membership
from vigil.topics.suppliers import ProfileDeleted, SupplierProfile


class Profile(NamedTuple):
    """The properties by which suppliers are ranked and given points."""

    industry: str
    membership: Membership
    stars: int
    signed_at: int | None = None
    """When the account was made."""
    opened_at: int | None = None
    """When the service was opened."""


NO_PROFILE: Final = Profile("unknown", "standard", 0)


class ProfileVersion(Struct, array_like=True, frozen=True):
    """The profile from `at` on; None: it is deleted from then on."""

    at: int
    profile: Profile | None


_AT: Final = attrgetter("at")


class Profiles:
    """The versions of one supplier's profile in order of `at`; of those with one `at`, the last to arrive."""

    __slots__ = ("versions",)

    def __init__(self, versions: list[ProfileVersion]) -> None:
        self.versions = versions

    def add(self, event: SupplierProfile | ProfileDeleted) -> None:
        """Add a profile, or its deletion."""
        at, profile = event.at, None
        if isinstance(event, SupplierProfile):
            profile = Profile(event.industry, event.membership, event.stars, event.signed_at, event.opened_at)
        elif self.versions:
            # The watermark lags behind events; a deletion must in any case delete what arrived before it.
            at = max(at, self.versions[-1].at)
        place = bisect_right(self.versions, at, key=_AT)
        if place and self.versions[place - 1].at == at:
            place -= 1
            del self.versions[place]
        self.versions.insert(place, ProfileVersion(at, profile))

    def is_active(self, at: int) -> bool:
        """True if there is a profile at the time `at` that is not deleted."""
        return self._at(at) is not None

    def at(self, at: int) -> Profile:
        """The profile that is effective at the time `at`."""
        return self._at(at) or NO_PROFILE

    def expire(self, until: int) -> None:
        """Drop the versions that were replaced by `until`."""
        place = bisect_right(self.versions, until, key=_AT)
        if place > 1:
            del self.versions[: place - 1]

    def _at(self, at: int) -> Profile | None:
        place = bisect_right(self.versions, at, key=_AT)
        return self.versions[place - 1].profile if place else None
