"""What a simulation gives: messages in order of arrival, and the faults that were planned."""

from typing import Literal, NamedTuple

from msgspec import Struct

from vigil.topics.verdicts import identity


class SimulatedMessage(NamedTuple):
    """One message as a producer sends it."""

    topic: str
    key: bytes | None
    value: bytes | None
    at: int
    """Event time, ms (of a malformed message: that of the message it was made from)."""
    sent_at: int
    """When it reaches the broker, ms of simulated time: never before `at`."""
    malformed: str | None = None
    """What is wrong with it on purpose; None for a good message."""


class Fault(Struct, frozen=True, kw_only=True):
    """One line of the manifest: something done wrong on purpose, as Vigil must find it."""

    kind: Literal["violation", "signal-lost"]
    """A verdict to come, or the notice `signal-lost` (which is no violation)."""
    rule: str | None
    """The rule violated; None for `signal-lost`."""
    room_id: str
    host_id: str
    since: int
    at: int
    subject: str | None
    """The label judged, where a label decides the rule."""
    words: str
    """What happened, for people."""

    @property
    def verdict_id(self) -> str:
        """The identity of the verdict that must come of it."""
        return identity(self.rule, self.subject, self.room_id, self.since, self.at)
