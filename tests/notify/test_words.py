"""Alerts in words: hostile texts do nothing in any chat, secrets are nowhere, plain identifiers stay readable."""

import asyncio
import logging
import re
from typing import Any, get_args

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.notify_stories import T0, TO_HOOK, Desk, acted, missed_entry, over, signal_lost, violation, warning
from tests.support.webhook_receiver import Receiver
from vigil.app.kafka.settings import SettingsError
from vigil.app.messages import CATALOGUES
from vigil.app.notify import words
from vigil.app.notify.alerts import AlertChange, BrakeAlert
from vigil.app.notify.routes import LINE_KINDS, RouteKind
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders.chat import ChatSender
from vigil.app.notify.senders.outcome import RetryLater, SendOutcome, Sent
from vigil.app.notify.shown import annotations, labels, payload
from vigil.app.notify.targets import Chat
from vigil.topics.incidents import EndedBy, IncidentStatus

HOSTILE = [
    "<!channel>", "<@U012AB3CD>", "@everyone", "@13800000000", "<https://evil.example|click>", "[x](https://evil.example)",
    "https://evil.example/a", "www.evil.example", "*bold*", "_it_", "~no~", "`code`", "```", "<b>x</b>", "<at id=all></at>",  # noqa: E501 - one case a line
    "&lt;!here&gt;", "a\nb\r\nSubject: x", "\x1b[31m", "abc\u202edcba", "\u200b@\u200bhere", "{{ .Labels }}", "${jndi:x}",  # noqa: E501 - one case a line
    "# head", "> quote", "| a | b |", "<font color='warning'>x</font>", "\ud800", "\x00",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_do_nothing(text: str) -> None:
    said = words.escape_control_chars(text)
    assert not set(said) & set("<>&@*`~|[](){}#\\$\n\r\x00\x1b\u202e\u200b")
    assert "://" not in said
    assert not re.search(r"\w\.[a-z]{2,}", said)
    assert not re.search(r"(^|\W)_\w", said)


@given(st.text(max_size=600))
def test_whatever_the_text_no_sign_of_markup_is_left(text: str) -> None:
    said = words.escape_control_chars(text)
    assert not set(said) & set("<>&@*`~|[](){}#!\\$^\"'=+/")
    assert all(sign.isprintable() for sign in said)
    assert len(said) <= 600
    assert not set(words.label(text)) & set("<>&@*`~|[]{}#!\\$")


@pytest.mark.parametrize("name", ["room-17", "host_9", "a1b2c3", "直播间-8", "R:42", "12.5"])
def test_plain_identifiers_stay_as_they_are(name: str) -> None:
    assert words.escape_control_chars(name) == name
    assert words.label(name) == name


def test_labels_keep_names_with_dots_whole() -> None:
    assert words.label("shop.example/7 (a)") == "shop.example/7 (a)"


def test_a_rule_of_a_later_version_is_called_by_its_id() -> None:
    assert words.title(last(violation(rule="absence"))) == "VIOLATION: host absent in room room-1"
    assert words.title(last(violation(rule="lens-covered"))) == "VIOLATION: lens-covered in room room-1"


def test_an_alert_in_chinese() -> None:
    change = last(violation(), acted(violation()))
    assert words.title(change, "zh") == "处置：直播间 room-1 黑屏"
    assert words.steps(change.alert, "zh") == "建议（low-quality 第 2 次违规）：close，ban至 2023-11-21 22:13:20 UTC。"


def last(*said: IncidentStatus) -> AlertChange:
    """The last step that follows."""
    desk = Desk(TO_HOOK + 'kinds = ["at-risk", "violation", "action", "signal-lost", "entry-missed", "still-live"]\n')
    desk.say(*said)
    return desk.changes()[-1]


def body(change: AlertChange) -> list[str]:
    return words.body(change.alert).splitlines()  # type: ignore[arg-type]


def test_an_alert_says_what_happened_since_when_and_what_follows() -> None:
    change = last(violation(), acted(violation()))
    assert words.title(change) == "Action: black screen in room room-1"
    assert body(change) == [
        "Host host-1. Since 2023-11-14 22:13:20 UTC.",
        "Violation at 2023-11-14 22:15:20 UTC.",
        "Recommended (violation no. 2 of low-quality): close, ban until 2023-11-21 22:13:20 UTC.",
    ]
    ended = last(warning(), violation(), over(violation()))
    assert words.title(ended) == "Over: black screen in room room-1"
    assert body(ended)[-1] == "Over at 2023-11-14 22:18:20 UTC: the room ended."


def test_each_kind_of_alert_says_what_it_is_about() -> None:
    assert body(last(warning()))[-1] == "Becomes a violation at 2023-11-14 22:15:20 UTC."
    live = last(violation(), replace(violation(), still_live=True, contested=True))
    assert words.title(live) == "STILL LIVE: black screen in room room-1"
    assert body(live)[-2:] == [
        "The room is still live although it was to be closed.",
        "The verdict may be wrong: a late comment contests it.",
    ]
    assert words.title(last(missed_entry())) == "Missed: a buyer not greeted in room room-1"
    assert body(last(missed_entry()))[-1] == "Buyer of tier L1 or above: buyer-1"
    steady = last(signal_lost(), over(signal_lost(3), "steady"))
    assert body(steady)[-2:] == [
        "The signal was lost 3 times.", "Over at 2023-11-14 22:18:20 UTC: the signal is back.",
    ]  # fmt: skip
    assert body(last(violation(rule="greeting-miss", priority="high")))[1].startswith("A buyer of tier L1")


BRAKE = BrakeAlert(id="b", route="flood", rule="black-screen", per_rule=20, every_s=3600, held=4, at=T0)


def test_an_alert_about_a_brake_names_the_command_that_releases_it() -> None:
    change = AlertChange(id="b", event="opened", kind="brake", at=T0, alert=BRAKE)
    assert words.title(change) == "HELD BACK: more violations of black screen, route flood"
    assert body(change) == [
        "More than 20 new violations of black screen in 3600 s: further ones are held back on route flood.",
        "Release them: vigil notify release --route flood --rule black-screen; add --discard to drop them.",
    ]
    ended = replace(change, event="resolved", alert=replace(BRAKE, decided_at=T0, decision="discard"))
    assert words.title(ended).startswith("Over: ")
    assert body(ended)[-1] == "Over at 2023-11-14 22:13:20 UTC: they were discarded."
    assert annotations(BRAKE)["summary"] == "violations of black screen are held back on route flood"
    assert labels(BRAKE) == {"alertname": "VigilBrake", "route": "flood", "rule": "black-screen", "incident": "b"}
    assert payload(change)["brake"]["held"] == 4


def test_every_end_and_kind_has_words_in_both_languages() -> None:
    for language in ("en", "zh"):
        codes = set(CATALOGUES[language].codes("alert."))
        ends = {*get_args(EndedBy), "release", "discard"} - {"passed"}
        assert {f"alert.end.{why}" for why in ends} <= codes
        heads = {kind for kind in get_args(RouteKind) if kind not in (*LINE_KINDS, "entry-missed")}
        assert {f"alert.head.{kind}" for kind in (*heads, "missed", "over", "brake")} <= codes


def test_hostile_names_are_harmless_wherever_they_stand() -> None:
    evil = "<!channel> https://evil.example *x*"
    change = last(violation(rule=evil, room_id=evil, host_id=evil, subject=f"rights:{evil}"))
    said = words.title(change) + "".join(body(change)) + words.summary(change.alert)  # type: ignore[arg-type]
    assert "<" not in said
    assert "https://" not in said
    assert "*" not in said
    assert said.count("！channel") == 7


async def sent(url: str, change: AlertChange, **target: Any) -> SendOutcome:
    chat = Chat(kind="chat", url_secret="chat", **target)
    [outcome] = await ChatSender("moderators", chat, Secrets({"chat": url})).send([change])
    return outcome


async def test_a_chat_gets_the_words_by_apprise() -> None:
    async with Receiver() as receiver:
        url = f"json://127.0.0.1:{receiver.port}/SecretTokenXYZ"
        assert await sent(url, last(violation()), console_url="https://console.example/") == Sent()
    [message] = [one for one in receiver.bodies if one]
    assert b"VIOLATION: black screen in room room-1" in message
    page = f"https://console.example/incident?id={violation().incident_id}"
    assert orjson.loads(message)["message"].endswith(page)


async def test_a_chat_gets_the_words_in_its_language() -> None:
    async with Receiver() as receiver:
        assert await sent(f"json://127.0.0.1:{receiver.port}/x", last(violation()), language="zh") == Sent()
    [message] = [one for one in receiver.bodies if one]
    assert "违规：直播间 room-1" in orjson.loads(message)["title"]


async def test_a_chat_that_fails_is_tried_later_and_its_url_is_in_no_log(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def broken(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=500, text="SecretTokenXYZ")

    with caplog.at_level(logging.DEBUG):
        async with Receiver(broken) as receiver:
            url = f"json://user:SecretTokenXYZ@127.0.0.1:{receiver.port}/SecretTokenXYZ"
            outcome = await sent(url, last(violation()))
        nobody = await sent("json://127.0.0.1:1/SecretTokenXYZ", last(violation()))
    assert isinstance(outcome, RetryLater)
    assert isinstance(nobody, RetryLater)
    said = caplog.text + str(outcome) + str(nobody) + "".join(capfd.readouterr())
    assert "SecretTokenXYZ" not in said


async def test_a_chat_that_does_not_answer_is_not_waited_for() -> None:
    async def slow(request: web.Request, number: int) -> web.StreamResponse:
        await asyncio.sleep(1)
        return web.Response()

    async with Receiver(slow) as receiver:
        outcome = await sent(f"json://127.0.0.1:{receiver.port}/x", last(violation()), timeout_s=0.2)
    assert outcome == RetryLater("no answer in time")


async def test_a_chat_is_not_redirected() -> None:
    async with Receiver() as internal:

        async def elsewhere(request: web.Request, number: int) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": internal.url})

        async with Receiver(elsewhere) as receiver:
            outcome = await sent(f"json://127.0.0.1:{receiver.port}/x", last(violation()))
    assert isinstance(outcome, RetryLater)
    assert internal.tried == []


@pytest.mark.parametrize(
    "url",
    ["slack://TokenAAAA/TokenBBBB/TokenCCCCCCCC/#rooms", "dingtalk://abcdefgh12345678", "wecombot://abcd1234-1234-1234",
     "feishu://tokentokentokentoken"],
)  # fmt: skip
def test_the_chats_that_moderators_use_are_known(url: str) -> None:
    ChatSender("x", Chat(kind="chat", url_secret="chat"), Secrets({"chat": url}))


def test_a_url_that_no_chat_has_is_refused_without_being_shown() -> None:
    with pytest.raises(SettingsError) as refusal:
        ChatSender("moderators", Chat(kind="chat", url_secret="chat"), Secrets({"chat": "slakc://SecretTokenXYZ"}))
    assert "SecretTokenXYZ" not in str(refusal.value)
    assert "the secret chat (target moderators) is no URL that apprise knows" in str(refusal.value)
