"""What a violation leads to, as a value: steps, days, what may be chosen, and what moderators have decided."""

from msgspec import Struct

from vigil.topics.verdicts import ActionStatus, Step

Choice = tuple[str, ...] | dict[str, tuple[int, int]] | None


class Conclusion(Struct, frozen=True, array_like=True):
    """What a violation leads to; the fields are those of an action. Stored by position."""

    count: int
    steps: tuple[Step, ...]
    choice_of_steps: tuple[Step, ...] | None
    choice_of_days: dict[str, list[int]] | None
    ban_days: int | None
    ban_until: int | None
    freeze_days: int | None
    past_days: int | None
    decided_by: str | None = None
    """Who made the review that stands; None if there is none."""
    decided_at: int | None = None
    held: bool = False
    """It waits for the approval of two people."""
    approved_by: tuple[str, ...] = ()
    """Who approved it; empty where no approval is needed."""
    approved_at: int | None = None
    """When the second person approved it; None while it is held, and where no approval is needed."""

    @property
    def choice(self) -> Choice:
        """What a moderator may choose from; None if there is nothing to choose."""
        if self.choice_of_days is not None:
            return {name: (least, most) for name, (least, most) in self.choice_of_days.items()}
        return self.choice_of_steps

    @property
    def status(self) -> ActionStatus:
        """The status of its action, as long as its verdict stands."""
        return "held" if self.held else "active"
