"""The page that a marketplace shows to a merchant: the record of one host, as HTML and JSON, and its appeals.

Whoever has a link sees one host and nothing else of the console, without a sign-in. The token comes in the query of the
page, in a form's field, or as `Authorization: Bearer`; no cookie is read, so no other site can use one.
"""

import time
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec
import structlog
from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from vigil.app.console.auth.host_links import HostLinks, LinkError
from vigil.app.console.http.request_context import RequestContext, read_form
from vigil.app.console.http.request_rates import RequestRates
from vigil.app.console.ingest.bounded import Bounded
from vigil.app.console.views.host_fields import HostPage
from vigil.app.console.views.host_page import appealed_at, host_page
from vigil.app.console.views.reader import Reader, zone_called
from vigil.app.console.views.text import WORDS, Words, choose
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.messages import LANGUAGES
from vigil.topics.reviews import Review

log: Final = structlog.get_logger("vigil.console")

PATH: Final = "/for-host"
MAX_APPEAL_CHARS: Final = 1000
"""An appeal is read by a person between two rooms."""
MINUTE_S: Final = 60.0
DAY_S: Final = 24 * 3600.0
MAX_SENT: Final = 100_000
"""Appeals that were sent and may not have been read back yet."""

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",  # the address has the token
    "x-robots-tag": "noindex, nofollow, noarchive",
}
"""What differs from other pages of the console: no script at all."""


class _RefusedRequest(Exception):
    """A request that gets no record; `code`: the words that say why."""

    def __init__(self, status: int, code: str, wait_s: int = 0) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.wait_s = wait_s


class _Asked(NamedTuple):
    """What is asked for, once access has been given."""

    host_id: str
    token: str
    reader: Reader


class HostPages:
    """The handlers of hosts' pages."""

    def __init__(self, context: RequestContext, links: HostLinks) -> None:
        self._context = context
        self._links = links
        bounds = context.state.console.bounds
        self._of_address = RequestRates(bounds.host_requests_of_address, MINUTE_S)
        self._of_host = RequestRates(bounds.requests_of_host, MINUTE_S)
        self._appeals = RequestRates(bounds.appeals_of_host, DAY_S)
        self._sent: Bounded[str, int] = Bounded(MAX_SENT)
        """When an appeal was sent, by verdict."""

    async def page(self, request: Request) -> Response:
        """Show the record of a host."""
        try:
            asked = self._asked(request, request.query_params.get("token"))
        except _RefusedRequest as refused:
            return self._refusal(request, refused)
        return self._html(request, asked, sent=request.query_params.get("sent") == "1")

    async def json(self, request: Request) -> Response:
        """Return the record of a host for programs."""
        try:
            asked = self._asked(request, _bearer(request) or request.query_params.get("token"))
        except _RefusedRequest as refused:
            return self._refusal(request, refused, as_json=True)
        return _json(self._page(asked))

    async def appeal(self, request: Request) -> Response:
        """Publish the host's appeal against a verdict; answer with the page, or with JSON where that is accepted."""
        as_json = "application/json" in request.headers.get("accept", "")
        form = await read_form(request)
        try:
            asked = self._asked(request, _bearer(request) or form.get("token"))
        except _RefusedRequest as refused:
            return self._refusal(request, refused, as_json)
        try:
            await self._send(asked, form.get("verdict_id", ""), form.get("reason", ""))
        except _RefusedRequest as refused:
            if as_json:
                return self._refusal(request, refused, as_json)
            return self._html(request, asked, refused=refused, form=form)
        if as_json:
            return _json(self._page(asked))
        query = {"token": asked.token, "sent": "1"} | _chosen(request.query_params.get("lang"), form.get("lang"))
        return RedirectResponse(f"{PATH}?{urlencode(query)}", 303)

    # ---- access -----------------------------------------------------------------------------------------------

    def _asked(self, request: Request, token: str | None) -> _Asked:
        """Return for which host a request gives access; raise _RefusedRequest."""
        if not self._links:
            raise _RefusedRequest(404, "for-host.off")
        address = self._context.limits.counted(request.client.host if request.client else None)
        if address is not None:
            _admit(self._of_address, address)
        try:
            host_id = self._links.host_of(token or "", time.time())
        except LinkError as error:
            raise _RefusedRequest(403, "for-host.expired" if error.expired else "for-host.invalid") from error
        _admit(self._of_host, host_id)
        return _Asked(host_id, token or "", self._reader(request))

    def _reader(self, request: Request) -> Reader:
        zone = zone_called(request.query_params.get("zone", "")) or self._context.state.zone
        return Reader(_words(request), zone)

    # ---- appeals ----------------------------------------------------------------------------------------------

    async def _send(self, asked: _Asked, verdict_id: str, text: str) -> None:
        """Publish an appeal; raise _RefusedRequest where it is refused."""
        reason = text.replace("\r\n", "\n").strip()
        review = self._review(asked, verdict_id, reason)
        _admit(self._appeals, asked.host_id)
        self._sent.put(verdict_id, review.at)
        try:
            await self._context.state.ingest.send(review)
        except (KafkaError, OSError) as error:
            self._sent.drop(verdict_id)
            log.warning("appeal not published", verdict_id=verdict_id, error=str(error))
            raise _RefusedRequest(503, "for-host.appeal.failed") from error
        log.info("appeal published", verdict_id=verdict_id, host_id=asked.host_id)

    def _review(self, asked: _Asked, verdict_id: str, reason: str) -> Review:
        state = self._context.state
        if not state.ingest.caught_up:
            raise _RefusedRequest(503, "for-host.reading")  # it may have been appealed in what is not read yet
        shown = next((one for one in self._page(asked).verdicts if one.verdict_id == verdict_id), None)
        if shown is None:
            raise _RefusedRequest(404, "for-host.appeal.unknown")
        if not shown.may_appeal or verdict_id in self._sent:
            raise _RefusedRequest(409, "for-host.appeal.not-now")
        if not reason:
            raise _RefusedRequest(422, "for-host.appeal.needs-reason")
        if len(reason) > MAX_APPEAL_CHARS:
            raise _RefusedRequest(422, "for-host.appeal.too-long")
        at = state.now if state.recorded else max(wall_ms(), shown.at)
        by = f"host:{asked.host_id}"
        return Review(verdict_id=verdict_id, host_id=asked.host_id, decision="appealed", by=by, reason=reason, at=at)

    # ---- answers ----------------------------------------------------------------------------------------------

    def _page(self, asked: _Asked) -> HostPage:
        """The record, with appeals that were sent and have not been read back."""
        state = self._context.state
        page = host_page(state, asked.host_id, asked.reader)
        waiting = {
            one.verdict_id: sent
            for one in page.verdicts
            if (sent := self._sent.get(one.verdict_id)) is not None and appealed_at(state, one.verdict_id) is None
        }
        if not waiting:
            return page
        verdicts = tuple(
            msgspec.structs.replace(one, appealed_at=waiting[one.verdict_id], may_appeal=False)
            if one.verdict_id in waiting
            else one
            for one in page.verdicts
        )
        return msgspec.structs.replace(page, verdicts=verdicts)

    def _html(
        self,
        request: Request,
        asked: _Asked,
        *,
        sent: bool = False,
        refused: _RefusedRequest | None = None,
        form: dict[str, str] | None = None,
    ) -> Response:
        words = asked.reader.words
        content = self._context.pages.render(
            "for_host/page.html",
            t=words,
            zone=asked.reader.zone,
            now=self._context.state.now,
            page=self._page(asked),
            token=asked.token,
            sent=sent,
            error=None if refused is None else _sentence(words, refused),
            form=form or {},
            max_chars=MAX_APPEAL_CHARS,
            reading=not self._context.state.ingest.caught_up,
            languages=_languages(request, asked),
        )
        response = HTMLResponse(content, 200 if refused is None else refused.status, HEADERS)
        return _with_wait(response, refused)

    def _refusal(self, request: Request, refused: _RefusedRequest, as_json: bool = False) -> Response:
        words = _words(request)
        sentence = _sentence(words, refused)
        response: Response
        if as_json:
            response = _json({"error": refused.code.removeprefix("for-host."), "text": sentence}, refused.status)
        else:
            content = self._context.pages.render("for_host/refused.html", t=words, text=sentence)
            response = HTMLResponse(content, refused.status, HEADERS)
        return _with_wait(response, refused)


async def robots(request: Request) -> Response:
    """Ask search engines to stay away from the whole console."""
    return PlainTextResponse("User-agent: *\nDisallow: /\n")


def _admit(rates: RequestRates, key: str) -> None:
    if wait_s := rates.admit(key):
        raise _RefusedRequest(429, "for-host.too-many", wait_s)


def _sentence(words: Words, refused: _RefusedRequest) -> str:
    return words(refused.code, seconds=refused.wait_s, most=MAX_APPEAL_CHARS)


def _with_wait(response: Response, refused: _RefusedRequest | None) -> Response:
    if refused is not None and refused.wait_s:
        response.headers["retry-after"] = str(refused.wait_s)
    return response


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, HEADERS, "application/json")


def _words(request: Request) -> Words:
    """The language that the address asks for, else the one that the browser prefers."""
    return WORDS[choose(request.query_params.get("lang"), request.headers.get("accept-language"))]


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _chosen(*languages: str | None) -> dict[str, str]:
    """The language to keep in an address: the first that there is."""
    return next(({"lang": one} for one in languages if one in LANGUAGES), {})


def _languages(request: Request, asked: _Asked) -> list[tuple[str, str, str]]:
    """Each language with its name, and the address of the page in it."""
    zone = {"zone": asked.reader.zone.key} if "zone" in request.query_params else {}
    return [
        (code, title, f"{PATH}?{urlencode({'token': asked.token, 'lang': code} | zone)}")
        for code, title in LANGUAGES.items()
    ]
