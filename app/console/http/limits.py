"""How much one client may hold of a console: connections, the time for a request's head, and event streams.

Without these bounds, one client with many half-open requests or event streams would keep everybody else waiting.
"""

import asyncio
import logging
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from sse_starlette import EventSourceResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from vigil.app.console.auth.authenticator import Authenticator, Person
from vigil.app.console.settings import ConsoleBounds

HEAD_S: Final = 10.0
"""How long a request's head may take, from the connection or the last response on. Browsers send it at once."""
RESERVED_FILES: Final = 200
"""Open files that are left for the broker's connections, templates and logs."""
LOG_LINES: Final = 10
"""Lines of one kind in LOG_WINDOW_S; what a client can cause again and again must not fill a disk."""
LOG_WINDOW_S: Final = 60.0
THROTTLED_LOGGERS: Final = ("uvicorn.error", "asyncio", "vigil.console")


class OpenCounts:
    """Counts what is open by key, with a limit for each key."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: dict[str, int] = {}

    def is_full(self, key: str) -> bool:
        """Return whether the key has reached its limit."""
        return self._open.get(key, 0) >= self.most

    def enter(self, key: str) -> None:
        """Count one more."""
        self._open[key] = self._open.get(key, 0) + 1

    def leave(self, key: str) -> None:
        """Count one less."""
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]

    @contextmanager
    def place(self, key: str) -> Iterator[None]:
        """Count one more for as long as the context lasts."""
        self.enter(key)
        try:
            yield
        finally:
            self.leave(key)


class ConsoleLimits:
    """The limits of one console, and what is open."""

    def __init__(self, bounds: ConsoleBounds, auth: Authenticator) -> None:
        self._auth = auth
        self.connections = OpenCounts(bounds.connections_of_address)
        self.streams_of_user = OpenCounts(bounds.streams_of_user)
        self.streams_of_address = OpenCounts(bounds.streams_of_address)
        self.most_connections = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED_FILES, 64)
        """Beyond it the process could not accept a connection, nor open a file."""
        self.waiting: dict[LimitedProtocol, None] = {}
        """Connections without a request in progress, the longest first."""

    def make_room(self, address: str | None, connections: int) -> bool:
        """Return whether one more connection may be accepted.

        Where there are too many, the one that has been waiting for longest is closed: half-open requests must not keep
        out whole ones. `connections`: how many are open.
        """
        if address is not None and self.connections.is_full(address):
            return self._close_first(one for one in self.waiting if one.address == address)
        return connections < self.most_connections or self._close_first(self.waiting)

    def _close_first(self, waiting: Iterable["LimitedProtocol"]) -> bool:
        oldest = next(iter(waiting), None)
        if oldest is None:
            return False
        del self.waiting[oldest]
        oldest.transport.abort()
        return True

    def counted(self, address: str | None) -> str | None:
        """Return the address by which a client is limited; None for a trusted proxy, behind which are many clients."""
        return None if address is None or self._auth.is_proxy(address) else address

    def stream(self, person: Person, address: str | None) -> "StreamPlace | None":
        """Return the place of one more event stream; None where the person or the address has reached its limit."""
        keys = [(self.streams_of_user, person.name)]
        if (counted := self.counted(address)) is not None:
            keys.append((self.streams_of_address, counted))
        return None if any(counts.is_full(key) for counts, key in keys) else StreamPlace(keys)


class StreamPlace:
    """The place of one event stream among those of its person and its address."""

    def __init__(self, keys: list[tuple[OpenCounts, str]]) -> None:
        self._keys = keys

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Count the stream for as long as the context lasts."""
        with ExitStack() as stack:
            for counts, key in self._keys:
                stack.enter_context(counts.place(key))
            yield


class CountedStream(EventSourceResponse):
    """An event stream that has a place while it is sent."""

    def __init__(self, place: StreamPlace, events: Any, ping: int) -> None:
        super().__init__(events, ping=ping)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        with self._place.taken():
            await super().__call__(scope, receive, send)


class LimitedProtocol(H11Protocol):
    """uvicorn's protocol of one connection, with a limit for each address and a time-out for a request's head."""

    def __init__(self, *arguments: Any, limits: ConsoleLimits, head_s: float = HEAD_S, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limits = limits
        self._head_s = head_s
        self._head_timer: asyncio.TimerHandle | None = None
        self.address: str | None = None
        """The address by which the connection is limited."""
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or close it at once where there are too many."""
        peer = transport.get_extra_info("peername")
        self.address = self._limits.counted(str(peer[0]) if peer else None)
        if not self._limits.make_room(self.address, len(self.connections)):
            self._refused = True
            self.logger.warning("connection refused: too many are open")
            transport.abort()
            return
        if self.address is not None:
            self._limits.connections.enter(self.address)
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._refused:
            return
        self._stop_watching()
        if self.address is not None:
            self._limits.connections.leave(self.address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        """Read the next request."""
        super().on_response_complete()
        self._watch_head()

    def _watch_head(self) -> None:
        """Let the time run while a head is being waited for; data that trickles in does not set it back."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_watching()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self._head_s, self.transport.close)
            self._limits.waiting[self] = None

    def _stop_watching(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
            self._limits.waiting.pop(self, None)


class LogThrottle(logging.Filter):
    """Lets LOG_LINES warnings of one kind pass in LOG_WINDOW_S, and says afterwards how many were left out.

    What a console reports of its own work, such as each review, always passes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._since = 0.0
        self._counts: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is written."""
        if record.levelno < logging.WARNING:
            return True
        if time.monotonic() - self._since > LOG_WINDOW_S:
            self._since, before, self._counts = time.monotonic(), self._counts, {}
            for kind, count in before.items():
                if count > LOG_LINES:
                    logging.getLogger("vigil.console.throttle").warning("%d more lines: %s", count - LOG_LINES, kind)
        kind = str(record.msg.get("event") if isinstance(record.msg, dict) else record.msg)[:200]
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return self._counts[kind] <= LOG_LINES


def throttle_logs() -> None:
    """Limit the lines that clients can cause."""
    throttle = LogThrottle()
    for name in THROTTLED_LOGGERS:
        logging.getLogger(name).addFilter(throttle)
