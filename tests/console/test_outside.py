"""Links from the console to the marketplace's pages and to recordings. What events name is not trusted."""

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from tests.console.test_model import verdict
from tests.console.test_wall import status
from tests.support.console_stories import ConsoleStage
from vigil.app.console.views.outside import OutsideLinks, is_web_address
from vigil.app.kafka.settings import Settings
from vigil.topics.verdicts import Evidence

TEMPLATES = Settings(
    room_url="https://live.example.com/rooms/{room_id}",
    clip_url="https://clips.example.com/{room_id}?at={at}",
    profile_url="https://example.com/accounts/{account_id}",
)


def page(console: ConsoleStage, path: str) -> str:
    return TestClient(console.app, base_url="http://localhost").get(path).text


def judged(settings: Settings, media_uri: str | None = None) -> ConsoleStage:
    """A console that knows one room and one verdict with a piece of evidence."""
    evidence = Evidence(topic="comment", at=verdict().at, note="a note", media_uri=media_uri)
    console = ConsoleStage(settings).take("room-status", status())
    return console.take("verdict", replace(verdict(), evidence=(evidence,)))


def test_pages_link_to_the_marketplace_where_the_settings_say_how():
    console = judged(TEMPLATES)
    assert 'href="https://live.example.com/rooms/r" target="_blank" rel="noopener noreferrer"' in page(
        console, "/room?id=r"
    )
    shown = page(console, "/verdict?id=v1")
    assert f'href="https://clips.example.com/r?at={verdict().since}"' in shown
    assert 'href="https://example.com/accounts/h"' in shown
    assert 'href="https://example.com/accounts/h"' in page(console, "/host?id=h")


def test_without_templates_there_are_no_such_links():
    console = judged(Settings())
    assert all('class="away"' not in page(console, path) for path in ("/room?id=r", "/verdict?id=v1", "/host?id=h"))


def test_an_id_cannot_leave_its_place_in_a_link():
    links = OutsideLinks(TEMPLATES)
    assert links.room("../admin?x=1#y", "h") == "https://live.example.com/rooms/..%2Fadmin%3Fx%3D1%23y"
    assert links.room("..", "h") is None
    assert links.profile("\ud800") is None


def test_evidence_links_to_what_can_be_seen_or_heard():
    assert 'href="https://cdn.example.com/a.mp4?t=3"' in page(
        judged(Settings(), "https://cdn.example.com/a.mp4?t=3"), "/verdict?id=v1"
    )


@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "s3://bucket/key",
        "data:text/html,x",
        "//example.com/x",
        "https://",
        "https://[",
        "http://a b/",
    ],
)
def test_what_is_no_web_address_is_text(uri: str):
    assert not is_web_address(uri)
    shown = page(judged(Settings(), uri), "/verdict?id=v1")
    assert f'href="{uri}"' not in shown
    assert '<code class="away">' in shown
