"""The numbers of the hosts part of the rulebook, as types: the enforcement ladder of each family."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from vigil.app.domain.rulebook.book import EffectiveVersion
from vigil.topics.verdicts import Step

Days = Annotated[int, Meta(gt=0, le=36_500)]


class Range(Struct, frozen=True, forbid_unknown_fields=True):
    """What a moderator may choose between; the least is the default."""

    # Not tuple[Days, Days]: msgspec 0.22 crashes in the garbage collector on a fixed-length tuple in a union with a
    # constrained number.
    least: Days
    most: Days

    def __post_init__(self) -> None:
        if self.least >= self.most:
            raise ValueError(f"a range goes from the least to the most, not from {self.least} to {self.most}")


_ORDINALS: Final = {1: "st", 2: "nd", 3: "rd"}


class Rung(Struct, frozen=True, forbid_unknown_fields=True):
    """What one violation leads to: its steps, the mildest where a moderator may choose."""

    steps: Annotated[tuple[Step, ...], Meta(min_length=1)]
    choice: tuple[Step, ...] | None = None
    """Of which a moderator picks one; `steps` carries the mildest, the first."""
    ban_days: Days | None = None
    freeze_days: Days | Range | None = None
    past_days: Days | Range | None = None
    """How far back the host's rooms are closed."""

    def __post_init__(self) -> None:
        if len(set(self.steps)) < len(self.steps):
            raise ValueError("steps names a step twice: keep one of them")
        if self.choice is not None and (len(self.choice) < 2 or self.choice[0] not in self.steps):
            raise ValueError("choice names at least two steps, the mildest first, and the mildest is among the steps")
        if self.choice is not None and (isinstance(self.freeze_days, Range) or isinstance(self.past_days, Range)):
            raise ValueError("a moderator chooses among steps or among days, not both: leave out choice or the ranges")
        for step, name in (("ban", "ban_days"), ("freeze", "freeze_days"), ("close-past-rooms", "past_days")):
            days = getattr(self, name)
            if (step in self.steps) != (days is not None):
                raise ValueError(f"the step {step} and the number {name} belong together: give both or neither")

    def words(self) -> str:
        """The rung in a policy owner's words: `close, ban 7 d`."""
        days: dict[str, int | Range | None] = {
            "ban": self.ban_days,
            "freeze": self.freeze_days,
            "close-past-rooms": self.past_days,
        }
        said = []
        for step in self.steps:
            span = days.get(step)
            told = f" {span.least}–{span.most} d" if isinstance(span, Range) else f" {span} d" if span else ""
            if self.choice and step == self.choice[0]:
                said.append(" or ".join(self.choice) + told)
            else:
                said.append(step.replace("-", " ") + told)
        return ", ".join(said)


class Ladder(Struct, frozen=True, forbid_unknown_fields=True):
    """What the nth violation of a family within a rolling window leads to."""

    rungs: Annotated[tuple[Rung, ...], Meta(min_length=1)]
    """By count from 1; counts beyond the last rung stay on it."""
    window_days: Days | None = None
    """None: every violation that is remembered counts."""
    always_close: tuple[str, ...] = ()
    """Rules after which the room is closed even where others of the family may be let off with a warning."""

    def words(self) -> list[str]:
        """One line a rung."""
        lines = [f"{n}{_ORDINALS.get(n, 'th')}: {rung.words()}" for n, rung in enumerate(self.rungs, start=1)]
        lines[-1] = lines[-1].replace(":", " and more:" if len(lines) > 1 else " and every other:", 1)
        if self.always_close:
            lines.append(f"always close: {', '.join(self.always_close)}")
        return lines


class Memory(Struct, frozen=True, forbid_unknown_fields=True):
    """How long verdicts and reviews count, are recognised when they come again, and can be reviewed."""

    remember_days: Days


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
    "hosts": Memory,
}


def conflicts(
    sections: Mapping[str, Sequence[EffectiveVersion[Any]]], headings: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str, str, str]]:
    """Where sections contradict each other: section, effective date, key and what to do about it."""
    shortest = min(dated.limits.remember_days for dated in sections["hosts"])
    remembered = f"than verdicts are remembered: [hosts] remember_days = {shortest}"
    for family in FAMILIES:
        name = f"ladder.{family}"
        for dated in sections[name]:
            ladder: Ladder = dated.limits
            if ladder.window_days is not None and ladder.window_days > shortest:
                yield name, dated.effective, "window_days", f"is {ladder.window_days}, longer {remembered}"
            if any(rung.ban_days is not None and rung.ban_days > shortest for rung in ladder.rungs):
                yield name, dated.effective, "rungs", f"has a ban longer {remembered}"
            for rule in ladder.always_close:
                if headings.get(rule, {}).get("family") != family:
                    text = f"names {rule!r}, which is no rule of the family {family}"
                    yield name, dated.effective, "always_close", text
