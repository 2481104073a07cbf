"""A sweep of eight values that reads the events once, compared with eight replays: the cost of one more rulebook.

Both must give the same outcomes, which is checked before a result is printed.
"""

import time

from benchmarks.common import machine
from tests.support.harness import recorded
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.runtime.replay import replay
from vigil.app.runtime.whatif.multi_replay import MultiCandidateReplay
from vigil.app.runtime.whatif.outcome import outcome
from vigil.app.runtime.whatif.patch import sweep
from vigil.app.simulate import Simulation

EVENTS = 150_000

SWEEPS = (
    "greeting-miss.within_s=8:15",
    "absence.lasts_s=240:310:10",
    "harassment.repeats=3:10",
    "ladder.reception.rungs[1].ban_days=5:12",
    "service-score.quotes.top_points=16:23",
    "rooms.max_frame_gap_s=8:15",
)
"""One rule of each kind, a ladder, a score, and a number that affects every rule."""


def main() -> None:
    """Run the benchmark."""
    print(machine())
    simulation = Simulation(
        seed=3, rooms=150, suppliers=80, start_ms=1_662_048_000_000, duration_s=900, history_days=40, rfq_every_s=60
    )
    lines = recorded(message for _, message in zip(range(EVENTS), simulation.messages(), strict=False))
    base = load_rulebook()
    began = time.process_time()
    replay(lines, base)
    one = time.process_time() - began
    print(f"{len(lines):,} events; one replay: {one:.2f} CPU s")
    for change in SWEEPS:
        candidates = [candidate for _, candidate in sweep(base, change)]
        began = time.process_time()
        run = MultiCandidateReplay(base, candidates)
        run.feed(lines)
        outcomes = run.outcomes()[1:]
        together = time.process_time() - began
        began = time.process_time()
        replays = [replay(lines, candidate) for candidate in candidates]
        apart = time.process_time() - began
        if outcomes != [outcome(outputs) for outputs in replays]:
            raise AssertionError(f"{change}: the sweep and the replays differ")
        more = (together - one) / len(candidates) / one
        print(
            f"{change:42} {len(candidates)} values: {together:6.2f} CPU s, as replays {apart:6.2f}; "
            f"ratio: {apart / together:.1f} times less, each further value costs {more:.0%} of a replay"
        )


if __name__ == "__main__":
    main()
