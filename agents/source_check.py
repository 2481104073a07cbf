"""Whether the sources are still those that the stored state has read, and what to do where they are not.

    the last record is there, unchanged                         go on
    another record is there, or none: was the log created again?    read it from its beginning
    it is there, but another one stands where an earlier one did    read it from its beginning
                                      or has it lost its end?   go on behind what it still has
    the log begins behind what was read                         go on at its beginning

The third: the log was created again while a worker was reading it, which went on in the new one.

A log was created again unless an earlier record shows that it is the same one. Where none can, because the log ends
before all of them, its first record decides: of a new log, it is younger than the last record that was read.

No state is thrown away in any case, and nothing is skipped without being counted.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple, Protocol

from vigil.agents.ports import FetchedRecord, TopicPartition
from vigil.app.engine.source_identity import ChangeKind, Identities, RecordIdentity, SourceChange, identity_of


class Logs(Protocol):
    """What the broker has of some partitions. `SourceFeed` is one."""

    async def ends(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]: ...
    async def beginnings(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]: ...
    async def records_at(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, FetchedRecord]: ...
    async def offsets_after(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]: ...


class StoredSource(NamedTuple):
    """What the stored state has read of a source."""

    committed_offset: int
    """Every record below it is in the stored state."""
    read_offset: int
    """The offset after the last record that was read."""
    max_event_time: int
    """The largest event time (ms) that was read: stands for the time of the last record where that is not known."""
    identities: Identities


class SourceFinding(NamedTuple):
    """What is not as the stored state has left it."""

    tp: TopicPartition
    kind: ChangeKind
    resume: int
    """The offset at which reading continues; for a log that was truncated, the end of what was read before."""
    lost: int
    """The number of offsets whose records are gone: for a log that was created again those that it has lost already."""

    def change(self, now: int) -> SourceChange:
        """What the next checkpoint keeps of it; `now`: when it was found, ms."""
        return SourceChange(self.kind, now, self.resume, self.lost)

    @property
    def words(self) -> str:
        """What has happened, for operators."""
        return f"{self.tp.topic}, partition {self.tp.partition}: " + _WORDS[self.kind].format(self)


_WORDS: Final[Mapping[ChangeKind, str]] = {
    "recreated": "the topic was created again; it is read from its beginning, offset {0.resume}",
    "truncated": "the broker has lost the last {0.lost} records that were read; reading goes on at offset {0.resume}",
    "expired": "{0.lost} records were deleted before they were read; reading goes on at offset {0.resume}",
}


class SourceCheck:
    """Compares stored sources with the logs that the broker has now."""

    def __init__(
        self,
        logs: Logs,
        stored: Mapping[TopicPartition, StoredSource],
        ends: Mapping[TopicPartition, int],
        beginnings: Mapping[TopicPartition, int],
        exact_ends: bool = True,
    ) -> None:
        """`exact_ends`: False where the broker may report an end that is too low."""
        self._logs = logs
        self._stored = stored
        self._ends = ends
        self._beginnings = beginnings
        self._exact_ends = exact_ends

    async def findings(self) -> list[SourceFinding]:
        """Return what is not as the stored state has left it, at most one finding for each source.

        Raises what the client raises if the broker does not answer.
        """
        differing, gone = await self._differing(self._last())
        remade, _ = await self._differing(self._earliest())
        found = []
        for tp, source in self._stored.items():
            if tp in differing or self._is_shorter(tp, source):
                found.append(await self._changed(tp, source))
            elif tp in remade or (tp in gone and await self._is_another(tp, source.identities)):
                found.append(self._recreated(tp))
            elif source.committed_offset < self._beginnings[tp]:
                begin = self._beginnings[tp]
                found.append(SourceFinding(tp, "expired", begin, begin - source.committed_offset))
        return found

    async def differing(self) -> set[TopicPartition]:
        """Return the sources in which another record stands where the last, or the earliest known one, stood.

        Raises what the client raises if the broker does not answer.
        """
        last, _ = await self._differing(self._last())
        earliest, _ = await self._differing(self._earliest())
        return last | earliest

    def _last(self) -> dict[TopicPartition, RecordIdentity]:
        return {tp: source.identities[0] for tp, source in self._stored.items() if source.identities}

    def _earliest(self) -> dict[TopicPartition, RecordIdentity]:
        """The earliest known record of each source that retention has not reached, besides the last one."""
        found = {}
        for tp, source in self._stored.items():
            there = [known for known in source.identities[1:] if self._has(tp, known.offset)]
            if there:
                found[tp] = there[-1]
        return found

    def _is_shorter(self, tp: TopicPartition, source: StoredSource) -> bool:
        return self._exact_ends and self._ends[tp] < source.read_offset

    async def _differing(
        self, known: Mapping[TopicPartition, RecordIdentity]
    ) -> tuple[set[TopicPartition], set[TopicPartition]]:
        """The partitions that have another record than the known one at its offset, and those that have none there."""
        asked = {tp: record.offset for tp, record in known.items() if self._has(tp, record.offset)}
        records = await self._logs.records_at(asked)
        there = {tp: record for tp, record in records.items() if record.offset == asked[tp]}
        return {tp for tp, record in there.items() if identity_of(record) != known[tp]}, asked.keys() - there.keys()

    async def _is_another(self, tp: TopicPartition, known: Identities) -> bool:
        """Return whether a log that has no record at the known offset was created again.

        Compaction takes records away, and in another log the marker of a transaction may stand there. An earlier record
        decides; where all have gone, the first one does: that of the log that was read is no younger than the last.
        """
        for earlier in known[1:]:
            record = await self._record_at(tp, earlier.offset)
            if record is not None and record.offset == earlier.offset:
                return identity_of(record) != earlier
        first = await self._record_at(tp, self._beginnings[tp])
        return first is not None and first.timestamp > known[0].timestamp

    def _recreated(self, tp: TopicPartition) -> SourceFinding:
        begin = self._beginnings[tp]
        return SourceFinding(tp, "recreated", begin, begin)

    def _has(self, tp: TopicPartition, offset: int) -> bool:
        return self._beginnings[tp] <= offset < self._ends[tp]

    async def _changed(self, tp: TopicPartition, source: StoredSource) -> SourceFinding:
        """Decide whether a log was created again or has lost its end."""
        last_time = source.identities[0].timestamp if source.identities else source.max_event_time
        same_below = await self._same_below(tp, source, last_time)
        if same_below is None:
            return self._recreated(tp)
        # What was written since may stand where lost records stood: it begins with the first younger record.
        end = self._ends[tp]
        after = (await self._logs.offsets_after({tp: last_time})).get(tp, end)
        resume = min(max(after, same_below), end, source.read_offset)
        return SourceFinding(tp, "truncated", resume, source.read_offset - resume)

    async def _same_below(self, tp: TopicPartition, source: StoredSource, last_time: int) -> int | None:
        """Return an offset below which a log is the one that was read; None for another log."""
        for earlier in source.identities[1:]:
            record = await self._record_at(tp, earlier.offset)
            if record is not None and record.offset == earlier.offset:
                return earlier.offset + 1 if identity_of(record) == earlier else None
        if source.identities and self._has(tp, source.identities[0].offset):
            return None  # another record is there, and nothing shows that it is the same log
        begin = self._beginnings[tp]
        if begin == self._ends[tp]:
            return begin or None
        first = await self._record_at(tp, begin)
        return begin if first is not None and first.timestamp <= last_time else None

    async def _record_at(self, tp: TopicPartition, offset: int) -> FetchedRecord | None:
        return (await self._logs.records_at({tp: offset})).get(tp) if self._has(tp, offset) else None


def lost_counts(findings: Collection[SourceFinding]) -> Iterator[tuple[str, int]]:
    """Yield the counter increments of findings: names of the shards' counters, and numbers."""
    for finding in findings:
        topic = finding.tp.topic
        if finding.kind == "recreated":
            yield f"recreated:{topic}", 1
        yield f"{'lost' if finding.kind == 'truncated' else 'skipped'}:{topic}", finding.lost
