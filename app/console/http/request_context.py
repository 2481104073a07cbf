"""What every answer shares: who asks and in which language, the page around it, and the seal of its forms."""

from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from vigil.app.console.auth.authenticator import VISITOR, Authenticator, Person
from vigil.app.console.console_state import ConsoleState
from vigil.app.console.views.pages import Pages, safe_json
from vigil.app.console.views.text import WORDS, Words, choose
from vigil.app.messages import LANGUAGES

FORM_BYTES: Final = 64 * 1024
YEAR_S: Final = 365 * 24 * 3600


class RequestContext:
    """One console, as its pages, forms and streams see it."""

    def __init__(self, hub: ConsoleState, door: Authenticator) -> None:
        self.hub = hub
        self.door = door
        self.pages = Pages(hub)
        self.secure = hub.console.secure_cookies or hub.console.tls_cert_file is not None

    def words(self, request: Request) -> Words:
        return WORDS[choose(request.cookies.get("vigil_lang"), request.headers.get("accept-language"))]

    def html(self, request: Request, template: str, status: int = 200, /, **told: Any) -> Response:
        words = self.words(request)
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
            self.set(answer, VISITOR, visitor, YEAR_S)
        return answer

    def set(self, answer: Response, name: str, value: str, lasts_s: int, hidden: bool = True) -> None:
        answer.set_cookie(name, value, max_age=lasts_s, httponly=hidden, samesite="lax", secure=self.secure)

    def is_ours(self, request: Request, form: dict[str, str], person: Person | None) -> bool:
        """Was the form shown by this console, and is it sent from one of its pages?"""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            return False
        return self.door.is_ours(form.get("form_token", ""), request.cookies.get(VISITOR), person)


def signed_in(request: Request) -> Person:
    person: Person = request.scope["person"]
    return person


async def form_of(request: Request) -> dict[str, str]:
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


def local_path(asked: str | None) -> str:
    """A page of this console, never somebody else's."""
    if not asked or not asked.startswith("/") or asked.startswith(("//", "/\\")) or not asked.isprintable():
        return "/"
    return asked
