"""What a moderator chooses of what an action offers, as a form says it. Pure."""

from collections.abc import Mapping
from typing import Final, cast

from vigil.topics.reviews import ReviewChoice
from vigil.topics.verdicts import Action, Step

DAYS: Final = ("freeze_days", "past_days")


class NotOfferedError(ValueError):
    """What was chosen is not among what the action offers. The text is the code of the sentence that says so."""


def choice_of(form: Mapping[str, str], action: Action | None) -> ReviewChoice | None:
    """The choice of a form; None where it is what the action says anyway. Raise NotOfferedError."""
    if action is None or action.choice is None:
        return None
    if isinstance(action.choice, Mapping):
        return _days(form, action, action.choice)
    step = form.get("step", "")
    if not step or step in action.steps:
        return None
    if step not in action.choice:
        raise NotOfferedError("review.no-such-step")
    return ReviewChoice(step=cast(Step, step))


def _days(form: Mapping[str, str], action: Action, offered: Mapping[str, tuple[int, int]]) -> ReviewChoice | None:
    """Both numbers of days if one of them is another than the action says: a choice counts as a whole."""
    chosen: dict[str, int] = {}
    for name in DAYS:
        text = form.get(name, "").strip()
        if name not in offered or not text:
            continue
        least, most = offered[name]
        if not (text.isascii() and text.isdigit() and len(text) < 6 and least <= int(text) <= most):
            raise NotOfferedError("review.no-such-days")
        chosen[name] = int(text)
    if all(getattr(action, name) == days for name, days in chosen.items()):
        return None
    return ReviewChoice(freeze_days=chosen.get("freeze_days"), past_days=chosen.get("past_days"))
