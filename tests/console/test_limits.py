"""What one client may hold of a console: nobody else waits for it, and no log grows with it."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from tests.support.console_stories import ConsoleStage
from vigil.app.console.http.limits import LOG_LINES, LogThrottle, OpenCounts
from vigil.app.console.http.server import WebServer, uvicorn_config
from vigil.app.console.settings import ConsoleBounds


@asynccontextmanager
async def serving(head_s: float = 10, **options: Any) -> AsyncIterator[tuple[ConsoleStage, int]]:
    """A console on a free port of this machine."""
    console = ConsoleStage(port=0, **options)
    web = WebServer(uvicorn_config(console.server, console.console, head_s))
    listener = socket.create_server(("127.0.0.1", 0))
    task = asyncio.create_task(web.serve(sockets=[listener]))
    ticking = asyncio.create_task(console.state.run_ticks())
    try:
        async with asyncio.timeout(10):
            while not web.started:
                await asyncio.sleep(0.01)
        yield console, listener.getsockname()[1]
    finally:
        console.state.stopping.set()
        web.should_exit = True
        await task
        ticking.cancel()
        listener.close()


async def closed_after(port: int, *pieces: bytes, every_s: float = 0.1) -> float:
    """Seconds until the server closes a connection that sends these pieces, and then nothing."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun = loop.time()
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(every_s)
    async with asyncio.timeout(8):
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass
    writer.close()
    return loop.time() - begun


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"GET / HT",),
        (b"G", b"E", b"T", b" ", b"/", b" ", b"H"),
        (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT",),
        (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HT", b"T"),
    ],
)
async def test_a_request_whose_head_does_not_come_is_given_up(pieces: tuple[bytes, ...]) -> None:
    async with serving(head_s=0.5) as (_, port):
        assert 0.3 < await closed_after(port, *pieces) < 3


async def test_a_page_that_is_followed_has_no_time_out() -> None:
    async with (
        serving(head_s=0.3) as (console, port),
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/live/wall") as answer,
    ):
        for _ in range(3):
            assert await asyncio.wait_for(answer.content.readuntil(b"\r\n\r\n"), 8)
            await asyncio.sleep(0.4)
            console.state.wall.rows.forgotten = 1 << 40  # makes the next event a whole one


async def test_an_address_has_so_many_connections_and_no_more() -> None:
    async with serving(bounds=ConsoleBounds(connections_of_address=3)) as (_, port):
        address = f"http://127.0.0.1:{port}/live/wall"
        async with aiohttp.ClientSession() as session, AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(session.get(address))
            assert await closed_after(port) < 1
        async with aiohttp.ClientSession() as session, session.get(address) as answer:
            assert answer.status == 200


async def test_half_open_requests_keep_out_no_whole_one() -> None:
    async with serving(bounds=ConsoleBounds(connections_of_address=3)) as (console, port):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        for _, writer in held:
            writer.write(b"GET / HT")
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/health/live") as answer:
            assert answer.status == 200
        assert len(console.server.context.limits.waiting) <= 3
        for _, writer in held:
            writer.close()


@pytest.mark.parametrize("which", ["streams_of_user", "streams_of_address"])
async def test_a_client_has_so_many_event_streams_and_no_more(which: str) -> None:
    async with serving(bounds=ConsoleBounds(**{which: 2})) as (console, port), aiohttp.ClientSession() as session:
        address = f"http://127.0.0.1:{port}"
        async with AsyncExitStack() as stack:
            for path in ("/live/wall", "/live/room?id=r"):
                answer = await stack.enter_async_context(session.get(address + path))
                assert answer.status == 200
            async with session.get(address + "/live/wall") as refused:
                assert (refused.status, refused.headers["retry-after"]) == (429, "10")
            async with session.get(address + "/") as page:
                assert page.status == 200
        counts = getattr(console.server.context.limits, which)
        async with asyncio.timeout(10):
            while counts._open:
                await asyncio.sleep(0.05)
        async with session.get(address + "/live/wall") as again:
            assert again.status == 200


def test_a_trusted_proxys_address_is_not_limited() -> None:
    console = ConsoleStage(host="0.0.0.0", proxy_header="X-User", trusted_proxies="10.0.0.0/8")
    limits = console.server.context.limits
    assert [limits.counted(each) for each in ("10.1.2.3", "192.0.2.1", None)] == [None, "192.0.2.1", None]


def test_what_is_left_is_forgotten() -> None:
    counts = OpenCounts(2)
    with counts.place("a"), counts.place("a"):
        assert (counts.is_full("a"), counts.is_full("b")) == (True, False)
    assert counts._open == {}


def test_lines_that_a_client_causes_again_and_again_are_written_a_few_times(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("test-throttle")
    logger.setLevel(logging.INFO)
    throttle = LogThrottle()
    logger.addFilter(throttle)
    for _ in range(1000):
        logger.warning("Invalid HTTP request received.")
    logger.warning("another")
    assert len(caplog.records) == LOG_LINES + 1
    for number in range(100):  # what the console reports of its own work, as structlog hands it over
        logger.info({"event": "review published", "verdict_id": number})
    assert len(caplog.records) == LOG_LINES + 101
    throttle._since -= 100
    logger.warning("Invalid HTTP request received.")
    assert "990 more lines: Invalid HTTP request received." in caplog.text
