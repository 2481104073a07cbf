"""The console's web server: pages, their live changes as server-sent events, and the form of a review.

browser ──▶ Guard (host, who asks, headers) ──▶ routes ──▶ Pages ──▶ Hub (model, wall) ◀── Feed ◀── Kafka
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import orjson
import structlog
import uvicorn
from aiokafka.errors import KafkaError
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from app.console.auth import COOKIE, LASTS_S, VISITOR, Doorkeeper, Person
from app.console.feed import wall_ms
from app.console.guard import Guard
from app.console.hub import Hub
from app.console.pages import HERE, PARTS, Pages, link, safe_json
from app.console.settings import ConsoleSettings
from app.console.text import LANGUAGES, WORDS, Words, choose
from app.console.wall import BANDS, array
from app.rulebook import Rulebook, load_rulebook
from app.settings import Settings
from topics.reviews import Review

log: Final = structlog.get_logger("vigil.console")

FORM_BYTES: Final = 64 * 1024
YEAR_S: Final = 365 * 24 * 3600
WALL_EVERY_TICKS: Final = 2
PAGE_EVERY_TICKS: Final = 3
"""Changes are told twice a second on the wall, every three quarters of a second on a page."""
STILL_HERE_TICKS: Final = 20
"""A browser hears so often though nothing changed: what hears nothing for long takes the connection for lost."""

Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """The routes, over one hub."""

    def __init__(self, hub: Hub, door: Doorkeeper, console: ConsoleSettings) -> None:
        self.hub = hub
        self.door = door
        self.pages = Pages(hub)
        self.secure = console.secure_cookies or console.tls_cert_file is not None
        self._rendered: dict[tuple[Any, ...], tuple[int, dict[str, str]]] = {}

    def app(self) -> Starlette:
        """The ASGI application."""
        pages = [Route(f"/{kind}", self._page(kind)) for kind in PARTS]
        app = Starlette(
            routes=[
                Route("/", self.wall),
                *pages,
                Route("/suppliers", self.suppliers),
                Route("/search", self.search),
                Route("/review", self.review, methods=["POST"]),
                Route("/live/wall", self.live_wall, methods=["GET"]),
                Route("/live/check", self.alive),
                *(Route(f"/live/{kind}", self._live_page(kind)) for kind in PARTS),
                Route("/sign-in", self.sign_in, methods=["GET", "POST"]),
                Route("/sign-out", self.sign_out, methods=["POST"]),
                Route("/set", self.prefer),
                Route("/health/live", self.alive),
                Route("/health/ready", self.ready),
                Mount("/static", StaticFiles(directory=HERE / "static")),
            ],
            exception_handlers={HTTPException: self.http_error, Exception: self.our_error},
        )
        app.add_middleware(Guard, door=self.door, console=self.hub.console)
        return app

    # ---- pages ------------------------------------------------------------------------------------------------

    async def wall(self, request: Request) -> Response:
        return self._html(request, "wall.html", bands=BANDS, counts=self.hub.wall.counts)

    def _page(self, kind: str) -> Handler:
        async def page(request: Request) -> Response:
            name = request.query_params.get("id", "")
            view = self.pages.view(kind, name, self._words(request), request.query_params)
            if view is None:
                return self._html(request, "unknown.html", 404, kind=kind, name_told=name)
            query = {key: value for key, value in request.query_params.items() if key in ("id", "span")}
            live = f"/live/{kind}?" + "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
            return self._html(
                request, f"{kind}.html", live=live, sent=request.query_params.get("sent"), error=None, **view
            )

        return page

    async def suppliers(self, request: Request) -> Response:
        return self._html(request, "suppliers.html", suppliers=self.pages.suppliers())

    async def search(self, request: Request) -> Response:
        words = request.query_params.get("q", "")[:200]
        found = self.hub.model.search(words)
        exact = [(kind, names) for kind, names in (("room", found.rooms), ("host", found.hosts)) if names == [words]]
        if exact and not (found.suppliers or found.verdicts) and len(exact) == 1:
            return RedirectResponse(link(exact[0][0], words), 303)
        return self._html(request, "search.html", words=words, found=found)

    # ---- reviews ----------------------------------------------------------------------------------------------

    async def review(self, request: Request) -> Response:
        person = _person(request)
        words = self._words(request)
        form = await _form(request)
        verdict = self.hub.model.verdicts.get(form.get("verdict_id", ""))
        if not person.may_review:
            raise HTTPException(403, words("review.view-only"))
        if verdict is None:
            raise HTTPException(404, words("unknown"))
        if not self._is_ours(request, form, person):
            return self._verdict_again(request, verdict.verdict_id, form, words("form.stale"), 403)
        decision, reason = form.get("decision", ""), form.get("reason", "").replace("\r\n", "\n").strip()
        error = None
        if decision not in ("upheld", "overturned"):
            error = words("review.needs-decision")
        elif decision == "overturned" and not reason:
            error = words("review.needs-reason")
        elif len(reason) > 4096:
            error = words("review.too-long")
        if error is not None:
            return self._verdict_again(request, verdict.verdict_id, form, error, 422)
        review = Review(
            verdict_id=verdict.verdict_id,
            host_id=verdict.host_id,
            decision="upheld" if decision == "upheld" else "overturned",
            by=person.name,
            reason=reason,
            at=max(wall_ms(), verdict.at) if not self.hub.recorded else self.hub.now,
        )
        try:
            await self.hub.feed.send(review)
        except (KafkaError, OSError) as trouble:
            log.warning("review refused", verdict_id=verdict.verdict_id, error=str(trouble))
            failed = words("review.failed", why=str(trouble)[:200] or type(trouble).__name__)
            return self._verdict_again(request, verdict.verdict_id, form, failed, 503)
        log.info("reviewed", verdict_id=verdict.verdict_id, decision=decision, by=person.name)
        return RedirectResponse(link("verdict", verdict.verdict_id) + "&sent=1", 303)

    def _verdict_again(
        self, request: Request, verdict_id: str, form: dict[str, str], error: str, status: int
    ) -> Response:
        view = self.pages.view("verdict", verdict_id, self._words(request), {})
        live = f"/live/verdict?id={quote(verdict_id, safe='')}"
        return self._html(request, "verdict.html", status, live=live, sent=None, error=error, form={"decision": form.get("decision", ""), "reason": form.get("reason", "")}, **(view or {}))

    # ---- changes as they come ---------------------------------------------------------------------------------

    async def live_wall(self, request: Request) -> Response:
        words = self._words(request)
        boot, _, versions = request.headers.get("last-event-id", "").partition("-")
        told = versions.split("-")
        rows = verdicts = 0
        if boot == self.hub.boot and len(told) == 2 and all(part.isascii() and part.isdigit() for part in told):
            rows, verdicts = int(told[0]), int(told[1])

        async def changes() -> AsyncIterator[ServerSentEvent]:
            nonlocal rows, verdicts
            wall, still = self.hub.wall, 0
            state: Any = None
            full = True
            async for _ in self._ticks(request, WALL_EVERY_TICKS):
                fresh = wall.rows.since(rows) if rows != wall.rows.version or full else []
                news = wall.verdicts.since(verdicts) if verdicts != wall.verdicts.version or full else []
                whole = rows == 0 or rows < wall.rows.forgotten
                was, state = state, (self.hub.state(words), self.hub.wall.counts)
                still += 1
                if not (fresh or news or full or was != state or still * WALL_EVERY_TICKS >= STILL_HERE_TICKS):
                    continue
                rows, verdicts, full, still = wall.rows.version, wall.verdicts.version, False, 0
                head = {"now": self.hub.now, "frozen": self.hub.recorded, "whole": whole, "counts": wall.counts}
                data = orjson.dumps(head | {"state": state[0]})[:-1]
                data += b',"rows":' + array(fresh) + b',"verdicts":' + array(news) + b"}"
                yield ServerSentEvent(data.decode(), event="wall", id=f"{self.hub.boot}-{rows}-{verdicts}")

        return EventSourceResponse(changes(), ping=15)

    def _live_page(self, kind: str) -> Handler:
        async def live(request: Request) -> Response:
            words, name = self._words(request), request.query_params.get("id", "")
            query = dict(request.query_params)

            async def changes() -> AsyncIterator[ServerSentEvent]:
                held: dict[str, str] = {}
                state: Any = None
                looked, still = -1, 0
                async for number in self._ticks(request, PAGE_EVERY_TICKS):
                    due = (self.hub.changed.get((kind, name)) or 0) >= looked or number % 8 < PAGE_EVERY_TICKS
                    parts = self._parts(kind, name, words, query) if due else held
                    looked = number
                    fresh = {part: html for part, html in parts.items() if held.get(part) != html}
                    was, state = state, self.hub.state(words)
                    still += 1
                    if not (fresh or was != state or still * PAGE_EVERY_TICKS >= STILL_HERE_TICKS):
                        continue
                    held, still = dict(parts), 0
                    head = {"now": self.hub.now, "frozen": self.hub.recorded, "state": state, "parts": fresh}
                    yield ServerSentEvent(orjson.dumps(head).decode(), event="page")

            return EventSourceResponse(changes(), ping=15)

        return live

    async def _ticks(self, request: Request, every: int) -> AsyncIterator[int]:
        """At once, then every few ticks, for as long as the browser listens and its person is signed in."""
        yield self.hub.number
        last = self.hub.number
        while await self.hub.next_tick():
            if self.hub.number - last < every:
                continue
            last = self.hub.number
            if await request.is_disconnected() or self._who(request) is None:
                return
            yield last

    def _parts(self, kind: str, name: str, words: Words, query: dict[str, str]) -> dict[str, str]:
        """The page's parts; made once a tick for all who look at the same."""
        place = (kind, name, words.language, query.get("span"))
        number, parts = self._rendered.get(place, (-1, {}))
        if number != self.hub.number:
            view = self.pages.view(kind, name, words, query)
            parts = self.pages.parts(kind, view) if view is not None else {}
            if len(self._rendered) > 500:
                self._rendered.clear()
            self._rendered[place] = (self.hub.number, parts)
        return parts

    # ---- signing in -------------------------------------------------------------------------------------------

    async def sign_in(self, request: Request) -> Response:
        back = _local_path(request.query_params.get("back"))
        if self.door.mode != "tokens":
            return (
                RedirectResponse(back, 303)
                if self._who(request)
                else self._html(request, "sign_in.html", 401, back=back, wrong=False)
            )
        if request.method == "GET":
            return self._html(request, "sign_in.html", back=back, wrong=False)
        form = await _form(request)
        cookie = self.door.sign_in(form.get("token", "")) if self._is_ours(request, form, None) else None
        if cookie is None:
            await asyncio.sleep(0.5)  # guessing is hopeless; this keeps it cheap for us as well
            log.warning("sign-in refused", peer=request.client.host if request.client else None)
            return self._html(request, "sign_in.html", 401, back=back, wrong=True)
        answer = RedirectResponse(back, 303)
        self._set(answer, COOKIE, cookie, LASTS_S, hidden=True)
        return answer

    async def sign_out(self, request: Request) -> Response:
        form = await _form(request)
        answer = RedirectResponse("/", 303)
        if self._is_ours(request, form, self._who(request)):
            answer.delete_cookie(COOKIE)
        return answer

    async def prefer(self, request: Request) -> Response:
        """Remember a language or a theme in this browser."""
        answer = RedirectResponse(_local_path(request.query_params.get("back")), 303)
        if (language := request.query_params.get("lang")) in LANGUAGES:
            self._set(answer, "vigil_lang", str(language), YEAR_S)
        if (theme := request.query_params.get("theme")) in ("light", "dark", "auto"):
            self._set(answer, "vigil_theme", str(theme), YEAR_S)
        return answer

    def _set(self, answer: Response, name: str, value: str, lasts_s: int, hidden: bool = True) -> None:
        answer.set_cookie(name, value, max_age=lasts_s, httponly=hidden, samesite="lax", secure=self.secure)

    def _is_ours(self, request: Request, form: dict[str, str], person: Person | None) -> bool:
        """Was the form shown by this console, and is it sent from one of its pages?"""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            return False
        return self.door.is_ours(form.get("form_token", ""), request.cookies.get(VISITOR), person)

    # ---- health and errors ------------------------------------------------------------------------------------

    async def alive(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """Ready once the past has been read."""
        state = self.hub.state(WORDS["en"])
        return JSONResponse(state, 200 if self.hub.feed.caught_up else 503)

    async def http_error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        words = self._words(request)
        detail = getattr(error, "detail", "")
        known = f"error.{status}" if status in (400, 403, 404, 500) else ""
        says = (
            detail
            if status in (403, 404) and detail not in ("Not Found", "Forbidden")
            else words(known)
            if known
            else detail
        )
        return self._html(request, "message.html", status, says=says)

    async def our_error(self, request: Request, error: Exception) -> Response:
        return self._html(request, "message.html", 500, says=self._words(request)("error.500"))

    # ---- what every page has ----------------------------------------------------------------------------------

    def _who(self, request: Request) -> Person | None:
        peer = request.client.host if request.client else None
        return self.door.person(peer, request.headers, request.cookies)

    def _words(self, request: Request) -> Words:
        return WORDS[choose(request.cookies.get("vigil_lang"), request.headers.get("accept-language"))]

    def _html(self, request: Request, template: str, status: int = 200, /, **told: Any) -> Response:
        words = self._words(request)
        person: Person | None = request.scope.get("person")
        visitor = request.cookies.get(VISITOR)
        known = visitor is not None and 16 <= len(visitor) <= 64
        visitor = visitor if known and visitor else self.door.new_visitor()
        theme = request.cookies.get("vigil_theme")
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        told = {
            "t": words,
            "person": person,
            "languages": LANGUAGES,
            "theme": theme if theme in ("light", "dark") else "auto",
            "here": here if request.method == "GET" else "/",
            "form_token": self.door.form_token(visitor, person),
            "mode": self.door.mode,
            "state": self.hub.state(words),
            "now": self.hub.now,
            "frozen": self.hub.recorded,
            "script_words": safe_json(orjson.dumps(words.script())),
            "form": {"decision": "", "reason": ""},
            "words": "",
        } | told
        answer = HTMLResponse(self.pages.render(template, **told), status)
        if not known:
            self._set(answer, VISITOR, visitor, YEAR_S)
        return answer


def _person(request: Request) -> Person:
    person: Person = request.scope["person"]
    return person


async def _form(request: Request) -> dict[str, str]:
    """A form's fields; raise HTTPException where it is too large or not one."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            raise HTTPException(413, "the form is too large")
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise HTTPException(415, "not a form")
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=20, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise HTTPException(400, "not a form") from error
    return {name: values[0] for name, values in fields.items()}


def _local_path(asked: str | None) -> str:
    """A page of this console, never somebody else's."""
    if not asked or not asked.startswith("/") or asked.startswith(("//", "/\\")) or not asked.isprintable():
        return "/"
    return asked


# ---- running ------------------------------------------------------------------------------------------------------


class _Web(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    settings: Settings,
    console: ConsoleSettings,
    rulebook: Rulebook,
    stop: asyncio.Event,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve the console until `stop` is set; raise SettingsError where it cannot begin.

    `on_listening` is told the address once browsers can come.
    """
    door = Doorkeeper(console)
    hub = Hub(settings, console, rulebook)
    config = uvicorn.Config(
        Server(hub, door, console).app(),
        host=console.host,
        port=console.port,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who connects is asked of the connection: see auth.py
        timeout_graceful_shutdown=3,
        ssl_certfile=console.tls_cert_file,
        ssl_keyfile=console.tls_key_file,
        lifespan="off",
    )
    web = _Web(config)
    tasks = [asyncio.create_task(work) for work in (hub.feed.run(), hub.ticking(), web.serve())]
    try:
        ending = asyncio.create_task(stop.wait())
        listening = asyncio.create_task(_listening(web, console, on_listening))
        done, _ = await asyncio.wait({*tasks, ending}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        ending.cancel()
        for task in done - {ending}:
            task.result()  # raises what went wrong
    finally:
        hub.stopping.set()
        web.should_exit = True
        with contextlib.suppress(asyncio.TimeoutError, SystemExit):
            await asyncio.wait_for(asyncio.shield(tasks[2]), 5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await hub.feed.close()


async def _listening(web: uvicorn.Server, console: ConsoleSettings, tell: Callable[[str], None] | None) -> None:
    while not web.started:
        await asyncio.sleep(0.02)
    port = web.servers[0].sockets[0].getsockname()[1]
    scheme = "https" if console.tls_cert_file else "http"
    host = f"[{console.host}]" if ":" in console.host else console.host
    log.info("listening", host=console.host, port=port)
    if tell is not None:
        tell(f"{scheme}://{host}:{port}/")


async def run_console(
    *,
    broker: str,
    host: str = "127.0.0.1",
    port: int = 8080,
    stop: asyncio.Event,
    rulebook: Rulebook | None = None,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve a console on a broker until `stop` is set, beside whatever else this event loop does."""
    settings = Settings(broker=broker)
    await serve(settings, ConsoleSettings(host=host, port=port), rulebook or load_rulebook(), stop, on_listening)
