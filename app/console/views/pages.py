"""What each page shows: views of the model for the templates, and the parts of a page that change while it is open."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from vigil.app.console.console_state import ConsoleState
from vigil.app.console.ingest.subject_views import RoomView
from vigil.app.console.ingest.track import Track
from vigil.app.console.views.advice import outlook
from vigil.app.console.views.canvas import Window
from vigil.app.console.views.incident import IncidentPages
from vigil.app.console.views.ladders import banned_until, ladders
from vigil.app.console.views.line_pages import LinePages
from vigil.app.console.views.queue import Queue
from vigil.app.console.views.reader import Reader
from vigil.app.console.views.supplier_list import SupplierList, supplier_list
from vigil.app.console.views.templates import SPANS, environment
from vigil.app.console.views.timeline import draw
from vigil.app.console.views.urgency import stands
from vigil.app.domain.rooms.risk import SEVERITIES, Severity, severity
from vigil.app.domain.rooms.rules.table import GREETING
from vigil.topics.verdicts import Action, OpenCondition, Verdict, WaitingEntry

AROUND_MS: Final = 30_000
"""A verdict's timeline begins and ends at least this long before and after it."""
AHEAD_SHARE: Final = 6
"""The inverse share of a live room's timeline that lies after now: the time left of open conditions is drawn there."""
OVERDUE_WAITING_MS: Final = 1_000
"""How long a waiting buyer is shown after the due time: the status with the result comes about a second later."""
MAX_EVENTS: Final = 80
MAX_VERDICTS: Final = 50
MAX_ACTIONS: Final = 200
MAX_ROOMS_OF_HOST: Final = 10
MAX_TRAIL: Final = 60
"""How many rows of each list a page shows; a page is rendered for every change, so it must stay small."""

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "room": ("status", "timeline", "verdicts", "happened"),
    "host": ("status", "ladders", "actions"),
    "supplier": ("due", "programmes", "rights", "products", "score", "raise", "pins"),
    "verdict": ("timeline", "follows", "choice", "reviews"),
    "product": ("stars", "selection", "epr", "due", "rules"),
    "obligation": ("facts",),
    "obligations": ("list",),
    "queue": ("list",),
    "incident": ("work", "facts", "timeline", "follows", "choice", "happened"),
    "handover": ("held",),
}
"""The parts of each kind of page, each with a template of its own. A browser receives those that have changed."""

QUERIES: Final[Mapping[str, tuple[str, ...]]] = {
    "room": ("span",),
    "supplier": ("page",),
    "obligations": ("status", "duty", "supplier", "page"),
    "queue": ("view", "page"),
    "incident": ("sent",),
}
"""What an address may ask for besides the id, by kind of page."""

PERSONAL: Final = frozenset({"queue", "incident", "handover"})
"""The kinds of pages that show each person their own."""

View = dict[str, Any]


def span_of(value: str | None) -> int:
    """Return the minutes of a timeline: `value` where it is one of the choices, else the default."""
    return {str(span): span for span in SPANS}.get(value or "", SPANS[1])


class Pages:
    """Renders the model as HTML."""

    def __init__(self, state: ConsoleState) -> None:
        self._state = state
        self._templates = environment(state)
        self._lines = LinePages(state)
        self.queue = Queue(state)
        self._incidents = IncidentPages(state, self.queue)
        self._views: dict[str, Callable[[str, Reader, Mapping[str, str]], View | None]] = {
            "room": self._room,
            "host": self._host,
            "supplier": self._supplier,
            "verdict": self._verdict,
            "product": self._lines.product,
            "obligation": self._lines.obligation,
            "obligations": self._lines.obligations,
            "queue": self.queue.page,
            "incident": self._incident,
            "handover": self.queue.handover,
        }

    def render(self, template: str, **values: object) -> str:
        """Return a template filled with values; every text is escaped."""
        return self._templates.get_template(template).render(values)

    def view(self, kind: str, name: str, reader: Reader, query: Mapping[str, str]) -> View | None:
        """Return the values of the page of this kind about an id; None where nothing was read about it."""
        view = self._views[kind](name, reader, query)
        if view is not None:
            view |= {"t": reader.words, "zone": reader.zone, "now": self._state.now, "frozen": self._state.recorded}
        return view

    def parts(self, kind: str, view: View) -> dict[str, str]:
        """Return the parts of a page that change, as HTML."""
        return {part: self.render(f"{kind}/{part}.html", **view) for part in PARTS[kind]}

    # ---- rooms ------------------------------------------------------------------------------------------------

    def _room(self, room_id: str, reader: Reader, query: Mapping[str, str]) -> View | None:
        model, now = self._state.model, self._state.now
        room, track = model.rooms.get(room_id), model.tracks.get(room_id)
        if room is None:
            return None
        span = span_of(query.get("span"))
        verdicts = model.verdicts_of(room.verdicts)
        window = self._window(room, track, span, reader)
        inside = [one for one in verdicts if one.at >= window.since and one.since <= window.until]
        return {
            "room": room,
            "status": room.status,
            "ended": _has_ended(room),
            "span": span,
            "conditions": self._conditions(room, now),
            "continuing": self._continuing(room, now),
            "greeting_at_risk": [one for one in room.risks.values() if one.rule == GREETING],
            "waiting": _waiting(room, now),
            "verdicts": [self._verdict_row(verdict) for verdict in verdicts[:MAX_VERDICTS]],
            "timeline": draw(room, track, inside, window),
            "timeline_verdicts": len(inside),
            "happened": _events(room, verdicts),
        }

    def _window(self, room: RoomView, track: Track | None, span: int, reader: Reader) -> Window:
        """The `span` minutes that a room's timeline shows."""
        now, span_ms = self._state.now, span * 60_000
        newest = max(room.latest_at, track.newest if track is not None else 0)
        ended = _has_ended(room)
        # A room that has ended is shown as it was at its end.
        edge = min(newest, now) if ended or self._state.recorded else now
        ahead = 0 if ended else span_ms // AHEAD_SHARE
        return Window(edge - span_ms + ahead, edge + ahead, now, reader.zone, reader.words)

    def _conditions(self, room: RoomView, now: int) -> list[tuple[OpenCondition, str]]:
        """The open conditions, the next due first, each with its severity."""
        if room.status is None:
            return []
        opened = sorted((one for one in room.status.open if stands(one.due, now)), key=lambda one: one.due)
        return [(one, SEVERITIES[self._severity(room, one, now)]) for one in opened]

    def _continuing(self, room: RoomView, now: int) -> list[Verdict]:
        """The violations whose condition still continues, the latest first."""
        return [one.verdict for one in self._state.wall.violations(room, now) if one.continues]

    def _severity(self, room: RoomView, one: OpenCondition, now: int) -> Severity:
        return severity(self._state.rulebook, one.since, one.due, now, (one.rule, one.since) in room.risks)

    def _verdict_row(self, verdict: Verdict) -> View:
        reviews = self._state.model.reviews.get(verdict.verdict_id)
        return {
            "verdict": verdict,
            "action": self._state.model.action(verdict.verdict_id),
            "review": reviews[-1] if reviews else None,
        }

    # ---- verdicts ---------------------------------------------------------------------------------------------

    def _verdict(self, verdict_id: str, reader: Reader, query: Mapping[str, str]) -> View | None:
        model, now = self._state.model, self._state.now
        verdict = model.verdicts.get(verdict_id)
        if verdict is None:
            return None
        room = model.rooms.get(verdict.room_id)
        times = [verdict.since, verdict.at, *(one.at for one in verdict.evidence)]
        pad = max(AROUND_MS, (max(times) - min(times)) // 6)
        window = Window(min(times) - pad, max(times) + pad, now, reader.zone, reader.words)
        return {
            "verdict": verdict,
            "says": self._state.rulebook.description_of(verdict.rule, verdict.rulebook, reader.words.language),
            "action": model.action(verdict_id),
            "is_supplier": verdict.host_id in model.suppliers,
            "incident": model.incidents.of_verdict(verdict_id),
            "contested": [] if room is None else [one for one in room.notices if one.verdict_id == verdict_id],
            "reviews": list(reversed(model.reviews.get(verdict_id) or ())),
            "timeline": draw(room, model.tracks.get(verdict.room_id), [verdict], window, verdict_id),
        }

    def _incident(self, incident_id: str, reader: Reader, query: Mapping[str, str]) -> View | None:
        """An incident with its verdict's evidence; a warning has none, and shows what its room does."""
        view = self._incidents.page(incident_id, reader, query)
        if view is None:
            return None
        one = view["one"]
        judged = None if one.verdict_id is None else self._verdict(one.verdict_id, reader, query)
        if judged is not None:
            return judged | view | {"incident": None}  # it is the page's own
        now, model = self._state.now, self._state.model
        room = model.rooms.get(one.room_id)
        window = Window(one.since - AROUND_MS, max(one.due or now, now) + AROUND_MS, now, reader.zone, reader.words)
        drawn = draw(room, model.tracks.get(one.room_id), [], window)
        return {"verdict": None, "says": "", "contested": [], "incident": None, "timeline": drawn} | view

    # ---- hosts ------------------------------------------------------------------------------------------------

    def _host(self, host_id: str, reader: Reader, query: Mapping[str, str]) -> View | None:
        model, now = self._state.model, self._state.now
        host = model.hosts.get(host_id)
        if host is None:
            return None
        actions = sorted((action for _, action in host.actions.items()), key=_newest_first)
        rooms = [room for name in reversed(host.rooms) if (room := model.rooms.get(name)) is not None]
        return {
            "host_id": host_id,
            "rooms": rooms[:MAX_ROOMS_OF_HOST],
            "actions": actions[:MAX_ACTIONS],
            "reviews": {action.action_id: model.reviews.get(action.action_id) for action in actions[:MAX_ACTIONS]},
            "ladders": ladders(self._state.rulebook, actions, now),
            "banned_until": banned_until(actions, now),
            "is_supplier": host_id in model.suppliers,
            "days_read": self._state.console.action_hours // 24,
        }

    # ---- suppliers --------------------------------------------------------------------------------------------

    def _supplier(self, supplier_id: str, reader: Reader, query: Mapping[str, str]) -> View | None:
        model = self._state.model
        supplier = model.suppliers.get(supplier_id)
        if supplier is None:
            return None
        score = model.score(supplier_id)
        return {
            "supplier_id": supplier_id,
            "score": score,
            "outlook": outlook(self._state.rulebook, score) if score is not None else None,
            "pins": sorted(supplier.pins, key=lambda pin: pin.at, reverse=True),
            "trail": list(supplier.trail)[-MAX_TRAIL:],
            "is_host": supplier_id in model.hosts,
        } | self._lines.of_supplier(supplier_id, reader, query)

    def suppliers(self, by: str) -> SupplierList:
        """Return the list of suppliers in an order."""
        return supplier_list(self._state.model, by)


def _has_ended(room: RoomView) -> bool:
    return room.ended or (room.status is not None and room.status.stream == "ended")


def _waiting(room: RoomView, now: int) -> list[WaitingEntry]:
    """Return the buyers who wait for a greeting, also those whose time has just run out."""
    if room.status is None:
        return []
    return [one for one in room.status.waiting if one.due > now - OVERDUE_WAITING_MS]


def _events(room: RoomView, verdicts: list[Verdict]) -> list[View]:
    """Return a room's notices and verdicts, the newest first."""
    events: list[View] = [{"at": one.at, "notice": one, "verdict": None} for one in room.notices]
    events += [{"at": one.at, "notice": None, "verdict": one} for one in verdicts]
    events.sort(key=lambda event: int(event["at"]), reverse=True)
    return events[:MAX_EVENTS]


def _newest_first(action: Action) -> tuple[int, str]:
    return -action.at, action.action_id
