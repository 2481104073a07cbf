"""The statistics of a room: what is counted and measured, whatever the rules say.

State: a buyer's presence for `presence_s`; everything else as long as the room.
"""

from typing import Final

from msgspec import Struct, field

from vigil.app.engine.storage.capped_counter import CappedCounter
from vigil.app.engine.storage.chunked_log import LogSnapshot
from vigil.app.engine.storage.histogram import Histogram, StoredNumbers
from vigil.app.engine.storage.keys import KeyOf
from vigil.app.engine.storage.recent_keys import RecentKeys
from vigil.app.engine.subject import ChangedChunks, StateChunks
from vigil.topics.verdicts import CommentCounts, ReceptionSeconds

PRESENT_ROWS: Final = 72
"""Rows of a chunk of buyers present: they are remembered for minutes, and a chunk until all of it has expired."""


class RoomStatsSnapshot(Struct, array_like=True):
    """The statistics' part of the room's main record. Durations are in milliseconds."""

    entries: int = 0
    received: int = 0
    missed: int = 0
    host_comments: int = 0
    buyer_comments: int = 0
    on_air: int = 0
    absent: int = 0
    black: int = 0
    reception: StoredNumbers = field(default_factory=bytearray)
    reception_buckets: list[int] = []
    present: LogSnapshot = field(default_factory=LogSnapshot)
    commented: LogSnapshot = field(default_factory=LogSnapshot)


class RoomStats:
    """The statistics of one room."""

    __slots__ = ("_commented", "_key_of", "_presence_ms", "_present", "_reception", "_seconds", "_snapshot")

    def __init__(
        self,
        snapshot: RoomStatsSnapshot,
        longest_presence_ms: int,
        most_comments: int,
        chunks: StateChunks,
        key_of: KeyOf,
    ) -> None:
        """`longest_presence_ms`, and how many comments of a buyer are distinguished, of all versions of the limits."""
        self._snapshot = snapshot
        self._presence_ms = longest_presence_ms
        self._key_of = key_of
        self._reception = Histogram(b"r", snapshot.reception, snapshot.reception_buckets, chunks)
        snapshot.reception = self._reception.open
        self._present = RecentKeys(b"p", snapshot.present, chunks, PRESENT_ROWS)
        self._commented = CappedCounter(b"e", most_comments, snapshot.commented, chunks)
        self._seconds: ReceptionSeconds | None = None

    def entered(self) -> None:
        """Count an entry that is judged."""
        self._snapshot.entries += 1

    def received(self, after_ms: int) -> None:
        """Count a judged entry that was received after this long."""
        self._snapshot.received += 1
        self._reception.add(after_ms)
        self._seconds = None

    def missed(self) -> None:
        """Count a judged entry that was not received in time."""
        self._snapshot.missed += 1

    def present(self, buyer_id: str, at: int) -> None:
        """A buyer entered; the entry may be judged or not."""
        self._present.add(self._key_of(buyer_id), at, at - self._presence_ms)

    def commented(self, buyer_id: str, at: int) -> None:
        """A buyer commented."""
        self._snapshot.buyer_comments += 1
        buyer = self._key_of(buyer_id)
        self._present.add(buyer, at, at - self._presence_ms)
        self._commented.add(buyer)

    def add_interval(self, ms: int, face: bool, black: bool) -> None:
        """Add the time from a live frame to the next one, to which the picture of the first applies."""
        snapshot = self._snapshot
        snapshot.on_air += ms
        if not face:
            snapshot.absent += ms
        if black:
            snapshot.black += ms

    def reception_seconds(self) -> ReceptionSeconds | None:
        """How long received entries waited."""
        if self._seconds is None and self._reception.total:
            p50, p95 = self._reception.nearest_ranks(50, 95)
            self._seconds = ReceptionSeconds(p50=p50 / 1000, p95=p95 / 1000)
        return self._seconds

    def buyers_now(self, now: int, presence_ms: int) -> int:
        """How many buyers had an entry or comment in (now − presence, now]."""
        self._present.expire(now - self._presence_ms)
        return self._present.count(now - presence_ms)

    def engaged_buyers(self, comments: int) -> int:
        """How many buyers have that many comments or more."""
        return self._commented.at_least(comments)

    def comments(self) -> CommentCounts:
        """The number of comments by the author's role."""
        return CommentCounts(host=self._snapshot.host_comments, buyer=self._snapshot.buyer_comments)

    def dump(self, into: ChangedChunks) -> None:
        """Put the records that changed since the last call into `into`."""
        self._reception.dump(into)
        self._present.dump(into)
        self._commented.dump(into)

    def chunk_names(self) -> list[bytes]:
        """The names of all records that are stored or about to be."""
        return [*self._reception.chunk_names(), *self._present.chunk_names(), *self._commented.chunk_names()]
