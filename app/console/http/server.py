"""The console's web server: which address leads where, and how it is started and ended.

browser ──▶ Guard (host, who asks, headers) ──▶ routes ──▶ Pages ──▶ Hub (model, wall) ◀── Feed ◀── Kafka
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import Final
from urllib.parse import quote

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from vigil.app.console.auth.authenticator import Authenticator
from vigil.app.console.console_state import ConsoleState
from vigil.app.console.http.event_streams import EventStreams
from vigil.app.console.http.forms import Forms
from vigil.app.console.http.request_context import RequestContext
from vigil.app.console.http.security import SecurityMiddleware
from vigil.app.console.settings import ConsoleSettings
from vigil.app.console.views.pages import HERE, PARTS, link
from vigil.app.console.views.text import WORDS
from vigil.app.console.views.wall import BANDS
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.settings import Settings, SettingsError

log: Final = structlog.get_logger("vigil.console")

Handler = Callable[[Request], Awaitable[Response]]


class ConsoleServer:
    """The routes, over one hub."""

    def __init__(self, hub: ConsoleState, door: Authenticator) -> None:
        self.site = RequestContext(hub, door)

    def app(self) -> Starlette:
        """The ASGI application."""
        live, forms = EventStreams(self.site), Forms(self.site)
        app = Starlette(
            routes=[
                Route("/", self.wall),
                *(Route(f"/{kind}", self._page(kind)) for kind in PARTS),
                Route("/suppliers", self.suppliers),
                Route("/search", self.search),
                Route("/review", forms.review, methods=["POST"]),
                Route("/live/wall", live.wall),
                *(Route(f"/live/{kind}", live.page(kind)) for kind in PARTS),
                Route("/live/check", self.alive),
                Route("/sign-in", forms.sign_in, methods=["GET", "POST"]),
                Route("/sign-out", forms.sign_out, methods=["POST"]),
                Route("/set", forms.prefer),
                Route("/health/live", self.alive),
                Route("/health/ready", self.ready),
                Mount("/static", StaticFiles(directory=HERE / "static")),
            ],
            exception_handlers={HTTPException: self.http_error, Exception: self.our_error},
        )
        app.add_middleware(SecurityMiddleware, door=self.site.door, console=self.site.hub.console)
        return app

    async def wall(self, request: Request) -> Response:
        return self.site.html(request, "wall.html", bands=BANDS, counts=self.site.hub.wall.counts)

    def _page(self, kind: str) -> Handler:
        async def page(request: Request) -> Response:
            name = request.query_params.get("id", "")
            view = self.site.pages.view(kind, name, self.site.words(request), request.query_params)
            if view is None:
                return self.site.html(request, "unknown.html", 404, kind=kind, name_told=name)
            query = {key: value for key, value in request.query_params.items() if key in ("id", "span")}
            live = f"/live/{kind}?" + "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
            return self.site.html(
                request, f"{kind}.html", live=live, sent=request.query_params.get("sent"), error=None, **view
            )

        return page

    async def suppliers(self, request: Request) -> Response:
        return self.site.html(request, "suppliers.html", suppliers=self.site.pages.suppliers())

    async def search(self, request: Request) -> Response:
        words = request.query_params.get("q", "")[:200]
        found = self.site.hub.model.search(words, self.site.words(request).rules_called(words))
        exact = [(kind, names) for kind, names in (("room", found.rooms), ("host", found.hosts)) if names == [words]]
        if exact and not (found.suppliers or found.verdicts) and len(exact) == 1:
            return RedirectResponse(link(exact[0][0], words), 303)
        return self.site.html(request, "search.html", words=words, found=found)

    async def alive(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """Ready once the past has been read."""
        state = self.site.hub.state(WORDS["en"])
        return JSONResponse(state, 200 if self.site.hub.feed.caught_up else 503)

    async def http_error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        words = self.site.words(request)
        detail = getattr(error, "detail", "")
        said_already = status in (403, 404) and detail not in ("Not Found", "Forbidden")
        says = words(f"error.{status}") if status in (400, 403, 404, 500) and not said_already else detail
        return self.site.html(request, "message.html", status, says=says)

    async def our_error(self, request: Request, error: Exception) -> Response:
        return self.site.html(request, "message.html", 500, says=self.site.words(request)("error.500"))


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
    door = Authenticator(console)
    hub = ConsoleState(settings, console, rulebook)
    config = uvicorn.Config(
        ConsoleServer(hub, door).app(),
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
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"tls_cert_file or tls_key_file cannot be used: {error}") from error
    listener = _listen(console)
    web = _Web(config)
    tasks = [asyncio.create_task(work) for work in (hub.feed.run(), hub.ticking(), web.serve(sockets=[listener]))]
    ending = asyncio.create_task(stop.wait())
    port = listener.getsockname()[1]
    log.info("listening", host=console.host, port=port)
    if on_listening is not None:
        name = f"[{console.host}]" if ":" in console.host else console.host
        on_listening(f"{'https' if console.tls_cert_file else 'http'}://{name}:{port}/")
    try:
        done, _ = await asyncio.wait({*tasks, ending}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {ending}:
            task.result()  # raises what went wrong
    finally:
        ending.cancel()
        hub.stopping.set()
        web.should_exit = True
        await asyncio.wait(tasks[2:], timeout=5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await hub.feed.close()
        listener.close()


def _listen(console: ConsoleSettings) -> socket.socket:
    """The socket that browsers come to; raise SettingsError where there can be none."""
    family = socket.AF_INET6 if ":" in console.host else socket.AF_INET
    try:
        return socket.create_server((console.host, console.port), family=family, backlog=512)
    except OSError as error:
        told = error.strerror or error
        raise SettingsError(
            f"--host {console.host} --port {console.port}: cannot listen there: {told}; choose another with --port"
        ) from error


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
