"""What a target receives next of an alert: what the alert says, less what the target knows already. Pure.

    alert ──▶ its facets (at-risk or violation, action, contested, …) ──less the mark──▶ news ──routes──▶ a step
          ──▶ its end, for who knows of its beginning ─────────────────────────────────────────────────▶ a step

A mark is all that is remembered of what was delivered: by facet its value, and whether the end is due. It follows that
what is read twice, in another order, or after a restart says nothing twice.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from msgspec import Struct, field

from vigil.app.notify.alerts import WARN_KINDS, Alert, AlertChange, AlertEvent, BrakeAlert, key_of, life_of
from vigil.app.notify.brakes import BrakeClaim, BrakeLedger
from vigil.app.notify.facets import Facet, facets_of
from vigil.app.notify.line_alerts import LineAlert, ended
from vigil.app.notify.line_routes import LineSending, sending
from vigil.app.notify.routes import Route, Routing
from vigil.app.notify.targets import Alertmanager
from vigil.topics.incidents import IncidentStatus

Mark = Mapping[str, str]
"""What a target knows of an alert: by facet the value that was delivered; under END, whether the end is due; STEPS."""

END: Final = "end"
DUE: Final = "due"
DONE: Final = "done"
STEPS: Final = "steps"
"""How many steps of an incident were delivered, but for its end."""

BREACHED_MS: Final = 7 * 24 * 60 * 60 * 1000
"""How long an obligation that is breached and not fulfilled stays an open alert."""


class Plan(NamedTuple):
    """What a target is to receive next."""

    change: AlertChange | None = None
    """A step that may be sent now, or for a line from `line.at` on."""
    mark: Mark | None = None
    """The mark once `change` is delivered; without a change, from now on. None: as it is."""
    later: int | None = None
    """When there is more to be sent, in ms."""
    claims: tuple[BrakeClaim, ...] = ()
    """What brakes must be asked; the answer comes later."""
    held: bool = False
    """True if a brake holds something back."""
    line: LineSending | None = None
    """How a beginning of a line is sent."""

    @property
    def waits_for_brakes(self) -> bool:
        """True if a brake holds something back, or has not decided yet."""
        return self.held or bool(self.claims)


UNCHANGED: Final = Plan()


class _FacetTime(NamedTuple):
    """When a facet may be sent to a target."""

    at: int | None = None
    """None: not by any route."""
    dropped: bool = False
    """True if quiet hours drop it."""
    held: bool = False
    claims: tuple[BrakeClaim, ...] = ()
    ends: bool = False
    """Whether the target learns of the end as well."""


class _News(Struct):
    """What is new to a target, by when it may be sent."""

    news: dict[str, str] = field(default_factory=dict)
    """Now: by facet its value."""
    dropped: dict[str, str] = field(default_factory=dict)
    later: list[int] = field(default_factory=list)
    ends: bool = False
    held: bool = False
    claims: tuple[BrakeClaim, ...] = ()

    def add(self, facet: Facet, when: _FacetTime, now: int) -> None:
        """Add a facet that the target does not know."""
        if when.at is not None and when.at <= now:
            self.news[facet.kind] = facet.value
            self.ends = self.ends or when.ends
            return  # a brake of another route does not count what is sent anyway
        self.held, self.claims = self.held or when.held, self.claims or when.claims
        if when.at is not None:
            self.later.append(when.at)
        elif when.dropped and not (when.held or when.claims):
            self.dropped[facet.kind] = facet.value


class Planner:
    """Plans what targets receive."""

    def __init__(self, routing: Routing, ledger: BrakeLedger) -> None:
        self._routing = routing
        self._ledger = ledger

    def plan(self, target: str, alert: Alert, mark: Mark, now: int, heard: int = 0) -> Plan:
        """Return what a target is to receive next.

        `now`: the wall clock in ms; `heard`: when the alert was published, by the broker's clock.
        """
        if isinstance(alert, BrakeAlert):
            return self._of_brake(target, alert, mark)
        if isinstance(alert, LineAlert):
            return self._of_line(target, alert, mark, now, heard)
        return self._of_incident(target, alert, mark, now)

    # ---- incidents

    def _of_incident(self, target: str, incident: IncidentStatus, mark: Mark, now: int) -> Plan:
        found = _News()
        for facet in facets_of(incident):
            if mark.get(facet.kind) != facet.value:
                when = self._when(target, incident, facet, mark, now)
                found.add(facet, when._replace(ends=when.ends and self._begins(target, incident, facet)), now)
        rest = Plan(later=min(found.later, default=None), claims=found.claims, held=found.held)
        known = {**mark, **found.dropped}
        if found.news:
            number = str(int(mark.get(STEPS, "0")) + 1)
            after = {**known, **found.news, STEPS: number} | ({END: DUE} if found.ends and END not in mark else {})
            return rest._replace(change=_step_of(incident, found.news, mark, number), mark=after)
        if incident.ended_at is not None and mark.get(END) == DUE:
            return self._end(target, incident, known, rest, now)
        return rest._replace(mark=known if found.dropped else None)

    def _begins(self, target: str, incident: IncidentStatus, facet: Facet) -> bool:
        """Return whether a target that learns of a facet is to learn of the end."""
        if incident.kind == "entry":
            return False
        goes_on = incident.ended_at is None
        alertmanager = isinstance(self._routing.targets[target], Alertmanager)
        return facet.kind in WARN_KINDS or (goes_on and (facet.kind != "verdict-contested" or alertmanager))

    def _when(self, target: str, incident: IncidentStatus, facet: Facet, mark: Mark, now: int) -> _FacetTime:
        """Return when a facet may be sent: the earliest time of the routes that match it."""
        found = _FacetTime()
        for route in self._routing.routes_to(target):
            if not route.matches(incident, facet.kind):
                continue
            at = route.send_at(now, self._routing.zone)
            if at is None:
                found = found._replace(dropped=True)
            elif at <= now and (brake := self._braked(route, incident, mark)) is not None:
                found = found._replace(held=found.held or brake.held, claims=found.claims + brake.claims)
            else:
                ends = found.ends or self._routing.sends_ends(target, route)
                found = found._replace(at=at if found.at is None else min(at, found.at), ends=ends)
        return found

    def _braked(self, route: Route, incident: IncidentStatus, mark: Mark) -> _FacetTime | None:
        """Return what a brake holds back, or must be asked; None where it lets everything pass."""
        if route.brake is None or route.name is None or incident.violated_at is None or "violation" in mark:
            return None
        rule, id_ = incident.rule or "", incident.incident_id
        state = self._ledger.state(route.name, rule, id_)
        if state == "granted":
            return None
        if state is None:
            per_rule, every_s = route.brake.per_rule, route.brake.every_s
            claim = BrakeClaim(route=route.name, rule=rule, incident_id=id_, per_rule=per_rule, every_s=every_s)
            return _FacetTime(claims=(claim,))
        return _FacetTime(held=state == "held")

    def _end(self, target: str, incident: IncidentStatus, mark: Mark, rest: Plan, now: int) -> Plan:
        """Plan the end, at the earliest time of the routes that may have led to the beginning.

        A route that drops what happens now does not drop an end: whatever was begun gets its end.
        """
        routes = [route for route in self._routing.routes_to(target) if _has_led_to(route, incident, mark)]
        times = [route.send_at(now, self._routing.zone) for route in routes]
        at = min((at for at in times if at is not None), default=now)
        if at > now:
            return rest._replace(later=min(at, rest.later or at))
        return rest._replace(change=_end_of(incident), mark={**mark, END: DONE})

    # ---- lines of suppliers

    def _of_line(self, target: str, line: LineAlert, mark: Mark, now: int, heard: int) -> Plan:
        said, due = mark.get(line.kind), mark.get(END) == DUE
        late = line.why == "closed-late"
        if line.why is not None and due and said is not None and (not late or said == "breached"):
            return self._line_end(target, ended(line, line.why, line.resolved_at or line.at, said), now)
        if line.why is not None and not late:
            return Plan(mark={line.kind: line.status}) if said not in (None, line.status) else UNCHANGED
        if said != line.status:
            return self._line_news(target, line, mark, now)
        if due and self._is_overdue(target, line, heard <= now - BREACHED_MS):
            return self._line_end(target, ended(line, "expired", line.at, line.status), now)
        return UNCHANGED

    def _is_overdue(self, target: str, line: LineAlert, old: bool) -> bool:
        """Return whether it ends where it is repeated until it ends: breached for a week, and not fulfilled."""
        return old and line.status == "breached" and isinstance(self._routing.targets[target], Alertmanager)

    def _line_news(self, target: str, line: LineAlert, mark: Mark, now: int) -> Plan:
        known = {**mark, line.kind: line.status}
        how = sending(self._routing, target, line, now)
        if how is None:
            return Plan(mark=known) if mark else UNCHANGED
        if how.at is None:
            return Plan(mark=known)
        event: AlertEvent = "opened"
        if line.momentary:
            event = "noted"
        elif END in mark and mark.get(line.kind) == "at-risk" and line.status == "breached":
            event = "breached"
        if how.ends and not line.momentary:
            known[END] = DUE
        id_ = key_of(line.id, event, line.status, line.at, mark.get(line.kind))
        change = AlertChange(id=id_, event=event, kind=line.kind, at=line.at, alert=line)
        return Plan(change, known, line=how)

    def _line_end(self, target: str, over: LineAlert, now: int) -> Plan:
        """Plan the end. Quiet hours hold it back, and never drop it."""
        how = sending(self._routing, target, over, now)
        if how is not None and how.at is not None and how.at > now:
            return Plan(later=how.at)
        id_ = key_of(over.id, "resolved", over.status, over.at, over.why)
        change = AlertChange(id=id_, event="resolved", kind="resolved", at=over.at, alert=over)
        status = "breached" if over.why in ("closed-late", "expired") else over.why or over.status
        return Plan(change, {over.kind: status})

    # ---- brakes

    def _of_brake(self, target: str, alert: BrakeAlert, mark: Mark) -> Plan:
        """Plan the alert about a brake: at once, whatever the quiet hours, and its end."""
        if not any(route.name == alert.route for route in self._routing.routes_to(target)):
            return UNCHANGED
        if "brake" not in mark and alert.decided_at is None:
            change = AlertChange(id=alert.id, event="opened", kind="brake", at=alert.at, alert=alert)
            return Plan(change, {"brake": "", END: DUE})
        if mark.get(END) == DUE and alert.decided_at is not None:
            id_ = key_of(alert.id, "resolved")
            change = AlertChange(id=id_, event="resolved", kind="resolved", at=alert.decided_at, alert=alert)
            return Plan(change, {**mark, END: DONE})
        return UNCHANGED


def _step_of(incident: IncidentStatus, news: Mapping[str, str], mark: Mark, number: str) -> AlertChange:
    """Return the step that says what is new. Its number distinguishes it from an earlier one that said the same."""
    kind = next(iter(news))
    event: AlertEvent = "noted"
    if kind in WARN_KINDS:
        event = "violation" if kind == "violation" and "at-risk" in mark else "opened"
    elif kind == "action":
        event = "action"
    said = [f"{name}:{value}" for name, value in news.items()]
    return AlertChange(
        id=key_of(incident.incident_id, number, *said), event=event, kind=kind, at=incident.at, alert=incident
    )


def _has_led_to(route: Route, incident: IncidentStatus, mark: Mark) -> bool:
    """Return whether a route may have led to what a target knows."""
    return any(route.matches(incident, kind) for kind in mark if kind not in (END, STEPS))


def _end_of(incident: IncidentStatus) -> AlertChange:
    id_ = key_of(incident.incident_id, "resolved")
    at = incident.at if incident.ended_at is None else incident.ended_at
    return AlertChange(id=id_, event="resolved", kind="resolved", at=at, alert=incident)


def is_open(alert: Alert, mark: Mark) -> bool:
    """Return whether a target knows an alert that goes on."""
    return mark.get(END) == DUE and life_of(alert).ends is None
