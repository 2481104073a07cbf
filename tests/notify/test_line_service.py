"""`vigil notify` on a broker sends obligations and participations once, across restarts, and many as a digest."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from tests.notify.test_service import publish, settings, until
from tests.support.harness import make_topics
from tests.support.line_alert_stories import H, obligation, participation
from tests.support.notify_stories import RULEBOOK, T0
from tests.support.webhook_receiver import Receiver
from vigil.app.kafka.embedded_broker import EmbeddedBroker
from vigil.app.notify.routing_file import names_of, parse_routing
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.service import NotifyService, run_notify
from vigil.topics.services import Obligation
from vigil.topics.topic import composed_key

ROUTES = """
digest_s = 1
[targets.hook]
kind = "webhook"
url = "{url}"
secret = "hook"
per_minute = 60000

[[routes]]
to = ["hook"]
kinds = ["obligation", "participation"]
singly = 3
"""
ROOMS_ONLY = ROUTES.replace('["obligation", "participation"]', '["violation"]')


def message(said: Any) -> tuple[str, bytes, bytes]:
    """Topic, key and value of a line."""
    if isinstance(said, Obligation):
        return "obligation", said.obligation_id.encode(), msgspec.json.encode(said)
    key = composed_key(said.programme, said.edition, said.supplier_id)
    return "participation", key.encode(), msgspec.json.encode(said)


@asynccontextmanager
async def notifying(broker: str, url: str, routes: str = ROUTES) -> AsyncIterator[NotifyService]:
    """A running NotifyService, stopped in order at the end."""
    routing = parse_routing(routes.format(url=url), "routes.toml", names_of(RULEBOOK))
    notify = NotifyService(settings(broker), routing, Secrets({"hook": "key-123456"}))
    stop = asyncio.Event()
    task = asyncio.create_task(run_notify(notify, stop))
    try:
        await until(lambda: notify.active or task.done())
        yield notify
    finally:
        stop.set()
        await asyncio.wait_for(task, 40)


@pytest.fixture
def broker_of_its_own() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.address


@pytest.mark.ci
async def test_lines_are_sent_once_across_restarts_and_many_as_one(broker_of_its_own: str) -> None:
    broker = broker_of_its_own
    await make_topics(broker, 2)
    async with Receiver() as receiver:
        async with notifying(broker, receiver.url, ROOMS_ONLY):
            await publish(broker, [message(obligation(ref="before"))])
        async with notifying(broker, receiver.url):
            await publish(broker, [message(obligation()), message(obligation()), message(participation())])
            await until(lambda: len(receiver.taken) == 2)
        await publish(broker, [message(obligation()), message(obligation("breached")), message(participation())])
        async with notifying(broker, receiver.url) as notify:
            await until(lambda: len(receiver.taken) == 3)
            notify.refresh_metrics()
            assert notify.metrics.registry.get_sample_value("vigil_notify_open_obligations") == 1
            many = [obligation(ref=f"r-{number}", duty="service-answer") for number in range(40)]
            await publish(broker, [("obligation", b"k", b"{"), *(message(one) for one in many)])
            await until(lambda: len(receiver.taken) == 7)
            late = obligation("breached", done_at=T0 + 50 * H)
            single = next(one["obligation"]["id"] for one in receiver.taken[3:] if one["event"] == "opened")
            gone = ("obligation", single.encode(), None)
            await publish(broker, [message(late), gone])
            await until(lambda: len(receiver.taken) == 9)
            assert notify.metrics.registry.get_sample_value("vigil_notify_refused_total", {"topic": "obligation"}) == 1
    assert len(set(receiver.tried)) == len(receiver.tried)
    of_one = [one["event"] for one in receiver.taken if one.get("obligation", {}).get("ref") == "request-4"]
    assert of_one == ["opened", "breached", "resolved"]
    [digest] = [one["digest"] for one in receiver.taken if one["event"] == "digest"]
    assert digest["count"] == 37
    assert not [one for one in receiver.taken if one.get("obligation", {}).get("ref") == "before"]
