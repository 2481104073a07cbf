"""What people do about incidents: claim, release, snooze, note, take the next one, hand over.

    form ──▶ `case` ──▶ worker ──▶ `incident` ──▶ page

A command has no effect here. The page shows who works on an incident when Vigil's answer says so, never before.
"""

from typing import Any, Final, get_args

import structlog
from aiokafka.errors import KafkaError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from vigil.app.console.auth.authenticator import Person
from vigil.app.console.http.request_context import (
    LOOKED_COOKIE,
    YEAR_S,
    RequestContext,
    local_path,
    read_form,
    signed_in,
)
from vigil.app.console.views.incident import SNOOZES
from vigil.app.console.views.templates import link
from vigil.topics.incidents import Case, CaseKind, IncidentStatus

log: Final = structlog.get_logger("vigil.console")

KINDS: Final[tuple[CaseKind, ...]] = get_args(CaseKind)
MINUTE_MS: Final = 60_000
MAX_NOTE_CHARS: Final = 1024
"""The specification's limit of a note."""
OFFERED_MS: Final = 10_000
"""An incident that somebody takes as the next one is offered to nobody else for this long: the answer comes sooner."""
MAX_HANDED_OVER: Final = 100

Form = dict[str, str]


class Cases:
    """The handlers of commands about incidents."""

    def __init__(self, context: RequestContext) -> None:
        self._context = context
        self._offered: dict[str, int] = {}
        """When each incident was taken as the next one, ms."""

    async def case(self, request: Request) -> Response:
        """Publish the one command of a form, and show the incident, or the page that the form names."""
        person, form = await self._own_form(request)
        kind, one = self._asked(request, form)
        if one.claimed_by not in (None, person.name) and kind != "note":
            return RedirectResponse(link("incident", one.incident_id), 303)  # it shows who works on it
        command = self._command(kind, one, person, form)
        if command is None:
            raise HTTPException(422, self._context.words(request)("case.incomplete"))
        await self._send(request, command)
        back = form.get("back")
        if back and kind in ("release", "unsnooze"):
            return RedirectResponse(local_path(back), 303)
        return _to_incident(command)

    def _asked(self, request: Request, form: Form) -> tuple[CaseKind, IncidentStatus]:
        """The kind of command that a form has, and its incident; raise HTTPException where there is none."""
        kind = next((kind for kind in KINDS if kind in form), None)
        one = None if kind is None else self._context.state.model.incidents.get(form[kind])
        if kind is None or one is None:
            raise HTTPException(404, self._context.words(request)("unknown"))
        return kind, one

    async def next(self, request: Request) -> Response:
        """Claim the most urgent incident that nobody works on, and show it; the queue where there is none."""
        person, _ = await self._own_form(request)
        now = self._context.state.now
        self._offered = {name: at for name, at in self._offered.items() if now - at < OFFERED_MS}
        waiting = self._context.pages.queue.to_do(person.name)
        one = next((each for each in waiting if each.incident_id not in self._offered), None)
        if one is None:
            return RedirectResponse("/queue", 303)
        self._offered[one.incident_id] = now
        command = Case(**self._about(one, person), kind="claim")
        await self._send(request, command)
        return _to_incident(command)

    async def hand_over(self, request: Request) -> Response:
        """Release the incidents that are ticked, each with the note that is given for it."""
        person, form = await self._own_form(request, 2 * MAX_HANDED_OVER + 5)
        incidents = self._context.state.model.incidents
        for name in [name for name in form if name.startswith("give-")][:MAX_HANDED_OVER]:
            one = incidents.get(form[name])
            if one is None or one.claimed_by != person.name:
                continue
            about = self._about(one, person)
            if text := _note(form.get("note-" + name.removeprefix("give-"), "")):
                await self._send(request, Case(**about, kind="note", text=text))
            await self._send(request, Case(**about, kind="release"))
        return RedirectResponse("/handover?sent=1", 303)

    async def looked(self, request: Request) -> Response:
        """Remember in this browser that its person has seen everything up to now."""
        await self._own_form(request, reviews=False)
        response = RedirectResponse("/queue", 303)
        newest = self._context.state.model.incidents.newest
        self._context.set_cookie(response, LOOKED_COOKIE, str(newest), YEAR_S)
        return response

    async def _own_form(self, request: Request, most: int = 20, *, reviews: bool = True) -> tuple[Person, Form]:
        """The person and the form that this console showed them; raise HTTPException. `reviews`: they may review."""
        person = signed_in(request)
        form = await read_form(request, most)
        words = self._context.words(request)
        if reviews and not person.may_review:
            raise HTTPException(403, words("review.view-only"))
        if not self._context.is_own_form(request, form, person):
            raise HTTPException(403, words("form.stale"))
        return person, form

    def _command(self, kind: CaseKind, one: IncidentStatus, person: Person, form: Form) -> Case | None:
        """The command of a form; None where the end of a snooze or the text of a note is missing."""
        about = self._about(one, person)
        if kind == "snooze":
            minutes = next((each for each in SNOOZES if str(each) == form.get("minutes")), None)
            until = None if minutes is None else about["at"] + minutes * MINUTE_MS
            return None if until is None else Case(**about, kind=kind, until=until)
        if kind == "note":
            text = _note(form.get("text", ""))
            return Case(**about, kind=kind, text=text) if text else None
        return Case(**about, kind=kind)

    def _about(self, one: IncidentStatus, person: Person) -> dict[str, Any]:
        # Commands count in order of their time: none is before what the person has seen, whatever this machine's clock.
        at = max(self._context.state.now, one.claimed_at or 0, one.decided_at or 0)
        return {"incident_id": one.incident_id, "room_id": one.room_id, "by": person.name, "at": at}

    async def _send(self, request: Request, command: Case) -> None:
        """Publish a command; raise HTTPException where Kafka does not take it."""
        try:
            await self._context.state.ingest.send(command)
        except (KafkaError, OSError) as error:
            log.warning("command not published", incident_id=command.incident_id, error=str(error))
            why = str(error)[:200] or type(error).__name__
            raise HTTPException(503, self._context.words(request)("case.failed", why=why)) from error
        log.info("command published", incident_id=command.incident_id, kind=command.kind, by=command.by)


def _note(text: str) -> str:
    return text.replace("\r\n", "\n").strip()[:MAX_NOTE_CHARS]


def _to_incident(command: Case) -> Response:
    return RedirectResponse(f"{link('incident', command.incident_id)}&sent={command.kind}-{command.at}", 303)
