"""What a simulation produces: messages in order of arrival, and planned faults."""

from typing import Literal, NamedTuple

from msgspec import Struct

from vigil.topics.verdicts import identity


class SimulatedMessage(NamedTuple):
    """One message as a producer sends it."""

    topic: str
    key: bytes | None
    value: bytes | None
    at: int
    """Event time in ms; of a malformed message, that of its original."""
    sent_at: int
    """Simulated time in ms at which it reaches the broker, never before `at`."""
    malformed: str | None = None
    """The kind of malformation; None for a valid message."""


class Fault(Struct, frozen=True, kw_only=True):
    """One line of the manifest: a planned fault that Vigil must find."""

    kind: Literal["violation", "signal-lost"]
    """A verdict, or the notice `signal-lost`, which is not a violation."""
    rule: str | None
    """The rule violated; None for `signal-lost`."""
    room_id: str
    host_id: str
    since: int
    at: int
    subject: str | None
    """The label that was judged, if the rule is decided by a label."""
    words: str
    """What happened, for people."""

    @property
    def verdict_id(self) -> str:
        """The identity of the verdict that must result."""
        return identity(self.rule, self.subject, self.room_id, self.since, self.at)
