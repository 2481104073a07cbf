"""The words of a host's page: what follows from a verdict, and what ends it, said to a merchant."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from vigil.app.console.views.reader import Reader
from vigil.app.console.views.text import Words
from vigil.app.domain.hosts.conclusion import Choice, Conclusion
from vigil.topics.verdicts import Action, Step


def action_words(words: Words, action: Action, to_be_chosen: bool) -> Iterator[tuple[Step, str]]:
    """Each step of an action and how it is said; `to_be_chosen`: with everything that a moderator may still choose."""
    days = {"ban": action.ban_days, "freeze": action.freeze_days, "close-past-rooms": action.past_days}
    yield from _steps(words, action.steps, days, action.choice if to_be_chosen else None)


def next_words(words: Words, conclusion: Conclusion) -> str:
    """What the next violation would lead to."""
    days = {"ban": conclusion.ban_days, "freeze": conclusion.freeze_days, "close-past-rooms": conclusion.past_days}
    return words("comma").join(text for _, text in _steps(words, conclusion.steps, days, conclusion.choice))


def _steps(
    words: Words, steps: Sequence[Step], days: Mapping[str, int | None], choice: Choice
) -> Iterator[tuple[Step, str]]:
    ranges = choice if isinstance(choice, Mapping) else {}
    offered = () if choice is None or isinstance(choice, Mapping) else choice
    fields = {"freeze": "freeze_days", "close-past-rooms": "past_days"}
    for step in steps:
        least, most = ranges.get(fields.get(step, ""), (None, None))
        length = days.get(step) if least is None else f"{least}–{most}"
        names = offered if offered and step == offered[0] else (step,)
        yield step, words("or").join(_step(words, name, length) for name in names)


def _step(words: Words, step: str, days: int | str | None) -> str:
    return words(f"for-host.step.{step}") if days is None else words(f"for-host.step-days.{step}", n=days)


class Counting(NamedTuple):
    """Whether a verdict counts for what the next one leads to."""

    counts: bool
    until: int | None
    """None: it never ends, or it has ended."""


def ended_by(reader: Reader, action: Action | None, now: int, counting: Counting, *, may_appeal: bool) -> Iterator[str]:
    """Until when the consequences of a verdict last, and what ends them."""
    words = reader.words
    if action is not None and action.status == "withdrawn":
        yield words("for-host.ends.withdrawn")
        return
    if action is not None and action.ban_until is not None and action.status == "active":
        code = "for-host.ends.ban" if action.ban_until > now else "for-host.ends.ban-over"
        yield words(code, time=stamp(reader, action.ban_until))
    if counting.until is not None:
        yield words("for-host.ends.counts", time=stamp(reader, counting.until))
    elif counting.counts:
        yield words("for-host.ends.counts-for-good")
    elif action is not None:
        yield words("for-host.ends.counts-no-more")
    if may_appeal:
        yield words("for-host.ends.appeal")


def stamp(reader: Reader, at: int) -> str:
    """A time in the reader's time zone, to the minute."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(reader.zone).strftime("%Y-%m-%d %H:%M")
