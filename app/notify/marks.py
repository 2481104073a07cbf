"""What targets know of alerts: the only state of `vigil notify`, in a compacted topic beside each topic that it reads.

    m:KEY      by target, what it knows of the alert (plans.Mark)
    b:TARGET   where the target began: it receives nothing of what was published before

A record lies in the partition of the same number as the alert's messages: whoever owns these has the marks. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka.structs import TopicPartition
from msgspec import Struct

from vigil.app.notify.plans import Mark
from vigil.topics.fields import Instant
from vigil.topics.read_back import ForeignMessageError, read_back

MAX_MARK_BYTES: Final = 64 * 1024
"""The largest record of the state. A target takes some hundred bytes in it."""

_MARK: Final = "m:"
_BEGUN: Final = "b:"


class Begun(Struct, frozen=True):
    """Where a target began in one partition."""

    offset: int
    """What is below it was there before, unless the topic was created again:"""
    at: Instant
    """the wall-clock time in ms at which it began. What was written later is not from before."""


class MarkRecord(NamedTuple):
    """A record of the state."""

    partition: TopicPartition
    """Of the alert's messages."""
    name: str
    value: bytes | None
    """None deletes it."""


_marks: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(dict[str, dict[str, str]])
_begun: Final = msgspec.json.Decoder(Begun)
_UNCHANGED: Final[Mark] = {}


class Marks:
    """The marks of the partitions that a process owns."""

    def __init__(self) -> None:
        self._raw: dict[str, bytes] = {}
        """By key, as they are stored: there may be a million."""
        self._begun: dict[tuple[TopicPartition, str], Begun] = {}
        self._dirty: dict[tuple[TopicPartition, str], None] = {}

    def __len__(self) -> int:
        """Return the number of alerts of which a target knows something."""
        return len(self._raw)

    def load(self, partition: TopicPartition, records: Mapping[str, bytes]) -> dict[str, str]:
        """Restore what `changed` gave for a partition; return what was left out, and why."""
        unreadable = {}
        for name, raw in records.items():
            try:
                if name.startswith(_BEGUN):
                    self._begun[partition, name.removeprefix(_BEGUN)] = read_back(_begun, raw, MAX_MARK_BYTES)
                elif name.startswith(_MARK):
                    read_back(_marks, raw, MAX_MARK_BYTES)
                    self._raw[name.removeprefix(_MARK)] = raw
                else:
                    raise ForeignMessageError("no record of this state")
            except ForeignMessageError as error:
                unreadable[name] = str(error)
        return unreadable

    def begun(self, partition: TopicPartition) -> set[str]:
        """Return the targets that have begun in a partition."""
        return {target for at, target in self._begun if at == partition}

    def begin(self, partition: TopicPartition, target: str, begun: Begun) -> None:
        """Let a target begin in a partition."""
        self._begun[partition, target] = begun
        self._dirty[partition, _BEGUN + target] = None

    def may_begin(self, target: str, partition: TopicPartition, offset: int, written_at: int) -> bool:
        """Return whether a message is one that a target is to receive, if it does not know the alert."""
        begun = self._begun.get((partition, target))
        return begun is None or offset >= begun.offset or written_at > begun.at

    def get(self, key: str, target: str) -> Mark:
        """Return what a target knows of an alert."""
        raw = self._raw.get(key)
        return _UNCHANGED if raw is None else _marks.decode(raw).get(target, _UNCHANGED)

    def put(self, partition: TopicPartition, key: str, target: str, mark: Mark) -> None:
        """Replace what a target knows of an alert."""
        raw = self._raw.get(key)
        known = {} if raw is None else _marks.decode(raw)
        self._raw[key] = msgspec.json.encode({**known, target: mark})
        self._dirty[partition, _MARK + key] = None

    def forget(self, partition: TopicPartition, key: str) -> None:
        """Forget an alert that nothing is published about any more."""
        if self._raw.pop(key, None) is not None:
            self._dirty[partition, _MARK + key] = None

    def changed(self) -> Iterator[MarkRecord]:
        """Yield the records that changed since the last call."""
        dirty, self._dirty = self._dirty, {}
        for partition, name in dirty:
            if name.startswith(_BEGUN):
                value = msgspec.json.encode(self._begun[partition, name.removeprefix(_BEGUN)])
                yield MarkRecord(partition, name, value)
            else:
                yield MarkRecord(partition, name, self._raw.get(name.removeprefix(_MARK)))
