"""What a worker needs of Kafka, as four typed ports. No type of Faust or of a Kafka client appears in them.

    SourceFeed       which records exist, which were delivered, and which partitions may be fetched
    Membership       which partitions this worker owns, and its committed offsets
    ChangelogWriter  the changelog topics that hold the state of the shards
    OutputSender     the output topics

Callers: `ShardManager` and `ShardRunner` use the feed, `Checkpointer` the changelog, the outputs and the membership,
the worker all of them. Everything runs on the event loop of the worker; no method may block it. The methods that are
not coroutines answer from memory: they are called for every source of every shard some 100 times a second.

`agents/faust/` implements the ports on Kafka, `tests/support/fakes.py` in memory; both pass
tests/agents/contract/test_ports.py.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from vigil.app.engine.changelog import ChangelogRecord
from vigil.app.engine.subject import SourceRecord
from vigil.topics.catalog import SubjectName


class TopicPartition(NamedTuple):
    """One partition of one topic. Equal to the tuples of the same name in Faust and aiokafka."""

    topic: str
    partition: int


class FetchedRecord(SourceRecord, Protocol):
    """One record of a source as it was fetched."""

    @property
    def timestamp(self) -> int:
        """When the broker received it, or when its producer says that it sent it (ms since the epoch)."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one fetch of one partition, in the order of their offsets. Never empty."""

    tp: TopicPartition
    records: Sequence[FetchedRecord]
    expected_offset: int = 0
    """Every record below this offset was delivered in an earlier batch: a shard whose read offset is lower has lost
    records on their way to it."""


class OutputRecord(NamedTuple):
    """One message to publish. `topic` is that of the catalogue; all other ports know the names on the cluster."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class SourceFeed(Protocol):
    """Where the source partitions stand. All offsets and times are those of the broker.

    Batches are not asked for: whoever connects the feed passes them to `ShardManager.ingest`, one at a time. Batches of
    one partition arrive in order, without gaps of the feed's own making (see `Batch.expected_offset`).
    """

    async def ends(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last record of each partition, asked of the broker now.

        Called once an assignment. Raises what the client raises when the broker does not answer.
        """

    async def all_ends(self, topics: Iterable[str]) -> dict[TopicPartition, int]:
        """The end of every partition of these topics, whoever owns them; topics that are not known are left out."""

    async def beginnings(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset of the first record that each partition still has, asked of the broker now."""

    async def records_at(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, "FetchedRecord"]:
        """The first record of each partition at or above an offset; partitions that have none are left out.

        Reads beside what is delivered, and changes nothing of it. Each offset must be one that its partition has.
        Raises what the client raises when the broker does not answer.
        """

    async def offsets_after(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """The offset of the first record of each partition with a later timestamp (ms); left out where none has."""

    def end(self, tp: TopicPartition) -> int:
        """The end of the partition as the last fetch reported it; 0 before the first fetch.

        Call it after `answered_at`, never before: a fetch stores the end first and the time second, so that the end
        is at least as recent as the time.
        """

    def answered_at(self, tp: TopicPartition) -> int:
        """When the broker last answered a fetch of the partition (wall clock, ms); 0 before the first answer."""

    def confirmed_position(self, tp: TopicPartition) -> int:
        """Every record below this offset was delivered.

        It may be past the last record: a transaction's control records have offsets and are never delivered. It is
        determined between two polls; until the poll after this call it may be lower than the true value.
        """

    def delivered_offset(self, tp: TopicPartition) -> int:
        """The offset after the last record that was delivered; before the first, where reading starts, or 0."""

    def pause(self, tp: TopicPartition) -> None:
        """Stop fetching a partition. Records that were fetched before are still delivered; none is lost."""

    def resume(self, tp: TopicPartition) -> None:
        """Fetch a paused partition again. A new assignment resumes all partitions."""


class Membership(Protocol):
    """This worker's place in the consumer group."""

    def assigned(self, topics: Collection[str]) -> set[TopicPartition]:
        """The partitions of these topics that this worker owns or, for changelogs, keeps a standby mirror of."""

    def pause_flow(self) -> None:
        """Deliver nothing until the group's rebalance has completed.

        The worker calls it while it makes its shards. Batches that were delivered then would be dropped when the flow
        resumes, and their partitions would be read from behind them.
        """

    async def missing_topics(self, topics: Iterable[str]) -> set[str]:
        """Those of the topics that the broker has not reported, as far as the client knows."""

    async def request_topics(self) -> None:
        """Ask the broker for its topics now. If they changed, the leader of the group assigns the partitions again.

        Returns without an error when the broker does not answer in time.
        """

    async def committed(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offsets that the group has committed; partitions of which it has none are left out."""

    async def partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        """How many partitions each topic has, asked of the broker now; topics that are not known are left out.

        As the client knows it, where the broker does not answer in time.
        """

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        """Commit offsets. False if the group refused: this worker is not its member any more, or a rebalance runs."""


class BatchReceiver(Protocol):
    """Where batches are delivered to: the `ShardManager`."""

    def ingest(self, batch: Batch) -> Batch | None:
        """Ingest a batch; return what is left of it if it took too long, to be passed again after other tasks ran.

        Raises on an error of ours, which stops the worker.
        """

    def positions(self) -> Mapping[TopicPartition, int]:
        """From where each source partition is to be read after an assignment; empty before there are shards."""


class MembershipListener(Protocol):
    """What a worker does when its membership changes. The adapter calls it; what it raises stops the worker."""

    async def on_assigned(self) -> None:
        """Partitions were assigned and their changelogs have been read to their ends; nothing is delivered yet.

        Called after each rebalance, also where the assignment is as it was.
        """

    async def on_revoked(self) -> None:
        """A rebalance begins. This worker is still a member, so commits are accepted; nothing is delivered any more.

        Called before each `on_assigned`, the first one included.
        """

    async def on_shutdown(self) -> None:
        """The process was asked to end. The client still works. `on_revoked` is not called for it."""


class PendingAppend(Protocol):
    """Records on their way to a changelog."""

    async def acknowledged(self) -> int:
        """Wait until all in-sync replicas have the records; return the offset after the last of them.

        Raises what the client raises if the broker refuses them.
        """

    @property
    def appended_at(self) -> int | None:
        """When the broker appended the last of them, by its own clock (ms); None if it does not say so."""


class ChangelogWriter(Protocol):
    """Writes the changelogs of the shards, and remembers where each of them ends."""

    async def append(self, subject: SubjectName, partition: int, records: Sequence[ChangelogRecord]) -> PendingAppend:
        """Queue the records of one checkpoint, in this order; the last one is the checkpoint's marker.

        Does not wait for the broker. Never two calls for one changelog at a time: `Checkpointer` holds a lock.
        """

    def known_end(self, subject: SubjectName, partition: int) -> int:
        """The offset after the last record that was read from the changelog or confirmed by `confirm_end`."""

    def confirm_end(self, subject: SubjectName, partition: int, end: int) -> None:
        """This worker wrote the changelog up to `end`: a recovery need not read these records again."""


class OutputSender(Protocol):
    """Publishes outputs."""

    async def send(self, records: Sequence[OutputRecord]) -> list[OutputRecord]:
        """Publish records in this order, and wait until all in-sync replicas have each of them.

        Returns those that the broker refused as too large for their topic. Raises what the client raises if the
        broker refuses any for another reason; some records may be published then.
        """


class Ports(NamedTuple):
    """The four ports of a worker."""

    feed: SourceFeed
    membership: Membership
    changelog: ChangelogWriter
    outputs: OutputSender
