"""Brakes: of one rule, a route delivers so many new violations in a time. What is beyond waits for a decision.

    claim ─▶ fewer than per_rule granted within every_s ─▶ granted
             else ─▶ held ──release──▶ granted
                          └─discard──▶ discarded

All processes share one log, a topic of one partition. Each writes a claim for a violation that it wants to deliver, and
all read the whole log: its order decides, so that each process comes to the same, whatever the number of processes and
restarts. A claim names the brake as it was in its process's routing file. Pure; times are the broker's in ms.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from vigil.app.notify.alerts import BrakeAlert, key_of
from vigil.topics.fields import Id
from vigil.topics.read_back import read_back

DAY_MS: Final = 24 * 60 * 60 * 1000
KEPT_MS: Final = 30 * DAY_MS
"""How long the log is kept. A claim is needed for as long as its incident is: until 7 days after its end."""

MAX_RECORD_BYTES: Final = 4096

GateState = Literal["granted", "held", "discarded"]
Name = Annotated[str, Meta(min_length=1, max_length=128)]


class Brake(Struct, frozen=True, forbid_unknown_fields=True):
    """A route's limit of new violations. A key of the routing file."""

    per_rule: Annotated[int, Meta(ge=1, le=100_000)]
    """How many of one rule are delivered in `every_s`."""
    every_s: Annotated[int, Meta(ge=1, le=7 * 86_400)]


class BrakeClaim(Struct, frozen=True, kw_only=True, tag="claim", tag_field="what"):
    """A process wants to deliver a violation."""

    route: Name
    rule: Name
    incident_id: Id
    per_rule: int
    every_s: int

    @property
    def of(self) -> tuple[str, str, str]:
        """What it is about: route, rule and incident."""
        return self.route, self.rule, self.incident_id


class BrakeDecision(Struct, frozen=True, kw_only=True, tag="decision", tag_field="what"):
    """Somebody decided about what is held back."""

    route: Name
    rule: Name
    decision: Literal["release", "discard"]


BrakeRecord = BrakeClaim | BrakeDecision

_decoder: Final = msgspec.json.Decoder(BrakeRecord)


def decode_brake(value: bytes) -> BrakeRecord:
    """Return a record of the log; raise ForeignMessageError where it is none."""
    record: BrakeRecord = read_back(_decoder, value, MAX_RECORD_BYTES)
    return record


class _Gate(Struct):
    """The brake of one route and rule."""

    granted: deque[int]
    """When claims were granted that still count."""
    held: dict[str, int]
    """By incident, when its claim was held; in order."""
    alert: BrakeAlert | None = None
    """About what is held back by now."""


class BrakeLedger:
    """What the log comes to."""

    def __init__(self) -> None:
        self._gates: dict[tuple[str, str], _Gate] = {}
        self._states: dict[tuple[str, str, str], tuple[int, GateState]] = {}
        """By route, rule and incident, in order of the log: when it was claimed, and what came of it."""
        self._alerts: dict[str, list[BrakeAlert]] = {}
        """By the incident whose claim was the first one held."""
        self._now = 0

    def state(self, route: str, rule: str, incident_id: str) -> GateState | None:
        """Return what came of a claim; None where the log has none."""
        known = self._states.get((route, rule, incident_id))
        return None if known is None else known[1]

    def begun_by(self, incident_id: str) -> list[BrakeAlert]:
        """Return the alerts about brakes that began to hold with an incident."""
        return self._alerts.get(incident_id, [])

    def held(self) -> Iterator[tuple[str, str, int]]:
        """Yield route, rule and number of what is held back."""
        for (route, rule), gate in self._gates.items():
            if gate.held:
                yield route, rule, len(gate.held)

    def apply(self, record: BrakeRecord, at: int) -> list[str]:
        """Apply the next record of the log; return the incidents of which something has become known."""
        self._now = at = max(self._now, at)  # the broker's clock may be set back
        self._forget(at - KEPT_MS)
        gate = self._gates.setdefault((record.route, record.rule), _Gate(deque(), {}))
        if isinstance(record, BrakeClaim):
            return self._claim(record, gate, at)
        return self._decide(record, gate, at)

    def _claim(self, claim: BrakeClaim, gate: _Gate, at: int) -> list[str]:
        key = claim.of
        if key in self._states:
            return []
        while gate.granted and gate.granted[0] <= at - claim.every_s * 1000:
            gate.granted.popleft()
        if len(gate.granted) < claim.per_rule:
            gate.granted.append(at)
            self._states[key] = at, "granted"
            return [claim.incident_id]
        gate.held[claim.incident_id] = at
        self._states[key] = at, "held"
        if gate.alert is None:
            self._put(claim.incident_id, gate, _alert_of(claim, at))
            return [claim.incident_id]
        first = next(iter(gate.held))
        self._put(first, gate, replace(gate.alert, held=len(gate.held)))
        return [first, claim.incident_id]

    def _decide(self, decision: BrakeDecision, gate: _Gate, at: int) -> list[str]:
        """Apply a decision to what was held before it; the count begins again."""
        concerned = list(gate.held)
        if gate.alert is not None and concerned:
            over = replace(gate.alert, decided_at=at, decision=decision.decision)
            self._put(concerned[0], gate, over)
        state: GateState = "granted" if decision.decision == "release" else "discarded"
        for incident_id in concerned:
            key = (decision.route, decision.rule, incident_id)
            self._states[key] = self._states[key][0], state
        gate.alert = None
        gate.held.clear()
        gate.granted.clear()
        return concerned

    def _put(self, incident_id: str, gate: _Gate, alert: BrakeAlert) -> None:
        gate.alert = alert
        others = [one for one in self._alerts.get(incident_id, []) if one.id != alert.id]
        self._alerts[incident_id] = [*others, alert]

    def _forget(self, until: int) -> None:
        """Forget claims that are so old that their incidents are forgotten."""
        for key in [key for key, (at, _) in _while_older(self._states, until)]:
            del self._states[key]
            route, rule, incident_id = key
            gate = self._gates[route, rule]
            gate.held.pop(incident_id, None)
            self._alerts.pop(incident_id, None)
            if not gate.held:
                gate.alert = None


class OpenClaims:
    """Claims that a process makes, until the log has them."""

    def __init__(self) -> None:
        self._claims: dict[BrakeClaim, bool] = {}
        """True: taken."""

    def add(self, claims: Iterable[BrakeClaim]) -> None:
        """Make claims; one that is made already is not repeated."""
        for claim in claims:
            self._claims.setdefault(claim, False)

    def take(self, ledger: BrakeLedger) -> list[BrakeClaim]:
        """Return those that are to be written to the log."""
        self._claims = {one: taken for one, taken in self._claims.items() if ledger.state(*one.of) is None}
        claims = [one for one, taken in self._claims.items() if not taken]
        self._claims.update(dict.fromkeys(claims, True))
        return claims


def _while_older(
    states: dict[tuple[str, str, str], tuple[int, GateState]], until: int
) -> Iterator[tuple[tuple[str, str, str], tuple[int, GateState]]]:
    for item in states.items():
        if item[1][0] > until:
            return
        yield item


def _alert_of(claim: BrakeClaim, at: int) -> BrakeAlert:
    return BrakeAlert(
        id=key_of("brake", claim.route, claim.rule, claim.incident_id),
        route=claim.route,
        rule=claim.rule,
        per_rule=claim.per_rule,
        every_s=claim.every_s,
        held=1,
        at=at,
    )
