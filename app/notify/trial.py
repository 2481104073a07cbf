"""Checks for operators before they start: are the secrets there, and does a test message arrive?"""

import aiohttp

from vigil.app.domain.rulebook.validation import hint
from vigil.app.kafka.settings import SettingsError
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.notify.alerts import AlertChange, key_of
from vigil.app.notify.line_alerts import LineAlert
from vigil.app.notify.routes import LINE_KINDS, Routing
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders import make_sender
from vigil.app.notify.senders.http import HttpPoster
from vigil.app.notify.senders.outcome import Sent
from vigil.topics.incidents import IncidentStatus


async def check_targets(routing: Routing, secrets: Secrets) -> None:
    """Raise SettingsError where nothing could be sent to a target, such as for a missing secret."""
    async with aiohttp.ClientSession() as session:
        for name, target in routing.targets.items():
            make_sender(name, target, secrets, HttpPoster(session, secrets), wall_ms)


async def send_trial(routing: Routing, secrets: Secrets, name: str) -> str:
    """Send a test message to one target and return a line that says so; raise SettingsError where it is not
    accepted."""
    if name not in routing.targets:
        raise SettingsError(f"there is no target {name}; {hint(name, routing.targets)}")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        sender = make_sender(name, routing.targets[name], secrets, HttpPoster(session, secrets), wall_ms)
        [outcome] = await sender.send([_test_message(routing, name)])
    if not isinstance(outcome, Sent):
        raise SettingsError(f"{name} did not accept the test message: {outcome.why}")
    return f"{name} accepted the test message"


def _test_message(routing: Routing, name: str) -> AlertChange:
    """A missed entry; an obligation where the target's routes ask for suppliers' lines only."""
    now = wall_ms()
    kinds = {kind for route in routing.routes if name in route.to for kind in route.kinds}
    if kinds and kinds.issubset(LINE_KINDS):
        line = _test_line(now)
        return AlertChange(id=line.id, event="noted", kind="obligation", at=now, alert=line)
    incident = _test_incident(now)
    return AlertChange(id=incident.incident_id, event="noted", kind="entry-missed", at=now, alert=incident)


def _test_incident(now: int) -> IncidentStatus:
    return IncidentStatus(
        incident_id=key_of("trial", now),
        kind="entry",
        room_id="test-room",
        host_id="test-host",
        rule="greeting-miss",
        family="reception",
        subject=None,
        buyer_id="test-buyer",
        severity="info",
        stage="ended",
        since=now,
        at_risk_at=now,
        due=None,
        violated_at=None,
        ended_at=now,
        ended_by="passed",
        verdict_id=None,
        action=None,
        decision=None,
        contested=False,
        appealed_at=None,
        priority="high",
        losses=0,
        outcomes=(),
        still_live=False,
        media_uri=None,
        claimed_by=None,
        claimed_at=None,
        first_claimed_at=None,
        decided_at=None,
        snoozed_until=None,
        notes=(),
        commands=(),
        at=now,
    )


def _test_line(now: int) -> LineAlert:
    return LineAlert(
        id=key_of("trial", now),
        kind="obligation",
        name="service-answer",
        status="at-risk",
        at=now,
        supplier_id="test-supplier",
        ref="test-request",
        since=now,
        due=now,
        owed_by="supplier",
    )
