"""The real Alertmanager: an alert appears once, is updated, stays while it is sent again, and resolves."""

import asyncio
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from tests.support.needs import program
from tests.support.notify_stories import T0, TO_HOOK, Desk, S, acted, missed_entry, over, violation, warning
from tests.support.webhook_receiver import Receiver
from vigil.app.kafka.embedded_broker import free_port, start_child, stop_child
from vigil.app.notify.alerts import Alert, AlertChange, life_of
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders.alertmanager import AlertmanagerSender
from vigil.app.notify.senders.http import HttpPoster
from vigil.app.notify.senders.outcome import DeliveryRejected, RetryLater, SendOutcome, Sent
from vigil.app.notify.targets import Alertmanager

PROGRAM = "prometheus-alertmanager"


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an Alertmanager that knows one receiver, our own; else skip, or fail where it is required."""
    server = program("ALERTMANAGER", "the real Alertmanager is", PROGRAM, PROGRAM, "alertmanager")
    folder: Path = tmp_path_factory.mktemp("alertmanager")
    port = free_port()
    config = folder / "config.yml"
    config.write_text(
        "route: {receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}\n"
        f"receivers: [{{name: hook, webhook_configs: [{{url: 'http://127.0.0.1:{HOOK_PORT}/am', send_resolved: true}}]}}]\n"  # noqa: E501 - one case a line
    )
    with (folder / "log").open("wb") as log:
        child = start_child(
            [server, f"--config.file={config}", f"--storage.path={folder}", "--cluster.listen-address=",
             f"--web.listen-address=127.0.0.1:{port}"], log,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(f"{address}/-/ready", timeout=1):
                    break
            except OSError:
                assert time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.1)
        yield address
    finally:
        stop_child(child, 5)


HOOK_PORT = free_port()


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def sender(*urls: str, **options: Any) -> AsyncIterator[AlertmanagerSender]:
    async with aiohttp.ClientSession() as session:
        secrets = Secrets({"token": "am-token-123"})
        target = Alertmanager(kind="alertmanager", urls=urls, **options)
        yield AlertmanagerSender(target, secrets, HttpPoster(session, secrets), wall_ms)


async def alerts(address: str, room_id: str) -> list[dict[str, Any]]:
    """The alerts of one room that the Alertmanager shows as active."""
    async with aiohttp.ClientSession() as session, session.get(f"{address}/api/v2/alerts") as answer:
        return [one for one in orjson.loads(await answer.read()) if one["labels"].get("room_id") == room_id]


async def until(condition: Any, within_s: float = 10) -> Any:
    async with asyncio.timeout(within_s):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
    return found


def story(room_id: str) -> list[AlertChange]:
    """A warning, its violation, its action and its end, now."""
    begun = (wall_ms() - T0) // S - 130
    found = violation(begun, begun + 120, room_id=room_id)
    said = [warning(begun, begun + 60, room_id=room_id), found, acted(found), over(acted(found), at=begun + 129)]
    desk = Desk(TO_HOOK)
    desk.say(*said)
    return desk.changes()


@pytest.mark.slow
async def test_an_alert_appears_once_is_updated_stays_and_resolves(alertmanager: str) -> None:
    room_id = "room-<!here>-1"
    opened, violated, decided, resolved = story(room_id)
    shown_as = "room-＜！here＞-1"
    async with Receiver(port=HOOK_PORT) as hook, sender(alertmanager, resolve_timeout_s=4, labels={"team": "x"}) as am:
        assert await am.send([opened]) == [Sent()]
        [alert] = await until(lambda: alerts(alertmanager, shown_as))
        assert alert["labels"] == {
            "alertname": "VigilBlackScreen", "family": "low-quality", "host_id": "host-1", "incident": opened.alert.incident_id,  # noqa: E501 - one case a line
            "room_id": shown_as, "rule": "black-screen", "team": "x",
        }  # fmt: skip
        assert alert["annotations"]["stage"] == "at-risk"
        assert await am.send([violated]) == [Sent()]
        assert await am.send([decided]) == [Sent()]
        [alert] = await alerts(alertmanager, shown_as)
        assert (alert["annotations"]["stage"], alert["annotations"]["severity"]) == ("violation", "critical")
        assert alert["annotations"]["steps"].endswith("close, ban until 2023-11-21 22:13:20 UTC.")
        # Longer than `resolve_timeout_s`: it stays because it is sent again.
        ends = time.monotonic() + 7
        while time.monotonic() < ends:
            outcomes = [resent.outcome async for resent in am.resend(lambda: [decided.alert])]
            assert set(outcomes) == {Sent()}
            assert len(await alerts(alertmanager, shown_as)) == 1
            await asyncio.sleep(am.resend_s)
        assert await am.send([resolved]) == [Sent()]
        assert await alerts(alertmanager, shown_as) == []

        async def resolution_arrived() -> bool:
            return any(message["status"] == "resolved" for message in hook.taken)

        await until(resolution_arrived)
        # A stale view of it as open does not bring it back: it is left out, and its end is sent again.
        stale = [decided.alert]
        [_ async for _ in am.resend(lambda: stale)]
        assert await alerts(alertmanager, shown_as) == []
        statuses = [message["status"] for message in hook.taken if shown_as in str(message)]
        assert statuses == ["firing", "resolved"], "one alert, sent once and ended once"


@pytest.mark.slow
async def test_an_alert_that_is_not_sent_again_ends(alertmanager: str) -> None:
    changes = story("room-silent")
    async with sender(alertmanager, resolve_timeout_s=1) as am:
        await am.send(changes[:1])
        assert len(await alerts(alertmanager, "room-silent")) == 1

        async def gone() -> bool:
            return not await alerts(alertmanager, "room-silent")

        await until(gone)


@pytest.mark.slow
async def test_a_recording_of_long_ago_is_accepted_too(alertmanager: str) -> None:
    desk, begun = Desk(), warning(room_id="room-old")
    desk.say(begun, over(begun, "cleared", 80))
    opened, resolved = desk.changes()
    async with sender(alertmanager) as am:
        assert await am.send([opened]) == [Sent()]
        assert len(await alerts(alertmanager, "room-old")) == 1
        assert await am.send([resolved]) == [Sent()]
        assert await alerts(alertmanager, "room-old") == []


async def test_one_member_of_a_cluster_is_enough() -> None:
    changes = story("room-1")
    async with Receiver() as one, sender("http://127.0.0.1:1", f"http://127.0.0.1:{one.port}") as am:
        assert await am.send(changes[:1]) == [Sent()]
    assert len(one.taken) == 1


async def test_one_bad_alert_does_not_spoil_the_others() -> None:
    async def picky(request: web.Request, number: int) -> web.StreamResponse:
        bad = b"room-bad" in await request.read() or number == 1
        return web.Response(status=400 if bad else 200)

    changes = [story(name)[0] for name in ("room-1", "room-bad", "room-2")]
    async with Receiver(picky) as receiver, sender(f"http://127.0.0.1:{receiver.port}/prefix/") as am:
        outcomes: list[SendOutcome] = await am.send(changes)
    assert [type(outcome) for outcome in outcomes] == [Sent, DeliveryRejected, Sent]


def picky(*bad: str) -> Any:
    """Refuses every request with one of these in it, as an Alertmanager does: whole."""

    async def behave(request: web.Request, number: int) -> web.StreamResponse:
        body = await request.read()
        return web.Response(status=400 if any(name.encode() in body for name in bad) else 200)

    return behave


@pytest.mark.parametrize("bad_at", [0, 31, 63])
async def test_one_bad_alert_keeps_no_other_from_being_sent_again(bad_at: int) -> None:
    names = [f"room-{number:02}" for number in range(64)]
    names[bad_at] = "room-bad"
    firing = [story(name)[0].alert for name in names]
    async with Receiver(picky("room-bad")) as receiver, sender(f"http://127.0.0.1:{receiver.port}") as am:
        first = [resent async for resent in am.resend(lambda: firing)]
        tried = len(receiver.bodies)
        second = [resent async for resent in am.resend(lambda: firing)]
    assert sum(resent.sent for resent in first) == 63
    assert [resent.refused for resent in first if resent.refused is not None] == [life_of(firing[bad_at]).id]
    assert tried <= 13, "halving, not one by one"
    assert [(resent.sent, resent.refused) for resent in second] == [(63, None)]


async def test_a_refused_alert_is_sent_again_once_it_has_changed() -> None:
    opened, violated, _, _ = story("room-bad")
    async with Receiver(picky("room-bad")) as receiver, sender(f"http://127.0.0.1:{receiver.port}") as am:
        for alert, tries in ((opened.alert, 1), (opened.alert, 1), (violated.alert, 2)):
            _ = [resent async for resent in am.resend(lambda alert=alert: [alert])]  # type: ignore[misc]
            assert len(receiver.bodies) == tries


async def test_wrong_credentials_drop_nothing_and_are_not_tried_for_each_alert() -> None:
    async def locked(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=401)

    firing = [story(f"room-{number}")[0].alert for number in range(8)]
    async with Receiver(locked) as receiver, sender(f"http://127.0.0.1:{receiver.port}") as am:
        for tries in (1, 2):
            assert [resent.refused async for resent in am.resend(lambda: firing)] == [None]
            assert len(receiver.bodies) == tries


async def test_a_member_that_is_down_keeps_no_good_alert_from_the_one_that_refuses_a_bad_one() -> None:
    changes = [story(name)[0] for name in ("room-1", "room-bad", "room-2")]
    async with Receiver(picky("room-bad")) as up, sender("http://127.0.0.1:1", f"http://127.0.0.1:{up.port}") as am:
        outcomes = await am.send(changes)
    assert [type(outcome) for outcome in outcomes] == [Sent, RetryLater, Sent]


@pytest.mark.slow
async def test_the_real_alertmanager_keeps_all_but_the_alert_that_it_refuses(alertmanager: str) -> None:
    firing = [story(f"many-{number}")[0].alert for number in range(8)]
    async with sender(alertmanager, resolve_timeout_s=4) as am:
        plain = am.alert

        def one_refused(alert: Any) -> dict[str, Any]:
            shown = plain(alert)
            return shown | {"startsAt": "yesterday"} if alert.room_id == "many-3" else shown

        am.alert = one_refused  # type: ignore[method-assign]
        resent = [each async for each in am.resend(lambda: firing)]
        shown = [len(await alerts(alertmanager, f"many-{number}")) for number in range(8)]
    assert [each.refused for each in resent if each.refused] == [life_of(firing[3]).id]
    assert shown == [1, 1, 1, 0, 1, 1, 1, 1]


async def test_the_token_is_sent_and_not_shown() -> None:
    async def echo(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=500, text=request.headers["Authorization"])

    async with Receiver(echo) as receiver, sender(f"http://127.0.0.1:{receiver.port}", bearer_secret="token") as am:
        [outcome] = await am.send(story("room-1")[:1])
    assert receiver.headers[0]["Authorization"] == "Bearer am-token-123"
    assert isinstance(outcome, RetryLater)
    assert "am-token-123" not in outcome.why


async def test_an_alert_of_any_incident_begins_before_it_ends() -> None:
    ahead = (wall_ms() - T0) // S + 3600  # a producer's clock that is an hour ahead
    opened = warning(ahead, ahead + 60)
    async with sender("http://127.0.0.1:1") as am:
        for incident in (opened, over(opened, "cleared", ahead + 61), missed_entry(), over(missed_entry(), "passed")):
            alert = am.alert(incident)
            assert alert["startsAt"] < alert["endsAt"]
        assert am.alert(missed_entry())["labels"]["alertname"] == "VigilEntryMissed"


async def test_an_alert_that_has_ended_does_not_fire_again_when_requests_cross() -> None:
    """The end is sent while a repetition of the open alert is in flight: it must arrive second."""
    slow = asyncio.Event()

    async def first_slow(request: web.Request, number: int) -> web.StreamResponse:
        if number == 1:
            await slow.wait()
        return web.Response()

    opened, *_, resolved = story("room-1")
    on: list[Alert] = [opened.alert]
    async with Receiver(first_slow) as receiver, sender(f"http://127.0.0.1:{receiver.port}") as am:

        async def again() -> None:
            [_ async for _ in am.resend(lambda: on)]

        resending = asyncio.create_task(again())
        await asyncio.sleep(0.1)
        sending = asyncio.create_task(am.send([resolved]))
        await asyncio.sleep(0.1)
        assert len(receiver.tried) == 1
        slow.set()
        await asyncio.gather(resending, sending)
        stages = [orjson.loads(body)[0]["annotations"]["stage"] for body in receiver.bodies]
    assert stages[0] == "at-risk"
    assert set(stages[1:]) == {"over"}
