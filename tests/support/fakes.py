"""A feed and a producer in the worker's hands, told by argument: no broker, no Faust."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from faust.types import TP

from tests.support.toys import Event, message
from vigil.agents.shard_manager import wall_ms
from vigil.app.engine.changelog import ChangelogStore


class FakeFeed:
    """What the owner and the checkpoints ask of Kafka."""

    def __init__(self, *topics: str, partition: int = 0) -> None:
        self.tps = {TP(topic, partition) for topic in topics}
        self.told_ends: dict[TP, int] = dict.fromkeys(self.tps, 0)
        self.first: dict[TP, int] = dict.fromkeys(self.tps, 0)
        self.answers: dict[TP, int] = {}
        self.past: dict[TP, int] = {}
        self.handed: dict[TP, int] = {}
        self.held: set[TP] = set()
        self.committed: list[dict[TP, int]] = []
        self.member = True
        self.diary: list[Any] = []

    def assigned(self, topics: Iterable[str]) -> set[TP]:
        return {tp for tp in self.tps if tp.topic in set(topics)}

    async def ends(self, tps: set[TP]) -> dict[TP, int]:
        return {tp: self.told_ends[tp] for tp in tps}

    async def beginnings(self, tps: set[TP]) -> dict[TP, int]:
        return {tp: self.first[tp] for tp in tps}

    def end(self, tp: TP) -> int:
        return self.told_ends[tp]

    def answered(self, tp: TP) -> int:
        return self.answers.get(tp, 0)

    def passed(self, tp: TP) -> int:
        return self.past.get(tp, 0)

    def handed_on(self, tp: TP) -> int:
        return self.handed.get(tp, 0)

    def hold(self, tp: TP) -> None:
        assert tp not in self.held
        self.held.add(tp)

    def release(self, tp: TP) -> None:
        self.held.remove(tp)

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        self.diary.append("commit")
        if self.member:
            self.committed.append(dict(offsets))
        return self.member

    # ---- what a test says -------------------------------------------------------------------------------------

    def answers_all(self, at: int | None = None) -> None:
        """The broker has answered a fetch of every partition, by default just now."""
        self.answers = dict.fromkeys(self.tps, wall_ms() if at is None else at)


class Fetched(NamedTuple):
    """A Kafka record as it was fetched."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def fetched(topic: str, offset: int, *ats: int, key: str = "k", partition: int = 0) -> list[Fetched]:
    """Records from `offset` on, one event each at these times."""
    made = [message(offset + n, Event(key, at, id=f"{topic} {offset + n}")) for n, at in enumerate(ats)]
    return [Fetched(topic, partition, told.offset, wall_ms(), told.key, told.value) for told in made]


class Batch:
    """What aiokafka's producer calls a batch builder; small, so that checkpoints may be of several."""

    def __init__(self, most: int) -> None:
        self.records: list[Any] = []
        self._most = most

    def append(self, *, key: Any, value: Any, timestamp: Any, headers: Any) -> Any:
        if len(self.records) >= self._most:
            return None
        self.records.append((key, value, headers))
        return object()

    def record_count(self) -> int:
        return len(self.records)


class Ack(NamedTuple):
    offset: int


class FakeProducer:
    """Topics in memory; every acknowledgement can be held up, or fail."""

    def __init__(self, diary: list[Any], most: int = 1000) -> None:
        self.log: dict[str, list[Any]] = {}
        self.sent: list[tuple[str, bytes | None, bytes | None]] = []
        self.diary = diary
        self.most = most
        self.batches: list[int] = []
        self.fails: Callable[[str], BaseException | None] = lambda topic: None
        self.gate = asyncio.Event()
        self.gate.set()

    def create_batch(self) -> Batch:
        return Batch(self.most)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Any:
        assert batch.records, "an empty batch"
        log = self.log.setdefault(topic, [])
        first = len(log)
        log.extend(batch.records)
        self.batches.append(len(batch.records))
        return self._acked(topic, "state", first)

    async def send(self, topic: str, value: Any, *, key: Any, headers: Any) -> Any:
        assert dict(headers)["ce_id"]
        self.sent.append((topic, key, value))
        return self._acked(topic, "output", len(self.sent))

    def _acked(self, topic: str, what: str, offset: int) -> Any:
        self.diary.append(what)

        async def ack() -> Ack:
            await self.gate.wait()
            if error := self.fails(topic):
                raise error
            self.diary.append(f"{what} acked")
            return Ack(offset)

        return asyncio.ensure_future(ack())


class FakeTable:
    """A table's name and its stores' ends."""

    def __init__(self, changelog: str) -> None:
        self.changelog_topic_name: Final = changelog
        self.store: Any = self
        self.ends: dict[int, int] = {}


def restored(log: Sequence[Any]) -> ChangelogStore:
    """What a restart reads out of a changelog."""
    from vigil.app.engine.changelog import ChangelogRecord

    store = ChangelogStore()
    store.read([ChangelogRecord(key, value, tuple(headers)) for key, value, headers in log])
    store.finalize_restore()
    return store
