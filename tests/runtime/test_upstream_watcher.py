"""When everything is written that a subject reads and other subjects write, by what is committed."""

from itertools import count
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition as ClientPartition

from tests.support.fakes import FakeSourceFeed
from vigil.agents.ports import TopicPartition
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
    clock = count(1)
    return UpstreamWatcher(Settings(), feed, {"hosts": ("comment", "frame-status")}, lambda: True, lambda: next(clock))


async def poll(watched: UpstreamWatcher, admin: Admin, times: int = 1) -> int | None:
    """Poll so often; return since when all is written. The first poll begins at 1."""
    for _ in range(times):
        await watched._poll(admin)  # type: ignore[arg-type]
    return watched.written_at["hosts"]


async def test_all_is_written_once_two_polls_find_every_input_committed_to_the_same_end() -> None:
    watched, admin = watcher(3, 5), Admin(comment=3, frame=4)
    assert await poll(watched, admin, 2) is None
    admin.committed["frame"] = 5
    assert await poll(watched, admin) is None, "what was published before the commit may be behind these ends"
    assert await poll(watched, admin) == 4
    assert await poll(watched, admin) == 4, "it says since when"
    watched._feed.reported_ends[COMMENT] = 4  # type: ignore[attr-defined]
    assert await poll(watched, admin) is None, "more has come"


async def test_what_came_between_two_polls_is_waited_for_though_it_is_committed_by_then() -> None:
    watched, admin = watcher(3, 5), Admin(comment=3, frame=5)
    await poll(watched, admin)
    watched._feed.reported_ends[FRAME] = admin.committed["frame"] = 6  # type: ignore[attr-defined]
    assert await poll(watched, admin) is None
    assert await poll(watched, admin) == 3


async def test_an_empty_input_needs_no_commit() -> None:
    assert await poll(watcher(3, 0), Admin(comment=3), 2) is not None


async def test_a_broker_that_is_away_or_does_not_report_all_topics_proves_nothing() -> None:
    watched, admin = watcher(3, 3), Admin(comment=3, frame=3)
    assert await poll(watched, admin, 2) is not None
    admin.away = True
    assert await poll(watched, admin) is None
    admin.away = False
    assert await poll(watched, admin) is None, "the poll before says nothing"
    watched._feed.reported_ends = {COMMENT: 3}  # type: ignore[attr-defined]
    assert await poll(watched, admin, 2) is None
