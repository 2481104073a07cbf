"""One stretch of a broadcast: what the picture shows, whether the host receives buyers, and what must come of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from vigil.app.simulate import rules
from vigil.app.simulate.looks import Look
from vigil.app.simulate.message import Fault
from vigil.topics.rooms import Intent


@dataclass(frozen=True, slots=True)
class ScriptedComment:
    """One host comment that the script asks for."""

    at: int
    text: str
    via: Literal["text", "speech"] = "text"
    intent: Intent | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScriptedEntry:
    """One buyer entry that the script asks for; `buyer` is the buyer's number."""

    at: int
    buyer: int


@dataclass(frozen=True, slots=True)
class Segment:
    """From `start` until before `end`. Each look begins with a frame at its very start.

    In an attentive segment the crowd comes by itself and every entry is received; a buyer enters at its beginning, so
    that misses of the segment before it do not count on. In the others nobody enters but who is told here, and the
    host shows no reception.
    """

    start: int
    end: int
    looks: tuple[tuple[int, Look | None], ...]
    """What is seen from when; None: no frames come."""
    attentive: bool = True
    entered: tuple[ScriptedEntry, ...] = ()
    said: tuple[ScriptedComment, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(slots=True)
class SimulatedRoom:
    """What the script must remember of one broadcast."""

    rng: Random
    room_id: str
    host_id: str
    look: Look
    """How it looks while all is well."""
    product: str
    counted: set[tuple[str, str | None]]
    """The rules and labels that counted in a comment: once an hour, and no broadcast lasts an hour."""
    buyers: int = 0
    """Number of the last buyer that the script sent in: they are all different."""

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
        """The violation of a run that is long enough for a frame to show it for sure."""
        at = since + rules.LASTS_S[rule] * 1000
        assert until >= at + rules.LONGEST_STEP_MS, f"a planned {rule} may show no frame after its time"  # noqa: S101
        return self.fault(rule, since, at, f"{words} for {(until - since) / 1000:.0f} s", subject)

    def counts(self, rule: str, subject: str | None) -> bool:
        """Does what is said count, or did it before? Remembered if it does."""
        if (rule, subject) in self.counted:
            return False
        self.counted.add((rule, subject))
        return True

    def unanswered(self, start: int, end: int, number: int) -> tuple[tuple[ScriptedEntry, ...], tuple[Fault, ...]]:
        """Up to `number` buyers who enter a silent room, all of them missed before `end`, and what comes of it.

        Now and then one of them enters again while still waiting: that is no other entry.
        """
        within = rules.GREET_WITHIN_S * 1000
        last = end - within - 2_000
        if number == 0 or last <= start + 1_000:
            return (), ()
        times = sorted({start + 500 + int(self.rng.random() * (last - start - 500)) for _ in range(number)})
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
    """The same look for the whole segment."""
    if start >= end:
        raise ValueError("a segment ends after its start")
    return ((start, look),)


def taking_turns(rng: Random, start: int, end: int, looks: Sequence[Look]) -> tuple[tuple[int, Look | None], ...]:
    """Looks one after the other, each for some seconds, all satisfying the same condition."""
    shown: list[tuple[int, Look | None]] = []
    at = start
    while at < end:
        shown.append((at, rng.choice(looks)))
        at += rng.randint(5_000, 40_000)
    return tuple(shown)
