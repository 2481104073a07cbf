"""What is stored of a room's incidents: facts, each of which is the same in whatever order messages arrive.

main      the room: its host, its ends, whether it is live
c…        one condition: its warning, its end, its verdicts
e…        one missed entry
s         the losses of the signal
v…        what follows from one verdict
k…        one incident: what people did about it, and what was published of it
p…        a command whose incident is not known yet
"""

from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.incidents import Case, CaseKind
from vigil.topics.internal import ActionInRoom
from vigil.topics.verdicts import Priority

VERSION: Final = 1
"""Of the stored state. New fields go to the end of their struct, with a default; any other change is a new version."""

MOST_ENDS: Final = 64
"""Ends of a room that are remembered, the latest: a room hardly ends more often within a week."""

MOST_LOSSES: Final = 100
"""Losses of the signal that are remembered one by one; of those between the first and the others only their number."""

MOST_COMMANDS: Final = 300
"""Commands about an incident that are remembered, the latest."""


MOST_GROUPS: Final = 2_000
"""Conditions, missed entries and signals of a room that are remembered: one in five minutes for a week. A room of which
more come would take more and more memory, and time to load."""

FORGOTTEN_AT_ONCE: Final = 50
"""How many of them are forgotten where there are more."""


class FoundVerdict(Struct, array_like=True, frozen=True, order=True):
    """One verdict of a condition. They sort by time and label. Stored by position."""

    at: int
    subject: str
    """The label that was judged; empty where there is none."""
    verdict_id: str
    family: str
    priority: Priority
    media_uri: str | None


class ConditionRecord(Struct, array_like=True):
    """One condition: a warning, a violation, or both. Stored by position."""

    rule: str
    since: int
    host_id: str
    warned_at: int | None = None
    due: int | None = None
    cleared_at: int | None = None
    verdicts: list[FoundVerdict] = []

    @property
    def until(self) -> int:
        """When the warning was cleared; MAX_TIME while it was not."""
        return MAX_TIME if self.cleared_at is None else self.cleared_at

    def is_warning_of(self, rule: str) -> bool:
        """True if it is about a rule and has no verdict."""
        return self.rule == rule and not self.verdicts


class EntryRecord(Struct, array_like=True):
    """One missed entry of a buyer of high quality. Stored by position."""

    rule: str
    buyer_id: str
    since: int
    host_id: str
    missed_at: int


class Loss(Struct, array_like=True, frozen=True, order=True):
    """One loss of the signal. Losses sort by the last frame before them. Stored by position."""

    since: int
    host_id: str
    lost_at: int | None = None
    back_at: int | None = None


class SignalRecord(Struct, array_like=True):
    """The losses of the signal, in order. Stored by position."""

    losses: list[Loss]
    left_out: int = 0
    """Losses right after the first one that are only counted."""
    left_out_until: int = 0
    """The `since` of the last of them."""


class FollowUp(Struct, array_like=True):
    """What follows from one verdict. Stored by position."""

    verdict_id: str
    at: int
    """Event time of the latest message about it."""
    contested_at: int | None = None
    action: ActionInRoom | None = None


class Command(Struct, array_like=True, frozen=True, order=True):
    """What somebody did about an incident. Commands sort by time and offset. Stored by position."""

    at: int
    offset: int
    kind: CaseKind
    by: str
    until: int = 0
    text: str = ""

    @property
    def content(self) -> tuple[object, ...]:
        """Two commands of the same content are one that was sent twice."""
        return self.at, self.kind, self.by, self.until, self.text


class IncidentRecord(Struct, array_like=True):
    """What people did about one incident, and what was published of it. Stored by position."""

    group: str
    """The condition, entry or signal that it is about."""
    commands: list[Command] = []
    digest: str = ""
    """Of the line that was published last; empty: none was."""
    looked: bool = False
    """The time to the first look has been counted."""
    decided: bool = False


class ReceivedCase(Struct, frozen=True):
    """A command together with its message, so that it can be sent to `dead-letter` in its original bytes."""

    case: Case
    partition: int | None
    offset: int | None
    key: bytes | None
    value: bytes | None

    @property
    def at(self) -> int:
        return self.case.at

    @property
    def room_id(self) -> str:
        return self.case.room_id


class PendingCase(Struct, frozen=True, array_like=True):
    """A command whose incident is not known yet. Stored by position."""

    deadline: int
    """When it is rejected."""
    received: ReceivedCase


class RoomRecord(Struct, array_like=True):
    """The main chunk of a room's incidents. Stored by position."""

    version: int = VERSION
    ends: list[int] = []
    """When the room ended or was forgotten, in order."""
    stream_at: int = 0
    live: bool = True
    """What its stream became last, at `stream_at`. A room with a finding is live unless something else is known."""
    arrivals: int = 0
    """Number of commands that had to wait so far: it names the chunk of the next one."""
    judged_at: int = 0
    """The last timer: what time alone changes is known up to it."""


CONDITION, ENTRY, SIGNAL, FOLLOW_UP, INCIDENT, PENDING = "c", "e", "s", "v", "k", "p"
"""The first letters of chunk names."""

_TYPES: Final = {
    CONDITION: ConditionRecord,
    ENTRY: EntryRecord,
    SIGNAL: SignalRecord,
    FOLLOW_UP: FollowUp,
    INCIDENT: IncidentRecord,
    PENDING: PendingCase,
}

DECODERS: Final = {letter: msgspec.msgpack.Decoder(kind) for letter, kind in _TYPES.items()}
decode_main: Final = msgspec.msgpack.Decoder(RoomRecord).decode
encode: Final = msgspec.msgpack.Encoder().encode
