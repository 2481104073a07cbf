"""Moderators who review verdicts: some are overturned, and a few of those are upheld again by a second review."""

import heapq
from random import Random
from typing import Final

import orjson

from vigil.app.simulate.message import Fault, SimulatedMessage

REASONS: Final = {
    "overturned": ("the host was heard off camera", "a wrong label", "agreed beforehand with operations"),
    "upheld": ("seen in the recording", "the host confirms it"),
}


class Moderators:
    """Produces reviews of planned violations, some time after Vigil must have found them."""

    def __init__(self, seed: int, share: float) -> None:
        self._rng = Random(f"{seed}/reviews")
        self._share = share
        self._due: list[tuple[int, str, str, Fault]] = []

    def consider(self, fault: Fault) -> None:
        """Plan a review of the fault, with the probability `share`."""
        if not self._share or fault.kind != "violation" or self._rng.random() >= self._share:
            return
        at = fault.at + self._rng.randint(30_000, 180_000)
        decision = "overturned" if self._rng.random() < 0.6 else "upheld"
        heapq.heappush(self._due, (at, fault.verdict_id, decision, fault))
        if decision == "overturned" and self._rng.random() < 0.2:
            heapq.heappush(self._due, (at + self._rng.randint(20_000, 90_000), fault.verdict_id, "upheld", fault))

    def play(self, until: int, out: list[SimulatedMessage]) -> None:
        """Add every review with `at` before `until`."""
        while self._due and self._due[0][0] < until:
            at, verdict_id, decision, fault = heapq.heappop(self._due)
            review = {
                "verdict_id": verdict_id,
                "host_id": fault.host_id,
                "decision": decision,
                "by": f"moderator-{self._rng.randint(1, 9)}",
                "reason": self._rng.choice(REASONS[decision]),
                "at": at,
            }
            out.append(SimulatedMessage("review", fault.host_id.encode(), orjson.dumps(review), at, at))
