"""The plan of a chaos run, derived from its seed: the recording, the settings of the workers, and the faults.

seed ─▶ ChaosPlan: recording · partitions · share of the backlog · settings · actions in order of time
"""

from dataclasses import dataclass, replace
from random import Random
from typing import Final, Literal

from vigil.app.runtime.replay_clocks import LATENESS_MS
from vigil.app.simulate import Simulation

RECORDED_START_MS: Final = 1_662_048_000_000

READY_S: Final = 6
"""Approximate time until workers are ready."""

Kind = Literal["kill", "term", "freeze", "leave", "join", "broker-kill", "broker-restart", "broker-pause"]

WEIGHTS: Final[dict[Kind, int]] = {
    "kill": 5,
    "term": 3,
    "freeze": 4,
    "leave": 2,
    "join": 3,
    "broker-kill": 2,
    "broker-restart": 2,
    "broker-pause": 3,
}
MOST_WORKERS: Final = 3

LIVE_EVERY: Final = 5
"""Every n-th seed runs with a live clock."""

LIVE_LATENESS_MS: Final = 16_000
"""Allowed lateness with a live clock. The broker is away for less than this, so that what it delays is not late."""

LIVE_BACKLOG_S: Final = 300

MODERATORS: Final = 4

TWO_NAMES: Final = """
[approval]
says = "Two people approve bans, long freezes, and whatever deletes content."

[approval.from.2022-07-19]
ban_days_from = 7
freeze_days_from = 60
steps = ["delete-content"]
source = "chaos runs"
"""
"""Appended to the built-in rulebook."""


@dataclass(frozen=True)
class ChaosAction:
    """One fault or change of the system."""

    at_s: float
    """Seconds after the workers are ready."""
    kind: Kind
    worker: int | None
    """The worker that it affects; None: the broker."""
    for_s: float
    """Duration: until the restart, the end of a freeze or the return of the broker."""

    def __str__(self) -> str:
        target = "" if self.worker is None else f" w{self.worker}"
        return f"{self.at_s:.1f}s {self.kind}{target} {self.for_s:.1f}s"


@dataclass(frozen=True)
class ChaosPlan:
    """The plan of one run."""

    seed: int
    clock: Literal["recorded", "live"]
    simulation: Simulation
    partitions: int
    workers: int
    """Workers at the start."""
    backlog: float
    """Share of the rooms' recording that is sent before the workers start. (With a live clock, all of the past is.)"""
    stream_s: float
    """Time over which the rest is sent."""
    slow: bool
    """Whether workers pause between the steps of a checkpoint, so that faults occur there."""
    settings: dict[str, object]
    actions: tuple[ChaosAction, ...]
    two_names: bool = False
    """Whether bans and deletions are held until two people have approved them."""
    in_checkpoint: bool = False
    """Whether a worker is frozen between a snapshot and its writing."""

    @property
    def lateness_ms(self) -> int:
        """Allowed lateness of the workers and of the replay."""
        return LIVE_LATENESS_MS if self.clock == "live" else LATENESS_MS

    def simulation_at(self, now_ms: int) -> Simulation:
        """Return the simulation to send; with a live clock it starts some minutes ago and continues in real time."""
        if self.clock == "recorded":
            return self.simulation
        return replace(self.simulation, start_ms=now_ms - LIVE_BACKLOG_S * 1000)

    def __str__(self) -> str:
        return "; ".join(str(action) for action in self.actions)


def plan(seed: int, clock: Literal["recorded", "live"] | None = None) -> ChaosPlan:
    """Return the plan of a seed, always the same one. `clock` overrides the seed's choice."""
    clock = clock or ("recorded" if seed % LIVE_EVERY else "live")
    live = clock == "live"
    rng = Random(f"chaos {seed}")
    workers = rng.choice((1, 2, 2, 2, 3))
    session_ms = rng.choice((2000, 3000))
    stream_s = rng.uniform(9, 13)
    simulation = Simulation(
        seed=seed,
        rooms=rng.randint(14, 24),
        suppliers=rng.randint(8, 14),
        start_ms=RECORDED_START_MS,
        duration_s=LIVE_BACKLOG_S + READY_S + stream_s if live else 360,
        history_days=rng.choice((5, 20)),
        # What people do refers to verdicts that a broker which is away may keep from them for longer than they wait.
        reviews=0.0 if live else 0.3,
        moderators=0 if live else MODERATORS,
        duplicates=0.01,
        fault_every_s=rng.choice((20.0, 40.0)),
    )
    settings: dict[str, object] = {
        "session_timeout_ms": session_ms,
        # With a recorded clock, silence of this length is the end of the recording.
        "idle_after_ms": 200 if live else 2500,
        "allowed_lateness_ms": LIVE_LATENESS_MS if live else LATENESS_MS,
        "checkpoint_interval_ms": rng.choice((100, 500, 1000)),
        "max_poll_records": rng.choice((20, 200, 2000)),
        "max_buffered_events": rng.choice((100, 1000, 20_000)),
        "max_loaded_keys": rng.choice((3, 5000)),
        "standbys": rng.choice((0, 1, 0, 1)) if workers > 1 else 0,
    }
    return ChaosPlan(
        seed=seed,
        clock=clock,
        simulation=simulation,
        partitions=rng.choice((2, 3, 4)),
        workers=workers,
        backlog=rng.choice((0.05, 0.2, 0.5)),
        stream_s=stream_s,
        slow=rng.random() < 0.5,
        settings=settings,
        actions=tuple(_actions(rng, workers, stream_s, session_ms / 1000)),
        two_names=not live and seed % 2 == 0,
    )


def zombie(seed: int) -> ChaosPlan:
    """Return a plan in which a worker is frozen in a checkpoint for two sessions, its successor dies, and it wakes up.

    The recording is slow and checkpoints are frequent, so that the zombie writes the state of a few rooms and not of
    all: a shard that is set back as a whole would only judge the same events again.
    """
    rng = Random(f"zombie {seed}")
    drawn = plan(seed, "recorded")
    actions = (ChaosAction(3.0, "freeze", 0, 5.0), ChaosAction(8.0 - rng.uniform(0.1, 0.6), "kill", 1, 2.0))
    settings = {**drawn.settings, "session_timeout_ms": 2000, "checkpoint_interval_ms": 50, "standbys": 0}
    simulation = replace(drawn.simulation, rooms=24, duration_s=80)
    return replace(
        drawn,
        simulation=simulation,
        partitions=2,
        workers=2,
        backlog=0.05,
        stream_s=11.0,
        slow=False,
        settings=settings,
        actions=actions,
        in_checkpoint=True,
    )


def _actions(rng: Random, workers: int, stream_s: float, session_s: float) -> list[ChaosAction]:
    """Return two to five actions during the sending; a target is not hit again before its last fault is over."""
    schedule = _Schedule(rng, workers, session_s)
    for at_s in sorted(rng.uniform(0.3, stream_s) for _ in range(rng.randint(2, 5))):
        schedule.draw(at_s)
    return schedule.actions


class _Schedule:
    """The actions that are drawn, in order of time, and from when on each target can be hit again.

    A plan follows from its seed: the order of the draws and their number must stay as they are.
    """

    def __init__(self, rng: Random, workers: int, session_s: float) -> None:
        self.actions: list[ChaosAction] = []
        self._rng = rng
        self._session_s = session_s
        self._free_at = dict.fromkeys(range(workers), 0.0)
        """Of every worker there has been, seconds; infinite for one that has left."""
        self._broker_free_at = 0.0

    def draw(self, at_s: float) -> None:
        """Draw an action at this time; none if its target is still affected by the last one."""
        kind = self._kind()
        if kind == "join":
            self._join(at_s)
        elif kind.startswith("broker"):
            self._hit_broker(at_s, kind)
        else:
            self._hit_worker(at_s, kind)

    def _kind(self) -> Kind:
        kinds = list(WEIGHTS)
        kind = self._rng.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
        return "kill" if kind == "join" and len(self._free_at) == MOST_WORKERS else kind

    def _join(self, at_s: float) -> None:
        worker = len(self._free_at)
        self._free_at[worker] = at_s + 3
        self.actions.append(ChaosAction(at_s, "join", worker, 0.0))

    def _hit_broker(self, at_s: float, kind: Kind) -> None:
        if at_s < self._broker_free_at:
            return
        longest = 2.5 * self._session_s
        lasts = self._rng.uniform(0.5, longest) if kind == "broker-pause" else self._rng.uniform(0.2, 3)
        self._broker_free_at = at_s + lasts + 6
        self.actions.append(ChaosAction(at_s, kind, None, lasts))

    def _hit_worker(self, at_s: float, kind: Kind) -> None:
        available = [worker for worker, free_at in self._free_at.items() if free_at <= at_s]
        if not available:
            return
        worker = self._rng.choice(available)
        if kind == "leave" and sum(free_at < float("inf") for free_at in self._free_at.values()) == 1:
            kind = "term"  # one worker must remain
        lasts = {
            "kill": self._rng.uniform(0.0, 2.0),
            "term": self._rng.uniform(0.0, 2.0),
            "freeze": self._rng.uniform(1.2, 2.2) * self._session_s,
            "leave": float("inf"),
        }[kind]
        self._free_at[worker] = at_s + lasts + self._rng.choice((0.0, 2.0))
        self.actions.append(ChaosAction(at_s, kind, worker, lasts))
