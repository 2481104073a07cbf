"""What a host does in one broadcast after another: calm periods, and now and then a fault or a near miss.

    before the show ─▶ calm ─▶ (fault or near miss ─▶ calm)* ─▶ perhaps signed off ─▶ ended ─▶ off air ─▶ the next

A script has random numbers of its own, separate from those of the crowd, so that the manifest can be computed without
any messages.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from vigil.app.simulate import words
from vigil.app.simulate.faults import FAULTS, Plan
from vigil.app.simulate.looks import GOOD_LAYOUT, Look
from vigil.app.simulate.near_misses import NEAR_MISSES
from vigil.app.simulate.permits import goods_of, permits_of
from vigil.app.simulate.segment import Segment, SimulatedRoom, one_look

SETTLING_MS: Final = 10_000
"""A fault must end at least this long before the end of the simulation, so that later events follow it."""

CALM_AT_LEAST_MS: Final = 20_000

LONGEST_MINUTES: Final = 45
"""No incident begins later than this in a broadcast. Even the longest one then ends within the hour in which the same
text counts once, so what the host says twice is one violation."""


@dataclass(frozen=True)
class Persona:
    """A kind of host: how often it makes faults, and which."""

    calm: float
    """Mean length of calm periods, as a multiple of the simulation's `fault_every_s`."""
    near_misses: float
    """Share of incidents that are near misses."""
    habits: dict[str, float]
    """Weights of its frequent faults; every other fault has the weight 0.3."""


PERSONAS: Final = (
    Persona(calm=8, near_misses=0.8, habits={}),
    Persona(calm=5, near_misses=0.6, habits={"greeting-miss": 2}),
    Persona(calm=1, near_misses=0.2, habits={"greeting-miss": 9, "sleeping": 1}),
    Persona(calm=1, near_misses=0.25, habits={"absence": 4, "absence-after-words": 2, "signed-off": 2}),
    Persona(calm=1, near_misses=0.25, habits={"black-screen": 5, "av-desync": 3, "layout": 3, "dropped": 2}),
    Persona(calm=1, near_misses=0.2, habits={"greeting-miss": 3, "no-content": 3, "black-and-gone": 2}),
    Persona(calm=1, near_misses=0.2, habits={"rights": 3, "prohibited-goods": 3, "spoken-label": 5, "repeated": 2}),
)


@dataclass(frozen=True)
class Broadcast:
    """One live room of the script."""

    room: SimulatedRoom
    segments: Iterator[Segment]


class Script:
    """The broadcasts of one host in order of time, endless or until `end`."""

    def __init__(  # noqa: PLR0913 - the host, the times, and what it may do
        self, seed: int, slot: int, start: int, end: int | None, fault_every_s: float | None, merchants: bool = False
    ) -> None:
        """`merchants`: hosts sell products, and some goods of theirs need a permit."""
        self._seed = seed
        self._merchants = merchants
        self.rng = Random(f"{seed}/script/{slot}")
        self.host_id = f"merchant-{slot:05d}"
        self.slot = slot
        self.start = start
        self.end = end
        self.fault_every_s = fault_every_s
        self.persona = PERSONAS[self.rng.randrange(len(PERSONAS))]
        self.industry = industry_of(slot)

    def broadcasts(self) -> Iterator[Broadcast]:
        """Yield each broadcast. Its segments must be consumed before the next broadcast."""
        # The first broadcasts start within seconds, and do not all end at the same time.
        at = self.start + self.rng.randint(0, 12_000)
        number = 0
        while self.end is None or at < self.end - CALM_AT_LEAST_MS:
            number += 1
            minutes = self.rng.uniform(14 if number == 1 else 8, LONGEST_MINUTES)
            closing = at + int(minutes * 60_000)
            self._clock = at
            room = self._room(number)
            yield Broadcast(room, self._segments(room, at, closing))
            at = self._clock + self.rng.randint(15_000, 90_000)

    def _room(self, number: int) -> SimulatedRoom:
        rng = Random(f"{self.rng.random()}")
        look = Look(
            offsets=rng.choice(((12, -8, 21, 3), (40, 55, 38, 61), (-20, -34, -11, -27), (None,))),
            layout=rng.choice((None, GOOD_LAYOUT)),
            labels=rng.choice(((), (), ("indoor",))),
        )
        room_id = f"room-{self.slot:05d}-{number:03d}"
        return SimulatedRoom(
            rng=rng,
            room_id=room_id,
            host_id=self.host_id,
            look=look,
            product=rng.choice(words.INDUSTRIES[self.industry]),
            counted=set(),
            goods=goods_of(self._seed, room_id) if self._merchants else {},
            permits=permits_of(self._seed, self.slot),
        )

    def _segments(self, room: SimulatedRoom, at: int, closing: int) -> Iterator[Segment]:
        for segment in self._plan(room, at, closing):
            self._clock = segment.end
            yield segment

    def _plan(self, room: SimulatedRoom, at: int, closing: int) -> Iterator[Segment]:
        rng = room.rng
        opening = at + rng.randint(2_000, 6_000)
        early, _ = room.unanswered(at, opening + 12_000, 1)  # nothing is judged before the first frame
        early = tuple(entry for entry in early if entry.at < opening)
        yield Segment(at, opening, ((at, None),), False, early)
        at = opening
        first = True
        while True:
            calm = self._calm(room, at, first, closing)
            first = False
            yield calm
            at = calm.end
            if at >= closing or self._over(at):
                break
            if self.fault_every_s is None:
                continue
            incident = self._incident(room, at)
            if incident is not None:
                yield incident
                at = incident.end
        if rng.random() < 0.4:
            gone = room.look.but(face=False, activity="signed-off", offsets=(None,))
            leaving = Segment(at, at + rng.randint(10_000, 60_000), ((at, gone),), False)
            yield leaving
            at = leaving.end
        ended = room.look.but(stream="ended", face=False, activity=None, layout=None, offsets=(None,))
        yield Segment(at, at + rng.randint(2_500, 5_000), ((at, ended),), False)

    def _over(self, at: int) -> bool:
        return self.end is not None and at >= self.end

    def _calm(self, room: SimulatedRoom, at: int, first: bool, closing: int) -> Segment:
        """Return a period in which the host works well; a short lapse in it is not a fault."""
        rng = room.rng
        every = 90 if self.fault_every_s is None else self.fault_every_s * self.persona.calm
        # The first incident comes early, so that violations of the rules of five minutes show within ten minutes.
        mean = every / 3 if first else every
        length = CALM_AT_LEAST_MS + min(int(rng.expovariate(1 / mean) * 1000), max(0, closing - at))
        end = at + length
        lapse = rng.choice(
            (
                None,
                room.look.but(face=False),
                room.look.but(activity="chatting"),
                room.look.but(black=True),
                room.look.but(activity=None, offsets=(None,)),
            )
        )
        if lapse is None or length < 40_000:
            return Segment(at, end, one_look(at, end, room.look))
        begins = at + rng.randint(5_000, 15_000)
        over = begins + rng.randint(2_000, min(60_000, end - begins - 6_000))
        return Segment(at, end, ((at, room.look), (begins, lapse), (over, room.look)))

    def _incident(self, room: SimulatedRoom, at: int) -> Segment | None:
        """Return a fault or a near miss; None if it would not end in time."""
        rng = room.rng
        plans: dict[str, Plan]
        if rng.random() < self.persona.near_misses:
            plans, weights = NEAR_MISSES, [1.0] * len(NEAR_MISSES)
        else:
            plans, weights = FAULTS, [self.persona.habits.get(name, 0.3) for name in FAULTS]
        name = rng.choices(list(plans), weights)[0]
        counted = set(room.counted)
        segment = plans[name](room, at)
        if self.end is not None and segment.end > self.end - SETTLING_MS:
            room.counted = counted
            return None
        return segment


def industry_of(slot: int) -> str:
    """Return the industry of the merchant with this number, for its rooms and its quotes."""
    names = tuple(words.INDUSTRIES)
    return names[slot % len(names)]
