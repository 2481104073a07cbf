"""The pages and the form of a review, asked over HTTP without a browser and without Kafka."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.console.test_auth import LINE, TOKEN, VIEWER, VIEWER_LINE, client, form_token, signed_in
from tests.console.test_model import action, notice, verdict
from tests.console.test_wall import status
from tests.support.console_stories import HOSTILE, START, ConsoleStage, simulated_console
from vigil.topics.reviews import Review
from vigil.topics.rooms import BuyerEntry, Comment, FrameStatus
from vigil.topics.scores import PinDecision
from vigil.topics.verdicts import Evidence, Verdict


def review_form(browser: TestClient, console: ConsoleStage) -> tuple[Verdict, dict[str, str]]:
    one = next(iter(console.state.model.verdicts_of(console.state.model.verdicts)))
    page = browser.get("/verdict", params={"id": one.verdict_id}).text
    token = re.findall(r'<form class="review".*?name="form_token" value="([0-9a-f]+)"', page, re.S)
    return one, {"verdict_id": one.verdict_id, "form_token": (token or [""])[0], "decision": "upheld", "reason": ""}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_of_a_simulation_renders(language: str):
    console = simulated_console()
    model = console.state.model
    browser = client(console)
    browser.cookies.set("vigil_lang", language)
    paths = ["/", "/suppliers", "/search", "/search?q=merchant"]
    paths += [f"/room?id={name}&span={span}" for name in model.rooms for span in (5, 60)]
    paths += [f"/host?id={name}" for name in model.hosts]
    paths += [f"/verdict?id={name}" for name in model.verdicts]
    paths += [f"/supplier?id={name}" for name in model.suppliers]
    for path in paths:
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert f'<html lang="{language}"' in answer.text


def test_what_was_never_read_is_shown_as_unknown():
    browser = client(simulated_console())
    for kind in ("room", "host", "supplier", "verdict"):
        answer = browser.get(f"/{kind}?id=nobody")
        assert answer.status_code == 404 and "has read nothing about it" in answer.text
    assert browser.get("/nothing").status_code == 404
    assert client(simulated_console()).get("/room").status_code == 404


def test_headers_keep_the_browser_strict():
    browser = client(simulated_console())
    for path in ("/", "/static/wall.js", "/nothing", "/health/live"):
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and headers["x-content-type-options"] == "nosniff"
    assert browser.get("/").headers["cache-control"] == "no-store"


def test_no_page_needs_what_the_policy_forbids():
    console = simulated_console()
    browser = client(console)
    name = next(iter(console.state.model.rooms))
    for path in ("/", f"/room?id={name}", "/suppliers"):
        page = browser.get(path).text
        assert not re.search(r"\sstyle=|\son\w+=|<style|javascript:", page)
        scripts = re.findall(r"<script([^>]*)>", page)
        assert all("src=" in one or "application/json" in one for one in scripts)


def hostile() -> ConsoleStage:
    """A console that has read hostile names and texts in every field that has one."""
    one = verdict(name=HOSTILE)
    fields = {name: getattr(one, name) for name in one.__struct_fields__}
    evidence = (Evidence(topic="comment", at=START, note=HOSTILE),)
    fields |= {"room_id": HOSTILE, "host_id": HOSTILE, "rule": HOSTILE, "subject": HOSTILE, "evidence": evidence}
    console = ConsoleStage().take("verdict", Verdict(**fields | {"rulebook": HOSTILE}))
    names = {"host_id": HOSTILE, "room_id": HOSTILE, "rule": HOSTILE}
    console.take("enforcement", action(HOSTILE, **names))
    console.take("room-status", status(room_id=HOSTILE, opened=((HOSTILE, 0, 10**12),), waiting=(("L4", 10**12),)))
    warned = notice("entry-missed", 5)
    names = {name: getattr(warned, name) for name in warned.__struct_fields__}
    console.take("notice", type(warned)(**names | {"room_id": HOSTILE, "buyer_id": HOSTILE, "rule": HOSTILE}))
    review = Review(verdict_id=HOSTILE, host_id=HOSTILE, decision="upheld", by=HOSTILE, reason=HOSTILE, at=START)
    console.take("review", review)
    room: dict[str, Any] = {"room_id": HOSTILE, "host_id": HOSTILE, "at": START}
    console.take("buyer-entry", BuyerEntry(**room, buyer_id=HOSTILE))
    said = {"comment_id": "c", "author_id": "h", "author_role": "host", "text": HOSTILE}
    console.take("comment", Comment(**room, **said))
    console.take("frame-status", FrameStatus(**room, stream="live", face=True, black=False, labels=(HOSTILE,)))
    frame = FrameStatus(**room | {"at": START + 1}, stream="live", face=True, black=False)
    console.take("frame-status", frame)
    pin = PinDecision(
        rfq_id=HOSTILE, quote_id=HOSTILE, supplier_id=HOSTILE, at=START, decision="granted", place=1, reason=None
    )
    return console.take("pin-decision", pin)


def test_names_and_texts_of_events_are_text_everywhere():
    console = hostile()
    browser = client(console)
    for path in ("/room", "/host", "/verdict", "/supplier", "/search", "/"):
        page = browser.get(path, params={"id": HOSTILE, "q": HOSTILE, "span": HOSTILE}).text
        assert "<img" not in page and "\u202e" not in re.sub(r"<[^>]*>", "", page), path
        if path != "/":
            assert "&lt;img src=x onerror=alert(1)&gt;" in page, path
    for kind in ("room", "host", "verdict", "supplier"):
        parts = console.server.context.pages
        view = parts.view(kind, HOSTILE, console.server.context.reader(_request()), {})
        assert view is not None
        assert "<img" not in "".join(parts.parts(kind, view).values())


def _request() -> Any:
    from starlette.requests import Request

    return Request({"type": "http", "headers": []})


# ---- reviews


def test_a_review_carries_the_name_that_signed_in():
    console = simulated_console(tokens=f"{LINE}\n{VIEWER_LINE}")
    browser = signed_in(console, TOKEN)
    one, form = review_form(browser, console)
    answer = browser.post(
        "/review", data=form | {"decision": "overturned", "reason": " lens cap\r\nwas on ", "by": "x"}
    )
    assert answer.status_code == 303 and answer.headers["location"].startswith("/verdict?id=")
    (review,) = console.sent
    assert (review.verdict_id, review.host_id, review.decision) == (one.verdict_id, one.host_id, "overturned")
    assert (review.by, review.reason) == ("mei", "lens cap\nwas on")
    assert review.at >= one.at
    assert "Your review was sent" in browser.get(answer.headers["location"]).text


@pytest.mark.parametrize(
    "changes, status_code, words",
    [
        ({"decision": "overturned"}, 422, "Say why"),
        ({"decision": "overturned", "reason": "  \n "}, 422, "Say why"),
        ({"decision": "maybe"}, 422, "Choose a decision"),
        ({"reason": "x" * 4097}, 422, "4,096"),
        ({"verdict_id": "nobody"}, 404, "has read nothing"),
        ({"form_token": "0" * 64}, 403, "not shown by this console"),
        ({"form_token": "é"}, 403, "not shown by this console"),
    ],
)
def test_an_incomplete_review_is_refused_with_the_reason(changes: dict[str, str], status_code: int, words: str):
    console = simulated_console()
    browser = client(console)
    _, form = review_form(browser, console)
    answer = browser.post("/review", data=form | changes)
    assert (answer.status_code, console.sent) == (status_code, [])
    assert words in answer.text


def test_a_refused_reason_is_not_lost():
    console = simulated_console()
    browser = client(console)
    _, form = review_form(browser, console)
    page = browser.post("/review", data=form | {"reason": "<b>long story</b>", "decision": "maybe"}).text
    assert "&lt;b&gt;long story&lt;/b&gt;" in page


def test_a_viewer_sees_no_form_and_may_not_send_one():
    console = simulated_console(tokens=f"{LINE}\n{VIEWER_LINE}")
    browser = signed_in(console, VIEWER)
    page = browser.get("/verdict", params={"id": next(iter(console.state.model.verdicts))}).text
    assert "You may view, but not review" in page and 'action="/review"' not in page
    _, form = review_form(signed_in(console, TOKEN), console)
    form["form_token"] = form_token(browser.get("/").text)
    assert browser.post("/review", data=form).status_code == 403
    assert console.sent == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ],
)
def test_another_site_cannot_send_a_review(headers: dict[str, str]):
    console = simulated_console()
    browser = client(console)
    _, form = review_form(browser, console)
    assert browser.post("/review", data=form, headers=headers).status_code == 403
    stranger = client(console)  # another browser with the same form
    assert stranger.post("/review", data=form).status_code == 403
    assert browser.post("/review", data=form, headers={"Origin": "http://localhost"}).status_code == 303
    assert len(console.sent) == 1


def test_what_is_not_a_form_is_refused():
    console = simulated_console()
    browser = client(console)
    assert browser.post("/review", content=b"x" * 70_000).status_code == 413
    assert browser.post("/review", json={"a": 1}).status_code == 415
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert browser.post("/review", content=b"a=%ff&b=\xff", headers=kind).status_code == 400
    assert browser.get("/review").status_code == 405


def test_a_review_that_kafka_refuses_is_shown_and_can_be_sent_again(monkeypatch: pytest.MonkeyPatch):
    console = simulated_console()
    browser = client(console)
    _, form = review_form(browser, console)

    async def refuse(review: Review) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(console.state.ingest, "send", refuse)
    answer = browser.post("/review", data=form | {"reason": "kept"})
    assert answer.status_code == 503 and "no broker" in answer.text and "kept" in answer.text


def test_readiness_is_whether_the_past_was_read():
    console = simulated_console()
    assert client(console).get("/health/ready").status_code == 200
    console.state.ingest.assigned = False
    assert client(console).get("/health/ready").status_code == 503


def test_a_language_and_a_theme_are_remembered():
    browser = client(simulated_console())
    assert browser.get("/set?lang=zh&theme=dark&back=/suppliers").headers["location"] == "/suppliers"
    page = browser.get("/").text
    assert '<html lang="zh" data-theme="dark">' in page and "直播间" in page
    browser.get("/set?lang=<script>&theme=blue")
    assert '<html lang="zh" data-theme="dark">' in browser.get("/").text
