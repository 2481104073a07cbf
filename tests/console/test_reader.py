"""Each reader sees times in their own time zone: the browser's, or one that they have chosen."""

from zoneinfo import ZoneInfo

import pytest
from starlette.testclient import TestClient

from tests.console.test_model import verdict
from tests.support.console_stories import START, ConsoleStage
from vigil.app.console.views.reader import offset, zone_called

NOON_UTC = 1_662_033_600_000
"""2022-09-01 12:00:00 UTC."""


@pytest.mark.parametrize(
    "zone, expected",
    [
        ("UTC", "UTC"),
        ("Etc/UTC", "UTC"),
        ("Africa/Abidjan", "UTC+00:00"),
        ("Asia/Shanghai", "UTC+08:00"),
        ("America/Los_Angeles", "UTC-07:00"),
        ("Asia/Kolkata", "UTC+05:30"),
    ],
)
def test_a_zone_is_shown_with_its_offset(zone: str, expected: str):
    assert offset(ZoneInfo(zone), NOON_UTC) == expected


@pytest.mark.parametrize("name", ["", "Mars/Base", "../etc/passwd", "/etc/passwd", "x" * 65, "Asia/Shanghai\0", "Asia"])
def test_what_a_browser_sends_may_be_no_zone(name: str):
    assert zone_called(name) is None


def page(client: TestClient) -> str:
    return client.get("/verdict?id=v1").text


def test_times_are_in_the_zone_of_the_browser_else_in_that_of_the_settings():
    console = ConsoleStage(time_zone="America/Los_Angeles")
    console.take("verdict", verdict(at=NOON_UTC - START))
    client = TestClient(console.app, base_url="http://localhost")
    assert "2022-09-01 05:00:00" in page(client)
    assert "UTC-07:00" in page(client)
    client.cookies.set("vigil_zone", "Asia/Shanghai")
    assert "2022-09-01 20:00:00" in page(client)
    assert "UTC+08:00" in page(client)
    client.cookies.set("vigil_zone", "Mars/Base")
    assert "2022-09-01 05:00:00" in page(client)


def test_a_zone_is_remembered_and_others_are_not():
    client = TestClient(ConsoleStage().app, base_url="http://localhost", follow_redirects=False)
    answer = client.get("/set?zone=Asia/Shanghai&back=/suppliers")
    assert (answer.status_code, answer.headers["location"]) == (303, "/suppliers")
    assert client.cookies["vigil_zone"].strip('"') == "Asia/Shanghai"
    assert "set-cookie" not in client.get("/set?zone=Mars/Base").headers
