"""`vigil notify` on a broker: each change is sent once, nothing is lost, whichever process is killed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import ProducerFenced

from tests.support.harness import WorkerProcess, finished, make_topics, read, replayed, send
from tests.support.notify_stories import T0, S, action, notice, verdict
from tests.support.webhook_receiver import Receiver
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.settings import Settings
from vigil.app.notify.incidents import Incidents
from vigil.app.notify.records import SOURCE_TOPICS
from vigil.app.notify.routing_file import names_of, parse_routing
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.service import NotifyService, run_notify
from vigil.app.notify.state_topic import ensure_topics
from vigil.app.notify.store import IncidentStore
from vigil.app.simulate import Simulation
from vigil.topics.envelope import cloud_event_headers
from vigil.topics.verdicts import Action, Notice, Verdict

RULEBOOK = load_rulebook()

ROUTES = """
[targets.hook]
kind = "webhook"
url = "{url}"
secret = "hook"
per_minute = 60000
{more}

[[routes]]
to = ["hook"]
kinds = ["at-risk", "violation", "action", "signal-lost", "entry-missed"]
"""


def status(room_id: str, at: int, stream: str) -> tuple[str, bytes, bytes]:
    said = {"room_id": room_id, "host_id": "host-1", "at": T0 + at * S, "stream": stream, "waiting": [], "open": []}
    return "room-status", room_id.encode(), orjson.dumps(said)


def message(said: Any) -> tuple[str, bytes, bytes | None]:
    """Topic, key and value of an output."""
    topics = {Verdict: "verdict", Notice: "notice", Action: "enforcement"}
    key = said.host_id if isinstance(said, Action) else said.room_id
    return topics[type(said)], key.encode(), msgspec.json.encode(said)


async def publish(broker: str, messages: Iterable[tuple[str, bytes | None, bytes | None]]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        for topic, key, value in messages:
            headers = cloud_event_headers(topic, "x", T0 + 4000 * S)
            await producer.send_and_wait(topic, value, key=key, headers=headers)


def settings(broker: str, **more: Any) -> Settings:
    """Settings for either broker: the embedded one has no transactions."""
    transactional = (
        "kafka" in os.environ.get("PYTEST_CURRENT_TEST", "") and "[kafka]" in os.environ["PYTEST_CURRENT_TEST"]
    )
    return Settings(broker=broker, web_port=0, session_timeout_ms=2000, idempotent_producer=transactional, **more)


@asynccontextmanager
async def notifying(broker: str, url: str, more: str = "", **options: Any) -> AsyncIterator[NotifyService]:
    """A running NotifyService, stopped in order at the end."""
    routing = parse_routing(ROUTES.format(url=url, more=more), "routes.toml", names_of(RULEBOOK))
    notify = NotifyService(settings(broker), routing, Secrets({"hook": "key-123456"}), RULEBOOK, **options)
    stop = asyncio.Event()
    task = asyncio.create_task(run_notify(notify, stop))
    try:
        async with asyncio.timeout(45):
            while not notify.active and not task.done():
                await asyncio.sleep(0.05)
        if task.done():
            await task
        yield notify
    finally:
        stop.set()
        await asyncio.wait_for(task, 40)


async def until(condition: Callable[[], bool], within_s: float = 45) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.05)


def events(receiver: Receiver, room_id: str) -> list[str]:
    return [one["event"] for one in receiver.taken if one["incident"]["room_id"] == room_id]


FOUND = verdict()


async def test_a_condition_is_sent_once_across_restarts(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 2)
    await publish(broker, [message(notice("at-risk", room_id="before"))])
    async with Receiver() as receiver:
        async with notifying(broker, receiver.url) as notify:
            await publish(broker, [message(notice("at-risk")), message(FOUND), message(FOUND)])
            await until(lambda: len(receiver.taken) == 2)
            notify.refresh_metrics()
            assert notify.metrics.registry.get_sample_value("vigil_notify_open_incidents") == 1
            assert notify.metrics.registry.get_sample_value("vigil_notify_delivered_total", {"target": "hook"}) == 2
        await publish(broker, [message(FOUND), message(action(FOUND)), status("room-1", 300, "live")])
        async with notifying(broker, receiver.url):
            await until(lambda: len(receiver.taken) == 3)
            await publish(broker, [status("room-1", 400, "ended"), ("room-status", b"room-1", None)])
            await until(lambda: len(receiver.taken) == 4)
        async with notifying(broker, receiver.url):
            await publish(broker, [message(notice("signal-lost", room_id="room-2"))])
            await until(lambda: len(receiver.taken) == 5)
        assert events(receiver, "room-1") == ["opened", "violation", "action", "resolved"]
        assert events(receiver, "before") == [], "a new group begins with what comes"
        assert len(set(receiver.tried)) == len(receiver.tried)


async def test_what_comes_between_two_runs_of_a_new_group_is_not_lost(broker_of_its_own: str) -> None:
    await make_topics(broker_of_its_own, 2)
    async with Receiver() as receiver:
        async with notifying(broker_of_its_own, receiver.url):
            pass
        await publish(broker_of_its_own, [message(FOUND)])
        async with notifying(broker_of_its_own, receiver.url):
            await until(lambda: len(receiver.taken) == 1)


async def test_what_no_target_accepted_is_delivered_by_the_next_process(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 1)

    async def down(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=503)

    async with Receiver(down) as receiver:
        async with notifying(broker, receiver.url, from_beginning=True):
            await publish(broker, [message(notice("at-risk")), message(FOUND), status("room-1", 400, "ended")])
            await until(lambda: len(receiver.tried) >= 2)
        receiver.behave = lambda request, number: answered()
        async with notifying(broker, receiver.url):
            await until(lambda: len(receiver.taken) == 3)
    assert events(receiver, "room-1") == ["opened", "violation", "resolved"]


async def answered() -> web.StreamResponse:
    return web.Response()


async def test_what_cannot_be_read_or_delivered_is_in_the_dead_letter_topic(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 1)

    async def picky(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=400 if b"room-bad" in await request.read() else 503)

    bad: list[tuple[str, bytes | None, bytes | None]] = [
        ("verdict", b"k", b"{"), ("notice", None, b"\xff"), ("enforcement", b"k", None), ("room-status", b"\xff", None),
    ]  # fmt: skip
    async with Receiver(picky) as receiver:
        async with notifying(broker, receiver.url, "most_owed = 3", from_beginning=True):
            await publish(broker, [*bad, message(verdict(room_id="room-bad"))])
            await until(lambda: len(receiver.tried) >= 1)
            await publish(broker, [message(verdict(room_id=f"room-{number}")) for number in range(6)])
            await until(lambda: len(set(receiver.tried)) >= 4)
            await asyncio.sleep(1)
        # A target that the file does not name any more.
        routing = parse_routing(
            ROUTES.format(url=receiver.url, more="").replace("hook]", "other]").replace('["hook"]', '["other"]'),
            "r",
            names_of(RULEBOOK),
        )
        stop = asyncio.Event()
        notify = NotifyService(settings(broker), routing, Secrets({"hook": "key-123456"}), RULEBOOK)
        task = asyncio.create_task(run_notify(notify, stop))
        await until(lambda: notify.active)
        await asyncio.sleep(1)
        stop.set()
        await task
    letters = await dead_letters(broker)
    assert sorted(one["topic"] for one in letters if one["reason"] == "malformed") == sorted(one[0] for one in bad)
    details = [one["detail"] for one in letters if one["reason"] == "not-delivered"]
    assert details.count("HTTP 400") == 1
    assert details.count("too much is owed to this target") == 3
    assert details.count("the routing file has no such target any more") == 3
    assert len(details) == 7


async def dead_letters(broker: str) -> list[Any]:
    """All letters; a transaction's own marks make the topic's end lie beyond its last message."""
    async with AIOKafkaConsumer(
        "notify-dead-letter", bootstrap_servers=broker, auto_offset_reset="earliest", isolation_level="read_committed"
    ) as consumer:
        found: list[Any] = []
        while batches := await consumer.getmany(timeout_ms=3000):
            found += [orjson.loads(record.value) for records in batches.values() for record in records]
    return found


async def test_a_suspended_process_cannot_write_after_another_became_active(kafka: str) -> None:
    fenced = Settings(broker=kafka, app_id="fenced")
    await make_topics(kafka, 1)
    await ensure_topics(fenced, SOURCE_TOPICS)
    frozen, next_one = IncidentStore(fenced), IncidentStore(fenced)
    assert await frozen.open() == {}
    await frozen.write([], [("i:1", b"old")], {}, None)
    try:
        assert await next_one.open() == {"i:1": b"old"}
        await next_one.write([], [("i:1", b"new")], {}, None)
        with pytest.raises(ProducerFenced):
            await frozen.write([], [("i:1", b"stale")], {}, None)
    finally:
        await frozen.close()
        await next_one.close()
    last = IncidentStore(fenced)
    try:
        assert await last.open() == {"i:1": b"new"}
    finally:
        await last.close()


class NotifyProcess(WorkerProcess):
    """A real process of the command."""

    def __init__(self, broker: str, folder: Path, url: str, name: str, **more: object) -> None:
        routes = folder / "routes.toml"
        routes.write_text(ROUTES.format(url=url, more=""))
        secrets = folder / "secrets.toml"
        secrets.write_text('hook = "whsec-SECRET-123"\n')
        command = [sys.executable, "-m", "vigil", "notify", "--routes", str(routes), "--secrets", str(secrets),
                   "--from-beginning"]  # fmt: skip
        super().__init__(
            broker,
            folder / f"{name}.log",
            command=command,
            session_timeout_ms=2000,
            idempotent_producer="false",
            **more,
        )


async def test_another_process_becomes_active_when_one_is_killed(broker_of_its_own: str, tmp_path: Path) -> None:
    broker = broker_of_its_own
    await make_topics(broker, 2)
    async with Receiver() as receiver:
        both = [NotifyProcess(broker, tmp_path, receiver.url, name) for name in "ab"]
        try:
            await publish(broker, [message(notice("at-risk"))])
            await until(lambda: len(receiver.taken) >= 1)
            active = [process for process in both if "vigil_notify_active 1.0" in process.get("/metrics")[1]]
            assert len(active) == 1
            active[0].kill()
            await publish(broker, [message(FOUND), status("room-1", 400, "ended")])
            await until(lambda: len(receiver.first_taken()) == 3)
        finally:
            for process in both:
                process.stop()
        assert [one["event"] for one in receiver.first_taken()] == ["opened", "violation", "resolved"]
        for process in both:
            assert "whsec-SECRET-123" not in process.log.read_text()


@pytest.mark.slow
async def test_a_worker_and_a_notifier_that_is_killed_again_and_again(broker_of_its_own: str, tmp_path: Path) -> None:
    broker = broker_of_its_own
    simulation = Simulation(
        seed=11, rooms=12, suppliers=1, start_ms=1_662_048_000_000, duration_s=900, history_days=1, reviews=0.5
    )  # fmt: skip
    messages = list(simulation.messages())
    expected = replayed(messages)
    # At least this many steps are sent: each of these outputs is one.
    steps = len(expected["verdict"]) + sum(
        output.body.kind in ("at-risk", "entry-missed")  # type: ignore[union-attr]
        for output in expected.by_topic["notice"]
    )
    assert steps > 100
    await make_topics(broker, 2)

    async def slow(request: web.Request, number: int) -> web.StreamResponse:
        await asyncio.sleep(0.05)
        return web.Response(status=500 if number % 7 == 0 else 200)

    async with Receiver(slow) as receiver:
        # A recorded clock goes to its end where there is nothing to read: the worker comes after what it reads.
        await send(broker, messages)
        worker = WorkerProcess(
            broker, tmp_path / "worker.log", clock="recorded", recorded_until=expected.until, idempotent_producer="false"  # noqa: E501 - one case a line
        )  # fmt: skip
        notify = NotifyProcess(broker, tmp_path, receiver.url, "notify-0")
        try:
            await worker.ready()
            for number in range(1, 4):
                await until(lambda number=number: len(receiver.first_taken()) >= number * steps // 4)  # type: ignore[misc]
                notify.kill()
                notify = NotifyProcess(broker, tmp_path, receiver.url, f"notify-{number}")
            await finished(broker)

            def all_delivered() -> bool:
                _, metrics = notify.get("/metrics")
                return 'vigil_notify_owed{target="hook"} 0.0' in metrics and "vigil_notify_active 1.0" in metrics

            still = 0
            while still < 20:  # nothing pending for two seconds
                still = still + 1 if all_delivered() else 0
                await asyncio.sleep(0.1)
            assert notify.stop() == 0
        finally:
            notify.kill()
            worker.stop()
    outputs = await read(broker, ["verdict", "notice", "enforcement", "room-status"])
    check_received(receiver, outputs)


def check_received(receiver: Receiver, outputs: dict[str, list[tuple[bytes | None, Any]]]) -> None:
    """What was received is what the topics contain, each step once by its idempotency key, in order."""
    first = receiver.first_taken()
    steps: dict[str, list[str]] = {}
    for one in first:
        steps.setdefault(one["incident"]["id"], []).append(one["event"])
    for events in steps.values():
        if events[0] not in ("noted", "action"):
            assert events[0] == "opened"
            assert events.count("opened") == 1
            assert events.count("resolved") <= 1
    withdrawn = {value["action_id"] for _, value in outputs["enforcement"] if value["status"] == "withdrawn"}
    verdicts = {value["verdict_id"] for _, value in outputs["verdict"]} - withdrawn
    assert len(verdicts) > 20
    assert verdicts <= {one["incident"].get("verdict_id") for one in first}
    # Whatever has ended by the topics was reported as ended.
    machine, open_ids = Incidents(RULEBOOK), set()
    for _, value in outputs["notice"]:
        machine.notice(msgspec.convert(value, Notice), 0)
    for _, value in outputs["verdict"]:
        machine.verdict(msgspec.convert(value, Verdict), 0)
    for _, value in outputs["enforcement"]:
        machine.action(msgspec.convert(value, Action), 0)
    for _, value in outputs["room-status"]:
        if value is not None:
            machine.room(value["room_id"], value["at"], value["stream"] == "ended", 0)
    open_ids = set(machine.open)
    ended = {id_ for id_, events in steps.items() if "resolved" in events or events[0] in ("noted", "action")}
    assert steps.keys() - ended == open_ids & steps.keys()
    missed = {value["notice_id"] for _, value in outputs["notice"] if value["kind"] == "entry-missed"}
    assert sum(events[0] == "noted" for events in steps.values()) == len(missed)


@pytest.fixture
def broker_of_its_own() -> Any:
    from vigil.app.kafka.embedded_broker import EmbeddedBroker

    with EmbeddedBroker() as broker:
        yield broker.address
