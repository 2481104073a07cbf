"""The console's web server: its routes, and how it starts and stops.

browser ──▶ SecurityMiddleware (host name, person, headers) ──▶ routes ──▶ Pages ──▶ ConsoleState (model, wall)
                                                                                         ▲
                                                                     Kafka ──▶ TopicIngest
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final
from urllib.parse import quote

import msgspec
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from vigil.app.console.auth.authenticator import Authenticator
from vigil.app.console.auth.host_links import load_host_links
from vigil.app.console.console_metrics import ConsoleMetrics
from vigil.app.console.console_state import ConsoleState
from vigil.app.console.http.cases import Cases
from vigil.app.console.http.event_streams import EventStreams
from vigil.app.console.http.forms import Forms
from vigil.app.console.http.host_pages import PATH, HostPages, robots
from vigil.app.console.http.limits import HEAD_S, LimitedProtocol, throttle_logs
from vigil.app.console.http.request_context import RequestContext
from vigil.app.console.http.security import SecurityMiddleware
from vigil.app.console.ingest.search import search
from vigil.app.console.settings import PREFIX, ConsoleSettings
from vigil.app.console.views.pages import PARTS, QUERIES
from vigil.app.console.views.reader import Reader
from vigil.app.console.views.templates import HERE, link
from vigil.app.console.views.text import WORDS
from vigil.app.console.views.urgency import BANDS, numbers
from vigil.app.domain.incidents.options import IncidentOptions
from vigil.app.domain.quality.rule_quality import OVERTURNED_OFTEN, PERIOD_DAYS
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.incidents import INCIDENTS, IncidentLimits
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.observability.health import HealthServer
from vigil.app.runtime.rulebooks.display import follow_newest

log: Final = structlog.get_logger("vigil.console")

MAX_SEARCH_CHARS: Final = 200
CLOSE_S: Final = 5
"""How long browsers' connections get to end before they are dropped."""

Handler = Callable[[Request], Awaitable[Response]]


class ConsoleServer:
    """The routes of one console."""

    def __init__(self, state: ConsoleState, auth: Authenticator) -> None:
        """Raise SettingsError where the keys of hosts' links cannot be used."""
        self.context = RequestContext(state, auth)
        self._host_pages = HostPages(self.context, load_host_links(state.console))

    def app(self) -> Starlette:
        """Return the ASGI application."""
        streams, forms, cases = EventStreams(self.context), Forms(self.context), Cases(self.context)
        hosts = self._host_pages
        app = Starlette(
            routes=[
                Route("/", self.wall),
                *(Route(f"/{kind}", self._page(kind)) for kind in PARTS),
                Route("/suppliers", self.suppliers),
                Route("/rules", self.rules),
                Route("/search", self.search),
                Route("/review", forms.review, methods=["POST"]),
                Route(PATH, hosts.page),
                Route(f"{PATH}.json", hosts.json),
                Route(f"{PATH}/appeal", hosts.appeal, methods=["POST"]),
                Route("/robots.txt", robots),
                Route("/case", cases.case, methods=["POST"]),
                Route("/next", cases.next, methods=["POST"]),
                Route("/looked", cases.looked, methods=["POST"]),
                Route("/handover", cases.hand_over, methods=["POST"]),
                Route("/live/wall", streams.wall),
                *(Route(f"/live/{kind}", streams.page(kind)) for kind in PARTS),
                Route("/live/check", self.health_live),
                Route("/sign-in", forms.sign_in, methods=["GET", "POST"]),
                Route("/sign-out", forms.sign_out, methods=["POST"]),
                Route("/set", forms.set_preferences),
                Route("/health/live", self.health_live),
                Route("/health/ready", self.health_ready),
                Mount("/static", StaticFiles(directory=HERE / "static")),
            ],
            exception_handlers={HTTPException: self.http_error, Exception: self.internal_error},
        )
        app.add_middleware(SecurityMiddleware, auth=self.context.auth, console=self.context.state.console)
        return app

    async def wall(self, request: Request) -> Response:
        """Show the live rooms."""
        state = self.context.state
        return self.context.html(
            request, "wall.html", bands=BANDS, counts=state.wall.counts, numbers=numbers(state.rulebook, state.now)
        )

    def _page(self, kind: str) -> Handler:
        names = ("id", *QUERIES.get(kind, ()))

        async def page(request: Request) -> Response:
            name = request.query_params.get("id", "")
            view = self.context.pages.view(kind, name, self.context.reader(request, kind), request.query_params)
            if view is None:
                return self.context.html(request, "unknown.html", 404, kind=kind, id=name)
            query = {key: value for key, value in request.query_params.items() if key in names}
            live = f"/live/{kind}?" + "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
            shown = {"live": live, "sent": request.query_params.get("sent"), "error": None}
            return self.context.html(request, f"{kind}.html", **(shown | view))

        return page

    async def suppliers(self, request: Request) -> Response:
        """Show the suppliers in the order that was asked for."""
        listed = self.context.pages.suppliers(request.query_params.get("by", ""))
        return self.context.html(request, "suppliers.html", listed=listed)

    async def rules(self, request: Request) -> Response:
        """Show how good each rule is."""
        state = self.context.state
        report = state.rule_reports.report(state.now)
        limits = IncidentOptions(state.rulebook.optional_section(INCIDENTS, IncidentLimits), {}, None)
        known = limits.limits_at(state.now).remember_days
        shown = {"report": report, "days": PERIOD_DAYS, "often": OVERTURNED_OFTEN, "known_days": known}
        return self.context.html(request, "rules.html", **shown)

    async def search(self, request: Request) -> Response:
        """Show what a search finds; an id that is found alone and exactly leads to its page."""
        words = request.query_params.get("q", "")[:MAX_SEARCH_CHARS]
        found = search(self.context.state.model, words, self.context.words(request).rules_called(words))
        exact = [(kind, names) for kind, names in (("room", found.rooms), ("host", found.hosts)) if names == [words]]
        if exact and not (found.suppliers or found.verdicts or found.products) and len(exact) == 1:
            return RedirectResponse(link(exact[0][0], words), 303)
        return self.context.html(request, "search.html", words=words, found=found)

    async def health_live(self, request: Request) -> Response:
        """Answer while the process does."""
        return PlainTextResponse("ok\n")

    async def health_ready(self, request: Request) -> Response:
        """Answer 200 once the past has been read."""
        status = self.context.state.data_status(Reader(WORDS["en"], self.context.state.zone))
        return JSONResponse(status, 200 if self.context.state.ingest.caught_up else 503)

    async def http_error(self, request: Request, error: Exception) -> Response:
        """Show an error page: the text of the error where it has one of ours, else the catalogue's for its status."""
        status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
        words = self.context.words(request)
        has_own_text = status in (403, 404) and detail not in ("Not Found", "Forbidden")
        text = words(f"error.{status}") if status in (400, 403, 404, 500) and not has_own_text else detail
        return self.context.html(request, "message.html", status, text=text)

    async def internal_error(self, request: Request, error: Exception) -> Response:
        """Show that something failed here; the server logs what it was."""
        return self.context.html(request, "message.html", 500, text=self.context.words(request)("error.500"))


# ---- running ------------------------------------------------------------------------------------------------------


class WebServer(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


async def serve(
    settings: Settings,
    console: ConsoleSettings,
    rulebook: Rulebook,
    stop: asyncio.Event,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve the console until `stop` is set; raise SettingsError where it cannot start.

    `on_listening` is called with the address once browsers can connect.
    """
    auth = Authenticator(console)
    state = ConsoleState(settings, console, rulebook)
    server = ConsoleServer(state, auth)
    prometheus = await _metrics_server(settings, console, state)
    throttle_logs()
    config = uvicorn_config(server, console)
    listener = _listen(console)
    web = WebServer(config)
    serving = asyncio.create_task(web.serve(sockets=[listener]))
    following = follow_newest(settings, state.use)
    background = (state.ingest.run(), state.run_ticks(), state.group_rulebook.run(), following)
    tasks = [*map(asyncio.create_task, background), serving]
    stopping = asyncio.create_task(stop.wait())
    log.info("listening", host=console.host, port=listener.getsockname()[1])
    if on_listening is not None:
        on_listening(_address(console, listener))
    try:
        done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            task.result()  # raises what went wrong
    finally:
        stopping.cancel()
        state.stopping.set()
        web.should_exit = True
        await asyncio.wait([serving], timeout=CLOSE_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await state.ingest.close()
        if prometheus is not None:
            await prometheus.stop()
        listener.close()


async def _metrics_server(settings: Settings, console: ConsoleSettings, state: ConsoleState) -> HealthServer | None:
    """Return what serves Prometheus, once it listens; None where no port is set. Raise SettingsError."""
    if console.metrics_port is None:
        return None
    metrics = ConsoleMetrics()
    server = HealthServer(
        msgspec.structs.replace(settings, web_host=console.metrics_host, web_port=console.metrics_port),
        metrics.registry,
        lambda: None,
        lambda: None if state.ingest.caught_up else "the past is still being read",
        lambda: metrics.refresh(state),
    )
    try:
        await server.start()
    except SettingsError as error:
        raise SettingsError(f"{PREFIX}METRICS_PORT cannot be used: {error}") from error
    return server


def uvicorn_config(server: ConsoleServer, console: ConsoleSettings, head_s: float = HEAD_S) -> uvicorn.Config:
    """Return the configuration of the web server; `head_s`: how long a request's head may take."""
    config = uvicorn.Config(
        server.app(),
        http=partial(LimitedProtocol, limits=server.context.limits, head_s=head_s),  # type: ignore[arg-type]  # it is only called
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the authenticator needs the address of the connection itself, not a forwarded one
        timeout_graceful_shutdown=3,
        ssl_certfile=console.tls_cert_file,
        ssl_keyfile=console.tls_key_file,
        lifespan="off",
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"tls_cert_file or tls_key_file cannot be used: {error}") from error
    return config


def _listen(console: ConsoleSettings) -> socket.socket:
    """Return the listening socket; raise SettingsError where the address cannot be used."""
    family = socket.AF_INET6 if ":" in console.host else socket.AF_INET
    try:
        return socket.create_server((console.host, console.port), family=family, backlog=512)
    except OSError as error:
        raise SettingsError(
            f"--host {console.host} --port {console.port}: cannot listen there: {error.strerror or error}; "
            "choose another with --port"
        ) from error


def _address(console: ConsoleSettings, listener: socket.socket) -> str:
    name = f"[{console.host}]" if ":" in console.host else console.host
    return f"{'https' if console.tls_cert_file else 'http'}://{name}:{listener.getsockname()[1]}/"
