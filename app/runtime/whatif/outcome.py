"""What a rulebook makes of a recording: every output that a backtest compares, by topic and identity."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from msgspec import Struct

from vigil.app.domain.registry import DEAD_LETTER, REGISTRY, Registry
from vigil.app.domain.subject import OutputTopic
from vigil.app.runtime.replay import Outputs
from vigil.topics.envelope import DeadLetter, Output
from vigil.topics.scores import PinDecision, SupplierScore
from vigil.topics.verdicts import Action, Notice, Verdict

S = TypeVar("S", bound=Struct)

Bodies = Mapping[str, Struct]
"""Messages by identity: an event's `ce_id`, what is revised, or a state's key."""


@dataclass(frozen=True)
class Outcome:
    """What a rulebook makes of a recording."""

    bodies: Mapping[str, Bodies] = field(default_factory=dict)
    """By topic. Of what has revisions the last one, with the revision 0; of a state the last message of each key."""
    until: int = 0
    """The largest event time of the input; 0 where it had none."""
    lines_rejected: int = 0
    """Malformed or late; a review of a verdict that this rulebook does not give is not counted here."""

    @property
    def verdicts(self) -> Mapping[str, Verdict]:
        """By identity, in order of time."""
        return self._of("verdict", Verdict)

    @property
    def notices(self) -> Mapping[str, Notice]:
        return self._of("notice", Notice)

    @property
    def actions(self) -> Mapping[str, Action]:
        return self._of("enforcement", Action)

    @property
    def scores(self) -> Mapping[str, SupplierScore]:
        """By supplier, at the end of the input."""
        return self._of("supplier-score", SupplierScore)

    @property
    def pins(self) -> Mapping[str, PinDecision]:
        return self._of("pin-decision", PinDecision)

    def _of(self, topic: str, kind: type[S]) -> Mapping[str, S]:
        return {id_: body for id_, body in self.bodies.get(topic, {}).items() if isinstance(body, kind)}


def outcome(outputs: Outputs, registry: Registry = REGISTRY) -> Outcome:
    """A replay's outcome."""
    return outcome_of(outputs.by_topic, outputs.until, registry)


def outcome_of(by_topic: Mapping[str, Iterable[Output]], until: int, registry: Registry = REGISTRY) -> Outcome:
    """The outcome of outputs, each topic in the order of its replay file."""
    return Outcome(
        {
            output.topic: _valid(output, by_topic.get(output.topic, ()))
            for output in registry.replayed
            if output.in_backtest
        },
        until,
        sum(
            isinstance(letter.body, DeadLetter) and letter.body.reason not in ("unknown-verdict", "unknown-incident")
            for letter in by_topic.get(DEAD_LETTER, ())
        ),
    )


def _name_of(topic: OutputTopic, output: Output) -> str:
    """What a message is known by: of a state its key."""
    return (output.key or b"").decode() if topic.kind == "state" else output.id


def _valid(topic: OutputTopic, outputs: Iterable[Output]) -> dict[str, Struct]:
    """The messages that are valid at the end, by identity."""
    bodies = {_name_of(topic, output): output.body for output in outputs if output.body is not None}
    if topic.revision is None:
        return bodies
    last: dict[str, Struct] = {}
    for body in bodies.values():
        known = last.get(getattr(body, topic.identity))
        if known is None or getattr(body, topic.revision) > getattr(known, topic.revision):
            last[getattr(body, topic.identity)] = body
    return {id_: msgspec.structs.replace(body, **{topic.revision: 0}) for id_, body in last.items()}
