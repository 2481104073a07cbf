"""Changes as they come, as server-sent events: rows of the wall that changed, parts of a page that look different."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import orjson
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from vigil.app.console.http.request_context import RequestContext
from vigil.app.console.views.text import Words
from vigil.app.console.views.wall import array

WALL_EVERY_TICKS: Final = 1
PAGE_EVERY_TICKS: Final = 3
"""Changes are told four times a second on the wall, every three quarters of a second on a page."""
STILL_HERE_TICKS: Final = 20
"""A browser hears so often though nothing changed: what hears nothing for long takes the connection for lost."""

Handler = Callable[[Request], Awaitable[Response]]


class EventStreams:
    """The streams."""

    def __init__(self, site: RequestContext) -> None:
        self.site = site
        self._rendered: dict[tuple[Any, ...], tuple[int, dict[str, str]]] = {}

    async def wall(self, request: Request) -> Response:
        words = self.site.words(request)
        boot, _, versions = request.headers.get("last-event-id", "").partition("-")
        told = versions.split("-")
        rows = verdicts = 0
        if boot == self.site.hub.boot and len(told) == 2 and all(part.isascii() and part.isdigit() for part in told):
            rows, verdicts = int(told[0]), int(told[1])

        async def changes() -> AsyncIterator[ServerSentEvent]:
            nonlocal rows, verdicts
            hub, wall, still = self.site.hub, self.site.hub.wall, 0
            whole = rows == 0
            state: Any = None
            async for _ in self._ticks(request, WALL_EVERY_TICKS):
                whole = whole or rows < wall.rows.forgotten or verdicts < wall.verdicts.forgotten
                fresh = wall.rows.since(0 if whole else rows)
                news = wall.verdicts.since(0 if whole else verdicts)
                was, state = state, (hub.state(words), wall.counts)
                still += 1
                if not (fresh or news or whole or was != state or still * WALL_EVERY_TICKS >= STILL_HERE_TICKS):
                    continue
                head = {"now": hub.now, "frozen": hub.recorded, "whole": whole, "counts": wall.counts}
                data = orjson.dumps(head | {"state": state[0]})[:-1]
                data += b',"rows":' + array(fresh) + b',"verdicts":' + array(news) + b"}"
                rows, verdicts, whole, still = wall.rows.version, wall.verdicts.version, False, 0
                yield ServerSentEvent(data.decode(), event="wall", id=f"{hub.boot}-{rows}-{verdicts}")

        return EventSourceResponse(changes(), ping=15)

    def page(self, kind: str) -> Handler:
        async def live(request: Request) -> Response:
            words, name = self.site.words(request), request.query_params.get("id", "")
            query = dict(request.query_params)

            async def changes() -> AsyncIterator[ServerSentEvent]:
                held: dict[str, str] = {}
                state: Any = None
                looked, still = -1, 0
                async for number in self._ticks(request, PAGE_EVERY_TICKS):
                    due = (self.site.hub.changed.get((kind, name)) or 0) >= looked or number % 8 < PAGE_EVERY_TICKS
                    parts = self._parts(kind, name, words, query) if due else held
                    looked = number
                    fresh = {part: html for part, html in parts.items() if held.get(part) != html}
                    was, state = state, self.site.hub.state(words)
                    still += 1
                    if not (fresh or was != state or still * PAGE_EVERY_TICKS >= STILL_HERE_TICKS):
                        continue
                    held, still = dict(parts), 0
                    head = {"now": self.site.hub.now, "frozen": self.site.hub.recorded, "state": state, "parts": fresh}
                    yield ServerSentEvent(orjson.dumps(head).decode(), event="page")

            return EventSourceResponse(changes(), ping=15)

        return live

    async def _ticks(self, request: Request, every: int) -> AsyncIterator[int]:
        """At once, then every few ticks, for as long as the browser listens and its person is signed in."""
        yield self.site.hub.number
        last = self.site.hub.number
        while await self.site.hub.next_tick():
            if self.site.hub.number - last < every:
                continue
            last = self.site.hub.number
            if await request.is_disconnected() or self.site.door.who(request) is None:
                return
            yield last

    def _parts(self, kind: str, name: str, words: Words, query: dict[str, str]) -> dict[str, str]:
        """The page's parts; made once a tick for all who look at the same."""
        place = (kind, name, words.language, query.get("span"))
        number, parts = self._rendered.get(place, (-1, {}))
        if number != self.site.hub.number:
            view = self.site.pages.view(kind, name, words, query)
            parts = self.site.pages.parts(kind, view) if view is not None else {}
            if len(self._rendered) > 500:
                self._rendered.clear()
            self._rendered[place] = (self.site.hub.number, parts)
        return parts
