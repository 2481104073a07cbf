"""Builders of what Vigil publishes about suppliers' lines, and a book of alerts with routes of its own."""

from typing import Any

from tests.support.notify_stories import RULEBOOK, T0, S
from vigil.app.notify.line_book import LineBook, LineBounds, ScheduledChange
from vigil.app.notify.routing_file import names_of, parse_routing
from vigil.topics.programmes import Participation
from vigil.topics.services import Obligation
from vigil.topics.verdicts import identity

H = 3600 * S

TARGETS = """
[targets.ops]
kind = "alertmanager"
urls = ["http://localhost:9093"]

[targets.hook]
kind = "webhook"
url = "https://example.org/hook"
secret = "hook"

[targets.chat]
kind = "chat"
url_secret = "chat"
"""

ALL = '[[routes]]\nto = ["hook"]\nkinds = ["obligation", "participation"]\n'


def obligation(status: str = "at-risk", ref: str = "request-4", at: int | None = None, **more: Any) -> Obligation:
    """A request for parts at T0, due 48 h later; `at`: hours after T0."""
    hours = {"open": 0, "at-risk": 24, "breached": 48}.get(status, 30) if at is None else at
    fields: dict[str, Any] = {
        "duty": "service-parts", "owed_by": "supplier", "supplier_id": "merchant-7", "reason": None, "since": T0,
        "warn_at": T0 + 24 * H, "due": T0 + 48 * H, "done_at": None, "compensation_usd": None, "order_id": "order-12",
        "product_id": "lamp-3", "buyer_id": "buyer-1", "rulebook": "2022-07-01", **more,
    }  # fmt: skip
    id_ = identity(fields["duty"], fields["supplier_id"], ref)
    return Obligation(obligation_id=id_, ref=ref, at=T0 + hours * H, status=status, **fields)  # type: ignore[arg-type]


def participation(status: str = "claimed", supplier: str = "merchant-7", at: int = 0, **more: Any) -> Participation:
    """A part in the strength pack; `at`: hours after T0."""
    fields: dict[str, Any] = {
        "programme": "strength-pack", "edition": "2022-09", "reason": None, "claimed_at": T0, "opens": T0,
        "closes": T0 + 99 * H, "tasks": (), "completed_at": None, "place": None, "rewards": (), "reward_by": None,
        "rulebook": "2022-07-21", **more,
    }  # fmt: skip
    return Participation(supplier_id=supplier, at=T0 + at * H, status=status, **fields)  # type: ignore[arg-type]


def book(routes: str = ALL, head: str = "", **bounds: int) -> LineBook:
    routing = parse_routing(head + TARGETS + routes, "routes.toml", names_of(RULEBOOK))
    return LineBook(routing, LineBounds(**bounds))


def take(lines: LineBook, said: Obligation | Participation, now: int = T0) -> list[ScheduledChange]:
    return lines.obligation(said, now) if isinstance(said, Obligation) else lines.participation(said, now)


def write(lines: LineBook, store: dict[str, bytes]) -> None:
    for name, value in lines.changed():
        if value is None:
            store.pop(name, None)
        else:
            store[name] = value


def events(changes: list[ScheduledChange]) -> list[tuple[str, str]]:
    """Event and status, or the reason of an end, of every change."""
    return [(change.event, change.line.why or change.line.status) for change, _ in changes]
