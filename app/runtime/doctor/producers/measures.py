"""What a sample of one topic's records says about its producers. Pure; bounded by the size of the sample."""

import json
from array import array
from collections import Counter, defaultdict
from contextlib import suppress
from typing import Any, Final, NamedTuple

from vigil.app.domain.rooms.rules.labels import of_label
from vigil.app.domain.rooms.rules.table import RULES
from vigil.app.kafka.partitioners import by_crc32, by_murmur2
from vigil.app.runtime.doctor.producers.stamps import Stamped
from vigil.app.runtime.doctor.producers.timing import Timing, timing
from vigil.topics.catalog import BY_NAME
from vigil.topics.diagnosis import unframed
from vigil.topics.fields import MAX_AHEAD_MS, InvalidEvent
from vigil.topics.rooms import Comment, FrameStatus
from vigil.topics.topic import Decode

MOST_NAMES: Final = 50
"""Different labels or faults that are counted by name; the rest are counted as `other`."""

SHOWN: Final = 80
"""Characters of a name that are kept."""

OTHER: Final = "other"


class Sampled(NamedTuple):
    """One record of a sample."""

    partition: int
    timestamp: int
    """When it was written, ms: by the producer's clock, or by the broker's where the topic says so."""
    key: bytes | None
    value: bytes | None


class Names:
    """Counts by name, of a bounded number of names."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """Count one."""
        name = name[:SHOWN]
        known = name in self.counts or len(self.counts) < MOST_NAMES
        self.counts[name if known else OTHER] += 1


class Placement:
    """By which hash the keys were placed."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self.keyed = 0
        """Keys that one of the two hashes places otherwise than the other: only they show which one it was."""
        self.murmur2 = 0
        self.crc32 = 0

    def add(self, key: bytes, partition: int) -> None:
        """Count a key where its partition says something."""
        if self._partitions < 2:
            return
        murmur2, crc32 = by_murmur2(key, self._partitions), by_crc32(key, self._partitions)
        if murmur2 == crc32 == partition:
            return
        self.keyed += 1
        self.murmur2 += partition == murmur2
        self.crc32 += partition == crc32


class TopicMeasures:
    """What the records of one topic's sample say."""

    def __init__(self, topic: str, partitions: int, max_ahead_ms: int = MAX_AHEAD_MS) -> None:
        """`max_ahead_ms`: by how much an event may be ahead of its time of writing to be judged."""
        self.topic = topic
        self._max_ahead_ms = max_ahead_ms
        self.partitions = partitions
        self.messages = 0
        self.rejected = Names()
        """Messages that a worker would reject, by what is wrong with them."""
        self.placement = Placement(partitions)
        self.read_at: int | None = None
        """When the sample was read, ms."""
        self.ahead = array("q")
        """By how much events are ahead that a worker would reject as such, ms; they count for nothing else."""
        self.ahead_rooms = Names()
        """How many of them each room has, or whatever the topic is keyed by."""
        self.gaps = array("q")
        """Between the frames of one room, ms."""
        self.labels = Names()
        """Those that no rule knows."""
        self.fields_ignored: Counter[str] = Counter()
        """Optional fields that cannot be read: a worker judges the event without them."""
        self.repeated = Names()
        """Fields that an object has more than once: the last value counts."""
        self._stamped: dict[int, list[Stamped]] = defaultdict(list)
        self._frames: dict[str, int] = {}
        decode = BY_NAME[topic].decode
        if decode is None:
            raise ValueError(f"{topic} is no input")
        self._decode: Decode = decode

    def add(self, record: Sampled) -> None:
        """Add a record; those of one partition come in the order of their offsets."""
        self.messages += 1
        if record.key is not None:
            self.placement.add(record.key, record.partition)
        if record.value is None:
            return  # a tombstone
        try:
            # The time of writing in place of the clock: what was in time when it was written is not held against it.
            event = self._decode(record.key, record.value, record.timestamp, self._ignore)
        except InvalidEvent as error:
            self.rejected.add(error.detail)
            return
        if event.at > record.timestamp + self._max_ahead_ms:
            self.ahead.append(event.at - record.timestamp)
            self.ahead_rooms.add(_text(record.key))
            return
        for name in repeated_names(record.value):
            self.repeated.add(name)
        self._time(event, record)
        if isinstance(event, FrameStatus):
            self._frame(event)
        if isinstance(event, FrameStatus | Comment):
            self._label(event)

    def timing(self) -> Timing:
        """What the times of all events so far say."""
        return timing(self._stamped.values(), self.read_at)

    def _ignore(self, field: str, number: int) -> None:
        self.fields_ignored[field] += number

    def _time(self, event: Any, record: Sampled) -> None:
        via = event.via if isinstance(event, Comment) else ""
        self._stamped[record.partition].append(Stamped(_text(record.key), via, event.at, record.timestamp))

    def _frame(self, frame: FrameStatus) -> None:
        before = self._frames.get(frame.room_id)
        if before is not None and frame.at > before:
            self.gaps.append(frame.at - before)
        self._frames[frame.room_id] = max(frame.at, before or 0)

    def _label(self, event: FrameStatus | Comment) -> None:
        known = _FRAME_LABELS if isinstance(event, FrameStatus) else _COMMENT_LABELS
        for label in event.labels:
            if of_label(known, label) is None:
                self.labels.add(label)


def _text(key: bytes | None) -> str:
    return (key or b"").decode(errors="replace")


def repeated_names(value: bytes) -> set[str]:
    """The names of fields that an object in a JSON text has more than once; none of what is no JSON."""
    found: set[str] = set()

    def note(fields: list[tuple[str, object]]) -> None:
        counts = Counter(name for name, _ in fields)
        found.update(name for name, number in counts.items() if number > 1)

    with suppress(ValueError, RecursionError):
        json.loads(unframed(value), object_pairs_hook=note)
    return found


_FRAME_LABELS: Final = {label: True for rule in RULES.values() for label in rule.frame_labels}
_COMMENT_LABELS: Final = {label: True for rule in RULES.values() for label in rule.comment_labels}
