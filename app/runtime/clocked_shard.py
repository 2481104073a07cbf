"""A shard that judges on arrival, in a replay: its watermark follows a clock from line to line."""

from collections.abc import Sequence
from typing import Any

from vigil.app.engine.shards import ArrivalShard
from vigil.app.engine.subject import SourceRecord
from vigil.topics.fields import InvalidEvent


class ClockedShard(ArrivalShard[Any]):
    """Ingests many lines as if the watermark was advanced to the clock before each of them."""

    record: SourceRecord | None = None
    """The line that is being ingested, or was last."""

    def ingest_lines(self, source_index: int, records: Sequence[SourceRecord]) -> bool:
        """Ingest lines of an input that move the clock; return True if any of them was an event.

        As in `ingest`, the loop makes no call that it can do without.
        """
        source, clock = self.sources[source_index], self._clock or self._own_watermark
        read, origin_of, on_ignored = self._readers[source_index], self._origin_of, self._on_ignored[source_index]
        register, apply = self._register, self._apply_on_arrival
        any_event = False
        for record in records:
            self.record = record
            watermark = clock()
            if watermark > self.watermark:
                self.advance_watermark(watermark)
            try:
                event, key, dedup_key = read(record, max(self.watermark, 0), origin_of, on_ignored)
            except InvalidEvent as invalid:
                self.reader.reject(source_index, record, invalid, self.watermark, None)
                continue
            any_event = True
            if event.at > source.max_event_time:
                source.max_event_time = event.at
            if dedup_key is None or register(dedup_key, key, event):
                apply(key, event, source_index, record)
            else:
                self.collector.count(self._duplicates_counter[source_index])
        source.read_offset = records[-1].offset + 1
        self.collector.count(self._events_counter[source_index], len(records))
        return any_event

    def _own_watermark(self) -> int:
        return self.watermark
