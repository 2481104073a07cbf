"""What stands before every page: the name it was asked by, who asks, and the headers that keep a browser strict."""

from typing import Any, Final
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
    "referrer-policy": "same-origin",  # stricter, and browsers would send `Origin: null` with our own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
OPEN: Final = ("/sign-in", "/static/", "/health/", "/set")
"""What nobody has to sign in for."""


class SecurityMiddleware:
    """ASGI middleware; puts the person into the scope as `person`."""

    def __init__(self, app: ASGIApp, door: Authenticator, console: ConsoleSettings) -> None:
        self._app = app
        self._door = door
        names = {name.strip().lower() for name in console.allowed_hosts.split(",") if name.strip()}
        # Without a sign-in, a page of somebody else's whose name is made to lead here must not read or write.
        self._hosts = names | set(LOCAL_HOSTS) if names or door.mode == "local" else None
        self._tls = console.tls_cert_file is not None or console.secure_cookies
        self._proxy_headers = [
            name.lower().encode() for name in (console.proxy_header, console.proxy_groups_header) if name is not None
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # there are no websockets

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if not scope["path"].startswith("/static/"):
                    headers["cache-control"] = "no-store"
                if self._tls:
                    headers["strict-transport-security"] = "max-age=31536000"
            await send(message)

        refusal = self._refuse(scope)
        await (refusal or self._app)(scope, receive, with_headers)

    def _refuse(self, scope: Scope) -> Response | None:
        """What is answered in the place of the page; None where it may be shown."""
        headers = Headers(scope=scope)
        if self._hosts is not None and _name(headers.get("host", "")) not in self._hosts:
            return PlainTextResponse("This console is not known by that name.\n", 421)
        names = [name for name, _ in scope["headers"]]
        if any(names.count(name) > 1 for name in self._proxy_headers):
            return PlainTextResponse("A header that says who asks came twice.\n", 400)
        person = self._door.who(Request(scope))
        scope["person"] = person
        path: str = scope["path"]
        if person is not None or path.startswith(OPEN):
            return None
        if path.startswith("/live/") or scope["method"] != "GET":
            return PlainTextResponse("Sign in first.\n", 401)
        query: Any = scope.get("query_string", b"")
        here = path + (f"?{query.decode('ascii', 'replace')}" if query else "")
        return RedirectResponse(f"/sign-in?back={quote(here, safe='')}", 303)


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()
