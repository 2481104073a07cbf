"""The forms: a review of a verdict, signing in and out, and a browser's preferences."""

import asyncio
from typing import Final, Literal
from urllib.parse import quote

import structlog
from aiokafka.errors import KafkaError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from vigil.app.console.auth.authenticator import SESSION_COOKIE, SESSION_S, Person
from vigil.app.console.http.choices import NotOfferedError, choice_of
from vigil.app.console.http.request_context import (
    YEAR_S,
    ZONE_COOKIE,
    RequestContext,
    local_path,
    read_form,
    signed_in,
)
from vigil.app.console.views.reader import zone_called
from vigil.app.console.views.templates import link
from vigil.app.console.views.text import Words
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.messages import LANGUAGES
from vigil.topics.incidents import IncidentStatus
from vigil.topics.reviews import Review
from vigil.topics.verdicts import Verdict

log: Final = structlog.get_logger("vigil.console")

MAX_REASON_CHARS: Final = 4096
"""The specification's limit of `reason` in a review."""
WRONG_TOKEN_WAIT_S: Final = 0.5
"""Tokens have too many bits to be guessed; the wait keeps attempts from costing this process anything."""

Form = dict[str, str]
DECISIONS: Final[tuple[Literal["upheld", "overturned", "appealed"], ...]] = ("upheld", "overturned", "appealed")


class Forms:
    """The handlers of what browsers send."""

    def __init__(self, context: RequestContext) -> None:
        self._context = context

    async def review(self, request: Request) -> Response:
        """Publish a review, or show the form again with what is wrong."""
        person = signed_in(request)
        words = self._context.words(request)
        form = await read_form(request)
        verdict = self._context.state.model.verdicts.get(form.get("verdict_id", ""))
        if not person.may_review:
            raise HTTPException(403, words("review.view-only"))
        if verdict is None:
            raise HTTPException(404, words("unknown"))
        if not self._context.is_own_form(request, form, person):
            return self._again(request, form, words("form.stale"), 403)
        if (problem := _problem(form, words)) is not None:
            return self._again(request, form, problem, 422)
        incident = self._context.state.model.incidents.of_verdict(verdict.verdict_id)
        if incident is not None and incident.claimed_by not in (None, person.name):
            return self._again(request, form, words("review.held", name=incident.claimed_by), 409)
        try:
            review = self._review(form, verdict, person)
            await self._context.state.ingest.send(review)
        except NotOfferedError as error:
            return self._again(request, form, words(str(error)), 422)
        except (KafkaError, OSError) as error:
            log.warning("review not published", verdict_id=verdict.verdict_id, error=str(error))
            failed = words("review.failed", why=str(error)[:200] or type(error).__name__)
            return self._again(request, form, failed, 503)
        log.info("review published", verdict_id=verdict.verdict_id, decision=review.decision, by=person.name)
        return self._sent(form, review, incident)

    def _sent(self, form: Form, review: Review, incident: IncidentStatus | None) -> Response:
        """Show the page that the form came from; the claim of an incident ends once the decision is applied."""
        if incident is None or "incident_id" not in form:
            return RedirectResponse(link("verdict", review.verdict_id) + "&sent=1", 303)
        if review.decision != "appealed" and incident.claimed_by is not None:
            self._context.state.releases.expect(incident.incident_id, review.by, review.at)
        return RedirectResponse(f"{link('incident', incident.incident_id)}&sent={review.decision}-{review.at}", 303)

    def _review(self, form: Form, verdict: Verdict, person: Person) -> Review:
        """The review of a form; raise NotOfferedError if its choice is not what the action offers."""
        state = self._context.state
        decision = next(one for one in DECISIONS if one == form["decision"])
        action = state.model.action(verdict.verdict_id) if decision == "upheld" else None
        return Review(
            verdict_id=verdict.verdict_id,
            host_id=verdict.host_id,
            decision=decision,
            by=person.name,
            reason=_reason(form),
            at=state.now if state.recorded else max(wall_ms(), verdict.at),
            choice=choice_of(form, action),
        )

    def _again(self, request: Request, form: Form, error: str, status: int) -> Response:
        """Show the page of the incident or the verdict with the form as it was sent and an error."""
        name = form.get("incident_id", "")
        kind = "incident" if name in self._context.state.model.incidents else "verdict"
        name = name if kind == "incident" else form["verdict_id"]
        view = self._context.pages.view(kind, name, self._context.reader(request, kind), {})
        values = {
            "live": f"/live/{kind}?id={quote(name, safe='')}",
            "sent": None,
            "error": error,
            "form": {"decision": form.get("decision", ""), "reason": form.get("reason", "")},
        }
        return self._context.html(request, f"{kind}.html", status, **(values | (view or {})))

    async def sign_in(self, request: Request) -> Response:
        """Show the form of the token; sign in whoever sends a token that is known."""
        back = local_path(request.query_params.get("back"))
        auth = self._context.auth
        if auth.mode != "tokens":
            if auth.identify(request) is not None:
                return RedirectResponse(back, 303)
            return self._context.html(request, "sign_in.html", 401, back=back, wrong=False)
        if request.method == "GET":
            return self._context.html(request, "sign_in.html", back=back, wrong=False)
        form = await read_form(request)
        own = self._context.is_own_form(request, form, None)
        session = auth.sign_in(form.get("token", "")) if own else None
        if session is None:
            await asyncio.sleep(WRONG_TOKEN_WAIT_S)
            log.warning("sign-in refused", peer=request.client.host if request.client else None)
            return self._context.html(request, "sign_in.html", 401, back=back, wrong=True)
        response = RedirectResponse(back, 303)
        self._context.set_cookie(response, SESSION_COOKIE, session, SESSION_S)
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the session of this browser."""
        form = await read_form(request)
        response = RedirectResponse("/", 303)
        if self._context.is_own_form(request, form, self._context.auth.identify(request)):
            self._context.auth.sign_out(request.cookies.get(SESSION_COOKIE))
            response.delete_cookie(SESSION_COOKIE)
        return response

    async def set_preferences(self, request: Request) -> Response:
        """Remember a language, a theme or a time zone in this browser."""
        response = RedirectResponse(local_path(request.query_params.get("back")), 303)
        if (language := request.query_params.get("lang")) in LANGUAGES:
            self._context.set_cookie(response, "vigil_lang", str(language), YEAR_S)
        if (theme := request.query_params.get("theme")) in ("light", "dark", "auto"):
            self._context.set_cookie(response, "vigil_theme", str(theme), YEAR_S)
        if (zone := zone_called(request.query_params.get("zone", ""))) is not None:
            self._context.set_cookie(response, ZONE_COOKIE, zone.key, YEAR_S)
        return response


def _reason(form: Form) -> str:
    return form.get("reason", "").replace("\r\n", "\n").strip()


def _problem(form: Form, words: Words) -> str | None:
    """Return what is wrong with a review, in the person's language; None where nothing is."""
    decision, reason = form.get("decision", ""), _reason(form)
    if decision not in DECISIONS:
        return words("review.needs-decision")
    if decision != "upheld" and not reason:
        return words("review.needs-reason" if decision == "overturned" else "review.needs-appeal")
    if len(reason) > MAX_REASON_CHARS:
        return words("review.too-long")
    return None
