"""Which targets receive a change, and when: routes and quiet hours as the routing file declares them. Pure.

change ──▶ every route that matches ──▶ its targets, at once or at the end of quiet hours
resolved ──▶ the targets that were notified of the beginning
"""

from collections.abc import Container, Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from vigil.app.notify.changes import Incident, IncidentChange
from vigil.app.notify.line_alerts import LineStatus
from vigil.app.notify.targets import Alertmanager, Target, TargetName, Text
from vigil.topics.fields import Tier

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
RouteKind = Literal[
    "at-risk", "violation", "action", "signal-lost", "entry-missed", "verdict-contested", "obligation", "participation"
]
LINE_KINDS: Final[tuple[RouteKind, ...]] = ("obligation", "participation")
"""The kinds that are about suppliers' lines: see line_routes.py."""
TimeOfDay = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]

DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class QuietHours(Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Hours in which a route sends nothing."""

    from_: TimeOfDay
    until: TimeOfDay
    """On the next day where it is not after `from`."""
    days: tuple[Day, ...] = DAYS
    """The days on which the hours begin."""
    then: Literal["hold", "drop"] = "hold"
    """`hold`: sent at the end of the hours, each incident as it is by then. `drop`: not sent."""
    time_zone: str | None = None
    """The time zone of the routing file where it is not given."""

    def end_at(self, now: int, zone: ZoneInfo) -> int | None:
        """Return the end of the quiet hours in which `now` lies (both in ms since the epoch); None where it lies in
        none.

        `zone` applies where these hours have none of their own.
        """
        zone = ZoneInfo(self.time_zone) if self.time_zone else zone
        local = datetime.fromtimestamp(now / 1000, UTC).astimezone(zone)
        for back in (0, 1):  # hours that began yesterday may still last
            day = (local - timedelta(days=back)).date()
            if DAYS[day.weekday()] not in self.days:
                continue
            last = day if self.from_ < self.until else day + timedelta(days=1)
            begin, end = (
                # Both as local times, so that hours keep to the wall clock on days on which clocks change.
                round(datetime.combine(date, _time(text), zone).timestamp() * 1000)
                for date, text in ((day, self.from_), (last, self.until))
            )
            if begin <= now < end:
                return end
        return None


class Route(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which changes go to which targets. A condition that is left out matches everything."""

    to: Annotated[tuple[TargetName, ...], Meta(min_length=1)]
    rules: tuple[str, ...] | None = None
    families: tuple[str, ...] | None = None
    tiers: tuple[Tier, ...] | None = None
    """Tiers of the buyers concerned. Only missed entries and greeting-miss have any."""
    hosts: tuple[Text, ...] | None = None
    """`*` matches any number of characters, `?` one, `[ab]` one of these."""
    kinds: tuple[RouteKind, ...] = ("at-risk", "violation", "action", "signal-lost", "verdict-contested")
    duties: tuple[str, ...] | None = None
    """Of obligations, as are `owed_by`; `programmes` of participations; `statuses` and `suppliers` of both."""
    programmes: tuple[str, ...] | None = None
    statuses: tuple[LineStatus, ...] | None = None
    owed_by: tuple[Literal["supplier", "marketplace"], ...] | None = None
    suppliers: tuple[Text, ...] | None = None
    """Patterns like those of `hosts`."""
    singly: Annotated[int, Meta(ge=0, le=1_000_000)] = 20
    """How many alerts about lines of one name and status are sent one by one within `digest_s`; the rest are one."""
    ends: bool = True
    """Whether the end of what was sent is sent too."""
    quiet: tuple[QuietHours, ...] = ()

    def matches(self, incident: Incident, kind: str) -> bool:
        """Return whether a change of this kind belongs on this route, whatever the time of day."""
        return (
            kind in self.kinds
            and not self.asks_of_lines
            and allows(self.rules, incident.rule)
            and allows(self.families, incident.family)
            and allows(self.tiers, *incident.tiers)
            and (self.hosts is None or any(fnmatchcase(incident.host_id, pattern) for pattern in self.hosts))
        )

    @property
    def asks_of_rooms(self) -> bool:
        """True if it has a condition about what only incidents of rooms have."""
        return any(one is not None for one in (self.rules, self.families, self.tiers, self.hosts))

    @property
    def asks_of_lines(self) -> bool:
        """True if it has a condition about what only suppliers' lines have."""
        asked = (self.duties, self.programmes, self.statuses, self.owed_by, self.suppliers)
        return any(one is not None for one in asked)

    def send_at(self, now: int, zone: ZoneInfo) -> int | None:
        """Return when the route sends what happens at `now`; None where it drops it."""
        ends = [(quiet, end) for quiet in self.quiet if (end := quiet.end_at(now, zone)) is not None]
        if any(quiet.then == "drop" for quiet, _ in ends):
            return None
        return max((end for _, end in ends), default=now)


class Routing(Struct, frozen=True, kw_only=True):
    """A whole routing file."""

    zone: ZoneInfo
    targets: Mapping[str, Target]
    routes: tuple[Route, ...]
    signal_hold_s: int = 30
    """How long a signal must be back without another loss until its incident ends."""
    digest_s: int = 600
    """How long alerts about lines are counted for a digest."""

    def schedule(
        self, change: IncidentChange, end_targets: Iterable[str], now: int
    ) -> tuple[dict[str, int], tuple[str, ...]]:
        """Return the targets of a change, each with the time from which it may be sent, and the new end targets.

        End targets are those that must be notified of the incident's end; `end_targets` are those known by now.
        """
        incident = change.incident
        if change.event == "resolved":
            return self._schedule_end(incident, end_targets, now), ()
        when: dict[str, int] = {}
        ends: set[str] = set()
        for route in self.routes:
            at = route.send_at(now, self.zone) if route.matches(incident, change.kind) else None
            if at is None:
                continue
            when |= {name: min(at, when.get(name, at)) for name in route.to}
            ends.update(self._end_targets(route))
        return when, tuple(sorted(ends)) if incident.open else ()

    def _end_targets(self, route: Route) -> Iterable[str]:
        """Return the route's targets that get the end of what they got; an Alertmanager gets it from every route."""
        return (name for name in route.to if route.ends or isinstance(self.targets[name], Alertmanager))

    def _schedule_end(self, incident: Incident, end_targets: Iterable[str], now: int) -> dict[str, int]:
        """Return from when on each end target may be notified; targets that the file no longer has are left out."""
        return {name: self._end_at(name, incident, now) for name in end_targets if name in self.targets}

    def _end_at(self, name: str, incident: Incident, now: int) -> int:
        """Return from when on a target may be notified of an end: the earliest time of the routes that led to it.

        A route that drops what happens now does not drop an end: whatever was begun gets its end.
        """
        kinds = ("signal-lost",) if incident.sort == "signal" else ("at-risk", "violation", "action")
        routes = [
            route for route in self.routes if name in route.to and any(route.matches(incident, kind) for kind in kinds)
        ]
        times = [route.send_at(now, self.zone) for route in routes]
        return min((at for at in times if at is not None), default=now)


def allows(condition: Container[str] | None, *values: str | None) -> bool:
    """True if the condition is left out or has one of the values."""
    return condition is None or any(value in condition for value in values)


def _time(text: str) -> time:
    hours, _, minutes = text.partition(":")
    return time(int(hours), int(minutes))
