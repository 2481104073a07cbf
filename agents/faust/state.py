"""What the adapter's modules share: the positions of the consumer, and what they call back."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from vigil.agents.ports import TopicPartition
from vigil.topics.catalog import SubjectName


async def _raise(error: BaseException) -> None:
    raise error


@dataclass
class AdapterState:
    """One for each app. Only the event loop touches it."""

    positions: Callable[[], Mapping[TopicPartition, int]] = dict
    """Where each source partition is to be read from; empty before there are shards."""
    batch_topics: set[str] = field(default_factory=set)
    """The topics that are read in batches; Faust's own are not."""
    delivered_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    """By partition: the offset after the last record that was delivered, or from which it is read."""
    background_tasks: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What runs beside the app from its start (a task of Faust's would start after the recovery only)."""
    confirmed_positions: dict[TopicPartition, int] = field(default_factory=dict)
    """By partition: every record below this offset was delivered, as determined between two polls."""
    pending_position_checks: set[TopicPartition] = field(default_factory=set)
    """Partitions whose confirmed position is to be determined between the next two polls."""
    seek_generation: int = -1
    """The generation of the group in which the fetcher was last positioned where the shards are."""
    pending_rereads: dict[TopicPartition, int] = field(default_factory=dict)
    """Changelog partitions of which records were lost on their way, and from where they are to be read again."""
    paused: set[TopicPartition] = field(default_factory=set)
    """Partitions that must not be fetched, whatever room Faust's own queues have."""
    fail_fast: Callable[[BaseException], Awaitable[None]] = _raise
    """Called with the error that keeps the worker from reading on."""
    on_restored: Callable[[SubjectName, int], None] = lambda subject, records: None
    """Called with the number of changelog records that were read, in a recovery or as a standby."""
