"""Nonsense in addresses, cookies, headers and forms is an error of who sends it, never one of the console."""

from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.support.console_stories import ConsoleStage, simulated_console
from tests.support.examples import examples

CONSOLE = simulated_console()
CONSOLE.state.stopping.set()  # event streams end after their first event
PATHS = sorted({route.path for route in CONSOLE.app.routes if isinstance(route, Route)} | {"/static/x", "/none"})
KNOWN_IDS = [
    name
    for names in (CONSOLE.state.model.rooms, CONSOLE.state.model.hosts, CONSOLE.state.model.verdicts)
    for name in list(names)[:1]
]
NONSENSE = st.sampled_from(
    [
        b"", "²".encode(), "٣".encode(), b"15", b"-1", b"1e9", b"9" * 5000, b"NaN", b"\xff\xfe", b"\x00",
        b"../../etc/passwd", b"//evil.example", b"{{7*7}}", b"%s%n", "\u202e".encode(), b"x" * 4000, b"\r\nX: y",
        *(name.encode() for name in KNOWN_IDS),
    ]
) | st.binary(max_size=20)  # fmt: skip
NAMES = st.sampled_from(
    [
        "id", "span", "q", "back", "lang", "theme", "zone", "sent", "verdict_id", "decision", "reason", "token",
        "status", "duty", "supplier", "page",
    ]
)  # fmt: skip
COOKIES = st.sampled_from(["vigil_lang", "vigil_theme", "vigil_zone", "vigil_session", "vigil_visitor"])
HEADERS = st.sampled_from(
    ["accept-language", "last-event-id", "origin", "content-type", "accept", "range", "if-modified-since"]
)


def browser(console: ConsoleStage) -> TestClient:
    return TestClient(
        console.app, base_url="http://localhost", client=("127.0.0.1", 1), follow_redirects=False,
        raise_server_exceptions=False,
    )  # fmt: skip


def query_of(pairs: list[tuple[str, bytes]]) -> str:
    return "&".join(f"{name}={quote_from_bytes(value)}" for name, value in pairs)


@settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(PATHS),
    st.sampled_from(["GET", "POST", "HEAD", "PUT"]),
    st.lists(st.tuples(NAMES, NONSENSE), max_size=4),
    st.lists(st.tuples(COOKIES, NONSENSE), max_size=3),
    st.lists(st.tuples(HEADERS, NONSENSE), max_size=2),
)
def test_no_request_is_an_error_of_the_console(
    path: str,
    method: str,
    query: list[tuple[str, bytes]],
    cookies: list[tuple[str, bytes]],
    headers: list[tuple[str, bytes]],
) -> None:
    fields = [(name.encode(), value) for name, value in headers]
    fields.append((b"cookie", b"; ".join(name.encode() + b"=" + value for name, value in cookies)))
    body = query_of(query).encode() if method == "POST" else b""
    answer = browser(CONSOLE).request(method, f"{path}?{query_of(query)}", headers=fields, content=body)
    assert answer.status_code < 500 or path == "/health/ready", (answer.status_code, answer.text[:300])


@pytest.mark.parametrize("span", ["²", "٣", "15", "-1", "", "9" * 5000])
def test_a_span_that_is_no_choice_is_the_usual_one(span: str) -> None:
    room = next(iter(CONSOLE.state.model.rooms))
    for path in ("/room", "/live/room"):
        assert browser(CONSOLE).get(path, params={"id": room, "span": span}).status_code == 200


@pytest.mark.parametrize(
    "data", [b"\xff=\xff", b"&".join([b"a=1"] * 1000), b"form_token=%FF", b"form_token=\xc3\xbc", b"x" * 70_000]
)
def test_a_form_of_nonsense_is_refused(data: bytes) -> None:
    for path in ("/review", "/sign-out", "/sign-in"):
        answer = browser(CONSOLE).post(
            path, content=data, headers={"content-type": "application/x-www-form-urlencoded"}
        )
        assert answer.status_code < 500, (path, answer.status_code)
