"""Stories of `vigil notify` without Kafka: builders of incidents, and a desk that delivers what follows from them.

Times are seconds after T0; the room is `room-1` unless another is given.
"""

from collections.abc import Iterable
from typing import Any

from aiokafka.structs import TopicPartition
from msgspec.structs import replace

from vigil.app.domain.incidents.lines import incident_id
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.notify.alerts import Alert, AlertChange, life_of
from vigil.app.notify.book import AlertBook
from vigil.app.notify.brakes import BrakeClaim, BrakeDecision, BrakeLedger
from vigil.app.notify.kept import AlertMessage, Delivery
from vigil.app.notify.line_alerts import LineAlert, of_obligation, of_participation
from vigil.app.notify.routing_file import names_of, parse_routing
from vigil.topics.incidents import IncidentAction, IncidentStatus
from vigil.topics.programmes import Participation
from vigil.topics.services import Obligation

S = 1000
T0 = 1_700_000_000_000
RULEBOOK = load_rulebook()
PARTITION = TopicPartition("incident", 0)

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

TO_HOOK = '[[routes]]\nto = ["hook"]\n'


def warning(since: int = 0, at: int = 60, rule: str = "black-screen", **more: Any) -> IncidentStatus:
    """A warning of a rule that becomes a violation at 120 s."""
    room_id, subject = more.get("room_id", "room-1"), more.get("subject")
    fields: dict[str, Any] = {
        "incident_id": incident_id("rule", room_id, T0 + since * S, rule=rule, subject=subject), "kind": "rule",
        "room_id": "room-1", "host_id": "host-1", "rule": rule, "family": "low-quality", "subject": None,
        "buyer_id": None, "severity": "warning", "stage": "at-risk", "since": T0 + since * S,
        "at_risk_at": T0 + at * S, "due": T0 + (since + 120) * S, "violated_at": None, "ended_at": None,
        "ended_by": None, "verdict_id": None, "action": None, "decision": None, "contested": False,
        "appealed_at": None, "priority": "normal", "losses": 0, "outcomes": (), "still_live": False,
        "media_uri": None, "claimed_by": None, "claimed_at": None, "first_claimed_at": None, "decided_at": None,
        "snoozed_until": None, "notes": (), "commands": (), "at": T0 + at * S, **more,
    }  # fmt: skip
    return IncidentStatus(**fields)


def violation(since: int = 0, at: int = 120, **more: Any) -> IncidentStatus:
    """A violation, warned of before; `at_risk_at=None`: it was not."""
    fields = {"stage": "violation", "severity": "critical", "violated_at": T0 + at * S, "verdict_id": "v1", **more}
    return replace(warning(since, **{k: v for k, v in more.items() if k in ("room_id", "rule", "subject")}),
                   **{**fields, "at": T0 + at * S})  # fmt: skip


def signal_lost(losses: int = 1, since: int = 0, at: int = 15, **more: Any) -> IncidentStatus:
    """A room without pictures."""
    id_ = incident_id("signal", more.get("room_id", "room-1"), T0 + since * S)
    nothing = {"rule": None, "family": None, "due": None}
    return replace(warning(since, at, **more), incident_id=id_, kind="signal", losses=losses, **nothing)


def missed_entry(since: int = 0, **more: Any) -> IncidentStatus:
    """A buyer of L1 or above who was not greeted."""
    about = {"rule": "greeting-miss", "buyer_id": "buyer-1"}
    id_ = incident_id("entry", more.get("room_id", "room-1"), T0 + since * S, **about)
    entry = {"kind": "entry", "family": "reception", "severity": "info", "priority": "high", "due": None, **more}
    return replace(warning(since, since + 10, rule="greeting-miss"), incident_id=id_, buyer_id="buyer-1", **entry)


def over(incident: IncidentStatus, by: Any = "room-ended", at: int = 300, **more: Any) -> IncidentStatus:
    return replace(incident, stage="ended", ended_by=by, ended_at=T0 + at * S, at=T0 + at * S, **more)


def acted(incident: IncidentStatus, revision: int = 1, **more: Any) -> IncidentStatus:
    """With an action: a close, and a ban of a week."""
    fields: dict[str, Any] = {
        "steps": ("close", "ban"), "choice": None, "count": 2, "ban_until": T0 + 7 * 86_400_000, "status": "active",
        "revision": revision, **more,
    }  # fmt: skip
    return replace(incident, action=IncidentAction(**fields))


def alert_of(said: IncidentStatus | Obligation | Participation) -> tuple[str, Alert]:
    """The key under which a message is known, and its alert."""
    if isinstance(said, Obligation):
        return f"obligation:{said.obligation_id}", of_obligation(said)
    if isinstance(said, Participation):
        return f"participation:{said.programme}/{said.edition}/{said.supplier_id}", of_participation(said)
    return f"incident:{said.incident_id}", said


class Desk:
    """One process that delivers at once what may be sent, and remembers it; `now` is its wall clock."""

    def __init__(self, routes: str = TO_HOOK, head: str = "", targets: str = TARGETS) -> None:
        self.routing = parse_routing(head + targets + routes, "routes.toml", names_of(RULEBOOK))
        self.ledger = BrakeLedger()
        self.book = AlertBook(self.routing, self.ledger)
        self.now = T0
        self.offset = 0
        self.sent: list[tuple[str, AlertChange]] = []
        self.log: list[AlertMessage] = []
        self.marks: dict[str, bytes] = {}
        """As they are stored."""

    def say(self, *messages: IncidentStatus | Obligation | Participation) -> list[str]:
        """Publish messages one by one; return the steps that were delivered, as `target event kind`."""
        before = len(self.sent)
        for said in messages:
            key, alert = alert_of(said)
            self.offset += 1
            self.log.append(AlertMessage(key, alert, PARTITION, self.offset, self.now))
            self.book.publish(self.log[-1], self.now)
            self.deliver()
        return [shown(one) for one in self.sent[before:]]

    def restart(self) -> list[str]:
        """Let another process go on from what is stored; return what it delivers while it reads again."""
        before = len(self.sent)
        low = self.book.low_water().get(PARTITION, self.offset + 1)
        self.store()
        self.book = AlertBook(self.routing, self.ledger)
        assert self.book.marks.load(PARTITION, self.marks) == {}
        for published in [one for one in self.log if one.offset >= low]:
            self.book.publish(published, self.now)
        self.deliver()
        return steps(self.sent[before:])

    def store(self) -> None:
        for _, name, value in self.book.marks.changed():
            if value is None:
                self.marks.pop(name, None)
            else:
                self.marks[name] = value

    def delete(self, said: IncidentStatus | Obligation | Participation) -> list[str]:
        before = len(self.sent)
        key, alert = alert_of(said)
        self.book.gone(key, PARTITION, life_of(alert).begins, self.now)
        self.deliver()
        return [shown(one) for one in self.sent[before:]]

    def wait(self, until_ms: int) -> list[str]:
        """Let the wall clock be at `until_ms`."""
        before = len(self.sent)
        self.now = until_ms
        self.book.tick(self.now)
        self.deliver()
        return [shown(one) for one in self.sent[before:]]

    def decide(self, decision: Any, route: str = "flood", rule: str = "black-screen") -> list[str]:
        before = len(self.sent)
        self._log(BrakeDecision(route=route, rule=rule, decision=decision))
        self.deliver()
        return [shown(one) for one in self.sent[before:]]

    def deliver(self) -> None:
        """Deliver what is due, and ask brakes."""
        while True:
            due = [one for name in self.routing.targets for one in self.book.take_due(name, self.now, 1)]
            staged = self.book.take_staged()
            self.book.release(staged, self.now)
            for one in due:
                self.accept(one)
            claims = self.book.take_claims()
            for claim in claims:
                self._log(claim)
            if not (due or claims or staged):
                return

    def accept(self, delivery: Delivery) -> None:
        self.sent.append((delivery.target, delivery.change))
        self.book.complete(delivery, self.now)

    def _log(self, record: BrakeClaim | BrakeDecision) -> None:
        self.book.decided(self.ledger.apply(record, self.now), self.now)

    def changes(self, target: str = "hook") -> list[AlertChange]:
        return [change for name, change in self.sent if name == target]

    def ids(self) -> list[tuple[str, str]]:
        return [(name, change.id) for name, change in self.sent]


def shown(sent: tuple[str, AlertChange]) -> str:
    """One delivery in words: the target (unless it is `hook`), the event, and what it is about."""
    target, change = sent
    alert = change.alert
    what = change.kind
    if isinstance(alert, LineAlert):
        what = alert.why or alert.status if change.event == "resolved" else alert.status
        what += f" {alert.count}" if alert.count else ""
    elif change.event == "resolved":
        what = getattr(alert, "ended_by", None) or getattr(alert, "decision", None) or ""
    return f"{'' if target == 'hook' else target + ' '}{change.event} {what}".strip()


def steps(sent: Iterable[tuple[str, AlertChange]]) -> list[str]:
    return [shown(one) for one in sent]
