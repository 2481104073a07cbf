"""Alerts in words: hostile texts do nothing in any chat, secrets are nowhere, plain identifiers stay readable."""

import asyncio
import logging
import re
from typing import Any

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.support.notify_stories import RULEBOOK, T0, S, action, notice, verdict
from tests.support.webhook_receiver import Receiver
from vigil.app.kafka.settings import SettingsError
from vigil.app.notify import words
from vigil.app.notify.changes import IncidentChange
from vigil.app.notify.incidents import Incidents
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders.chat import ChatSender
from vigil.app.notify.senders.outcome import RetryLater, SendOutcome, Sent
from vigil.app.notify.targets import Chat
from vigil.topics.verdicts import Evidence

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
    assert words.title(last(verdict(rule="absence"))) == "VIOLATION: host absent in room room-1"
    assert words.title(last(verdict(rule="lens-covered"))) == "VIOLATION: lens-covered in room room-1"


def test_an_alert_in_chinese() -> None:
    found = verdict()
    change = last(notice("at-risk", due=T0 + 120 * S), found, action(found))
    assert words.title(change, "zh") == "处置：直播间 room-1 黑屏"
    assert words.steps(change.incident, "zh") == "建议（low-quality 第 2 次违规）：close，ban 7 天。"


def last(*messages: Any) -> IncidentChange:
    incidents, changes = Incidents(RULEBOOK), []
    for message in messages:
        if isinstance(message, int):
            changes += incidents.room("room-1", message, True, T0)
        else:
            take = {"Notice": incidents.notice, "Verdict": incidents.verdict, "Action": incidents.action}
            changes += take[type(message).__name__](message, T0)  # type: ignore[operator]
    return changes[-1]


def test_an_alert_says_what_happened_since_when_and_what_follows() -> None:
    found = verdict()
    change = last(notice("at-risk", due=T0 + 120 * S), found, action(found))
    assert words.title(change) == "Action: black screen in room room-1"
    assert words.body(change).splitlines() == [
        "Host host-1. Since 2023-11-14 22:13:20 UTC.",
        "Violation at 2023-11-14 22:15:20 UTC.",
        "- 2023-11-14 22:13:20 UTC the first of 121 frames in a row black",
        "Recommended (violation no. 2 of low-quality): close, ban 7 days.",
    ]
    over = last(notice("at-risk"), found, T0 + 300 * S)
    assert words.title(over) == "Over: black screen in room room-1"
    assert words.body(over).endswith("Over at 2023-11-14 22:18:20 UTC: the room ended.")


def test_hostile_names_are_harmless_wherever_they_stand() -> None:
    evil = "<!channel> https://evil.example *x*"
    found = verdict(
        rule="rights", room_id=evil, host_id=evil, subject=f"rights:{evil}",
        evidence=(Evidence(topic="comment", at=T0, note=evil),),
    )  # fmt: skip
    change = last(found)
    said = words.title(change) + words.body(change) + words.summary(change.incident)
    assert "<" not in said
    assert "https://" not in said
    assert "*" not in said
    assert said.count("！channel") == 6


async def sent(url: str, change: IncidentChange, **target: Any) -> SendOutcome:
    chat = Chat(kind="chat", url_secret="chat", **target)
    [outcome] = await ChatSender("moderators", chat, Secrets({"chat": url})).send([change])
    return outcome


async def test_a_chat_gets_the_words_by_apprise() -> None:
    async with Receiver() as receiver:
        url = f"json://127.0.0.1:{receiver.port}/SecretTokenXYZ"
        assert await sent(url, last(verdict()), console_url="https://console.example/") == Sent()
    [message] = [one for one in receiver.bodies if one]
    assert b"VIOLATION: black screen in room room-1" in message
    assert b"https://console.example/" in message


async def test_a_chat_gets_the_words_in_its_language() -> None:
    async with Receiver() as receiver:
        assert await sent(f"json://127.0.0.1:{receiver.port}/x", last(verdict()), language="zh") == Sent()
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
            outcome = await sent(url, last(verdict()))
        nobody = await sent("json://127.0.0.1:1/SecretTokenXYZ", last(verdict()))
    assert isinstance(outcome, RetryLater)
    assert isinstance(nobody, RetryLater)
    said = caplog.text + str(outcome) + str(nobody) + "".join(capfd.readouterr())
    assert "SecretTokenXYZ" not in said


async def test_a_chat_that_does_not_answer_is_not_waited_for() -> None:
    async def slow(request: web.Request, number: int) -> web.StreamResponse:
        await asyncio.sleep(1)
        return web.Response()

    async with Receiver(slow) as receiver:
        outcome = await sent(f"json://127.0.0.1:{receiver.port}/x", last(verdict()), timeout_s=0.2)
    assert outcome == RetryLater("no answer in time")


async def test_a_chat_is_not_redirected() -> None:
    async with Receiver() as internal:

        async def elsewhere(request: web.Request, number: int) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": internal.url})

        async with Receiver(elsewhere) as receiver:
            outcome = await sent(f"json://127.0.0.1:{receiver.port}/x", last(verdict()))
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
