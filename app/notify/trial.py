"""Checks for operators before they start: are the secrets there, and does a test message arrive?"""

import aiohttp

from vigil.app.domain.rulebook.validation import hint
from vigil.app.kafka.settings import SettingsError
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.notify.changes import Incident, IncidentChange, key_of, make_change
from vigil.app.notify.routes import Routing
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
        [outcome] = await sender.send([_test_message()])
    if not isinstance(outcome, Sent):
        raise SettingsError(f"{name} did not accept the test message: {outcome.why}")
    return f"{name} accepted the test message"


def _test_message() -> IncidentChange:
    now = wall_ms()
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
