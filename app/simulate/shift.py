"""People who work on incidents, and a marketplace that carries out what follows from violations.

    violation ──▶ claim ─▶ perhaps a note, a snooze ─▶ decision ─▶ perhaps an appeal, a second name ─▶ perhaps release
        │           └─ now and then another one claims it a moment later: lost
        └───────▶ a step of the action is done, or fails and is done later

Each violation has random numbers of its own, so that the manifest is known without any messages.
"""

import heapq
from collections.abc import Iterator
from random import Random
from typing import Any, Final, NamedTuple

import orjson

from vigil.app.simulate.message import Fault, SimulatedMessage
from vigil.app.simulate.rules import LASTS_S
from vigil.topics.verdicts import identity

WORK_TOPICS: Final = ("case", "enforcement-result")
"""The topics of people and of the marketplace, besides reviews."""

WARNED_FROM_S: Final = 60
"""Rules that last so long warn halfway."""

CHOICES: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "layout": ({"step": "warn"}, {"step": "close"}),
    "illegal-background": ({"step": "warn"}, {"step": "close"}),
    "minor": ({"freeze_days": 60}, {"freeze_days": 90, "past_days": 180}, {"past_days": 45}),
}
"""What can be chosen at every violation of a rule; of others, it depends on how many there were before."""

STEPS: Final = {"sleeping": "close", "prohibited-goods": "close", "rights": "take-offline", "minor": "freeze"}
"""By rule: the step that the marketplace reports; `warn` of the others."""

TAKEN: Final = 0.6
"""Share of the violations that somebody works on: the others are left to whoever looks at the simulation."""

NOTES: Final = ("called the host", "looks deliberate", "asked operations", "the third time this week", "主播已被提醒")


class Deed(NamedTuple):
    """One message, by time."""

    at: int
    topic: str
    key: str
    value: dict[str, Any]


class _Desk:
    """What people do about one violation: one deed after another, never two at one time."""

    def __init__(self, rng: Random, fault: Fault, people: list[str]) -> None:
        self._rng = rng
        self._fault = fault
        self._first, self._other = people[0], people[-1]
        self._at = fault.at
        self._room_id = fault.room_id or ""
        self._incident_id = identity("rule", self._room_id, fault.rule, fault.subject, None, fault.since)
        self.deeds: list[Deed] = []
        self.lost_at: int | None = None
        """When another one claimed it without effect."""

    def work(self) -> None:
        """Plan what people do."""
        if not self._happens(TAKEN):
            return
        self._claim()
        if self._happens(0.5):
            self._case("note", self._first, self._later(1_000, 8_000), text=self._rng.choice(NOTES))
        if self._happens(0.2):
            at = self._later(1_000, 5_000)
            self._case("snooze", self._first, at, until=at + self._rng.randint(60_000, 600_000))
            if self._happens(0.5):
                return  # until it comes back
            self._case("unsnooze", self._first, self._later(5_000, 20_000))
        if self._happens(0.85):
            self._decide()
        if self._happens(0.6):
            self._case("release", self._first, self._later(500, 3_000))

    def carry_out(self) -> None:
        """Plan what the marketplace reports."""
        at = self._fault.at + self._rng.randint(5_000, 20_000)
        step = STEPS.get(self._fault.rule or "", "warn")
        if step == "close" and not self._happens(0.25):
            return  # a room that was closed and goes on is seldom
        if self._happens(0.15):
            self._report(at, step, "failed", "the service did not answer")
            at += self._rng.randint(5_000, 30_000)
        self._report(at, step, "done", None)

    def _claim(self) -> None:
        fault = self._fault
        if LASTS_S.get(fault.rule or "", 0) >= WARNED_FROM_S and self._happens(0.3):
            self._at = (fault.since + fault.at) // 2  # the warning
        race = self._happens(0.25)
        self._case("claim", self._first, self._later(4_000, 4_800 if race else 30_000))
        if race and self._other != self._first:
            self.lost_at = self._later(200, 900)
            self._case("claim", self._other, self.lost_at)

    def _decide(self) -> None:
        self._at = max(self._at, self._fault.at + 4_000)
        if self._happens(0.3):
            self._review(self._first, "overturned")
        else:
            choices = CHOICES.get(self._fault.rule or "", ())
            choice = self._rng.choice(choices) if choices and self._happens(0.6) else None
            self._review(self._first, "upheld", choice)
        if self._happens(0.15):
            self._at += 10_000
            self._review(self._fault.host_id, "appealed")
        if self._happens(0.5):
            self._review(self._other, "upheld")

    def _happens(self, share: float) -> bool:
        return self._rng.random() < share

    def _later(self, least: int, most: int) -> int:
        self._at += self._rng.randint(least, most)
        return self._at

    def _case(self, kind: str, by: str, at: int, **more: Any) -> None:
        value = {"incident_id": self._incident_id, "room_id": self._room_id, "kind": kind, "by": by, "at": at, **more}
        self.deeds.append(Deed(at, "case", self._room_id, value))

    def _review(self, by: str, decision: str, choice: dict[str, Any] | None = None) -> None:
        at = self._later(2_000, 20_000)
        about = {"verdict_id": self._fault.verdict_id, "host_id": self._fault.host_id, "at": at}
        value = {**about, "decision": decision, "by": by, "reason": "looked at the recording"}
        chosen = {} if choice is None else {"choice": choice}
        self.deeds.append(Deed(at, "review", self._fault.host_id, {**value, **chosen}))

    def _report(self, at: int, step: str, outcome: str, detail: str | None) -> None:
        about = {"action_id": self._fault.verdict_id, "revision": 1, "host_id": self._fault.host_id, "at": at}
        value = {**about, "step": step, "outcome": outcome, "by": "shop-backend", "detail": detail}
        self.deeds.append(Deed(at, "enforcement-result", self._fault.host_id, value))


class Shift:
    """Produces the commands, reviews and results that follow from planned violations."""

    def __init__(self, seed: int, moderators: int, from_ms: int, end_ms: int | None) -> None:
        """`moderators`: number of people; 0: nobody works.

        `from_ms`: violations before are left alone. `end_ms`: what happens from then on is left out.
        """
        self._seed = seed
        self._people = [f"moderator-{number}" for number in range(1, moderators + 1)]
        self._from_ms = from_ms
        self._end_ms = end_ms
        self._due: list[tuple[int, int, Deed]] = []
        self._planned = 0

    def consider(self, fault: Fault) -> Iterator[Fault]:
        """Plan what follows from a violation; yield the claims that are lost, for the manifest."""
        if not self._people or fault.kind != "violation" or fault.at < self._from_ms:
            return
        rng = Random(f"{self._seed}/shift/{fault.verdict_id}")
        desk = _Desk(rng, fault, rng.sample(self._people, min(2, len(self._people))))
        desk.work()
        desk.carry_out()
        if any(deed.at < self._from_ms for deed in desk.deeds):
            return  # at its warning
        for deed in desk.deeds:
            heapq.heappush(self._due, (deed.at, self._planned, deed))
            self._planned += 1
        if desk.lost_at is not None and (self._end_ms is None or desk.lost_at < self._end_ms):
            yield Fault(
                kind="claim-lost",
                rule=fault.rule,
                room_id=fault.room_id,
                host_id=fault.host_id,
                since=fault.since,
                at=desk.lost_at,
                subject=fault.subject,
                words="two people claimed one incident",
            )

    def play(self, until: int, out: list[SimulatedMessage]) -> None:
        """Add everything with `at` before `until`."""
        while self._due and self._due[0][0] < until:
            at, _, deed = heapq.heappop(self._due)
            out.append(SimulatedMessage(deed.topic, deed.key.encode(), orjson.dumps(deed.value), at, at))
