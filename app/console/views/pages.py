"""What each page says: views of the model for the templates, and the parts of a page that change while it is open."""

import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from vigil.app.console.console_state import ConsoleState
from vigil.app.console.views.advice import cents, dollars, outlook
from vigil.app.console.views.ladders import banned_until, ladders
from vigil.app.console.views.text import Words
from vigil.app.console.views.timeline import clock, draw, length
from vigil.topics.verdicts import Action, Verdict

HERE: Final = Path(__file__).parents[1]
SPANS: Final = (5, 15, 30, 60)
"""Minutes that a room's timeline can show."""
AROUND_MS: Final = 30_000
"""A verdict's timeline begins and ends so long before and after it."""
HAPPENED: Final = 80
SUPPLIERS: Final = 200

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "room": ("status", "timeline", "verdicts", "happened"),
    "host": ("status", "ladders", "actions"),
    "supplier": ("score", "raise", "pins"),
    "verdict": ("timeline", "follows", "reviews"),
}
"""The parts of each page that are sent again when they change."""

View = dict[str, Any]


def visible(text: object) -> str:
    """Somebody else's text with what is not seen (control and direction characters) made visible."""
    return "".join(
        f"\\u{{{ord(sign):x}}}" if unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp", "Co", "Cn") else sign
        for sign in str(text)
    )


def link(kind: str, name: str) -> str:
    """The address of a page; ids stand in the query, where no browser takes `..` or `/` for a path."""
    return f"/{kind}?id={quote(name, safe='')}"


def span_of(asked: str | None) -> int:
    return int(asked) if asked is not None and asked.isdigit() and int(asked) in SPANS else SPANS[1]


class Pages:
    """Makes HTML of the model."""

    def __init__(self, hub: ConsoleState) -> None:
        self._hub = hub
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        zone = hub.zone
        filters: dict[str, Callable[..., Any]] = {
            "visible": visible,
            "prose": lambda text: "\n".join(map(visible, text.split("\n"))),
            "clock": lambda at: clock(at, zone),
            "stamp": lambda at: _zoned(at, zone, "%Y-%m-%d %H:%M:%S"),
            "day": lambda at: _zoned(at, zone, "%Y-%m-%d"),
            "iso": lambda at: datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds"),
            "span": length,
            "percent": lambda share: "100 %" if share == 1 else f"{share * 100:.1f} %",
            "money": lambda amount: dollars(cents(amount)),
            "thousands": lambda number: f"{number:,}",
        }
        self._templates.filters.update(filters)
        self._templates.globals |= {"link": link, "zone": zone.key, "spans": SPANS}
        self._views: dict[str, Callable[[str, Words, Mapping[str, str]], View | None]] = {
            "room": self._room,
            "host": self._host,
            "supplier": self._supplier,
            "verdict": self._verdict,
        }

    def render(self, template: str, **told: Any) -> str:
        return self._templates.get_template(template).render(told)

    def view(self, kind: str, name: str, words: Words, query: Mapping[str, str]) -> View | None:
        """What a page of this kind says about a name; None where nothing is known of it."""
        view = self._views[kind](name, words, query)
        if view is not None:
            view |= {"t": words, "now": self._hub.now, "frozen": self._hub.recorded}
        return view

    def parts(self, kind: str, view: View) -> dict[str, str]:
        """Those parts of the page that change, as HTML."""
        return {part: self.render(f"{kind}/{part}.html", **view) for part in PARTS[kind]}

    # ---- rooms ------------------------------------------------------------------------------------------------

    def _room(self, room_id: str, words: Words, query: Mapping[str, str]) -> View | None:
        model, now = self._hub.model, self._hub.now
        room, track = model.rooms.get(room_id), model.tracks.get(room_id)
        if room is None:
            return None
        span = span_of(query.get("span"))
        verdicts = model.verdicts_of(room.verdicts)
        ended = room.ended or (room.status is not None and room.status.stream == "ended")
        newest = max(room.latest_at, track.newest if track is not None else 0)
        # A room that is over is shown as it was at its end; time left of what is open has its place on the right.
        edge = min(newest, now) if ended or self._hub.recorded else now
        ahead = 0 if ended else span * 60_000 // 6
        since, until = edge - span * 60_000 + ahead, edge + ahead
        inside = [one for one in verdicts if one.at >= since and one.since <= until]
        status = room.status
        return {
            "room": room,
            "status": status,
            "ended": ended,
            "span": span,
            "conditions": [one for one in status.open if one.due > now - 5_000] if status else [],
            "risks": set(room.risks),
            "greeting_at_risk": [one for one in room.risks.values() if one.rule == "greeting-miss"],
            "waiting": [one for one in status.waiting if one.due > now - 1_000] if status else [],
            "verdicts": [self._told(verdict) for verdict in verdicts[:50]],
            "timeline": draw(room, track, inside, since=since, until=until, now=now, words=words, zone=self._hub.zone),
            "timeline_verdicts": len(inside),
            "happened": self._happened(room, verdicts),
        }

    def _told(self, verdict: Verdict) -> View:
        reviews = self._hub.model.reviews.get(verdict.verdict_id)
        return {
            "verdict": verdict,
            "action": self._hub.model.action(verdict.verdict_id),
            "review": reviews[-1] if reviews else None,
        }

    def _happened(self, room: Any, verdicts: list[Verdict]) -> list[View]:
        told: list[View] = [{"at": one.at, "notice": one, "verdict": None} for one in room.notices]
        told += [{"at": one.at, "notice": None, "verdict": one} for one in verdicts]
        told.sort(key=lambda one: int(one["at"]), reverse=True)
        return told[:HAPPENED]

    # ---- verdicts ---------------------------------------------------------------------------------------------

    def _verdict(self, verdict_id: str, words: Words, query: Mapping[str, str]) -> View | None:
        model, now = self._hub.model, self._hub.now
        verdict = model.verdicts.get(verdict_id)
        if verdict is None:
            return None
        room = model.rooms.get(verdict.room_id)
        times = [verdict.since, verdict.at, *(one.at for one in verdict.evidence)]
        pad = max(AROUND_MS, (max(times) - min(times)) // 6)
        return {
            "verdict": verdict,
            "says": self._hub.rulebook.description_of(verdict.rule, verdict.rulebook),
            "action": model.action(verdict_id),
            "reviews": list(reversed(model.reviews.get(verdict_id) or ())),
            "timeline": draw(
                room,
                model.tracks.get(verdict.room_id),
                [verdict],
                since=min(times) - pad,
                until=max(times) + pad,
                now=now,
                words=words,
                zone=self._hub.zone,
                selected=verdict_id,
            ),
        }

    # ---- hosts ------------------------------------------------------------------------------------------------

    def _host(self, host_id: str, words: Words, query: Mapping[str, str]) -> View | None:
        model, now = self._hub.model, self._hub.now
        host = model.hosts.get(host_id)
        if host is None:
            return None
        actions = sorted((action for _, action in host.actions.items()), key=_newest_first)
        rooms = [room for name in reversed(host.rooms) if (room := model.rooms.get(name)) is not None]
        return {
            "host_id": host_id,
            "rooms": rooms[:10],
            "actions": actions[:200],
            "reviews": {action.action_id: model.reviews.get(action.action_id) for action in actions[:200]},
            "ladders": ladders(self._hub.rulebook, actions, now),
            "banned_until": banned_until(actions, now),
            "is_supplier": host_id in model.suppliers,
            "days_read": self._hub.console.action_hours // 24,
        }

    # ---- suppliers --------------------------------------------------------------------------------------------

    def _supplier(self, supplier_id: str, words: Words, query: Mapping[str, str]) -> View | None:
        model = self._hub.model
        supplier = model.suppliers.get(supplier_id)
        if supplier is None:
            return None
        score = model.score(supplier_id)
        return {
            "supplier_id": supplier_id,
            "score": score,
            "outlook": outlook(self._hub.rulebook, score) if score is not None else None,
            "pins": sorted(supplier.pins, key=lambda pin: pin.at, reverse=True),
            "trail": list(supplier.trail)[-60:],
            "is_host": supplier_id in model.hosts,
        }

    def suppliers(self) -> list[View]:
        """The suppliers with the highest predicted scores."""
        model = self._hub.model
        known = ((supplier.trail[-1][1], name) for name, supplier in model.suppliers.items() if supplier.trail)
        best = sorted(known, key=lambda one: (-one[0], one[1]))[:SUPPLIERS]
        return [{"supplier_id": name, "score": score} for _, name in best if (score := model.score(name)) is not None]


def _newest_first(action: Action) -> tuple[int, str]:
    return -action.at, action.action_id


def _zoned(at: int, zone: Any, form: str) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).strftime(form)


def safe_json(text: bytes) -> Markup:
    """JSON to stand in a page's data block: nothing in it ends the block."""
    escaped = text.decode().replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return Markup(escaped)  # noqa: S704 - escaped one line above
