"""Changes as server-sent events: rows of the wall that changed, and the parts of a page that now look different."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import orjson
from sse_starlette import ServerSentEvent
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from vigil.app.console.console_state import ConsoleState, DataStatus
from vigil.app.console.http.limits import CountedStream
from vigil.app.console.http.request_context import RequestContext, signed_in
from vigil.app.console.views.changes import array
from vigil.app.console.views.pages import QUERIES
from vigil.app.console.views.reader import Reader

WALL_EVERY_TICKS: Final = 1
PAGE_EVERY_TICKS: Final = 3
"""Four times a second on the wall; every three quarters of a second on a page, which is rendered for each change."""
KEEP_ALIVE_TICKS: Final = 20
"""A message is sent at least this often. A browser that receives none for 12 seconds reconnects (common.js)."""
PAGE_REFRESH_TICKS: Final = 8
"""A page is rendered this often though nothing is known to have changed: some of what it shows depends on the time."""
MAX_RENDERED: Final = 500
"""Rendered pages that are shared between browsers; each is replaced at the next tick at which it is rendered."""
PING_S: Final = 15

Handler = Callable[[Request], Awaitable[Response]]
RenderedParts = dict[str, str]


class WallStream:
    """What one browser has received of the wall."""

    def __init__(self, state: ConsoleState, reader: Reader, last_event_id: str) -> None:
        """`last_event_id` is the browser's header; a browser that comes back gets only what changed meanwhile."""
        self._state = state
        self._reader = reader
        self._rows, self._verdicts = _versions(state.boot_id, last_event_id)
        self._whole = self._rows == 0
        """The next event has all rows, and the browser drops those that it has."""
        self._shown: tuple[DataStatus, dict[str, int]] | None = None
        self._idle = 0
        """Looks since the last event."""

    def next_event(self) -> ServerSentEvent | None:
        """Return what has changed since the last event; None where nothing has and no sign of life is due."""
        state, wall = self._state, self._state.wall
        whole = self._whole or self._rows < wall.rows.forgotten or self._verdicts < wall.verdicts.forgotten
        rows = wall.rows.since(0 if whole else self._rows)
        verdicts = wall.verdicts.since(0 if whole else self._verdicts)
        before, self._shown = self._shown, (state.data_status(self._reader), wall.counts)
        self._idle += 1
        changed = rows or verdicts or whole or before != self._shown
        if not changed and self._idle * WALL_EVERY_TICKS < KEEP_ALIVE_TICKS:
            return None
        head = {"now": state.now, "frozen": state.recorded, "whole": whole, "counts": wall.counts}
        data = orjson.dumps(head | {"state": self._shown[0]})[:-1]
        data += b',"rows":' + array(rows) + b',"verdicts":' + array(verdicts) + b"}"
        self._rows, self._verdicts = wall.rows.version, wall.verdicts.version
        self._whole, self._idle = False, 0
        return ServerSentEvent(data.decode(), event="wall", id=f"{state.boot_id}-{self._rows}-{self._verdicts}")


def _versions(boot_id: str, last_event_id: str) -> tuple[int, int]:
    """Return the versions of rows and verdicts that a browser has; 0 where it has none of this process."""
    boot, _, versions = last_event_id.partition("-")
    parts = versions.split("-")
    if boot == boot_id and len(parts) == 2 and all(part.isascii() and part.isdigit() for part in parts):
        return int(parts[0]), int(parts[1])
    return 0, 0


class PageStream:
    """What one browser has received of a page."""

    def __init__(self, state: ConsoleState, reader: Reader, page: tuple[str, str]) -> None:
        """`page` is the kind and the id."""
        self._state = state
        self._reader = reader
        self._page = page
        self._sent: RenderedParts = {}
        self._status: DataStatus | None = None
        self._looked_at, self._idle = -1, 0

    def next_event(self, tick: int, render: Callable[[], RenderedParts]) -> ServerSentEvent | None:
        """Return the parts that look different now; None where none does and no sign of life is due."""
        changed_at = self._state.changed.get(self._page) or 0
        due = changed_at >= self._looked_at or tick % PAGE_REFRESH_TICKS < PAGE_EVERY_TICKS
        parts = render() if due else self._sent
        self._looked_at = tick
        fresh = {part: html for part, html in parts.items() if self._sent.get(part) != html}
        before, self._status = self._status, self._state.data_status(self._reader)
        self._idle += 1
        if not (fresh or before != self._status or self._idle * PAGE_EVERY_TICKS >= KEEP_ALIVE_TICKS):
            return None
        self._sent, self._idle = dict(parts), 0
        message = {
            "now": self._state.now,
            "frozen": self._state.recorded,
            "state": self._status,
            "parts": fresh,
        }
        return ServerSentEvent(orjson.dumps(message).decode(), event="page")


class EventStreams:
    """The handlers of the paths below `/live`."""

    def __init__(self, context: RequestContext) -> None:
        self._context = context
        self._rendered: dict[tuple[str, str, Reader, tuple[str | None, ...]], tuple[int, RenderedParts]] = {}
        """By kind, id, reader and what else was asked for: the tick at which a page was rendered, and its parts."""

    async def wall(self, request: Request) -> Response:
        """Stream the wall."""
        last_event_id = request.headers.get("last-event-id", "")
        stream = WallStream(self._context.state, self._context.reader(request), last_event_id)

        async def events() -> AsyncIterator[ServerSentEvent]:
            async for _ in self._ticks(request, WALL_EVERY_TICKS):
                if (event := stream.next_event()) is not None:
                    yield event

        return self._stream(request, events)

    def _stream(self, request: Request, events: Callable[[], AsyncIterator[ServerSentEvent]]) -> Response:
        """Return the response that sends events; 429 where who asks has too many streams already."""
        address = request.client.host if request.client else None
        place = self._context.limits.stream(signed_in(request), address)
        if place is None:
            return PlainTextResponse("Too many pages are open: close some.\n", 429, {"retry-after": "10"})
        return CountedStream(place, events(), PING_S)

    def page(self, kind: str) -> Handler:
        """Return the handler that streams pages of a kind."""

        async def live(request: Request) -> Response:
            reader, name = self._context.reader(request, kind), request.query_params.get("id", "")
            query = dict(request.query_params)
            stream = PageStream(self._context.state, reader, (kind, name))

            async def events() -> AsyncIterator[ServerSentEvent]:
                async for tick in self._ticks(request, PAGE_EVERY_TICKS):
                    event = stream.next_event(tick, lambda: self._parts(kind, name, reader, query))
                    if event is not None:
                        yield event

            return self._stream(request, events)

        return live

    async def _ticks(self, request: Request, every: int) -> AsyncIterator[int]:
        """Yield at once, then every few ticks, as long as the browser listens and its person is signed in."""
        state = self._context.state
        yield state.tick_number
        last = state.tick_number
        while await state.next_tick():
            if state.tick_number - last < every:
                continue
            last = state.tick_number
            if await request.is_disconnected() or self._context.auth.identify(request) is None:
                return
            yield last

    def _parts(self, kind: str, name: str, reader: Reader, query: dict[str, str]) -> RenderedParts:
        """Return the page's parts as HTML, rendered once a tick for all browsers that show the same."""
        tick = self._context.state.tick_number
        key = (kind, name, reader, tuple(map(query.get, QUERIES.get(kind, ()))))
        rendered_at, parts = self._rendered.get(key, (-1, {}))
        if rendered_at != tick:
            view = self._context.pages.view(kind, name, reader, query)
            parts = self._context.pages.parts(kind, view) if view is not None else {}
            if len(self._rendered) > MAX_RENDERED:
                self._rendered.clear()
            self._rendered[key] = (tick, parts)
        return parts
