"""What a replay and its jobs say to each other through pipes: frames of bytes with their length before them."""

import struct
from typing import IO, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from vigil.topics.envelope import Output

_LENGTH: Final = struct.Struct("<I")

Place: TypeAlias = tuple[int | str, ...]
"""Where an output stands among those that all jobs publish between two gatherings. Outputs of one event or timer have
one place; of places of one subject the lesser is published first."""


class Open(Struct, tag=True, array_like=True):
    """Begin the shards of one replay."""

    group: int
    setup: bytes
    """The pickled recipe of its machines and its allowed lateness."""


class NewShard(Struct, tag=True, array_like=True):
    """Begin a shard."""

    group: int
    shard: int
    subject: str


class Lines(Struct, tag=True, array_like=True):
    """Lines of a shard in order of arrival. They are valid, and late for nobody."""

    shard: int
    offsets: list[int] = []
    """They ascend. Where it judges on arrival, they are numbers."""
    watermarks: list[int] = []
    """The shard's watermark at each, where it judges on arrival; none where events wait for their order."""
    texts: list[str] = []


class Record(Struct, tag=True, array_like=True):
    """A line that is decoded where it is read, or an internal message."""

    shard: int
    number: int
    offset: int
    watermark: int
    source_index: int
    key: bytes
    value: bytes | None


class Late(Struct, tag=True, array_like=True):
    """An event that was rejected as late."""

    shard: int
    number: int
    key: str
    event: bytes
    """Pickled."""


class AdvanceTo(Struct, tag=True, array_like=True):
    """Advance the watermark of a shard."""

    shard: int
    number: int
    watermark: int


class AdvanceEarly(Struct, tag=True, array_like=True):
    """Judge up to a watermark before the replay itself does. What is published is part of the next `AdvanceTo`."""

    shard: int
    watermark: int


class EndOfInput(Struct, tag=True, array_like=True):
    """The input of a shard has ended."""

    shard: int
    number: int
    until: int


class Gather(Struct, tag=True, array_like=True):
    """Reply with what was published since the last time: a list of `PlacedOutput`."""

    group: int


class FinalOutputs(Struct, tag=True, array_like=True):
    """Reply with the final outputs of a shard: a list of pairs, the key and its outputs."""

    shard: int
    until: int


class GatherCounts(Struct, tag=True, array_like=True):
    """Reply with what was counted: `Counted`."""

    group: int


Command: TypeAlias = (
    Open
    | NewShard
    | Lines
    | Record
    | Late
    | AdvanceTo
    | AdvanceEarly
    | EndOfInput
    | Gather
    | FinalOutputs
    | GatherCounts
)
"""Numbers ascend in the order in which a replay sends what bears them, whichever job gets it."""

encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(Command).decode


class PlacedOutput(NamedTuple):
    """One output of a job."""

    place: Place
    collector: int
    """By which of the replay's collectors it was published."""
    output: Output


class Counted(NamedTuple):
    """What a job counted."""

    counts: dict[str, int]
    names: dict[tuple[str, str], tuple[Place, int]]
    """By counter and name from events: where it was first counted, and how often."""


def write_frame(file: IO[bytes], payload: bytes) -> None:
    """Write one frame; raise OSError where nobody reads any more."""
    file.write(_LENGTH.pack(len(payload)))
    file.write(payload)


def read_frame(file: IO[bytes]) -> bytes | None:
    """Read one frame; None where the other process has ended."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    payload = file.read(length)
    return payload if len(payload) == length else None
