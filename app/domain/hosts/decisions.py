"""What moderators decided about a verdict: which reviews stand, what they chose, and whether two people approved.

    review ──overturned──▶ the verdict does not count; earlier reviews stand no more
       └─────upheld──▶ stands until the next overturn: its choice is applied, its author has approved

Of the reviews that stand, the latest one with a choice gives the choice, and the latest one of all says who decided.
Each is a function of the set of reviews, whatever the order of their arrival.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from vigil.app.domain.hosts.conclusion import Conclusion
from vigil.app.domain.hosts.reviews import LatestReview
from vigil.app.domain.rulebook.hosts import Approval
from vigil.topics.reviews import ReviewChoice
from vigil.topics.verdicts import Step

MOST_UPHELD: Final = 32
"""Reviews of a verdict that stand at a time, the latest: more of them say nothing new."""

NAMES_NEEDED: Final = 2
"""How many people approve an action that needs approval."""


class Reviews(NamedTuple):
    """The reviews of a verdict that can decide something."""

    overturned: LatestReview | None = None
    """The latest that overturned it."""
    upheld: tuple[LatestReview, ...] = ()
    """Those that upheld it since, in order."""

    @property
    def latest(self) -> LatestReview | None:
        """The review that stands."""
        return self.upheld[-1] if self.upheld else self.overturned

    def add(self, review: LatestReview) -> "Reviews":
        """Return the reviews with one more. If offsets are not known, the last to arrive counts."""
        if review.decision == "overturned":
            if self.overturned is not None and review.order < self.overturned.order:
                return self
            return Reviews(review, tuple(each for each in self.upheld if each.order > review.order))
        if review in self.upheld or (self.overturned is not None and review.order < self.overturned.order):
            return self
        return self._replace(upheld=tuple(sorted((*self.upheld, review), key=_order)[-MOST_UPHELD:]))


def _order(review: LatestReview) -> tuple[int, int]:
    return review.order


class Decision(NamedTuple):
    """What moderators decided about a verdict that counts."""

    by: str | None
    at: int | None
    choice: ReviewChoice | None = None
    approvals: tuple[tuple[str, int], ...] = ()
    """Everybody whose review stands, with the time of the first one, in order."""


UNDECIDED: Final = Decision(None, None)


def decision_of(reviews: Reviews) -> Decision:
    """What the reviews that stand decide. One that a former version stored has no author, and decides no more."""
    latest = reviews.latest
    if latest is None or not latest.by:
        return UNDECIDED
    chosen = [review.choice for review in reviews.upheld if review.choice is not None]
    approvals: dict[str, int] = {}
    for review in reviews.upheld:
        approvals.setdefault(review.by, review.at)
    return Decision(latest.by, latest.at, chosen[-1] if chosen else None, tuple(approvals.items()))


# ---- what is chosen --------------------------------------------------------------------------------------------------


def why_not_offered(choice: ReviewChoice, conclusion: Conclusion | None) -> str | None:
    """Return why an action does not offer a choice; None if it does."""
    if conclusion is None or conclusion.choice is None:
        return "the action offers no choice"
    if choice.step is not None:
        steps = conclusion.choice_of_steps or ()
        return None if choice.step in steps else f"the step {choice.step!r} is not among {_listed(steps)}"
    ranges = conclusion.choice_of_days or {}
    for name, days in choice.days.items():
        if name not in ranges:
            return f"{name} is not among {_listed(ranges)}"
        least, most = ranges[name]
        if not least <= days <= most:
            return f"{name} is {days}, not between {least} and {most}"
    return None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def decided(conclusion: Conclusion, decision: Decision, approval: Approval | None) -> Conclusion:
    """Return a conclusion after what moderators decided. `approval`: None where no action needs one.

    A choice that the action does not offer any more, because its count has changed, has no effect.
    """
    choice = decision.choice
    if choice is not None and why_not_offered(choice, conclusion) is None:
        conclusion = _chosen(conclusion, choice)
    conclusion = replace(conclusion, decided_by=decision.by, decided_at=decision.at)
    if approval is None or not approval.concerns(conclusion.steps, conclusion.ban_days, conclusion.freeze_days):
        return conclusion
    approvals = decision.approvals
    approved = len(approvals) >= NAMES_NEEDED
    return replace(
        conclusion,
        held=not approved,
        approved_by=tuple(name for name, _ in approvals),
        approved_at=approvals[NAMES_NEEDED - 1][1] if approved else None,
    )


def _chosen(conclusion: Conclusion, choice: ReviewChoice) -> Conclusion:
    if choice.step is not None:
        return replace(conclusion, steps=_with_step(conclusion.steps, conclusion.choice_of_steps or (), choice.step))
    days = choice.days
    return replace(
        conclusion,
        freeze_days=days.get("freeze_days", conclusion.freeze_days),
        past_days=days.get("past_days", conclusion.past_days),
    )


def _with_step(steps: Sequence[Step], offered: Sequence[Step], step: Step) -> tuple[Step, ...]:
    """The steps with another one in the place of the mildest that was offered."""
    return tuple(dict.fromkeys(step if each == offered[0] else each for each in steps))
