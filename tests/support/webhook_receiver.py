"""A webhook receiver that misbehaves as a test wants, and records what it accepted."""

import asyncio
import hashlib
import hmac
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Self

import orjson
from aiohttp import web

Behaviour = Callable[[web.Request, int], Awaitable[web.StreamResponse]]

TAKE: web.RequestKey[Callable[[], None]] = web.RequestKey("take", Callable)  # type: ignore[arg-type]


async def good(request: web.Request, number: int) -> web.StreamResponse:
    return web.Response(text="thanks")


class Receiver:
    """Listens on a free loopback port; `behave` makes the response, and a message with a 2xx response is accepted."""

    def __init__(self, behave: Behaviour = good, port: int = 0) -> None:
        self.behave = behave
        self.port = port
        self.tried: list[str] = []
        """Idempotency keys as they came."""
        self.taken: list[dict[str, Any]] = []
        """Messages that were answered with 2xx, in order, repeats included."""
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def first_taken(self) -> list[dict[str, Any]]:
        """Each message once, as a receiver sees them that uses the idempotency key."""
        first: dict[str, dict[str, Any]] = {}
        for message in self.taken:
            first.setdefault(message["id"], message)
        return list(first.values())

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.tried.append(request.headers.get("Idempotency-Key", ""))
        self.headers.append(dict(request.headers))
        self.bodies.append(body)
        request[TAKE] = lambda: self.taken.append(orjson.loads(body))
        answer = await self.behave(request, len(self.tried))
        if 200 <= answer.status < 300 and not answer.prepared:
            request[TAKE]()
        return answer

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


async def reset(request: web.Request) -> web.StreamResponse:
    """End the connection with RST."""
    import socket

    transport = request.transport
    assert transport is not None
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.close()
    await asyncio.sleep(0.01)
    return web.Response(status=500)


async def huge(request: web.Request, status: int, flooded: list[int] | None = None) -> web.StreamResponse:
    """An answer of a gigabyte, sent as long as the client reads; `flooded` gets the number of pieces sent."""
    came = 0
    answer = web.StreamResponse(status=status)
    if 200 <= status < 300:
        request[TAKE]()
    await answer.prepare(request)
    try:
        for came in range(10_000):  # noqa: B007 - used after the loop
            await answer.write(b"x" * 100_000)
    except (ConnectionError, asyncio.CancelledError):
        pass
    if flooded is not None:
        flooded.append(came)
    return answer


def signed_well(key: str, headers: dict[str, str], body: bytes) -> bool:
    """Check a signature the way docs/notify.md describes."""
    signed = headers["Vigil-Timestamp"].encode() + b"." + body
    mine = "v1=" + hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()
    return any(hmac.compare_digest(mine, theirs) for theirs in headers["Vigil-Signature"].split(","))
