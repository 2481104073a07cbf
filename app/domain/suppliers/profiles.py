"""What a supplier was when: its profiles by event time. Before the first, and once deleted, it has the default."""

from bisect import bisect_right
from operator import attrgetter
from typing import Final, NamedTuple

from msgspec import Struct

from vigil.topics.scores import Membership
from vigil.topics.suppliers import ProfileDeleted, SupplierProfile


class Profile(NamedTuple):
    """What ranks and points go by."""

    industry: str
    membership: Membership
    stars: int


NO_PROFILE: Final = Profile("unknown", "standard", 0)


class ProfileVersion(Struct, array_like=True, frozen=True):
    """A profile from `at` on, or that there is none from then on."""

    at: int
    profile: Profile | None


_AT: Final = attrgetter("at")


class Profiles:
    """The profiles of one supplier in order of `at`; of those of one instant the last to arrive stands."""

    __slots__ = ("held",)

    def __init__(self, held: list[ProfileVersion]) -> None:
        self.held = held

    def add(self, event: SupplierProfile | ProfileDeleted) -> None:
        """Take in a profile, or its deletion."""
        at, profile = event.at, None
        if isinstance(event, SupplierProfile):
            profile = Profile(event.industry, event.membership, event.stars)
        elif self.held:
            # The clock lags behind events: a deletion deletes what came before it in any case.
            at = max(at, self.held[-1].at)
        place = bisect_right(self.held, at, key=_AT)
        if place and self.held[place - 1].at == at:
            place -= 1
            del self.held[place]
        self.held.insert(place, ProfileVersion(at, profile))

    def living(self, at: int) -> bool:
        """Is there a profile at `at` that is not deleted?"""
        return self._at(at) is not None

    def at(self, at: int) -> Profile:
        """The profile in force at `at`."""
        return self._at(at) or NO_PROFILE

    def forget(self, until: int) -> None:
        """Drop what was replaced by `until`."""
        place = bisect_right(self.held, until, key=_AT)
        if place > 1:
            del self.held[: place - 1]

    def _at(self, at: int) -> Profile | None:
        place = bisect_right(self.held, at, key=_AT)
        return self.held[place - 1].profile if place else None
