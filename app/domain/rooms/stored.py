"""What is stored of a room: its main record. The rest is in chunks that its parts keep."""

from typing import Final

import msgspec
from msgspec import Struct, field

from vigil.app.domain.rooms.rules.active_condition import StoredCondition
from vigil.app.domain.rooms.rules.greeting import GreetingSnapshot
from vigil.app.domain.rooms.rules.speech import SpeechSnapshot
from vigil.app.domain.rooms.stats import RoomStatsSnapshot
from vigil.app.engine.storage.chunked_log import LogSnapshot
from vigil.app.engine.storage.chunked_queue import QueueSnapshot
from vigil.topics.rooms import Stream

VERSION: Final = 2
"""The version of the stored state. Structs are stored by position: a new field goes to the end of its struct and has a
default. Any other change needs a new version, or a worker reads its own state wrongly.

Version 1 has lists of numbers where 2 has packed rows. It is read, and written as version 2."""

READ_VERSIONS: Final = (1, VERSION)


class RoomSnapshot(Struct, array_like=True):
    """A room's main record: everything but what is stored in chunks."""

    version: int = VERSION
    host_id: str = ""
    """Of the first event; empty before it."""
    last_at: int = 0
    """The event time of the latest event."""
    stream: Stream | None = None
    """What the latest frame showed, as do the next three."""
    frame_at: int = 0
    face: bool = False
    black: bool = False
    frames: int = 0
    """How many frames the room has had."""
    lost: bool = False
    """True after `signal-lost` was published, until `signal-back` is."""
    ended_at: int | None = None
    """The first `ended` frame of the unbroken series that the latest frame belongs to."""
    verdicts: int = 0
    status_at: int | None = None
    """The time of the latest published status."""
    status_pending: bool = False
    """True if anything has changed since."""
    conditions: list[StoredCondition] = []
    greeting: GreetingSnapshot = field(default_factory=GreetingSnapshot)
    speech: SpeechSnapshot = field(default_factory=SpeechSnapshot)
    stats: RoomStatsSnapshot = field(default_factory=RoomStatsSnapshot)
    comments: LogSnapshot = field(default_factory=LogSnapshot)
    """The hashes of recent `comment_id`s."""
    contestable: QueueSnapshot = field(default_factory=QueueSnapshot)
    """Recent verdicts that a late reception may speak against."""
    unseen_until: int = 0
    """Up to here a frame may lie in another partition: no condition begins before."""
    keys_by: int = 0
    """How the keys of its comments and buyers are made, by the position in KEYS_BY; version 1 knew one way."""


decode_main: Final = msgspec.msgpack.Decoder(RoomSnapshot).decode
encode_main: Final = msgspec.msgpack.Encoder().encode
