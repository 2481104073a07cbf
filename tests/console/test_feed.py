"""The console on a broker: what it reads and how far back, and a review that returns as a withdrawn action."""

import asyncio
import contextlib
import json
import socket
import time
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tests.support.console_stories import RULEBOOK
from tests.support.harness import WorkerProcess, log_file, make_topics, read, send
from vigil.app.console.console_state import ConsoleState
from vigil.app.console.http.server import serve
from vigil.app.console.ingest.topic_ingest import TopicIngest, backs, wall_ms
from vigil.app.console.settings import ConsoleSettings
from vigil.app.kafka.embedded_broker import EmbeddedBroker
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.simulate import Simulation
from vigil.app.simulate.message import SimulatedMessage
from vigil.topics.reviews import Review
from vigil.topics.rooms import BuyerEntry


@contextlib.asynccontextmanager
async def following(broker: str, past_ms: int | None = None) -> AsyncIterator[ConsoleState]:
    """A console that reads a broker; `past_ms` is how far back it reads every topic."""
    state = ConsoleState(Settings(broker=broker), ConsoleSettings(), RULEBOOK)
    if past_ms is not None:
        state.ingest.backs = dict.fromkeys(state.ingest.backs, past_ms)
    reading = asyncio.create_task(state.ingest.run())
    try:
        yield state
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await state.ingest.close()


async def until(condition: Any, within_s: float = 30) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not come"
        await asyncio.sleep(0.05)


def get(address: str) -> tuple[int, str]:
    with urllib.request.urlopen(address, timeout=5) as answer:
        return answer.status, answer.read().decode()


def test_every_topic_that_is_read_has_a_bounded_past():
    assert set(backs(ConsoleSettings())) == set(TopicIngest.topics)


@pytest.mark.ci
async def test_it_follows_a_worker_and_a_review_withdraws_an_action():
    with EmbeddedBroker() as broker:
        await make_topics(broker.address, 2)
        start = wall_ms() - 400_000
        simulation = Simulation(seed=5, rooms=12, suppliers=4, start_ms=start, duration_s=380)
        await send(broker.address, simulation.messages())
        worker = WorkerProcess(broker.address, log_file("worker"), idempotent_producer=False)
        try:
            async with following(broker.address) as state, following(broker.address) as other:
                await worker.ready()
                model = state.model
                await until(lambda: state.ingest.caught_up and len(model.verdicts) > 3 and len(model.actions) > 3)
                verdict = model.verdicts_of(model.verdicts)[0]
                await until(lambda: model.action(verdict.verdict_id) is not None)
                review = Review(
                    verdict_id=verdict.verdict_id,
                    host_id=verdict.host_id,
                    decision="overturned",
                    by="mei",
                    reason="it was not so",
                    at=wall_ms(),
                )
                await state.ingest.send(review)

                def withdrawn(one: ConsoleState) -> bool:
                    action = one.model.action(verdict.verdict_id)
                    return action is not None and action.status == "withdrawn" and bool(one.model.reviews)

                # Both consoles learn it from the topics, neither from the other.
                await until(lambda: withdrawn(state) and withdrawn(other))
                (published,) = (await read(broker.address, ["review"]))["review"]
                assert published == (review.host_id.encode(), json.loads(json.dumps(published[1])))
                assert Review(**published[1]) == review
        finally:
            worker.stop()


async def test_what_is_older_than_the_bounded_past_is_not_read():
    def entered(room_id: str) -> SimulatedMessage:
        entry = BuyerEntry(room_id=room_id, host_id="h", at=wall_ms(), buyer_id="b")
        return SimulatedMessage("buyer-entry", room_id.encode(), msgspec.json.encode(entry), entry.at, entry.at)

    with EmbeddedBroker() as broker:
        await make_topics(broker.address, 1)
        await send(broker.address, [entered("old")])
        async with following(broker.address) as state:
            await until(lambda: state.ingest.caught_up)
            assert list(state.model.tracks) == ["old"]
        async with following(broker.address, past_ms=-60_000) as state:
            await until(lambda: state.ingest.caught_up)
            assert state.model.ingested == 0
            await send(broker.address, [entered("new")])
            await until(lambda: state.model.ingested == 1)
            assert list(state.model.tracks) == ["new"]


async def test_it_waits_for_topics_and_for_the_broker_and_shows_that():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{free.getsockname()[1]}"
    async with following(nobody) as state:
        await until(lambda: state.ingest.trouble is not None)
        assert "cannot reach Kafka" in str(state.ingest.trouble) and not state.ingest.caught_up
    with EmbeddedBroker() as broker:
        async with following(broker.address) as state:
            await until(lambda: state.ingest.trouble is None and state.ingest.missing)
            await make_topics(broker.address, 1)
            await until(lambda: state.ingest.caught_up)
            assert state.ingest.missing == ()


async def test_it_serves_until_it_is_stopped_though_a_browser_listens():
    with EmbeddedBroker() as broker:
        await make_topics(broker.address, 1)
        stop = asyncio.Event()
        addresses: list[str] = []
        settings, console = Settings(broker=broker.address), ConsoleSettings(port=0)
        running = asyncio.create_task(serve(settings, console, RULEBOOK, stop, addresses.append))
        await until(lambda: addresses)
        status, page = await asyncio.to_thread(get, addresses[0])
        assert status == 200 and "<h1" in page
        stream = await asyncio.to_thread(urllib.request.urlopen, addresses[0] + "live/wall", None, 5)
        assert (await asyncio.to_thread(stream.readline)).startswith(b"id: ")
        began = time.monotonic()
        stop.set()
        await asyncio.wait_for(running, 10)  # though a browser listens
        assert time.monotonic() - began < 5
        stream.close()


async def test_a_port_in_use_is_the_operators_to_choose_again():
    with socket.socket() as taken, pytest.raises(SettingsError, match="choose another with --port"):
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        console = ConsoleSettings(port=taken.getsockname()[1])
        await serve(Settings(broker="127.0.0.1:1"), console, RULEBOOK, asyncio.Event())
