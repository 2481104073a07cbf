"""The page of a host over HTTP: who sees what, what it says, appeals, limits; without a browser and without Kafka."""

import re
import time
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from tests.console.test_auth import LINE, TOKEN, client, signed_in
from tests.console.test_model import S, action, risk, verdict
from tests.console.test_queue import over
from tests.console.test_wall import status
from tests.support.console_stories import HOSTILE, START, ConsoleStage, simulated_console
from vigil.app.console.auth.host_links import HostLinks
from vigil.app.console.http.request_rates import RequestRates
from vigil.app.console.settings import ConsoleBounds
from vigil.topics.reviews import Review
from vigil.topics.topic import DAY_MS
from vigil.topics.verdicts import Evidence, Verdict

KEY = "k" * 64
LINKS = HostLinks((KEY,))
NAME, WORDS = "Mei Lindqvist", "Reviewed with Anna of the Hangzhou desk."


def token(host: str = "h", seconds: float = 600) -> str:
    return LINKS.token(host, int(time.time() + seconds))


def stage(**options: Any) -> ConsoleStage:
    return ConsoleStage(host_link_keys=KEY, **options)


def of(host: str, name: str, at: int = 300 * S, **changes: Any) -> Verdict:
    """A verdict of a host, with evidence."""
    one = msgspec.structs.asdict(verdict(name=name, at=at, room_id=f"room-of-{host}"))
    first = Evidence(topic="frame-status", at=START, note=f"seen at {host}", media_uri="https://media.example/1")
    return Verdict(**one | {"host_id": host, "evidence": (first,)} | changes)


def recorded() -> ConsoleStage:
    """A console that has read a verdict each of two hosts; that of `h` was upheld, by somebody with a name."""
    console = stage()
    for host in ("h", "other"):
        console.take("verdict", of(host, f"v-{host}"))
        more: dict[str, Any] = {"host_id": host, "room_id": f"room-of-{host}", "decided_by": NAME, "decided_at": START}
        console.take("enforcement", action(f"v-{host}", 2, approved_by=(NAME,), **more))
        review: dict[str, Any] = {"verdict_id": f"v-{host}", "host_id": host, "by": NAME, "reason": WORDS, "at": START}
        console.take("review", Review(decision="upheld", **review))
    return console


def page(console: ConsoleStage, sent: str | None = None, **query: str) -> Any:
    return client(console).get("/for-host", params={"token": token() if sent is None else sent} | query)


def record(console: ConsoleStage, sent: str | None = None, **query: str) -> dict[str, Any]:
    answer = client(console).get("/for-host.json", params={"token": token() if sent is None else sent} | query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


class TestAccess:
    @pytest.mark.parametrize("path", ["/for-host", "/for-host.json"])
    @pytest.mark.parametrize(
        ("sent", "words"),
        [
            ("", "not valid"),
            ("v1.e30.abc", "not valid"),
            (token(seconds=-1), "expired"),
            (token()[:-2] + "AA", "not valid"),
            (HostLinks(("x" * 64,)).token("h", int(time.time()) + 600), "not valid"),
            (TOKEN, "not valid"),
        ],
        ids=["none", "nonsense", "expired", "changed", "another-key", "of-a-moderator"],
    )
    def test_without_a_token_that_fits_nobody_sees_anything(self, path: str, sent: str, words: str) -> None:
        answer = client(recorded()).get(path, params={"token": sent})
        assert answer.status_code == 403
        assert words in answer.text
        assert "room-of" not in answer.text

    def test_no_sign_in_is_needed_and_none_helps(self) -> None:
        console = stage(host="0.0.0.0", tokens=LINE)
        console.take("verdict", of("h", "v-h"))
        assert page(console).status_code == 200
        assert signed_in(console, TOKEN).get("/for-host").status_code == 403
        assert client(console).get("/verdict?id=v-h").status_code == 303  # the link opens nothing else

    def test_a_link_opens_no_other_page(self) -> None:
        console = stage(host="0.0.0.0", tokens=LINE)
        browser = client(console)
        for path in ("/", "/host?id=h", "/room?id=r", "/search?q=h", "/live/host?id=h"):
            answer = browser.get(path, params={"token": token()}, headers={"Authorization": f"Bearer {token()}"})
            assert answer.status_code in (303, 401), path

    def test_two_keys_are_accepted(self) -> None:
        console = ConsoleStage(host_link_keys=f"{'n' * 64};{KEY}")
        assert page(console).status_code == 200
        new = HostLinks(("n" * 64,)).token("h", int(time.time()) + 600)
        assert page(console, new).status_code == 200

    def test_without_keys_there_is_no_such_page(self) -> None:
        console = ConsoleStage()
        for path in ("/for-host", "/for-host.json"):
            assert client(console).get(path, params={"token": token()}).status_code == 404
        answer = client(console).post("/for-host/appeal", data={"token": token(), "verdict_id": "v-h", "reason": "x"})
        assert (answer.status_code, console.sent) == (404, [])

    def test_a_program_may_send_the_token_as_a_header(self) -> None:
        browser = client(recorded())
        answer = browser.get("/for-host.json", headers={"Authorization": f"Bearer {token()}"})
        assert answer.json()["host_id"] == "h"
        assert browser.get("/for-host.json", headers={"Authorization": f"Basic {token()}"}).status_code == 403


class TestWhatItSays:
    @pytest.mark.parametrize("path", ["/for-host", "/for-host.json"])
    def test_nothing_of_another_host_and_no_moderator(self, path: str) -> None:
        text = client(recorded()).get(path, params={"token": token()}).text
        assert "room-of-h" in text
        assert "seen at h" in text
        for secret in ("room-of-other", "v-other", "seen at other", NAME, "Mei", WORDS, "Hangzhou"):
            assert secret not in text, secret

    def test_a_room_that_changed_its_host_shows_each_only_its_own(self) -> None:
        console = stage()
        for host in ("h", "other"):
            console.take("verdict", of(host, f"v-{host}", room_id="shared"))
        for host in ("h", "other"):
            shown = record(console, token(host))["verdicts"]
            assert [one["verdict_id"] for one in shown] == [f"v-{host}"]

    def test_a_host_of_whom_nothing_was_read_has_an_empty_record(self) -> None:
        shown = record(recorded(), token("nobody"))
        assert (shown["host_id"], shown["verdicts"], shown["banned_until"]) == ("nobody", [], None)
        assert "No violation is on record" in page(recorded(), token("nobody")).text

    def test_a_verdict_with_its_rule_in_the_rulebooks_words(self) -> None:
        (one,) = record(recorded())["verdicts"]
        assert one["rule"]["name"] == "Absence"
        assert one["rule"]["effective"] == "2022-07-19"
        assert "five" in one["rule"]["text"].lower()
        assert one["rule"]["citation"]
        assert (one["decision"], one["decided_at"]) == ("upheld", START)
        assert one["prevented_by"]
        (chinese,) = record(recorded(), lang="zh")["verdicts"]
        assert re.search(r"[\u4e00-\u9fff]", chinese["rule"]["text"])
        assert chinese["rule"]["name"] != one["rule"]["name"]
        assert all(re.search(r"[\u4e00-\u9fff]", each) for each in (*chinese["ended_by"], *chinese["prevented_by"]))

    def test_what_follows_until_when_and_what_ends_it(self) -> None:
        console = stage().take("verdict", of("h", "v1"))
        ends = START + 300 * S + 7 * DAY_MS
        steps = {"steps": ("close", "ban"), "ban_days": 7, "ban_until": ends, "count": 2}
        console.take("enforcement", action("v1", **steps))
        shown = record(console)
        (one,) = shown["verdicts"]
        assert shown["banned_until"] == ends
        assert [step["text"] for step in one["action"]["steps"]] == [
            "closing of the room",
            "ban from broadcasting for 7 days",
        ]
        assert one["counts"] is True
        assert one["counts_until"] == START + 300 * S + 90 * DAY_MS
        assert one["ended_by"] == [
            "The ban ends on 2022-09-08 16:05.",
            "It counts until 2022-11-30 16:05 for what the next violation leads to.",
            "If an appeal succeeds, it is withdrawn at once.",
        ]
        (ladder,) = shown["ladders"]
        assert (ladder["family"], ladder["count"], ladder["window_days"]) == ("reception", 1, 90)
        assert "warning" not in ladder["next"]

    def test_a_choice_is_shown_until_it_is_made(self) -> None:
        console = stage().take("verdict", of("h", "v1")).take("enforcement", action("v1", choice=["warn", "close"]))
        (one,) = record(console)["verdicts"]
        assert one["action"]["to_be_chosen"]
        assert [step["text"] for step in one["action"]["steps"]] == ["warning or closing of the room"]
        chosen = {"choice": ["warn", "close"], "steps": ("close",), "decided_by": "mei", "decided_at": START}
        console.take("enforcement", action("v1", 2, **chosen))
        (one,) = record(console)["verdicts"]
        assert not one["action"]["to_be_chosen"]
        assert [step["text"] for step in one["action"]["steps"]] == ["closing of the room"]

    def test_days_that_may_be_chosen_are_a_range(self) -> None:
        console = stage()
        days = {"choice": {"freeze_days": [30, 90], "past_days": [30, 180]}, "freeze_days": 30, "past_days": 30}
        console.take("enforcement", action("v1", family="minors", steps=("freeze", "close-past-rooms"), **days))
        (one,) = record(console)["verdicts"]
        assert [step["text"] for step in one["action"]["steps"]] == [
            "account frozen for 30–90 days",
            "closing of the rooms of the last 30–180 days",
        ]

    def test_what_was_withdrawn_has_no_consequence(self) -> None:
        console = stage().take("verdict", of("h", "v1"))
        console.take("enforcement", action("v1", 2, "withdrawn", decided_by="mei", decided_at=START))
        (one,) = record(console)["verdicts"]
        assert (one["decision"], one["counts"], one["may_appeal"]) == ("overturned", False, False)
        assert one["ended_by"] == ["It was withdrawn: nothing follows from it any more, and it does not count."]

    def test_an_action_older_than_the_verdicts_that_are_read_is_shown_without_evidence(self) -> None:
        console = stage().take("enforcement", action("v1"))
        (one,) = record(console)["verdicts"]
        assert (one["evidence"], one["since"], one["rule"]["effective"]) == (None, None, "2022-07-19")
        assert "older than the evidence" in page(console).text

    def test_a_warning_says_what_ends_it(self) -> None:
        console = stage().take("room-status", status())
        console.take("incident", risk(150 * S, due=300 * S))
        (one,) = record(console)["warnings"]
        assert (one["rule"]["rule"], one["due"]) == ("absence", START + 300 * S)
        assert one["ended_by"] == ["To end it: a visible face."]
        assert "Happening now" in page(console).text
        console.take("incident", over(risk(150 * S, due=300 * S), "cleared"))
        assert record(console)["warnings"] == []

    def test_media_that_are_no_web_address_are_no_link(self) -> None:
        first = Evidence(topic="comment", at=START, note="x", media_uri="javascript:alert(1)")
        console = stage().take("verdict", of("h", "v1", evidence=(first,)))
        assert record(console)["verdicts"][0]["evidence"][0]["media_uri"] is None
        assert "javascript:" not in page(console).text

    def test_a_verdict_that_does_not_fit_the_rulebook_is_shown_without_what_prevents_it(self) -> None:
        first = Evidence(topic="comment", at=START, note="x")
        console = stage().take("verdict", of("h", "v1", evidence=(first,)))
        (one,) = record(console)["verdicts"]
        assert (one["prevented_by"], one["rule"]["name"]) == ([], "Absence")

    def test_the_latest_hundred_are_listed(self) -> None:
        console = stage()
        for number in range(103):
            console.take("enforcement", action(f"v{number:03}", at=number * S), tick=False)
        shown = record(console)
        assert [one["verdict_id"] for one in shown["verdicts"]] == [f"v{number:03}" for number in range(102, 2, -1)]
        assert shown["left_out"] == 3
        assert "not listed: 3" in page(console).text

    def test_names_and_texts_of_events_are_text(self) -> None:
        hostile = {"room_id": HOSTILE, "rule": HOSTILE, "subject": HOSTILE, "rulebook": HOSTILE}
        first = Evidence(topic="comment", at=START, note=HOSTILE)
        console = stage().take("verdict", of(HOSTILE, HOSTILE, evidence=(first,), **hostile))
        names = {"host_id": HOSTILE, "room_id": HOSTILE, "rule": HOSTILE, "family": HOSTILE}
        console.take("enforcement", action(HOSTILE, **names))
        shown = page(console, token(HOSTILE)).text
        assert "<img" not in shown
        assert "\u202e" not in re.sub(r"<[^>]*>", "", shown)
        assert "&lt;img src=x onerror=alert(1)&gt;" in shown
        answer = client(console).post(
            "/for-host/appeal", data={"token": token(HOSTILE), "verdict_id": HOSTILE, "reason": HOSTILE * 100}
        )
        assert answer.status_code == 422
        assert "<img" not in answer.text

    @pytest.mark.parametrize("language", ["en", "zh"])
    def test_every_host_of_a_simulation_has_a_page(self, language: str) -> None:
        console = simulated_console(host_link_keys=KEY)
        for host in console.state.model.hosts:
            answer = page(console, token(host), lang=language, zone="Asia/Shanghai")
            assert answer.status_code == 200
            assert f'<html lang="{language}"' in answer.text
            assert "UTC+08:00" in answer.text
            others = [name for name in console.state.model.hosts if name != host]
            assert not any(f">{other}<" in answer.text for other in others)


class TestHeaders:
    @pytest.mark.parametrize("path", ["/for-host", "/for-host.json"])
    @pytest.mark.parametrize("sent", [token(), "wrong"], ids=["good", "wrong"])
    def test_nothing_is_kept_indexed_embedded_or_sent_on(self, path: str, sent: str) -> None:
        headers = client(recorded()).get(path, params={"token": sent}).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "noindex" in headers["x-robots-tag"]
        assert "set-cookie" not in headers

    def test_the_page_has_no_script(self) -> None:
        shown = page(recorded()).text
        assert not re.search(r"<script|\sstyle=|\son\w+=|<style", shown)

    def test_robots_stay_away(self) -> None:
        answer = client(ConsoleStage(host="0.0.0.0", tokens=LINE)).get("/robots.txt")
        assert (answer.status_code, answer.text) == (200, "User-agent: *\nDisallow: /\n")


def appeal(browser: TestClient, name: str = "v-h", reason: str = "I was there.", **more: Any) -> Any:
    data = {"token": token(), "verdict_id": name, "reason": reason} | more.pop("data", {})
    return browser.post("/for-host/appeal", data=data, **more)


class TestAppeals:
    def test_an_appeal_is_a_review_of_the_host(self) -> None:
        console = recorded()
        answer = appeal(client(console), reason=" I was there:\r\nlook again. ", data={"lang": "zh"})
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/for-host?token=v1.")
        assert "lang=zh" in answer.headers["location"]
        (review,) = console.sent
        assert (review.verdict_id, review.host_id, review.decision) == ("v-h", "h", "appealed")
        assert (review.by, review.reason, review.choice) == ("host:h", "I was there:\nlook again.", None)
        assert review.at >= START + 300 * S

    def test_it_is_shown_at_once_and_can_be_made_once(self) -> None:
        console = recorded()
        browser = client(console)
        followed = browser.get(appeal(browser).headers["location"]).text
        assert "Your appeal was sent" in followed
        assert "You appealed on" in followed
        assert "<textarea" not in followed
        assert appeal(browser).status_code == 409
        (review,) = console.sent
        console.take("review", review)
        other = stage().take("verdict", of("h", "v-h")).take("review", review)  # another console reads it
        for each in (console, other):
            assert appeal(client(each)).status_code == 409
            assert record(each)["verdicts"][0]["appealed_at"] == review.at
        assert len(console.sent) == 1
        assert other.sent == []

    def test_a_program_gets_json(self) -> None:
        console = recorded()
        headers = {"Authorization": f"Bearer {token()}", "Accept": "application/json"}
        answer = appeal(client(console), headers=headers, data={"token": ""})
        assert answer.json()["verdicts"][0]["may_appeal"] is False
        refused = appeal(client(console), headers=headers)
        assert (refused.status_code, refused.json()["error"]) == (409, "appeal.not-now")

    @pytest.mark.parametrize(
        ("changes", "status_code", "words"),
        [
            ({"reason": " \n"}, 422, "Say why"),
            ({"reason": "x" * 1001}, 422, "1000"),
            ({"verdict_id": "v-other"}, 404, "no such violation"),
            ({"verdict_id": ""}, 404, "no such violation"),
            ({"token": token("other", seconds=86_400)}, 404, "no such violation"),
            ({"token": token(seconds=-1)}, 403, "expired"),
            ({"token": ""}, 403, "not valid"),
        ],
        ids=["empty", "long", "of-another", "unnamed", "by-another", "expired", "without-token"],
    )
    def test_what_cannot_be_sent_is_refused(self, changes: dict[str, str], status_code: int, words: str) -> None:
        console = recorded()
        answer = appeal(client(console), data=changes)
        assert (answer.status_code, console.sent) == (status_code, [])
        assert words in answer.text

    def test_a_refused_text_is_not_lost(self) -> None:
        text = appeal(client(recorded()), reason="<b>story</b>" + "x" * 1000).text
        assert "&lt;b&gt;story&lt;/b&gt;" in text

    def test_what_was_withdrawn_needs_no_appeal(self) -> None:
        console = recorded().take("enforcement", action("v-h", 3, "withdrawn", room_id="room-of-h"))
        assert appeal(client(console)).status_code == 409
        assert console.sent == []

    def test_while_the_past_is_read_nobody_can_appeal_twice(self) -> None:
        console = recorded()
        console.state.ingest.assigned = False
        assert appeal(client(console)).status_code == 503
        assert "still reading" in page(console).text
        assert "<textarea" not in page(console).text

    def test_one_that_kafka_refuses_can_be_sent_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        console = recorded()
        sent = console.state.ingest.send

        async def refuse(review: Review) -> None:
            raise ConnectionError("broker-1.internal")

        monkeypatch.setattr(console.state.ingest, "send", refuse)
        answer = appeal(client(console))
        assert answer.status_code == 503
        assert "I was there." in answer.text
        assert "internal" not in answer.text
        monkeypatch.setattr(console.state.ingest, "send", sent)
        assert appeal(client(console)).status_code == 303


class TestLimits:
    def test_each_host_has_so_many_requests_a_minute(self) -> None:
        console = stage(bounds=ConsoleBounds(requests_of_host=3))
        answers = [page(console) for _ in range(4)]
        assert [one.status_code for one in answers] == [200, 200, 200, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert page(console, token("other")).status_code == 200

    def test_each_address_has_so_many_whatever_it_sends(self) -> None:
        console = stage(bounds=ConsoleBounds(host_requests_of_address=3))
        assert [page(console, f"guess-{n}").status_code for n in range(4)] == [403, 403, 403, 429]
        assert client(console, "10.0.0.9").get("/for-host", params={"token": token()}).status_code == 200

    def test_appeals_are_limited_by_host(self) -> None:
        console = stage(bounds=ConsoleBounds(appeals_of_host=2))
        for number in range(3):
            console.take("enforcement", action(f"v{number}"))
        browser = client(console)
        assert [appeal(browser, f"v{number}").status_code for number in range(3)] == [303, 303, 429]
        assert len(console.sent) == 2

    def test_a_period_begins_again(self) -> None:
        now = [0.0]
        rates = RequestRates(2, 60, lambda: now[0])
        assert [rates.admit("a") for _ in range(3)] == [0, 0, 60]
        now[0] = 59.5
        assert rates.admit("a") == 1
        assert rates.admit("b") == 0
        now[0] = 60
        assert rates.admit("a") == 0
