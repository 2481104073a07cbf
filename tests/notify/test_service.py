"""`vigil notify` on a broker: each step is sent once, nothing is lost, whichever process is killed."""

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

from tests.support.harness import WorkerProcess, finished, make_topics, read, replayed, send
from tests.support.notify_stories import RULEBOOK, T0, S, acted, over, signal_lost, violation, warning
from tests.support.webhook_receiver import Receiver
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.notify.brake_log import decide, held_back
from vigil.app.notify.brakes import BrakeDecision
from vigil.app.notify.routing_file import names_of, parse_routing
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.service import NotifyService, run_notify
from vigil.app.notify.store import Lease
from vigil.app.notify.topics import NotifyNames
from vigil.app.simulate import Simulation
from vigil.topics.envelope import cloud_event_headers
from vigil.topics.incidents import IncidentStatus

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

Message = tuple[str, bytes | None, bytes | None]


def message(said: IncidentStatus) -> Message:
    """Topic, key and value of an incident."""
    return "incident", said.incident_id.encode(), msgspec.json.encode(said)


async def publish(broker: str, messages: Iterable[Message]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        for topic, key, value in messages:
            headers = cloud_event_headers(topic, "x", T0 + 4000 * S)
            await producer.send_and_wait(topic, value, key=key, headers=headers)


def settings(broker: str, **more: Any) -> Settings:
    """Settings for either broker: the embedded one knows no idempotent producers."""
    idempotent = "[kafka]" in os.environ.get("PYTEST_CURRENT_TEST", "")
    return Settings(broker=broker, web_port=0, session_timeout_ms=2000, idempotent_producer=idempotent, **more)


@asynccontextmanager
async def notifying(
    broker: str, url: str, more: str = "", routes: str = ROUTES, **options: Any
) -> AsyncIterator[NotifyService]:
    """A running NotifyService, stopped in order at the end."""
    routing = parse_routing(routes.format(url=url, more=more), "routes.toml", names_of(RULEBOOK))
    notify = NotifyService(settings(broker), routing, Secrets({"hook": "key-123456"}), **options)
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


FOUND = violation()


async def test_an_incident_is_sent_once_across_restarts(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 2)
    await publish(broker, [message(warning(room_id="before"))])
    async with Receiver() as receiver:
        async with notifying(broker, receiver.url) as notify:
            await publish(broker, [message(warning())])
            await until(lambda: len(receiver.taken) == 1)
            await publish(broker, [message(FOUND), message(FOUND)])
            await until(lambda: len(receiver.taken) == 2)
            notify.refresh_metrics()
            assert notify.metrics.registry.get_sample_value("vigil_notify_open_incidents") == 1
            assert notify.metrics.registry.get_sample_value("vigil_notify_partitions") == 2
        await publish(broker, [message(FOUND), message(acted(FOUND))])
        async with notifying(broker, receiver.url):
            await until(lambda: len(receiver.taken) == 3)
            last = over(acted(FOUND))
            await publish(broker, [message(last), message(last), ("incident", last.incident_id.encode(), None)])
            await until(lambda: len(receiver.taken) == 4)
        async with notifying(broker, receiver.url):
            await publish(broker, [message(signal_lost(room_id="room-2"))])
            await until(lambda: len(receiver.taken) == 5)
        assert events(receiver, "room-1") == ["opened", "violation", "action", "resolved"]
        assert events(receiver, "before") == [], "a new group begins with what comes"
        assert len(set(receiver.tried)) == len(receiver.tried)


@pytest.mark.ci
async def test_what_comes_between_two_runs_of_a_new_group_is_not_lost(broker_of_its_own: str) -> None:
    await make_topics(broker_of_its_own, 2)
    async with Receiver() as receiver:
        async with notifying(broker_of_its_own, receiver.url):
            pass
        await publish(broker_of_its_own, [message(FOUND)])
        async with notifying(broker_of_its_own, receiver.url):
            await until(lambda: len(receiver.taken) == 1)


@pytest.mark.ci
async def test_what_no_target_accepted_is_delivered_by_the_next_process(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 1)

    async def down(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=503)

    async with Receiver(down) as receiver:
        async with notifying(broker, receiver.url, from_beginning=True):
            await publish(broker, [message(warning()), message(FOUND), message(over(FOUND))])
            await until(lambda: len(receiver.tried) >= 2)
        receiver.behave = lambda request, number: answered()
        async with notifying(broker, receiver.url):
            await until(lambda: len(receiver.taken) == 2)
    assert events(receiver, "room-1") == ["opened", "resolved"]


async def answered() -> web.StreamResponse:
    return web.Response()


async def test_what_cannot_be_read_or_delivered_is_in_the_dead_letter_topic(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 1)

    async def picky(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=400 if b"room-bad" in await request.read() else 503)

    bad: list[Message] = [("incident", b"k", b"{"), ("incident", b"\xff", None)]
    async with Receiver(picky) as receiver, notifying(broker, receiver.url, "most_owed = 3", from_beginning=True):
        await publish(broker, [*bad, message(violation(room_id="room-bad"))])
        await until(lambda: len(receiver.tried) >= 1)
        await publish(broker, [message(violation(room_id=f"room-{number}")) for number in range(6)])
        await until(lambda: len(set(receiver.tried)) >= 4)
        await asyncio.sleep(1)
    letters = await dead_letters(broker)
    assert [one["topic"] for one in letters if one["reason"] == "malformed"] == ["incident"] * 2
    details = [one["detail"] for one in letters if one["reason"] == "not-delivered"]
    assert sorted(details) == ["HTTP 400", *["too much is owed to this target"] * 3]


async def dead_letters(broker: str) -> list[Any]:
    """All letters."""
    async with AIOKafkaConsumer(
        "notify-dead-letter", bootstrap_servers=broker, auto_offset_reset="earliest"
    ) as consumer:
        found: list[Any] = []
        while batches := await consumer.getmany(timeout_ms=3000):
            found += [orjson.loads(record.value) for records in batches.values() for record in records]
    return found


@pytest.mark.ci
async def test_two_processes_divide_the_partitions_and_hand_over_in_order(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 4)
    rooms = [warning(room_id=f"room-{number}") for number in range(20)]
    async with Receiver() as receiver, notifying(broker, receiver.url, from_beginning=True) as one:
        await publish(broker, [message(room) for room in rooms[:10]])
        async with notifying(broker, receiver.url, from_beginning=True) as other:
            await until(lambda: owned(one) == owned(other) == 2)
            await publish(broker, [message(room) for room in rooms[10:]])
            await publish(broker, [message(over(room, "cleared")) for room in rooms[:5]])
            await until(lambda: len(receiver.taken) == 25)
        await publish(broker, [message(over(room, "cleared")) for room in rooms[5:]])
        await until(lambda: owned(one) == 4 and len(receiver.taken) == 40)
    assert all(events(receiver, room.room_id) == ["opened", "resolved"] for room in rooms)
    assert len(set(receiver.tried)) == len(receiver.tried) == 40


def owned(service: NotifyService) -> int:
    """The number of partitions that a process owns and reads."""
    return len(service.session.partitions) if service.session is not None and service.active else 0


BRAKED = ROUTES + 'name = "flood"\nbrake = {{ per_rule = 2, every_s = 3600 }}\n'


@pytest.mark.ci
async def test_a_brake_is_one_for_all_processes_and_survives_restarts(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 4)
    rooms = [violation(room_id=f"room-{number}") for number in range(8)]
    release = BrakeDecision(route="flood", rule="black-screen", decision="release")
    async with Receiver() as receiver:
        async with notifying(broker, receiver.url, routes=BRAKED, from_beginning=True) as one:
            async with notifying(broker, receiver.url, routes=BRAKED, from_beginning=True) as other:
                await until(lambda: owned(one) == owned(other) == 2)
                await publish(broker, [message(room) for room in rooms])
                await until(lambda: len(receiver.taken) == 3)
                assert await decide(settings(broker), BrakeDecision(route="x", rule="y", decision="discard")) == 0
            await until(lambda: owned(one) == 4)
        async with notifying(broker, receiver.url, routes=BRAKED) as again:
            await asyncio.sleep(1)
            assert sorted(one["kind"] for one in receiver.taken) == ["brake", "violation", "violation"]
            assert await held_back(settings(broker)) == [("flood", "black-screen", 6)]
            again.refresh_metrics()
            labels = {"route": "flood", "rule": "black-screen"}
            assert again.metrics.registry.get_sample_value("vigil_notify_held", labels) == 6
            assert await decide(settings(broker), release) == 6
            await until(lambda: len(receiver.taken) == 10)
    assert [one["event"] for one in receiver.taken if "brake" in one] == ["opened", "resolved"]
    assert len(set(receiver.tried)) == len(receiver.tried) == 10


def test_a_lease_ends_with_the_session_of_its_process() -> None:
    lease = Lease(10_000)
    assert not lease.valid(), "nothing is sent before the coordinator has accepted a commit"
    lease.renew(asyncio.new_event_loop().time())
    assert lease.valid()
    lease.renew(asyncio.new_event_loop().time() - 11)
    assert not lease.valid(), "a process that was suspended sends nothing when it goes on"


async def test_a_topic_of_marks_with_another_number_of_partitions_is_refused(broker_of_its_own: str) -> None:
    broker = broker_of_its_own
    await make_topics(broker, 2)
    async with Receiver() as receiver, notifying(broker, receiver.url):
        pass
    from vigil.app.kafka.admin import Cluster

    async with Cluster(settings(broker, app_id="other")) as cluster:
        await cluster.create({NotifyNames.of("other").marks("incident"): (3, {})})
    routing = parse_routing(ROUTES.format(url="http://h/", more=""), "r", names_of(RULEBOOK))
    service = NotifyService(settings(broker, app_id="other"), routing, Secrets({"hook": "key-123456"}))
    with pytest.raises(SettingsError, match="other-notify-incident: has 3 partitions, must have 2; stop vigil notify"):
        await run_notify(service, asyncio.Event())


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


@pytest.mark.ci
async def test_the_others_deliver_for_a_process_that_is_killed(broker_of_its_own: str, tmp_path: Path) -> None:
    broker = broker_of_its_own
    await make_topics(broker, 2)
    async with Receiver() as receiver:
        both = [NotifyProcess(broker, tmp_path, receiver.url, name) for name in "ab"]
        try:
            await until(lambda: all("vigil_notify_partitions 1.0" in one.get("/metrics")[1] for one in both))
            rooms = [violation(room_id=f"room-{number}") for number in range(10)]
            await publish(broker, [message(room) for room in rooms])
            await until(lambda: len(receiver.taken) >= 3)
            both[0].kill()
            await publish(broker, [message(over(room)) for room in rooms])
            await until(lambda: sum(one["event"] == "resolved" for one in receiver.first_taken()) == 10)
        finally:
            for process in both:
                process.stop()
        first = [one["event"] for one in receiver.first_taken()]
        assert sorted(first) == ["opened"] * 10 + ["resolved"] * 10
        for process in both:
            assert "whsec-SECRET-123" not in process.log.read_text()


@pytest.mark.ci
async def test_a_worker_and_notifiers_that_are_killed_again_and_again(broker_of_its_own: str, tmp_path: Path) -> None:
    broker = broker_of_its_own
    simulation = Simulation(
        seed=11, rooms=12, suppliers=1, start_ms=1_662_048_000_000, duration_s=900, history_days=1, reviews=0.5
    )  # fmt: skip
    messages = list(simulation.messages())
    expected = replayed(messages)
    incidents = [output.body for output in expected.by_topic["incident"]]
    assert len(incidents) > 50
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
        both = [NotifyProcess(broker, tmp_path, receiver.url, f"notify-{number}") for number in range(2)]
        try:
            await worker.ready()
            for number in range(1, 4):
                await until(lambda number=number: len(receiver.first_taken()) >= number * len(incidents) // 4)  # type: ignore[misc]
                both[number % 2].kill()
                both[number % 2] = NotifyProcess(broker, tmp_path, receiver.url, f"notify-{number + 1}")
            await finished(broker)

            def all_delivered() -> bool:
                shown = [one.get("/metrics")[1] for one in both]
                return all('vigil_notify_owed{target="hook"} 0.0' in one for one in shown) and all(
                    "vigil_notify_active 1.0" in one for one in shown
                )

            still = 0
            while still < 20:  # nothing pending for two seconds
                still = still + 1 if all_delivered() else 0
                await asyncio.sleep(0.1)
            assert [one.stop() for one in both] == [0, 0]
        finally:
            for one in both:
                one.kill()
            worker.stop()
    outputs = await read(broker, ["incident"])
    check_received(receiver, outputs["incident"])


def check_received(receiver: Receiver, lines: list[tuple[bytes | None, Any]]) -> None:
    """What was received is what the topic says at last, each step once by its idempotency key, in order."""
    steps: dict[str, list[str]] = {}
    for one in receiver.first_taken():
        steps.setdefault(one["incident"]["incident_id"], []).append(one["event"])
    last = {value["incident_id"]: value for _, value in lines if value is not None}
    for id_, events in steps.items():
        assert events.count("resolved") <= 1
        if last[id_]["kind"] != "entry":
            assert ("resolved" in events) == (last[id_]["ended_at"] is not None), (last[id_], events)
    violations = {id_ for id_, one in last.items() if one["verdict_id"] and one["ended_by"] != "withdrawn"}
    assert len(violations) > 20
    assert violations <= steps.keys()


@pytest.fixture
def broker_of_its_own() -> Any:
    from vigil.app.kafka.embedded_broker import EmbeddedBroker

    with EmbeddedBroker() as broker:
        yield broker.address
