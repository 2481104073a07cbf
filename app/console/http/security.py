"""ASGI middleware before every page: the host name, the person, and headers that restrict what the browser does."""

from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vigil.app.console.auth.authenticator import LOCAL_HOSTS, Authenticator
from vigil.app.console.settings import ConsoleSettings

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with a stricter one, browsers send `Origin: null` with the console's own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
FORWARDED: Final = frozenset({"forwarded", "via", "x-real-ip"})
"""Headers that proxies add, besides those that begin with `x-forwarded`."""
PUBLIC_PATHS: Final = ("/sign-in", "/static/", "/health/", "/set", "/for-host", "/robots.txt")
"""Paths that need no sign-in. Those of hosts need a signed link."""


class SecurityMiddleware:
    """Refuses requests or lets them through; puts the signed-in person into the scope as `person`."""

    def __init__(self, app: ASGIApp, auth: Authenticator, console: ConsoleSettings) -> None:
        self._app = app
        self._auth = auth
        names = {name.strip().lower() for name in console.allowed_hosts.split(",") if name.strip()}
        # Where nobody signs in, another site could make its own host name resolve to this address (DNS rebinding) and
        # read or write from a visitor's browser. So only the names of this machine are answered then.
        self._hosts = names | set(LOCAL_HOSTS) if names or auth.mode == "local" else None
        self._tls = console.tls_cert_file is not None or console.secure_cookies
        self._proxy_headers = [
            name.lower().encode() for name in (console.proxy_header, console.proxy_groups_header) if name is not None
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return  # the console has no websockets

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)  # a page may be stricter
                if not scope["path"].startswith("/static/"):
                    headers["cache-control"] = "no-store"
                if self._tls:
                    headers["strict-transport-security"] = "max-age=31536000"
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the response instead of the page; None where the page may be shown."""
        headers = Headers(scope=scope)
        if self._hosts is not None and _host_name(headers.get("host", "")) not in self._hosts:
            return PlainTextResponse("This console does not answer to that host name.\n", 421)
        if self._auth.mode == "local" and (forwarded := _forwarded_by(scope)) is not None:
            return PlainTextResponse(
                f"This request came through a proxy (it has the header {forwarded}). Here nobody signs in, "
                "so everybody behind that proxy would be a reviewer. Set up tokens or a signing-in proxy: "
                "see docs/console.md.\n",
                403,
            )
        if self._has_repeated_proxy_header(scope):
            return PlainTextResponse("A header that names the person was sent twice.\n", 400)
        person = self._auth.identify(Request(scope))
        scope["person"] = person
        if person is not None or scope["path"].startswith(PUBLIC_PATHS):
            return None
        return _sign_in(scope)

    def _has_repeated_proxy_header(self, scope: Scope) -> bool:
        names = [name for name, _ in scope["headers"]]
        return any(names.count(name) > 1 for name in self._proxy_headers)


def _forwarded_by(scope: Scope) -> str | None:
    """Return the header by which a request shows that a proxy has forwarded it; None where it has none."""
    names = (name.decode("latin-1").lower() for name, _ in scope["headers"])
    return next((name for name in names if name in FORWARDED or name.startswith("x-forwarded")), None)


def _sign_in(scope: Scope) -> Response:
    """Return the way to the sign-in page and back for a page; 401 for what is no page."""
    path: str = scope["path"]
    if path.startswith("/live/") or scope["method"] != "GET":
        return PlainTextResponse("Sign in first.\n", 401)
    query: bytes = scope.get("query_string", b"")
    here = path + (f"?{query.decode('ascii', 'replace')}" if query else "")
    return RedirectResponse(f"/sign-in?back={quote(here, safe='')}", 303)


def _host_name(host: str) -> str:
    """Return the name in a Host header, without the port."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()
