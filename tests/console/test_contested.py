"""A verdict that a late reception speaks against is marked on its page and in its room."""

from starlette.testclient import TestClient

from tests.console.test_model import verdict
from tests.console.test_wall import status
from tests.support.console_stories import ConsoleStage
from vigil.topics.verdicts import Notice


def page(console: ConsoleStage, path: str) -> str:
    return TestClient(console.app, base_url="http://localhost").get(path).text


def test_a_contested_verdict_says_so_on_its_page_and_in_its_room():
    found = verdict()
    console = ConsoleStage().take("room-status", status()).take("verdict", found)
    assert "came too late" not in page(console, f"/verdict?id={found.verdict_id}")
    notice = Notice(
        notice_id="n1",
        kind="verdict-contested",
        rule=found.rule,
        room_id=found.room_id,
        host_id=found.host_id,
        buyer_id=None,
        priority="normal",
        since=found.since,
        at=found.at + 9000,
        due=None,
        verdict_id=found.verdict_id,
    )
    console.take("notice", notice)
    assert "came too late to be judged, and speaks against this verdict" in page(
        console, f"/verdict?id={found.verdict_id}"
    )
    assert "verdict contested" in page(console, f"/room?id={found.room_id}")
