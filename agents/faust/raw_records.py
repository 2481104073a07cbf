"""Records as aiokafka's C code unpacks them, without the object that it makes of each for its callers.

    fetch ──▶ batches ──CRC, aborted transactions──▶ record (C) ──▶ ConsumerRecord: left out here

What aiokafka checks while it unpacks is unchanged: only its last step, which costs as much as all others, is not taken.
The topic and partition of a raw record are those of its batch.
"""

from collections.abc import Collection, Iterator
from typing import Any

from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords


class RawRecords(PartitionRecords):
    """The records of one fetch of one partition: offset, timestamp, key, value and headers, as the log has them."""

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the generator itself: the original is asked for each record through a method."""
        return self._records_iterator  # type: ignore[no-any-return]

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record


def deliver_raw(fetcher: Fetcher, topics: Collection[str]) -> None:
    """Let a fetcher deliver raw records of some topics; `topics` may grow later."""
    process = fetcher._proc_fetch_request

    async def process_fetch(*request: Any) -> Any:
        needs_wakeup = await process(*request)
        # Nothing has been unpacked yet: this is called before whoever waits for records continues.
        for tp, result in fetcher._records.items():
            if tp.topic in topics and isinstance(result, FetchResult) and result.has_more():
                result._partition_records.__class__ = RawRecords
        return needs_wakeup

    fetcher._proc_fetch_request = process_fetch
