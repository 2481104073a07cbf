"""Webhooks to a receiver that is slow, fails, resets, redirects and floods: nothing is lost and the order is kept."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from aiohttp import web

from tests.support.notify_stories import PARTITION, TO_HOOK, Desk, acted, over, violation, warning
from tests.support.webhook_receiver import Receiver, good, huge, reset, signed_well
from vigil.app.notify.alerts import AlertChange
from vigil.app.notify.book import AlertBook
from vigil.app.notify.brakes import BrakeLedger
from vigil.app.notify.deliverer import Channel, Deliverer, DeliveryTiming
from vigil.app.notify.kept import AlertMessage, Undelivered
from vigil.app.notify.metrics import NotifyMetrics
from vigil.app.notify.routes import Routing
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders.http import HttpPoster, retry_after_s
from vigil.app.notify.senders.webhook import WebhookSender, payload
from vigil.app.notify.targets import Webhook
from vigil.topics.incidents import IncidentStatus

KEY = "whsec-0123456789"


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def story(room_id: str = "room-1") -> list[IncidentStatus]:
    """What is published of one incident: four steps follow."""
    found = violation(room_id=room_id)
    return [warning(room_id=room_id), found, acted(found), over(acted(found))]


def steps(room_id: str = "room-1") -> list[AlertChange]:
    """Opened, violation, action, resolved."""
    desk = Desk()
    desk.say(*story(room_id))
    return desk.changes()


class Publisher:
    """Gives a book the next message of an incident once what followed from the last one was delivered."""

    def __init__(self, stories: Iterable[list[IncidentStatus]], target: Webhook) -> None:
        self.book = AlertBook(Routing(zone=ZoneInfo("UTC"), targets={"hook": target}, routes=ROUTES), BrakeLedger())
        self.left = [list(one) for one in stories]
        self.letters: list[Undelivered] = []

    @property
    def done(self) -> bool:
        return not any(self.left) and self.book.count("hook") == 0

    def feed(self) -> None:
        self.book.release(self.book.take_staged(), wall_ms())
        self.letters += self.book.take_undelivered()
        pending = self.book.pending("hook")
        for rest in self.left:
            if rest and f"incident:{rest[0].incident_id}" not in pending:
                one = rest.pop(0)
                self.book.publish(AlertMessage(f"incident:{one.incident_id}", one, PARTITION, 0, 0), wall_ms())


ROUTES = Desk(TO_HOOK).routing.routes


@asynccontextmanager
async def delivering(
    receiver: Receiver,
    stories: Iterable[list[IncidentStatus]],
    metrics: NotifyMetrics | None = None,
    **target: Any,
) -> AsyncIterator[Publisher]:
    """A deliverer that sends what follows from the stories."""
    metrics = metrics or NotifyMetrics()
    defaults = {"timeout_s": 0.3, "per_minute": 100_000, "url": receiver.url, "secret": "hook"}
    webhook = Webhook(kind="webhook", **(defaults | target))
    secrets, feed = Secrets({"hook": KEY}), Publisher(stories, webhook)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        sender = WebhookSender(webhook, secrets, HttpPoster(session, secrets))
        timing = DeliveryTiming(wall_ms, random.Random(1).random, first_wait_ms=20)
        deliverer = Deliverer(Channel("hook", webhook, sender), feed.book, metrics, feed.feed, timing)
        feed.feed()
        task = asyncio.create_task(deliverer.run())
        try:
            yield feed
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def emptied(feed: Publisher, within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while not feed.done:
            await asyncio.sleep(0.01)


def check_order(receiver: Receiver, rooms: Iterable[str]) -> None:
    """Every step arrived, and the steps of each incident arrived for the first time in order."""
    assert {one["id"] for one in receiver.taken} == {one.id for room in rooms for one in steps(room)}
    taken: dict[str, list[str]] = {}
    for message in receiver.first_taken():
        taken.setdefault(message["incident"]["incident_id"], []).append(message["event"])
    assert set(map(tuple, taken.values())) == {("opened", "violation", "action", "resolved")}


def warnings(count: int) -> list[list[IncidentStatus]]:
    return [story(f"room-{number}")[:1] for number in range(count)]


async def test_messages_are_signed_and_complete() -> None:
    async with Receiver() as receiver, delivering(receiver, [story()]) as feed:
        await emptied(feed)
    check_order(receiver, ["room-1"])
    assert receiver.tried == [one.id for one in steps()], "once each"
    for headers, body in zip(receiver.headers, receiver.bodies, strict=True):
        assert signed_well(KEY, headers, body)
        assert not signed_well("another", headers, body)
        assert not signed_well(KEY, headers, body + b" ")
        assert not signed_well(KEY, {**headers, "Vigil-Timestamp": "1"}, body)
        assert abs(int(headers["Vigil-Timestamp"]) - time.time()) < 60
    assert receiver.taken[3]["incident"]["ended_by"] == "room-ended"
    assert not {"notes", "claimed_by", "outcomes"} & set(receiver.taken[0]["incident"])


async def test_both_keys_sign_while_a_key_is_rotated() -> None:
    secrets = Secrets({"hook": "old-key-1234 new-key-5678"})
    async with Receiver() as receiver, aiohttp.ClientSession() as session:
        webhook = Webhook(kind="webhook", url=receiver.url, secret="hook")
        await WebhookSender(webhook, secrets, HttpPoster(session, secrets)).send(steps()[:1])
    for key in ("old-key-1234", "new-key-5678"):
        assert signed_well(key, receiver.headers[0], receiver.bodies[0])


async def test_a_receiver_that_fails_in_every_way_gets_everything_in_order() -> None:
    chance = random.Random(7)

    async def hostile(request: web.Request, number: int) -> web.StreamResponse:
        match chance.randrange(20):
            case 0:
                await asyncio.sleep(0.6)  # accepted, but too late: it is sent again
                return web.Response()
            case 1 | 2:
                return web.Response(status=500, text="<h1>oops</h1>")
            case 3:
                return web.Response(status=429, headers={"Retry-After": "0"})
            case 4:
                return await reset(request)
            case 5:
                return await huge(request, 503)
            case 6:
                return await huge(request, 200)
            case 7:
                return web.Response(status=503, headers={"Retry-After": chance.choice(["soon", "-1", ""])})
            case _:
                return web.Response()

    rooms = [f"room-{number}" for number in range(40)]
    async with Receiver(hostile) as receiver, delivering(receiver, map(story, rooms), parallel=8) as feed:
        await emptied(feed, 60)
    check_order(receiver, rooms)
    assert len(receiver.tried) > 4 * len(rooms), "it was hostile"


@pytest.mark.parametrize("status", [200, 404, 503])
async def test_an_endless_answer_is_not_read_to_its_end(status: int) -> None:
    flooded: list[int] = []

    async def flood(request: web.Request, number: int) -> web.StreamResponse:
        if number > 3:
            return web.Response()
        return await huge(request, status, flooded)

    async with Receiver(flood) as receiver, delivering(receiver, warnings(3)) as feed:
        await emptied(feed)
        letters = feed.letters
    assert len(letters) == (3 if status == 404 else 0)
    assert all(len(letter.detail) < 500 for letter in letters)
    assert len(flooded) == 3
    assert max(flooded) < 50, "of 10,000 pieces of 100 kB"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_refused_wherever_they_lead(status: int) -> None:
    async with Receiver() as internal:

        async def elsewhere(request: web.Request, number: int) -> web.StreamResponse:
            return web.Response(status=status, headers={"Location": internal.url})

        async with Receiver(elsewhere) as receiver, delivering(receiver, warnings(1)) as feed:
            await emptied(feed)
            [letter] = feed.letters
    assert internal.tried == []
    assert f"HTTP {status} (redirects are not followed" in letter.detail


async def test_what_is_rejected_is_a_dead_letter_with_harmless_text() -> None:
    async def gone(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=410, text=f"<b>no such hook</b>\x1b[31m {KEY}")

    async with Receiver(gone) as receiver, delivering(receiver, [story()]) as feed:
        await emptied(feed)
        letters = feed.letters
    assert len(receiver.tried) == len(letters) == 4
    assert letters[0].detail.startswith("HTTP 410: ＜b＞no such hook")
    assert "\x1b" not in letters[0].detail
    assert KEY not in letters[0].detail


async def test_it_gives_up_after_the_configured_time() -> None:
    async def broken(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=500)

    async with Receiver(broken) as receiver, delivering(receiver, warnings(1), give_up_after_s=1) as feed:
        await emptied(feed)
        [letter] = feed.letters
    assert letter.detail == f"given up after {len(receiver.tried)} tries: HTTP 500"
    assert 3 <= len(receiver.tried) <= 12, "the waits grow"


async def test_outcomes_are_counted_under_their_published_labels() -> None:
    """The labels are part of the contract: dashboards and alerts name them."""
    statuses = {1: 503, 2: 200, 3: 400}

    async def mixed(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=statuses[number])

    metrics = NotifyMetrics()
    metrics.initialize(["hook"])
    labels = ("sent", "later", "refused")

    def tries() -> list[float | None]:
        return [
            metrics.registry.get_sample_value("vigil_notify_tries_total", {"target": "hook", "outcome": label})
            for label in labels
        ]

    assert tries() == [0, 0, 0]
    async with Receiver(mixed) as receiver, delivering(receiver, [story()[:2]], metrics, parallel=1) as feed:
        await emptied(feed)
    assert tries() == [1, 1, 1]


async def test_a_target_gets_no_request_for_the_time_that_it_asks_for() -> None:
    asked: list[float] = []

    async def busy(request: web.Request, number: int) -> web.StreamResponse:
        asked.append(time.monotonic())
        return web.Response(status=429, headers={"Retry-After": "1"}) if number == 1 else web.Response()

    async with Receiver(busy) as receiver, delivering(receiver, warnings(5), parallel=1) as feed:
        await emptied(feed)
    assert asked[1] - asked[0] >= 0.95
    assert len(receiver.taken) == 5


async def test_changes_arrive_once_a_receiver_that_was_down_listens() -> None:
    async with Receiver() as receiver:
        port = receiver.port
    receiver = Receiver(good, port)
    async with delivering(receiver, [story()]) as feed:
        await asyncio.sleep(0.3)
        async with receiver:
            await emptied(feed)
    check_order(receiver, ["room-1"])


async def test_no_more_requests_a_minute_than_allowed() -> None:
    async with Receiver() as receiver, delivering(receiver, warnings(30), per_minute=60):
        await asyncio.sleep(1.5)
    assert 6 <= len(receiver.tried) <= 9, "six at once, then one a second"


def test_a_webhooks_json_is_data_as_it_came() -> None:
    [opened, *_] = steps("<!channel> \u202e 😀")
    assert '"room_id":"<!channel> \u202e 😀"'.encode() in payload(opened)


@pytest.mark.parametrize(
    ("said", "after_s"),
    [
        (None, None), ("", None), ("soon", None), ("-1", None), ("3", 3), ("٣", None), ("1e9", None),
        ("9" * 400, 999_999_999), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("Wed, 21 Oct 2015", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_as_http_defines_it(said: str | None, after_s: float | None) -> None:
    assert retry_after_s(said) == after_s
