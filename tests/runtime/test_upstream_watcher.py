"""When everything is written that a subject reads and other subjects write, by what is committed."""

from types import SimpleNamespace
from typing import Any

from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition as ClientPartition

from tests.support.fakes import FakeSourceFeed
from vigil.agents.ports import TopicPartition
from vigil.agents.wall_clock import wall_ms
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.upstream_watcher import UpstreamWatcher

COMMENT, FRAME = TopicPartition("comment", 0), TopicPartition("frame-status", 0)


class Admin:
    """A group's committed offsets."""

    def __init__(self, **committed: int) -> None:
        self.committed = committed
        self.away = False

    async def list_consumer_group_offsets(self, group: str, partitions: list[ClientPartition]) -> dict[Any, Any]:
        if self.away:
            raise KafkaConnectionError
        assert group == "vigil"
        return {tp: SimpleNamespace(offset=self.committed.get(tp.topic.split("-")[0], -1)) for tp in partitions}


def watcher(comments: int, frames: int) -> UpstreamWatcher:
    """Of hosts, whose verdicts come from two topics with so many messages."""
    feed = FakeSourceFeed("comment", "frame-status")
    feed.reported_ends = {COMMENT: comments, FRAME: frames}
    return UpstreamWatcher(Settings(), feed, {"hosts": ("comment", "frame-status")}, lambda: True)


async def test_all_is_written_once_every_input_is_committed_to_its_end() -> None:
    watched, admin = watcher(3, 5), Admin(comment=3, frame=4)
    await watched._poll(admin)  # type: ignore[arg-type]
    assert watched.written_at == {"hosts": None}
    admin.committed["frame"] = 5
    before = wall_ms()
    await watched._poll(admin)  # type: ignore[arg-type]
    first = watched.written_at["hosts"]
    assert first is not None
    assert before <= first <= wall_ms()
    await watched._poll(admin)  # type: ignore[arg-type]
    assert watched.written_at["hosts"] == first, "it says since when"
    watched._feed.reported_ends[COMMENT] = 4  # type: ignore[attr-defined]
    await watched._poll(admin)  # type: ignore[arg-type]
    assert watched.written_at == {"hosts": None}, "more has come"


async def test_an_empty_input_needs_no_commit() -> None:
    watched = watcher(3, 0)
    await watched._poll(Admin(comment=3))  # type: ignore[arg-type]
    assert watched.written_at["hosts"] is not None


async def test_a_broker_that_is_away_or_does_not_report_all_topics_proves_nothing() -> None:
    watched, admin = watcher(3, 3), Admin(comment=3, frame=3)
    await watched._poll(admin)  # type: ignore[arg-type]
    assert watched.written_at["hosts"] is not None
    admin.away = True
    await watched._poll(admin)  # type: ignore[arg-type]
    assert watched.written_at == {"hosts": None}
    admin.away = False
    watched._feed.reported_ends = {COMMENT: 3}  # type: ignore[attr-defined]
    await watched._poll(admin)  # type: ignore[arg-type]
    assert watched.written_at == {"hosts": None}
