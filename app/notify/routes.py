"""Which targets receive what, and when: routes and quiet hours as the routing file declares them. Pure.

step ──▶ every route that matches ──▶ its targets, at once or at the end of quiet hours
end  ──▶ the targets that were notified of the beginning
"""

from collections.abc import Container, Mapping
from datetime import UTC, datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from vigil.app.domain.rooms.rules.table import GREETING
from vigil.app.notify.brakes import Brake
from vigil.app.notify.line_alerts import LineStatus
from vigil.app.notify.targets import Alertmanager, Target, TargetName, Text
from vigil.topics.fields import HIGH_QUALITY, Tier
from vigil.topics.incidents import IncidentStatus

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
RouteKind = Literal[
    "at-risk",
    "violation",
    "action",
    "signal-lost",
    "entry-missed",
    "verdict-contested",
    "still-live",
    "obligation",
    "participation",
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
    """`hold`: sent at the end of the hours, each alert as it is by then. `drop`: not sent."""
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
    name: TargetName | None = None
    """What `vigil notify release` calls it; needed where it has a brake."""
    rules: tuple[str, ...] | None = None
    families: tuple[str, ...] | None = None
    tiers: tuple[Tier, ...] | None = None
    """Tiers of the buyers concerned. Only missed entries and greeting-miss have any: L0, or any from L1 on."""
    hosts: tuple[Text, ...] | None = None
    """`*` matches any number of characters, `?` one, `[ab]` one of these."""
    kinds: tuple[RouteKind, ...] = (
        "at-risk", "violation", "action", "signal-lost", "verdict-contested", "still-live",
    )  # fmt: skip
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
    brake: Brake | None = None
    """How many new violations of one rule it delivers; further ones wait for a decision."""

    def matches(self, incident: IncidentStatus, kind: str) -> bool:
        """Return whether a change of this kind belongs on this route, whatever the time of day."""
        return (
            kind in self.kinds
            and not self.asks_of_lines
            and allows(self.rules, incident.rule)
            and allows(self.families, incident.family)
            and allows(self.tiers, *_tiers(incident))
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
    digest_s: int = 600
    """How long alerts about lines are counted for a digest."""

    @property
    def has_brakes(self) -> bool:
        """True if a route has a brake."""
        return any(route.brake is not None for route in self.routes)

    def routes_to(self, target: str) -> list[Route]:
        """Return the routes that lead to a target."""
        return [route for route in self.routes if target in route.to]

    def sends_ends(self, target: str, route: Route) -> bool:
        """Return whether a target gets the end of what a route led to it; an Alertmanager always does."""
        return route.ends or isinstance(self.targets[target], Alertmanager)


def allows(condition: Container[str] | None, *values: str | None) -> bool:
    """True if the condition is left out or has one of the values."""
    return condition is None or any(value in condition for value in values)


def _time(text: str) -> time:
    hours, _, minutes = text.partition(":")
    return time(int(hours), int(minutes))


def _tiers(incident: IncidentStatus) -> tuple[Tier, ...]:
    """The tiers that the buyers concerned may have."""
    if incident.rule != GREETING:
        return ()
    return HIGH_QUALITY if incident.priority == "high" else ("L0",)
