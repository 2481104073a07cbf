"""Which targets receive an alert about a line, when, and whether singly, as the routing file says. Pure."""

from fnmatch import fnmatchcase
from typing import NamedTuple

from vigil.app.notify.line_alerts import LineAlert
from vigil.app.notify.routes import Route, Routing, allows


class LineSending(NamedTuple):
    """How one target receives an alert about a line."""

    at: int | None
    """From when on; None: quiet hours drop it."""
    singly: int
    """How many of one name and status it receives one by one; further ones are a digest."""
    ends: bool
    """Whether it is notified of the end as well."""


def wants_lines(routing: Routing) -> bool:
    """True if a route asks for obligations or participations."""
    return any(kind in route.kinds for route in routing.routes for kind in ("obligation", "participation"))


def matches(route: Route, alert: LineAlert) -> bool:
    """Return whether an alert about a line belongs on a route, whatever the time of day.

    A condition about what lines do not have (rule, family, tier, host) excludes them.
    """
    named, others = route.duties, route.programmes
    if alert.kind == "participation":
        named, others = others, named
    return (
        alert.kind in route.kinds
        and others is None
        and not route.asks_of_rooms
        and allows(named, alert.name)
        and allows(route.statuses, alert.status)
        and allows(route.owed_by, alert.owed_by)
        and (route.suppliers is None or any(fnmatchcase(alert.supplier_id, pattern) for pattern in route.suppliers))
    )


def sending(routing: Routing, target: str, alert: LineAlert, now: int) -> LineSending | None:
    """Return how a target receives an alert about a line; None where no route to it matches."""
    routes = [route for route in routing.routes_to(target) if matches(route, alert)]
    if not routes:
        return None
    kept = [(route, at) for route in routes if (at := route.send_at(now, routing.zone)) is not None]
    return LineSending(
        at=min((at for _, at in kept), default=None),
        singly=max((route.singly for route, _ in kept), default=0),
        ends=any(routing.sends_ends(target, route) for route, _ in kept),
    )
