"""What every response shares: language, signed-in person, the page around the content, and the tokens of forms."""

import asyncio
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from vigil.app.console.auth.authenticator import VISITOR_COOKIE, Authenticator, Person
from vigil.app.console.console_state import ConsoleState
from vigil.app.console.http.limits import ConsoleLimits
from vigil.app.console.views.pages import PERSONAL, Pages
from vigil.app.console.views.reader import Reader, Viewer, zone_called
from vigil.app.console.views.templates import safe_json
from vigil.app.console.views.text import WORDS, Words, choose
from vigil.app.messages import LANGUAGES

MAX_FORM_BYTES: Final = 64 * 1024
"""The largest form is a review, whose reason has at most 4,096 characters: encoded, 48 KiB."""
FORM_S: Final = 20.0
"""How long a form may take to arrive."""
YEAR_S: Final = 365 * 24 * 3600
ZONE_COOKIE: Final = "vigil_zone"
"""The time zone that a browser has, or that its person has chosen."""

LOOKED_COOKIE: Final = "vigil_looked"
"""The broker's time of the newest line of an incident when a browser's person said that they had looked."""


class RequestContext:
    """The console's state and its authenticator, as pages, forms and event streams use them."""

    def __init__(self, state: ConsoleState, auth: Authenticator) -> None:
        self.state = state
        self.auth = auth
        self.limits = ConsoleLimits(state.console.bounds, auth)
        self.pages = Pages(state)
        self.secure_cookies = state.console.secure_cookies or state.console.tls_cert_file is not None

    def words(self, request: Request) -> Words:
        """Return the words of the language that the person has chosen, or else that the browser prefers."""
        return WORDS[choose(request.cookies.get("vigil_lang"), request.headers.get("accept-language"))]

    def reader(self, request: Request, kind: str = "") -> Reader:
        """Return the language and the time zone of who makes the request, and the person where that kind of page shows
        each their own."""
        viewer = self._viewer(request) if kind in PERSONAL else None
        return Reader(self.words(request), self._chosen_zone(request) or self.state.zone, viewer)

    @staticmethod
    def _viewer(request: Request) -> Viewer:
        person, looked = signed_in(request), request.cookies.get(LOOKED_COOKIE, "")
        known = looked.isascii() and looked.isdigit() and len(looked) < 16
        return Viewer(person.name, person.may_review, int(looked) if known else 0)

    @staticmethod
    def _chosen_zone(request: Request) -> ZoneInfo | None:
        return zone_called(request.cookies.get(ZONE_COOKIE, ""))

    def html(self, request: Request, template: str, status: int = 200, /, **values: object) -> Response:
        """Return a page; `values` are passed to its template, and take precedence over what every page has."""
        visitor = request.cookies.get(VISITOR_COOKIE)
        known = visitor is not None and 16 <= len(visitor) <= 64
        visitor = visitor if known and visitor else self.auth.new_visitor()
        page = self.pages.render(template, **(self._common(request, visitor) | values))
        response = HTMLResponse(page, status)
        if not known:
            self.set_cookie(response, VISITOR_COOKIE, visitor, YEAR_S)
        return response

    def _common(self, request: Request, visitor: str) -> dict[str, Any]:
        """Return the values that the template around every page needs."""
        reader, chosen = self.reader(request), self._chosen_zone(request)
        words = reader.words
        person: Person | None = request.scope.get("person")
        theme = request.cookies.get("vigil_theme")
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return {
            "t": words,
            "zone": reader.zone,
            "zone_is_chosen": chosen is not None,
            "own_zone": self.state.zone.key,
            "person": person,
            "languages": LANGUAGES,
            "theme": theme if theme in ("light", "dark") else "auto",
            "here": here if request.method == "GET" else "/",
            "form_token": self.auth.form_token(visitor, person),
            "mode": self.auth.mode,
            "state": self.state.data_status(reader),
            "now": self.state.now,
            "frozen": self.state.recorded,
            "script_words": safe_json(orjson.dumps(words.script())),
            "form": {"decision": "", "reason": ""},
            "words": "",
        }

    def set_cookie(self, response: Response, name: str, value: str, max_age_s: int) -> None:
        """Set a cookie that scripts cannot read and that other sites' forms do not send."""
        response.set_cookie(name, value, max_age=max_age_s, httponly=True, samesite="lax", secure=self.secure_cookies)

    def is_own_form(self, request: Request, form: dict[str, str], person: Person | None) -> bool:
        """Return whether the form was shown to this person by this console, and sent from one of its pages."""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            return False
        return self.auth.is_form_token(form.get("form_token", ""), request.cookies.get(VISITOR_COOKIE), person)


def signed_in(request: Request) -> Person:
    """Return who makes the request. SecurityMiddleware lets nobody else through."""
    person: Person = request.scope["person"]
    return person


async def read_form(request: Request, most_fields: int = 20) -> dict[str, str]:
    """Return a form's fields, the first value of each; raise HTTPException where it is too large or no form."""
    body = bytearray()
    try:
        async with asyncio.timeout(FORM_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_FORM_BYTES:
                    raise HTTPException(413, "the form is too large")
    except TimeoutError as error:
        raise HTTPException(408, "the form did not arrive in time") from error
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise HTTPException(415, "not a form")
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=most_fields, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise HTTPException(400, "not a form") from error
    return {name: values[0] for name, values in fields.items()}


def local_path(path: str | None) -> str:
    """Return a path of this console to redirect to: `path` where it is one, else `/`.

    `//host` and `/\\host` lead browsers to another site.
    """
    if not path or not path.startswith("/") or path.startswith(("//", "/\\")) or not path.isprintable():
        return "/"
    return path
