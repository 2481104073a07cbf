"""What the broker loses or changes under a worker: topics created again, logs cut short, partitions, stored state."""

import asyncio
import itertools
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import TopicPartition

from tests.support.harness import WorkerProcess, make_topics, read
from tests.support.kafka import KafkaBroker
from vigil.app.kafka.admin import changelog_config
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.doctor.examine import examine

pytestmark = [pytest.mark.ci, pytest.mark.timeout(240)]

PARTITIONS: Final = 2
ROOMS: Final = tuple(f"room-{n}" for n in range(4))


class Loop:
    """A worker that is started again whenever it ends, as a supervisor does."""

    def __init__(self, broker: str, folder: Path, **settings: Any) -> None:
        self.logs: list[Path] = []
        self.resting = False
        """A worker that has ended is not started again."""
        self._broker, self._folder, self._settings = broker, folder, settings
        self.worker = self._start()

    def _start(self) -> WorkerProcess:
        self.logs.append(self._folder / f"worker-{len(self.logs)}.log")
        settings = {"session_timeout_ms": 3000, "partitions": PARTITIONS, **self._settings}
        return WorkerProcess(self._broker, self.logs[-1], **settings)

    async def supervise(self) -> None:
        while True:
            if self.worker.process.poll() is not None and not self.resting:
                self.worker = self._start()
            await asyncio.sleep(0.1)

    def log(self) -> list[dict[str, Any]]:
        """The lines of all runs."""
        return [json.loads(line) for log in self.logs for line in log.read_text().splitlines()]

    def said(self, event: str, word: str) -> bool:
        """True if a line with this event has the word in any of its values."""
        return any(line["event"] == event and word in json.dumps(line) for line in self.log())


@asynccontextmanager
async def looped(broker: str, folder: Path, **settings: Any) -> AsyncIterator[Loop]:
    loop = Loop(broker, folder, **settings)
    task = asyncio.create_task(loop.supervise())
    try:
        await loop.worker.ready()
        yield loop
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        loop.worker.kill()


@asynccontextmanager
async def administrator(broker: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def until(true: Any, within_s: float = 60) -> None:
    """Wait until a coroutine function returns True."""
    async with asyncio.timeout(within_s):
        while not await true():
            await asyncio.sleep(0.2)


async def delete(broker: str, *topics: str) -> None:
    async with administrator(broker) as admin:
        await admin.delete_topics(list(topics))

        async def gone() -> bool:
            return not set(topics) & set(await admin.list_topics())

        await until(gone)


async def say(broker: str, name: str, count: int, pause_s: float = 0.0) -> None:
    """Send comments of each room's host, each of which is a violation of its own, as they are said."""
    numbers = itertools.count()
    async with AIOKafkaProducer(bootstrap_servers=broker, acks="all") as producer:
        for number in itertools.islice(numbers, count):
            for room in ROOMS:
                at = round(time.time() * 1000)
                known = {"room_id": room, "host_id": f"host-of-{room}"}
                frame = {**known, "at": at, "stream": "live", "face": True, "black": False}
                await producer.send_and_wait("frame-status", json.dumps(frame).encode(), key=room.encode())
                comment = {
                    **known,
                    "at": at + 1,
                    "comment_id": f"{name}-{number}",
                    "author_id": "host",
                    "author_role": "host",
                    "text": "buy this",
                    "labels": [f"prohibited:{name}{number}"],
                }
                await producer.send_and_wait("comment", json.dumps(comment).encode(), key=room.encode())
            await asyncio.sleep(pause_s)


async def verdicts(broker: str) -> set[tuple[str, str]]:
    """Room and subject of everything that was judged a violation by now."""
    found = await read(broker, ["verdict"])
    return {(verdict["room_id"], verdict["subject"]) for _, verdict in found["verdict"]}


def expected(*said: tuple[str, int]) -> set[tuple[str, str]]:
    return {(room, f"prohibited:{name}{number}") for name, count in said for number in range(count) for room in ROOMS}


async def all_judged(broker: str, *said: tuple[str, int]) -> None:
    async def judged() -> bool:
        return expected(*said) <= await verdicts(broker)

    try:
        await until(judged, 60)
    except TimeoutError:
        missing = sorted(expected(*said) - await verdicts(broker))
        raise AssertionError(f"{len(missing)} are missing: {missing[:9]}") from None


async def failures(broker: str) -> str:
    """What doctor fails with."""
    return await reported(broker, "fail")


async def reported(broker: str, level: str) -> str:
    """What doctor says on this level."""
    checks = [check async for check in examine(Settings(broker=broker))]
    return "\n".join(check.words for check in checks if check.level == level)


async def test_of_a_topic_that_was_created_again_no_comment_is_missing(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    broker = own_kafka.address
    await make_topics(broker, PARTITIONS)
    async with looped(broker, tmp_path) as loop:
        await say(broker, "before", 40, 0.02)
        await all_judged(broker, ("before", 40))
        await delete(broker, "comment")
        await make_topics(broker, PARTITIONS)
        await say(broker, "after", 100, 0.05)
        await all_judged(broker, ("before", 40), ("after", 100))
        assert loop.said("source changed", "the topic was created again; it is read from its beginning, offset 0")
        assert 'vigil_source_recreated_total{topic="comment"}' in loop.worker.get("/metrics")[1]
        await asyncio.sleep(2)  # for a checkpoint
        words = "comment, partition 0: the topic was created again; it is read from its beginning, offset 0 ("
        assert words in await reported(broker, "warn")


async def test_a_topic_that_was_created_again_while_its_worker_was_stopped_for_seconds_is_read_from_its_beginning(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    """It stays a member, and the topic is longer by then than what was read of it."""
    broker = own_kafka.address
    await make_topics(broker, PARTITIONS)
    async with looped(broker, tmp_path, session_timeout_ms=30_000) as loop:
        await say(broker, "before", 10, 0.02)
        await all_judged(broker, ("before", 10))
        loop.worker.process.send_signal(signal.SIGSTOP)
        await delete(broker, "comment")
        await make_topics(broker, PARTITIONS)
        await asyncio.sleep(3)
        await say(broker, "after", 30)
        loop.worker.process.send_signal(signal.SIGCONT)

        async def dealt_with() -> bool:
            letters = await read(broker, ["dead-letter"])
            late = {json.dumps(letter) for _, letter in letters["dead-letter"]}
            judged = len(expected(("after", 30)) & await verdicts(broker))
            return judged + len(late) >= 30 * len(ROOMS)

        await until(dealt_with, 90)
        assert loop.said("stopped by an error", "comment, partition")
        assert loop.said("source changed", "the topic was created again; it is read from its beginning, offset 0")


async def test_a_topic_that_was_created_again_while_no_worker_ran_is_read_from_its_beginning(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    """Whether it is shorter or longer than the former one."""
    broker = own_kafka.address
    await make_topics(broker, PARTITIONS)
    async with looped(broker, tmp_path):
        await say(broker, "before", 30)
        await all_judged(broker, ("before", 30))
    for name, count in (("shorter", 10), ("longer", 50)):
        await delete(broker, "comment")
        await make_topics(broker, PARTITIONS)
        await say(broker, name, count)
        assert "comment, partition 0: the topic was created again" in await failures(broker)
        folder = tmp_path / name
        folder.mkdir()
        async with looped(broker, folder) as loop:
            await all_judged(broker, (name, count))
            assert loop.said("source changed", "the topic was created again")
            assert len(loop.logs) == 1, "nothing has stopped it"


def cut_last_batches(data: Path, count: int) -> int:
    """Cut batches off the end of a log on the disk, and its index with them; return how many records are gone."""
    segment = max(data.glob("*.log"))
    raw = segment.read_bytes()
    batches, position = [], 0
    while position + 61 <= len(raw):
        batches.append((position, int.from_bytes(raw[position + 57 : position + 61], "big")))
        position += 12 + int.from_bytes(raw[position + 8 : position + 12], "big")
    gone = batches[-count:]
    segment.write_bytes(raw[: gone[0][0]])
    for index in itertools.chain(data.glob("*.index"), data.glob("*.timeindex"), data.glob("*.snapshot")):
        index.unlink()
    return sum(records for _, records in gone)


@pytest.mark.parametrize("grown", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["short", "grown again"])
async def test_a_log_that_was_cut_short_is_read_on(own_kafka: KafkaBroker, tmp_path: Path, grown: bool) -> None:
    """Also if others have written to it before a worker looks."""
    broker = own_kafka.address
    await make_topics(broker, PARTITIONS)
    async with looped(broker, tmp_path) as loop:
        await say(broker, "before", 20)
        await all_judged(broker, ("before", 20))
        loop.resting = True
        loop.worker.stop()
        own_kafka.stop()
        lost = cut_last_batches(own_kafka.directory / "data" / "comment-0", 2)
        assert lost == 2
        own_kafka.start()
        if grown:
            await say(broker, "between", 10)
        words = "the broker has lost the last 2 records that were read"
        assert words in await failures(broker)
        loop.resting = False
        await say(broker, "after", 10)
        await all_judged(broker, ("before", 20), ("after", 10), *([("between", 10)] if grown else []))
        assert loop.said("source changed", words)
        assert f"comment, partition 0: {words}" in await reported(broker, "warn")
        assert not loop.said("stopped by an error", "")
        assert await read(broker, ["dead-letter"]) == {"dead-letter": []}, "nothing was read twice"


async def test_partitions_that_are_added_stop_the_worker_in_the_words_of_the_start(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    broker = own_kafka.address
    await make_topics(broker, PARTITIONS)
    log = tmp_path / "worker.log"
    worker = await WorkerProcess(broker, log, session_timeout_ms=3000, partitions=PARTITIONS).ready()
    try:
        async with administrator(broker) as admin:
            await admin.create_partitions({"comment": NewPartitions(PARTITIONS + 2)})
        assert await asyncio.to_thread(worker.process.wait, 40) == 1
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        (stopped,) = [line["error"] for line in lines if line["event"] == "stopped by an error"]
        again = WorkerProcess(broker, tmp_path / "again.log", session_timeout_ms=3000, partitions=PARTITIONS)
        assert await asyncio.to_thread(again.process.wait, 40) != 0
        words = "topics: the topics of the rooms shards must have the same number of partitions, but buyer-entry has 2"
        assert stopped.startswith(words)
        assert stopped in (tmp_path / "again.log").read_text()
    finally:
        worker.kill()


async def test_a_worker_whose_state_is_gone_starts_when_the_operator_says_so(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    broker = own_kafka.address
    await make_topics(broker, PARTITIONS)
    async with looped(broker, tmp_path):
        await say(broker, "before", 3)
        await all_judged(broker, ("before", 3))
        await asyncio.sleep(2)  # for the offsets of the hosts to be committed
    actions = len((await read(broker, ["enforcement"]))["enforcement"])
    await delete(broker, "vigil-hosts-state")
    assert "is lost, although the input was judged\nhosts, partition " in await failures(broker)
    log = tmp_path / "refused.log"
    refused = WorkerProcess(broker, log, session_timeout_ms=3000, partitions=PARTITIONS)
    assert await asyncio.to_thread(refused.process.wait, 60) == 1
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (stopped,) = [line["error"] for line in lines if line["event"] == "stopped by an error"]
    assert stopped.startswith("the state of hosts, partition ")
    assert "is lost: vigil-hosts-state is empty there, although this application has judged its input up to" in stopped
    assert "state_lost" in stopped
    folder = tmp_path / "accepted"
    folder.mkdir()
    async with looped(broker, folder, state_lost="true") as loop:
        assert loop.said("state lost", "hosts")
        await say(broker, "after", 1)
        await all_judged(broker, ("after", 1))

        async def acted() -> bool:
            return len((await read(broker, ["enforcement"]))["enforcement"]) >= 2 * actions + len(ROOMS)

        await until(acted)
        found = [action for _, action in (await read(broker, ["enforcement"]))["enforcement"]]
        last = {action["host_id"]: action["count"] for action in found}
        assert set(last.values()) == {4}, "the ladder was built again from what the topics have"


async def test_state_whose_log_has_lost_its_beginning_is_refused_until_the_operator_goes_on_with_what_is_left(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    """Retention and whoever deletes records move the beginning of a log; compaction never does."""
    broker, state = own_kafka.address, TopicPartition("vigil-hosts-state", 0)
    await make_topics(broker, 1)
    async with looped(broker, tmp_path):
        await say(broker, "before", 3)
        await all_judged(broker, ("before", 3))
        await asyncio.sleep(2)  # for the offsets of the hosts to be committed
    async with administrator(broker) as admin:  # Kafka deletes no records of a topic that is compacted only
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, state.topic, {"cleanup.policy": "delete"})])
        await admin.delete_records({state: RecordsToDelete(before_offset=4)})
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, state.topic, changelog_config())])
    words = "vigil-hosts-state, partition 0, where up to 4 records below offset 4 are gone"
    assert words in await failures(broker)
    log = tmp_path / "refused.log"
    refused = WorkerProcess(broker, log, session_timeout_ms=3000, partitions=1)
    assert await asyncio.to_thread(refused.process.wait, 60) == 1
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (stopped,) = [line["error"] for line in lines if line["event"] == "stopped by an error"]
    assert stopped.startswith("stored state has lost its beginning")
    assert words in stopped and "state_lost" in stopped
    for name, accepted in (("accepted", "true"), ("afterwards", "false")):
        folder = tmp_path / name
        folder.mkdir()
        async with looped(broker, folder, state_lost=accepted) as loop:
            assert loop.said("state lost", words) == (accepted == "true")
            await say(broker, name, 1)
            await all_judged(broker, (name, 1))
            assert len(loop.logs) == 1, "nothing has stopped it"
    assert words not in await failures(broker)


async def test_records_that_are_deleted_before_the_first_checkpoint_are_counted(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    broker = own_kafka.address
    await make_topics(broker, 1)
    await say(broker, "gone", 175)
    await say(broker, "kept", 75)
    async with administrator(broker) as admin:
        await admin.delete_records({TopicPartition("comment", 0): RecordsToDelete(before_offset=700)})
    async with looped(broker, tmp_path) as loop:
        await all_judged(broker, ("kept", 75))
        assert loop.said("source changed", "700 records were deleted before they were read")
        assert 'vigil_skipped_total{topic="comment"} 700.0' in loop.worker.get("/metrics")[1]
    consumer = AIOKafkaConsumer(bootstrap_servers=broker)
    await consumer.start()
    try:
        assert await consumer.beginning_offsets([TopicPartition("comment", 0)]) == {TopicPartition("comment", 0): 700}
    finally:
        await consumer.stop()
