"""Which targets receive an alert about a line, when, and whether singly, as the routing file says. Pure."""

from fnmatch import fnmatchcase
from typing import NamedTuple

from vigil.app.notify.line_alerts import LineAlert
from vigil.app.notify.routes import Route, Routing, allows
from vigil.app.notify.targets import Alertmanager


class LineSending(NamedTuple):
    """How one target receives an alert about a line."""

    at: int
    """From when on."""
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


def sendings(routing: Routing, alert: LineAlert, now: int) -> dict[str, LineSending] | None:
    """Return the targets of an alert about a line; None where no route matches it.

    A route that drops what happens now matches, and adds no target.
    """
    routes = [route for route in routing.routes if matches(route, alert)]
    found: dict[str, LineSending] = {}
    for route in routes:
        at = route.send_at(now, routing.zone)
        for name in route.to if at is not None else ():
            known = found.get(name)
            ends = route.ends or isinstance(routing.targets[name], Alertmanager)
            mine = LineSending(at or now, route.singly, ends)
            found[name] = mine if known is None else _both(known, mine)
    return found if routes else None


def _both(one: LineSending, other: LineSending) -> LineSending:
    """Return how a target receives what two routes lead to it: the more of each."""
    return LineSending(min(one.at, other.at), max(one.singly, other.singly), one.ends or other.ends)


def end_sendings(routing: Routing, alert: LineAlert, now: int) -> dict[str, int]:
    """Return from when on each target that received the beginning may be notified of the end.

    Quiet hours hold an end back, and never drop it. That a breach is a week old is news to an Alertmanager only.
    """
    found = sendings(routing, alert, now) or {}
    return {
        name: found[name].at if name in found else now
        for name in alert.end_targets
        if name in routing.targets and (alert.why != "expired" or isinstance(routing.targets[name], Alertmanager))
    }
