"""A segment of a broadcast: what the picture shows, whether the host receives buyers, and the resulting faults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from vigil.app.simulate import rules
from vigil.app.simulate.looks import Look
from vigil.app.simulate.message import Fault
from vigil.topics.rooms import Intent


@dataclass(frozen=True, slots=True)
class ScriptedComment:
    """One comment of the host in the script."""

    at: int
    text: str
    via: Literal["text", "speech"] = "text"
    intent: Intent | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScriptedEntry:
    """One buyer entry in the script; `buyer` is the number of the buyer."""

    at: int
    buyer: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment from `start` until before `end`. Each look begins with a frame exactly at its start.

    In an attentive segment the crowd enters on its own and every entry is received. A buyer enters at its beginning, so
    that misses of the previous segment do not count further. In other segments only the buyers in `entered` enter, and
    the host shows no reception.
    """

    start: int
    end: int
    looks: tuple[tuple[int, Look | None], ...]
    """Times and what is seen from then on; None: no frames."""
    attentive: bool = True
    entered: tuple[ScriptedEntry, ...] = ()
    said: tuple[ScriptedComment, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(slots=True)
class SimulatedRoom:
    """The state of one broadcast in the script."""

    rng: Random
    room_id: str
    host_id: str
    look: Look
    """What the picture shows without a fault."""
    product: str
    counted: set[tuple[str, str | None]]
    """Rules and labels that have counted in a comment. They count once an hour, and no broadcast lasts an hour."""
    goods: Mapping[str, str] = field(default_factory=dict)
    """By the label of forbidden goods: that of the goods that it shows instead, which need a permit."""
    permits: frozenset[str] = frozenset()
    """Those that its merchant holds."""
    buyers: int = 0
    """Number of the last scripted buyer. Each of them is a different one."""

    def permitted(self, label: str) -> bool:
        """True for a label of goods whose permit the merchant holds."""
        kind, _, permit = label.partition(":")
        return kind == "restricted" and permit in self.permits

    def fault(self, rule: str | None, since: int, at: int, words: str, subject: str | None = None) -> Fault:
        """One line of the manifest."""
        return Fault(
            kind="violation" if rule else "signal-lost",
            rule=rule,
            room_id=self.room_id,
            host_id=self.host_id,
            since=since,
            at=at,
            subject=subject,
            words=words,
        )

    def run(self, rule: str, since: int, until: int, words: str, subject: str | None = None) -> Fault:
        """Return the violation by a condition that lasts long enough for a frame to show it."""
        at = since + rules.LASTS_S[rule] * 1000
        assert until >= at + rules.LONGEST_STEP_MS, f"a planned {rule} may show no frame after its time"  # noqa: S101 - a mistake in a plan
        return self.fault(rule, since, at, f"{words} for {(until - since) / 1000:.0f} s", subject)

    def counts(self, rule: str, subject: str | None) -> bool:
        """Return whether a comment with this label counts, the first time in the broadcast, and record it."""
        if (rule, subject) in self.counted:
            return False
        self.counted.add((rule, subject))
        return True

    def unanswered(self, start: int, end: int, number: int) -> tuple[tuple[ScriptedEntry, ...], tuple[Fault, ...]]:
        """Return up to `number` buyers who enter and are not greeted before `end`, and the resulting faults.

        Sometimes one of them enters again while waiting, which does not count as another entry.
        """
        within = rules.GREET_WITHIN_S * 1000
        last = end - within - 2_000
        # What the host said just before the first of them would receive it.
        first = start + rules.GREET_EARLY_S * 1000 + 500
        if number == 0 or last <= first + 500:
            return (), ()
        times = sorted({first + int(self.rng.random() * (last - first)) for _ in range(number)})
        entered = []
        for at in times:
            self.buyers += 1
            entered.append(ScriptedEntry(at, self.buyers))
            if self.rng.random() < 0.1:
                entered.append(ScriptedEntry(at + self.rng.randint(1_000, within - 1_500), self.buyers))
        faults = []
        for first in range(0, len(times) - rules.MISSES_IN_A_ROW + 1, rules.MISSES_IN_A_ROW):
            third = times[first + rules.MISSES_IN_A_ROW - 1]
            words = f"{rules.MISSES_IN_A_ROW} buyers in a row entered and nobody greeted them"
            faults.append(self.fault("greeting-miss", times[first], third + within, words))
        return tuple(entered), tuple(faults)


def one_look(start: int, end: int, look: Look) -> tuple[tuple[int, Look | None], ...]:
    """Return one look for the whole segment."""
    if start >= end:
        raise ValueError("a segment ends after its start")
    return ((start, look),)


def taking_turns(rng: Random, start: int, end: int, looks: Sequence[Look]) -> tuple[tuple[int, Look | None], ...]:
    """Return looks that alternate every few seconds and all satisfy the same condition."""
    shown: list[tuple[int, Look | None]] = []
    at = start
    while at < end:
        shown.append((at, rng.choice(looks)))
        at += rng.randint(5_000, 40_000)
    return tuple(shown)
