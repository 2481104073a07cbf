"""What was published of a supplier's lines: a digest of each, and until when it stands.

It only spares work: without it every line is computed and published again.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from vigil.app.domain.ledger.records import LineRecord
from vigil.app.domain.products import standing
from vigil.app.engine.storage.buckets import Buckets
from vigil.app.engine.storage.steps import batches
from vigil.app.engine.subject import ChangedChunks, StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output
from vigil.topics.products import ProductStanding
from vigil.topics.verdicts import identity

GONE: Final = ""
"""What is stored as the unit of a line that was deleted."""

_LINE_CHUNK: Final = b"Y"
_plain: Final = msgspec.json.Encoder(order="deterministic").encode

Place = tuple[str, str]
"""Topic and key of a line."""


class SupplierLine(NamedTuple):
    """A line to be published; no body: it does not follow from the events any more."""

    topic: str
    key: str
    body: Struct | None
    digest: int = 0
    """64 bits that stand for everything in it but its time."""


class Unit(NamedTuple):
    """A unit as it was computed."""

    lines: list[SupplierLine]
    until: int
    """When it changes if nothing arrives."""


class PublishedLines:
    """The lines of one supplier as they were published last."""

    def __init__(self) -> None:
        self._buckets: Buckets[LineRecord] = Buckets(_LINE_CHUNK, LineRecord, {})
        self._records: dict[str, dict[Place, LineRecord]] = {}
        """By unit, and by topic and key."""
        self.stars: dict[int, int] = {}
        """By number of stars, how many products were published with them. To read only."""
        self._gone: list[LineRecord] = []
        """The lines that were deleted last. Their tombstones are sent again after a crash, as lines are."""

    def load(self, chunks: StateChunks, times: dict[str, int]) -> Iterator[None]:
        """Load what is stored, some of it in each step, and put into `times` when each unit changes; call it once."""
        yield from self._buckets.load(chunks)
        for records in batches(self._buckets):
            for record in records:
                if record.unit == GONE:
                    self._gone.append(record)
                    continue
                self._records.setdefault(record.unit, {})[record.topic, record.key] = record
                self._count_stars(record, 1)
                times[record.unit] = min(record.until, times.get(record.unit, MAX_TIME))
            yield

    def __bool__(self) -> bool:
        """True if a line is published."""
        return bool(self._records)

    def units(self) -> Iterable[str]:
        """The units that have lines."""
        return self._records.keys()

    def stars_with(self, units: Mapping[str, Unit]) -> dict[int, int]:
        """By number of stars, how many products have them once these units are published."""
        counts = dict(self.stars)
        for name, unit in units.items():
            for record in self._records.get(name, {}).values():
                if record.topic == standing.TOPIC:
                    counts[record.stars] -= 1
            for line in unit.lines:
                if line.topic == standing.TOPIC:
                    stars = _stars_of(line.body)
                    counts[stars] = counts.get(stars, 0) + 1
        return counts

    def changed(self, name: str, unit: Unit) -> Iterator[SupplierLine]:
        """The lines of a unit that differ from those published last, with those that do not follow any more."""
        known = self._records.get(name, {})
        for line in unit.lines:
            record = known.get((line.topic, line.key))
            if record is None or record.digest != line.digest:
                yield line
        now = {(line.topic, line.key) for line in unit.lines}
        yield from (SupplierLine(topic, key, None) for topic, key in known if (topic, key) not in now)

    def gone(self) -> list[SupplierLine]:
        """The tombstones that went out last."""
        return [SupplierLine(record.topic, record.key, None) for record in self._gone]

    def note(self, units: Mapping[str, Unit]) -> None:
        """Note what goes out with this checkpoint. What went out with the former one has arrived."""
        for record in self._gone:
            self._buckets.remove(record)
        self._gone.clear()
        for name, unit in units.items():
            self._note_unit(name, unit)

    def _note_unit(self, name: str, unit: Unit) -> None:
        known = self._records.setdefault(name, {})
        now = {(line.topic, line.key): line for line in unit.lines}
        for place in [place for place in known if place not in now]:
            record = known.pop(place)
            self._count_stars(record, -1)
            record.unit = GONE
            self._buckets.touch(record)
            self._gone.append(record)
        for place, line in now.items():
            self._note_line(known, place, line, name, unit.until)
        if not known:
            del self._records[name]

    def _note_line(
        self, known: dict[Place, LineRecord], place: Place, line: SupplierLine, unit: str, until: int
    ) -> None:
        digest, stars = line.digest, _stars_of(line.body)
        record = known.get(place)
        if record is None:
            known[place] = record = LineRecord(*place, unit, digest, until, stars)
            self._buckets.add(record)
            self._count_stars(record, 1)
        elif (record.digest, record.until) != (digest, until):
            self._count_stars(record, -1)
            record.digest, record.until, record.stars = digest, until, stars
            self._count_stars(record, 1)
            self._buckets.touch(record)

    def _count_stars(self, record: LineRecord, by: int) -> None:
        if record.topic == standing.TOPIC:
            self.stars[record.stars] = self.stars.get(record.stars, 0) + by

    def dump(self, into: ChangedChunks) -> None:
        """Put the chunks that changed since the last call into `into`."""
        self._buckets.dump(into)


def _stars_of(body: Struct | None) -> int:
    return (body.stars or 0) if isinstance(body, ProductStanding) else 0


def line_of(topic: str, key: str, body: Struct) -> SupplierLine:
    """A line that follows from the events."""
    fields = {name: getattr(body, name) for name in body.__struct_fields__ if name != "at"}
    return SupplierLine(topic, key, body, int.from_bytes(blake2b(_plain(fields), digest_size=8).digest(), "big"))


def output_of(line: SupplierLine, now: int) -> Output:
    """The message of a line."""
    content = f"{line.digest:016x}" if line.body is not None else ""
    at: int = now if line.body is None else line.body.at  # type: ignore[attr-defined]
    return Output(line.topic, line.key.encode(), identity(line.topic, line.key, now, content), at, line.body)
