"""A console takes over a rulebook that is published while it runs: pages, wall and the group's digests go by it."""

import asyncio
import uuid
from collections.abc import Callable

import msgspec
import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from tests.console.test_group_rulebook import judged_by
from tests.console.test_wall import CRITICAL, WATCH, S, rows, status
from tests.support.console_stories import RULEBOOK, START, ConsoleStage
from tests.support.rulebook_files import TEXT, dated, read
from vigil.app.console.ingest import group_rulebook
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.history import RulebookHistory, RulebookRecord
from vigil.app.kafka.admin import ensure_topics
from vigil.app.kafka.clients import new_producer
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.doctor.state import ShardState
from vigil.app.runtime.rulebooks import display
from vigil.topics.rulebooks import RULEBOOK as TOPIC
from vigil.topics.rulebooks import RulebookPublication

CHANGED = dated("rooms", '"2022-09-01T00:00:00-07:00"', at_risk_from_s="30")


def publication(text: str, parent: str = "") -> RulebookPublication:
    return RulebookPublication(text=text, digest=read(text).digest, parent=parent, notice_ms=0, by="p", at=START)


def published(*texts: str) -> RulebookHistory:
    history, parent = RulebookHistory(), ""
    for offset, text in enumerate(texts):
        history.add(RulebookRecord(offset, 1, publication(text, parent)))
        parent = read(text).digest
    return history


def test_wall_and_pages_go_by_it() -> None:
    console = ConsoleStage()
    in_45_s = (("absence", -255 * S, 45 * S),)
    console.take("room-status", status(opened=in_45_s))
    client = TestClient(console.app, base_url="http://127.0.0.1")
    assert rows(console, 0)["r"]["b"] == CRITICAL
    assert "within 60 s of a violation" in client.get("/").text
    console.state.use(read(CHANGED), published(TEXT, CHANGED))
    console.take("room-status", status(at=1, opened=in_45_s))
    assert rows(console, 0)["r"]["b"] == WATCH
    assert "within 30 s of a violation" in client.get("/").text


async def test_checkpoints_by_any_published_rulebook_are_the_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[ShardState] = []

    async def checkpoints(settings: Settings, subject: str, changelog: str) -> list[ShardState]:
        return states

    monkeypatch.setattr(group_rulebook, "read_states", checkpoints)
    state = ConsoleStage().state
    group, changed = state.group_rulebook, read(CHANGED)
    states[:] = judged_by(RULEBOOK.digest, changed.digest)
    await group.refresh()
    assert group.other == changed.digest, "a worker has it before the console"
    state.use(changed, published(TEXT, CHANGED))
    assert group.other is None, "at once"
    await group.refresh()
    assert group.other is None, "a shard that judges by the former one judges as well"
    states[:] = judged_by(changed.digest, "nobody's")
    await group.refresh()
    assert group.other == "nobody's"


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


async def test_it_follows_the_topic_from_before_there_is_one(any_broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "POLL_S", 0.05)
    monkeypatch.setattr(display, "RETRY_S", 0.05)
    name = f"shown-{uuid.uuid4().hex[:8]}"
    settings = Settings(broker=any_broker, app_id=name, topic_prefix=f"{name}.", partitions=1)
    used: list[tuple[str, int]] = []

    def use(book: Rulebook, history: RulebookHistory) -> None:
        used.append((book.digest, len(history.entries)))

    async def publish(body: RulebookPublication) -> None:
        async with new_producer(settings, "test") as producer:
            topic = TopicNames.of(settings).on_cluster(TOPIC)
            await producer.send_and_wait(topic, msgspec.json.encode(body), TOPIC.encode())

    following = asyncio.create_task(display.follow_newest(settings, use))
    try:
        with capture_logs() as logged:
            await eventually(lambda: bool(logged))
            await asyncio.sleep(0.3)
        assert [line["event"] for line in logged] == ["cannot follow published rulebooks"], "once"
        await ensure_topics(settings, REGISTRY.sources)
        first = publication(TEXT)
        await publish(first)
        await eventually(lambda: used == [(first.digest, 1)])
        second = publication(CHANGED, first.digest)
        await publish(publication(CHANGED, "nobody's"))
        await publish(second)
        await eventually(lambda: len(used) == 2)
        assert used[1] == (second.digest, 2)
        await asyncio.sleep(0.2)
        assert len(used) == 2
    finally:
        following.cancel()
