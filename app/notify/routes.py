"""Who hears of what, and when: targets, routes and quiet hours as the routing file tells them. Pure.

change ──▶ every route that fits ──▶ its targets, at once or at the end of quiet hours
resolved ──▶ whoever was told of the beginning
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from vigil.app.notify.changes import Incident, IncidentChange
from vigil.topics.fields import Tier

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Kind = Literal["at-risk", "violation", "action", "signal-lost", "entry-missed"]
Name = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[a-z0-9][a-z0-9-]*$")]
Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Text = Annotated[str, Meta(min_length=1, max_length=500)]

DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Sending(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every target can be told about the pace of sending."""

    per_minute: Annotated[int, Meta(ge=1, le=100_000)] = 600
    """At most so many messages a minute, tries included."""
    timeout_s: Annotated[float, Meta(gt=0, le=120)] = 10
    """For one try, from connecting to the answer."""
    give_up_after_s: Annotated[int, Meta(ge=0, le=7 * 86_400)] = 3600
    """From the first try on; then the message goes to `notify-dead-letter`."""
    parallel: Annotated[int, Meta(ge=1, le=64)] = 4
    """Messages under way at a time; those of one incident never overtake each other."""
    most_owed: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    """With so many waiting, what more comes for it goes to `notify-dead-letter`: nobody else has to wait for it."""


class Alertmanager(Sending, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prometheus's Alertmanager, API v2."""

    kind: Literal["alertmanager"]
    urls: Annotated[tuple[Text, ...], Meta(min_length=1)]
    """Of one Alertmanager, or of all members of one cluster: each is sent everything, one must take it."""
    resolve_timeout_s: Annotated[int, Meta(ge=1, le=86_400)] = 300
    """An alert that is not sent again for so long ends; it is sent again four times as often."""
    labels: dict[str, str] = {}
    """Added to every alert."""
    bearer_secret: Name | None = None
    """The name of the secret that is sent as a bearer token."""
    console_url: Text | None = None
    """Where Vigil's console is: alerts link to it."""


class Webhook(Sending, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody's HTTP endpoint that is sent signed JSON."""

    kind: Literal["webhook"]
    url: Text | None = None
    url_secret: Name | None = None
    """The name of the secret that is the URL, where that itself must not be seen."""
    secret: Name
    """The name of the secret that messages are signed with; of several words, each gives a signature."""


class Chat(Sending, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A chat or messenger that the library apprise knows: Slack, DingTalk, WeCom, Feishu, Telegram …"""

    kind: Literal["chat"]
    url_secret: Name
    """The name of the secret that is apprise's URL of it."""
    per_minute: Annotated[int, Meta(ge=1, le=100_000)] = 20
    parallel: Annotated[int, Meta(ge=1, le=64)] = 1
    console_url: Text | None = None
    """Where Vigil's console is: messages tell it."""


Target = Alertmanager | Webhook | Chat


class Quiet(Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Hours in which a route keeps still."""

    from_: Clock
    until: Clock
    """On the next day where it is not after `from`."""
    days: tuple[Day, ...] = DAYS
    """On which it begins."""
    then: Literal["hold", "drop"] = "hold"
    """`hold`: told at the end of the quiet hours, each incident as it then stands. `drop`: not told."""
    time_zone: str | None = None
    """The file's where it is not given."""

    def ends(self, now: int, zone: ZoneInfo) -> int | None:
        """When the quiet hours end that are at `now` (ms since the epoch); None where there are none."""
        zone = ZoneInfo(self.time_zone) if self.time_zone else zone
        local = datetime.fromtimestamp(now / 1000, UTC).astimezone(zone)
        for back in (0, 1):
            day = (local - timedelta(days=back)).date()
            if DAYS[day.weekday()] not in self.days:
                continue
            last = day if self.from_ < self.until else day + timedelta(days=1)
            begin, end = (
                # Both in the zone's own time: an hour that a change of clocks skips or repeats is taken as it stands.
                round(datetime.combine(when, _time(said), zone).timestamp() * 1000)
                for when, said in ((day, self.from_), (last, self.until))
            )
            if begin <= now < end:
                return end
        return None


class Route(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to tell of what; what is left out fits everything."""

    to: Annotated[tuple[Name, ...], Meta(min_length=1)]
    rules: tuple[str, ...] | None = None
    families: tuple[str, ...] | None = None
    tiers: tuple[Tier, ...] | None = None
    """Of the buyers concerned: missed entries and greeting-miss alone have them."""
    hosts: tuple[Text, ...] | None = None
    """`*` stands for any number of characters, `?` for one, `[ab]` for one of them."""
    kinds: tuple[Kind, ...] = ("at-risk", "violation", "action", "signal-lost")
    ends: bool = True
    """Tell also of the end of what was told."""
    quiet: tuple[Quiet, ...] = ()

    def fits(self, incident: Incident, kind: str) -> bool:
        """Is a change of this kind one for this route, by everything but the hour?"""
        return (
            kind in self.kinds
            and (self.rules is None or incident.rule in self.rules)
            and (self.families is None or incident.family in self.families)
            and (self.tiers is None or any(tier in self.tiers for tier in incident.tiers))
            and (self.hosts is None or any(fnmatchcase(incident.host_id, pattern) for pattern in self.hosts))
        )

    def opens_at(self, now: int, zone: ZoneInfo) -> int | None:
        """From when on it tells what happens at `now`; None: not at all."""
        ends = [(quiet, end) for quiet in self.quiet if (end := quiet.ends(now, zone)) is not None]
        if any(quiet.then == "drop" for quiet, _ in ends):
            return None
        return max((end for _, end in ends), default=now)


class Routing(Struct, frozen=True, kw_only=True):
    """A whole routing file."""

    zone: ZoneInfo
    targets: Mapping[str, Target]
    routes: tuple[Route, ...]

    def where(self, change: IncidentChange, told: Iterable[str], now: int) -> tuple[dict[str, int], tuple[str, ...]]:
        """Whom to tell of a change, each with the time from which on, and who must then hear of its incident's end.

        `told`: who must hear of that by now.
        """
        incident = change.incident
        if change.event == "resolved":
            return {name: self._end_at(name, incident, now) for name in told if name in self.targets}, ()
        when: dict[str, int] = {}
        ends: set[str] = set()
        for route in self.routes:
            at = route.opens_at(now, self.zone) if route.fits(incident, change.kind) else None
            if at is None:
                continue
            for name in route.to:
                when[name] = min(at, when.get(name, at))
                if route.ends or isinstance(self.targets[name], Alertmanager):
                    ends.add(name)
        return when, tuple(sorted(ends)) if incident.open else ()

    def _end_at(self, name: str, incident: Incident, now: int) -> int:
        """From when on a target may be told of an end: the first hour of the routes that led there. Nothing that was
        begun is left without its end: a route that drops what happens now does not drop that."""
        kinds = ("signal-lost",) if incident.sort == "signal" else ("at-risk", "violation", "action")
        led = [route for route in self.routes if name in route.to and any(route.fits(incident, kind) for kind in kinds)]
        found = [route.opens_at(now, self.zone) for route in led]
        return min((at for at in found if at is not None), default=now)


def _time(said: str) -> time:
    hours, _, minutes = said.partition(":")
    return time(int(hours), int(minutes))
