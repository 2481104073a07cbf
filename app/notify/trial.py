"""Checks for operators before they start: are the secrets there, and does a test message arrive?"""

import aiohttp

from vigil.app.domain.rulebook.validation import hint
from vigil.app.kafka.settings import SettingsError
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.notify.alerts import AlertChange
from vigil.app.notify.changes import Incident, key_of, make_change
from vigil.app.notify.line_alerts import LineAlert, change_of
from vigil.app.notify.routes import LINE_KINDS, Routing
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders import make_sender
from vigil.app.notify.senders.http import HttpPoster
from vigil.app.notify.senders.outcome import Sent


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
        return change_of(_test_line(now), "noted")
    incident = Incident(
        id=key_of("trial", now),
        sort="entry",
        room_id="test-room",
        host_id="test-host",
        rule="greeting-miss",
        family="reception",
        since=now,
        at=now,
        heard=now,
        buyer_id="test-buyer",
        opened_at=now,
        resolved_at=now,
    )
    return make_change(incident, "noted", now)


def _test_line(now: int) -> LineAlert:
    return LineAlert(
        id=key_of("trial", now),
        kind="obligation",
        name="service-answer",
        status="at-risk",
        at=now,
        heard=now,
        supplier_id="test-supplier",
        ref="test-request",
        since=now,
        due=now,
        owed_by="supplier",
        opened_at=now,
    )
