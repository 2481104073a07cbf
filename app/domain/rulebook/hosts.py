"""The hosts part of the rulebook as types: the enforcement ladder of each family, and how long verdicts count."""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

from msgspec import Meta, Struct

from vigil.app.domain.rulebook.book import EffectiveVersion, SectionHeading
from vigil.topics.verdicts import Step

Days = Annotated[int, Meta(gt=0, le=36_500)]


class DayRange(Struct, frozen=True, forbid_unknown_fields=True):
    """The days among which a moderator may choose; the least is the default."""

    # Not tuple[Days, Days]: msgspec 0.22 crashes in the garbage collector on a fixed-length tuple in a union with a
    # constrained number.
    least: Days
    most: Days

    def __post_init__(self) -> None:
        if self.least >= self.most:
            raise ValueError(f"a range goes from the least to the most, not from {self.least} to {self.most}")


_ORDINALS: Final = {1: "st", 2: "nd", 3: "rd"}


class Rung(Struct, frozen=True, forbid_unknown_fields=True):
    """What one violation leads to: its steps; where a moderator may choose, the mildest."""

    steps: Annotated[tuple[Step, ...], Meta(min_length=1)]
    choice: tuple[Step, ...] | None = None
    """The steps of which a moderator picks one, the mildest first; `steps` contains the mildest."""
    ban_days: Days | None = None
    freeze_days: Days | DayRange | None = None
    past_days: Days | DayRange | None = None
    """How many past days of the host's rooms are closed."""

    def __post_init__(self) -> None:
        if len(set(self.steps)) < len(self.steps):
            raise ValueError("steps names a step twice: keep one of them")
        if self.choice is not None and (len(self.choice) < 2 or self.choice[0] not in self.steps):
            raise ValueError("choice names at least two steps, the mildest first, and the mildest is among the steps")
        if self.choice is not None and (isinstance(self.freeze_days, DayRange) or isinstance(self.past_days, DayRange)):
            raise ValueError("a moderator chooses among steps or among days, not both: leave out choice or the ranges")
        for step, name in (("ban", "ban_days"), ("freeze", "freeze_days"), ("close-past-rooms", "past_days")):
            days = getattr(self, name)
            if (step in self.steps) != (days is not None):
                raise ValueError(f"the step {step} and the number {name} belong together: give both or neither")

    def words(self) -> str:
        """The rung as a person reads it: `close, ban 7 d`."""
        days: dict[str, int | DayRange | None] = {
            "ban": self.ban_days,
            "freeze": self.freeze_days,
            "close-past-rooms": self.past_days,
        }
        return ", ".join(self._step_name(step) + _days_words(days.get(step)) for step in self.steps)

    def _step_name(self, step: Step) -> str:
        if self.choice and step == self.choice[0]:
            return " or ".join(self.choice)
        return step.replace("-", " ")


def _days_words(days: "int | DayRange | None") -> str:
    if isinstance(days, DayRange):
        return f" {days.least}–{days.most} d"
    return f" {days} d" if days else ""


class Ladder(Struct, frozen=True, forbid_unknown_fields=True):
    """What the nth violation of a family within a rolling window leads to."""

    rungs: Annotated[tuple[Rung, ...], Meta(min_length=1)]
    """The first rung belongs to the first violation; counts beyond the last rung stay on it."""
    window_days: Days | None = None
    """None: every violation that is remembered counts."""
    always_close: tuple[str, ...] = ()
    """Rules after which the room is closed even on a rung that only warns."""

    def words(self) -> list[str]:
        """A line for each rung, and one for `always_close`."""
        lines = [f"{n}{_ORDINALS.get(n, 'th')}: {rung.words()}" for n, rung in enumerate(self.rungs, start=1)]
        lines[-1] = lines[-1].replace(":", " and more:" if len(lines) > 1 else " and every other:", 1)
        if self.always_close:
            lines.append(f"always close: {', '.join(self.always_close)}")
        return lines


class HostMemory(Struct, frozen=True, forbid_unknown_fields=True):
    """How long verdicts count, can be reviewed, and are recognised as duplicates; likewise for reviews."""

    remember_days: Days


class Approval(Struct, frozen=True, forbid_unknown_fields=True):
    """Which actions are held until two people have approved them."""

    ban_days_from: Days | None = None
    """Those with a ban of so many days or more."""
    freeze_days_from: Days | None = None
    steps: tuple[Step, ...] = ()
    """Those with one of these steps."""

    def __post_init__(self) -> None:
        if self.ban_days_from is None and self.freeze_days_from is None and not self.steps:
            raise ValueError("give ban_days_from, freeze_days_from or steps: it concerns no action otherwise")

    def concerns(self, steps: Sequence[Step], ban_days: int | None, freeze_days: int | None) -> bool:
        """True if an action with these steps and days needs approval."""
        return (
            any(step in self.steps for step in steps)
            or _reaches(ban_days, self.ban_days_from)
            or _reaches(freeze_days, self.freeze_days_from)
        )


def _reaches(days: int | None, days_from: int | None) -> bool:
    return days is not None and days_from is not None and days >= days_from


FAMILIES: Final = (
    "reception",
    "low-quality",
    "obs",
    "rights",
    "harassment",
    "minors",
    "prohibited-goods",
)

SECTIONS: Final[Mapping[str, type[Struct]]] = {
    **{f"ladder.{family}": Ladder for family in FAMILIES},
    "hosts": HostMemory,
}

APPROVAL: Final = "approval"
OPTIONAL_SECTIONS: Final[Mapping[str, type[Struct]]] = {APPROVAL: Approval}


class Conflict(NamedTuple):
    """A place where two sections contradict each other."""

    section: str
    effective_date: str
    key: str
    text: str
    """What is wrong, to be read after the key."""


def conflicts(
    sections: Mapping[str, Sequence[EffectiveVersion[Any]]], headings: Mapping[str, SectionHeading]
) -> Iterator[Conflict]:
    """Where the ladders contradict [hosts] or the room rules.

    A window or a ban must not be longer than verdicts are remembered, or it would end early. Names in `always_close`
    must be rules of the ladder's family: a misspelled one would have no effect.
    """
    remember_days = min(version.limits.remember_days for version in sections["hosts"])
    for family in FAMILIES:
        name = f"ladder.{family}"
        rules = {rule for rule, heading in headings.items() if heading.family == family}
        for version in sections[name]:
            ladder: Ladder = version.limits
            for key, text in (*_too_long(ladder, remember_days), *_unknown_rules(ladder, family, rules)):
                yield Conflict(name, version.effective_date, key, text)


def _too_long(ladder: Ladder, remember_days: int) -> Iterator[tuple[str, str]]:
    """The keys of a ladder whose days are more than verdicts are remembered, each with what is wrong."""
    remembered = f"than verdicts are remembered: [hosts] remember_days = {remember_days}"
    if ladder.window_days is not None and ladder.window_days > remember_days:
        yield "window_days", f"is {ladder.window_days}, longer {remembered}"
    if any(rung.ban_days is not None and rung.ban_days > remember_days for rung in ladder.rungs):
        yield "rungs", f"has a ban longer {remembered}"


def _unknown_rules(ladder: Ladder, family: str, rules: Container[str]) -> Iterator[tuple[str, str]]:
    """A key and what is wrong for each name in `always_close` that is none of the family's `rules`."""
    for rule in ladder.always_close:
        if rule not in rules:
            yield "always_close", f"names {rule!r}, which is no rule of the family {family}"
