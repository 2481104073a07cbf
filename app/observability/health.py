"""The HTTP endpoints of a worker: `/metrics`, `/health/live` and `/health/ready`."""

import socket
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from vigil.app.kafka.settings import Settings, SettingsError


class HealthServer:
    """A small read-only web server in the worker's event loop."""

    def __init__(
        self,
        settings: Settings,
        registry: CollectorRegistry,
        live: Callable[[], str | None],
        ready: Callable[[], str | None],
        refresh: Callable[[], None],
    ) -> None:
        """`live` and `ready` return None, or what is wrong; `refresh` is called before metrics are rendered."""
        self._settings = settings
        self._registry = registry
        self._live = live
        self._ready = ready
        self._refresh = refresh
        self._runner: web.AppRunner | None = None
        self._socket: socket.socket | None = None
        self.port = settings.web_port
        """The port on which it listens, known once it is bound."""

    def bind(self) -> socket.socket:
        """Bind the port; raise SettingsError if that is not possible."""
        host, port = self._settings.web_host, self._settings.web_port
        try:
            self._socket = socket.create_server((host, port), family=_family(host))
        except (OSError, OverflowError) as error:
            raise SettingsError(
                f"web_port: cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}; "
                "give each worker a port of its own, or 0 for a free one"
            ) from error
        self.port = self._socket.getsockname()[1]
        return self._socket

    async def start(self) -> None:
        """Serve, after binding the port if `bind` was not called; raise SettingsError if it cannot be bound."""
        bound = self._socket or self.bind()
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/health/live", _health(self._live))
        app.router.add_get("/health/ready", _health(self._ready))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.SockSite(self._runner, bound).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        self._refresh()
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _health(check: Callable[[], str | None]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        wrong = check()
        if wrong is None:
            return web.json_response({"status": "ok"})
        return web.json_response({"status": "no", "why": wrong}, status=503)

    return answer
