"""A room's figures: what is counted and measured as it goes, whatever the rules say.

Forgets: a buyer's presence after `presence_s`; everything else lives as long as the room.
"""

from msgspec import Struct, field

from vigil.app.engine.storage.aggregates import CappedCounter, ExpiringMap, Histogram
from vigil.app.engine.storage.chunked import LogSnapshot, Records, hash64
from vigil.app.engine.subject import StateChunks
from vigil.topics.verdicts import CommentCounts, ReceptionSeconds


class RoomStatsSnapshot(Struct, array_like=True):
    """The figures' place in the room's main record. Durations are in milliseconds."""

    entries: int = 0
    received: int = 0
    missed: int = 0
    host_comments: int = 0
    buyer_comments: int = 0
    on_air: int = 0
    absent: int = 0
    black: int = 0
    reception: list[int] = []
    reception_buckets: list[int] = []
    present: LogSnapshot = field(default_factory=LogSnapshot)
    commented: LogSnapshot = field(default_factory=LogSnapshot)


class RoomStats:
    """One room's figures."""

    __slots__ = ("_commented", "_presence_ms", "_present", "_reception", "_seconds", "kept")

    def __init__(
        self, kept: RoomStatsSnapshot, longest_presence_ms: int, most_comments: int, parts: StateChunks
    ) -> None:
        """The longest presence, and how many comments of a buyer are told apart, of all times."""
        self.kept = kept
        self._presence_ms = longest_presence_ms
        self._reception = Histogram(b"r", kept.reception, kept.reception_buckets, parts)
        self._present = ExpiringMap(b"p", kept.present, parts)
        self._commented = CappedCounter(b"e", most_comments, kept.commented, parts)
        self._seconds: ReceptionSeconds | None = None

    def entered(self) -> None:
        """An entry is judged."""
        self.kept.entries += 1

    def received(self, after_ms: int) -> None:
        """The host showed reception this long after a judged entry."""
        self.kept.received += 1
        self._reception.add(after_ms)
        self._seconds = None

    def missed(self) -> None:
        """A judged entry had no reception in time."""
        self.kept.missed += 1

    def present(self, buyer_id: str, at: int) -> None:
        """A buyer entered, judged or not."""
        self._present.add(hash64(buyer_id), at, at - self._presence_ms)

    def commented(self, buyer_id: str, at: int) -> None:
        """A buyer said something."""
        self.kept.buyer_comments += 1
        buyer = hash64(buyer_id)
        self._present.add(buyer, at, at - self._presence_ms)
        self._commented.add(buyer)

    def lasted(self, ms: int, face: bool, black: bool) -> None:
        """A live frame stood for this long until the next one."""
        kept = self.kept
        kept.on_air += ms
        if not face:
            kept.absent += ms
        if black:
            kept.black += ms

    def reception_seconds(self) -> ReceptionSeconds | None:
        """How long entries waited for their reception."""
        if self._seconds is None and self._reception.total:
            self._seconds = ReceptionSeconds(
                p50=self._reception.nearest_rank(50) / 1000, p95=self._reception.nearest_rank(95) / 1000
            )
        return self._seconds

    def buyers_now(self, now: int, presence_ms: int) -> int:
        """Buyers with an entry or comment in (now − presence, now]."""
        self._present.forget(now - self._presence_ms)
        latest = self._present.latest
        if presence_ms == self._presence_ms:
            return len(latest)
        return sum(at > now - presence_ms for at in latest.values())

    def engaged_buyers(self, comments: int) -> int:
        """Buyers with that many comments or more."""
        return self._commented.at_least(comments)

    def comments(self) -> CommentCounts:
        """How many comments, by the author's role."""
        return CommentCounts(host=self.kept.host_comments, buyer=self.kept.buyer_comments)

    def dump(self, into: Records) -> None:
        """Move the records that changed since the last time over to `into`."""
        self._reception.dump(into)
        self._present.dump(into)
        self._commented.dump(into)

    def names(self) -> list[bytes]:
        """The names of all records that are or were about to be stored."""
        return [*self._reception.names(), *self._present.names(), *self._commented.names()]
