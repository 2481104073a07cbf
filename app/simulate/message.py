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


FaultKind = Literal[
    "violation", "signal-lost",
    "obligation-breached", "not-covered", "claim-refused", "participation-failed",
    "star-lost", "selection-lost", "epr-blocked",
    "claim-lost",
]  # fmt: skip
"""A verdict of a room, or the notice `signal-lost`, which is no violation; others are of merchants; the last one is a
claim of an incident that another person holds."""


class Fault(Struct, frozen=True, kw_only=True):
    """One line of the manifest: a planned fault that Vigil must find."""

    kind: FaultKind
    rule: str | None
    """The rule violated, None for `signal-lost`; of a merchant: the duty, the programme, or what was lost."""
    room_id: str | None
    """None for a fault of a merchant."""
    host_id: str
    """The host or merchant."""
    since: int
    at: int
    subject: str | None
    """The label that was judged, if the rule is decided by a label; of a merchant: the `ref` of a duty, the edition of
    a programme, the product, or country and product."""
    words: str
    """What happened, for people."""

    @property
    def verdict_id(self) -> str:
        """The identity of the verdict that must result from a violation."""
        return identity(self.rule, self.subject, self.room_id or "", self.since, self.at)
