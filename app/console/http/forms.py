"""The forms: a review of a verdict, signing in and out, and what a browser prefers."""

import asyncio
from typing import Final
from urllib.parse import quote

import structlog
from aiokafka.errors import KafkaError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from vigil.app.console.auth.authenticator import COOKIE, LASTS_S
from vigil.app.console.http.request_context import YEAR_S, RequestContext, form_of, local_path, signed_in
from vigil.app.console.views.pages import link
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.messages import LANGUAGES
from vigil.topics.reviews import Review

log: Final = structlog.get_logger("vigil.console")


class Forms:
    """What browsers send."""

    def __init__(self, site: RequestContext) -> None:
        self.site = site

    async def review(self, request: Request) -> Response:
        person = signed_in(request)
        words = self.site.words(request)
        form = await form_of(request)
        verdict = self.site.hub.model.verdicts.get(form.get("verdict_id", ""))
        if not person.may_review:
            raise HTTPException(403, words("review.view-only"))
        if verdict is None:
            raise HTTPException(404, words("unknown"))
        if not self.site.is_ours(request, form, person):
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
            at=max(wall_ms(), verdict.at) if not self.site.hub.recorded else self.site.hub.now,
        )
        try:
            await self.site.hub.feed.send(review)
        except (KafkaError, OSError) as trouble:
            log.warning("review refused", verdict_id=verdict.verdict_id, error=str(trouble))
            failed = words("review.failed", why=str(trouble)[:200] or type(trouble).__name__)
            return self._verdict_again(request, verdict.verdict_id, form, failed, 503)
        log.info("reviewed", verdict_id=verdict.verdict_id, decision=decision, by=person.name)
        return RedirectResponse(link("verdict", verdict.verdict_id) + "&sent=1", 303)

    def _verdict_again(
        self, request: Request, verdict_id: str, form: dict[str, str], error: str, status: int
    ) -> Response:
        view = self.site.pages.view("verdict", verdict_id, self.site.words(request), {})
        live = f"/live/verdict?id={quote(verdict_id, safe='')}"
        return self.site.html(
            request,
            "verdict.html",
            status,
            live=live,
            sent=None,
            error=error,
            form={"decision": form.get("decision", ""), "reason": form.get("reason", "")},
            **(view or {}),
        )

    async def sign_in(self, request: Request) -> Response:
        back = local_path(request.query_params.get("back"))
        if self.site.door.mode != "tokens":
            return (
                RedirectResponse(back, 303)
                if self.site.door.who(request)
                else self.site.html(request, "sign_in.html", 401, back=back, wrong=False)
            )
        if request.method == "GET":
            return self.site.html(request, "sign_in.html", back=back, wrong=False)
        form = await form_of(request)
        cookie = self.site.door.sign_in(form.get("token", "")) if self.site.is_ours(request, form, None) else None
        if cookie is None:
            await asyncio.sleep(0.5)  # guessing is hopeless; this keeps it cheap for us as well
            log.warning("sign-in refused", peer=request.client.host if request.client else None)
            return self.site.html(request, "sign_in.html", 401, back=back, wrong=True)
        answer = RedirectResponse(back, 303)
        self.site.set(answer, COOKIE, cookie, LASTS_S, hidden=True)
        return answer

    async def sign_out(self, request: Request) -> Response:
        form = await form_of(request)
        answer = RedirectResponse("/", 303)
        if self.site.is_ours(request, form, self.site.door.who(request)):
            answer.delete_cookie(COOKIE)
        return answer

    async def prefer(self, request: Request) -> Response:
        """Remember a language or a theme in this browser."""
        answer = RedirectResponse(local_path(request.query_params.get("back")), 303)
        if (language := request.query_params.get("lang")) in LANGUAGES:
            self.site.set(answer, "vigil_lang", str(language), YEAR_S)
        if (theme := request.query_params.get("theme")) in ("light", "dark", "auto"):
            self.site.set(answer, "vigil_theme", str(theme), YEAR_S)
        return answer
