"""What the parts of one merchant share: its agenda, random numbers and messages, and where faults are reported."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, NamedTuple

import orjson

from vigil.app.simulate.message import Fault, FaultKind, SimulatedMessage

OnFault = Callable[[Fault], None]


@dataclass(frozen=True)
class Character:
    """How careful a merchant is: shares, from 0, always careful, to 1."""

    untidy: float = 0.0
    """Changes of products that make them worse."""
    slow: float = 0.0
    """Orders that are dispatched too late, or never."""
    deaf: float = 0.0
    """Service requests that are neglected."""
    forgetful: float = 0.0
    """Certificates that lapse, declarations and materials that are forgotten."""
    idle: float = 0.0
    """Task packs that are claimed and not completed, and claims that are made too late."""
    newcomer: bool = False
    """It opened some days ago, and claims what is for others."""


ATTENTIVE: Final = Character()
CHARACTERS: Final = (
    ATTENTIVE,
    ATTENTIVE,
    Character(untidy=0.5, idle=0.4),
    Character(slow=0.3, deaf=0.1),
    Character(deaf=0.4, slow=0.05),
    Character(forgetful=0.5, idle=0.7),
    Character(untidy=0.2, deaf=0.2, forgetful=0.3, slow=0.1),
    Character(newcomer=True, untidy=0.1, forgetful=0.2),
)


class KnownProfile(NamedTuple):
    """What is certain about a supplier's profile as long as the simulation lasts."""

    exists: bool
    verified: bool
    stars: int
    """At first; they may rise later, where there is no history."""
    steady: bool
    """False if it loses its profile for a while: then it is not known what it may claim."""


class Rhythm(NamedTuple):
    """Mean time between two events of one kind."""

    history_s: float
    on_air: float
    """After it, as a multiple of the time between two quotes."""


class Frame(NamedTuple):
    """The times of a simulation, ms."""

    since: int
    """Beginning of the history."""
    start: int
    """End of the history."""
    end: int | None
    """There is no event from here on; None: it is endless."""
    quote_every_s: float
    """Mean time between two quotes after the history."""
    disorder_ms: int
    """Maximum delay of a message."""
    faults: bool
    """False if every merchant is attentive."""


class Desk:
    """Agenda, random numbers, messages and faults of one merchant."""

    def __init__(self, number: int, seed: int, frame: Frame, on_fault: OnFault) -> None:
        self.number = number
        self.seed = seed
        self.rng = Random(f"{seed}/merchant/{number}")
        chosen = self.rng.choice(CHARACTERS)
        self.character = chosen if frame.faults else ATTENTIVE
        self.frame = frame
        self.supplier_id = f"merchant-{number:05d}"
        self._key = self.supplier_id.encode()
        self._on_fault = on_fault
        self._agenda: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._entries = 0
        self.out: list[SimulatedMessage] = []

    # ---- time -------------------------------------------------------------------------------------------------

    @property
    def next_at(self) -> int:
        """The time of the next entry of the agenda. There is always one: merchants never end."""
        return self._agenda[0][0]

    def at(self, when: int, act: Callable[..., None], *about: Any) -> None:
        """Call `act(when, *about)` then."""
        self._entries += 1
        heapq.heappush(self._agenda, (when, self._entries, act, about))

    def play_next(self, out: list[SimulatedMessage]) -> int:
        """Play everything of the next time on the agenda, and return the time."""
        self.out = out
        now = self.next_at
        while self._agenda and self._agenda[0][0] == now:
            _, _, act, about = heapq.heappop(self._agenda)
            act(now, *about)
        return now

    def on_air(self, at: int) -> bool:
        """True once the history is over."""
        return at >= self.frame.start

    def next_time(self, at: int, pace: Rhythm) -> int:
        """When something happens again that happened at `at`. The first time after the history is at the new pace."""
        mean = pace.on_air * self.frame.quote_every_s if self.on_air(at) else pace.history_s
        again = at + 1_000 + int(self.rng.expovariate(1 / mean) * 1000)
        if at < self.frame.start <= again:
            again = self.frame.start + 1_000 + int(self.rng.random() * pace.on_air * self.frame.quote_every_s * 1000)
        return again

    def span(self, at: int, history_h: tuple[float, float], on_air_s: tuple[float, float]) -> int:
        """A span in ms: between these hours in the history, between these seconds after it."""
        low, high = on_air_s if self.on_air(at) else (history_h[0] * 3600, history_h[1] * 3600)
        return int(self.rng.uniform(low, high) * 1000)

    # ---- what comes of it -------------------------------------------------------------------------------------

    def happens(self, share: float) -> bool:
        """True in this share of cases."""
        return share > 0 and self.rng.random() < share

    def send(self, topic: str, at: int, **fields: Any) -> None:
        """Send a message with this event time."""
        self._send(topic, at, int(self.rng.random() * self.frame.disorder_ms), fields)

    def send_promptly(self, topic: str, at: int, **fields: Any) -> None:
        """Send a message that arrives at its event time, without a random number."""
        self._send(topic, at, 0, fields)

    def _send(self, topic: str, at: int, delay: int, fields: dict[str, Any]) -> None:
        value = orjson.dumps({"supplier_id": self.supplier_id, "at": at, **fields})
        self.out.append(SimulatedMessage(topic, self._key, value, at, at + delay))

    def fault(self, kind: FaultKind, rule: str, subject: str, times: tuple[int, int], words: str) -> None:
        """Report a fault; `times`: since when, and when Vigil must find it."""
        self._on_fault(
            Fault(
                kind=kind,
                rule=rule,
                room_id=None,
                host_id=self.supplier_id,
                since=times[0],
                at=times[1],
                subject=subject,
                words=words,
            )
        )

    def breach(self, duty: str, ref: str, since: int, due: int, words: str) -> None:
        """Plan the breach of a duty: it is reported when it is due."""
        self.at(due, lambda at: self.fault("obligation-breached", duty, ref, (since, at), words))
