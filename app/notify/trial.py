"""What an operator can try before it counts: are the secrets there, and does a message arrive?"""

import aiohttp

from vigil.app.domain.rulebook.validation import hint
from vigil.app.kafka.settings import SettingsError
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.notify.changes import Incident, key_of, make_change
from vigil.app.notify.routes import Routing
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders import Http, Sent, make_sender


async def check_targets(routing: Routing, secrets: Secrets) -> None:
    """Raise SettingsError where a target cannot be told anything, whatever it would answer."""
    async with aiohttp.ClientSession() as session:
        for name, target in routing.targets.items():
            make_sender(name, target, secrets, Http(session, secrets), wall_ms)


async def send_trial(routing: Routing, secrets: Secrets, name: str) -> str:
    """Send a test message to one target and say so; raise SettingsError where it does not take it."""
    if name not in routing.targets:
        raise SettingsError(f"there is no target {name}; {hint(name, routing.targets)}")
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
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        sender = make_sender(name, routing.targets[name], secrets, Http(session, secrets), wall_ms)
        [outcome] = await sender.send([make_change(incident, "noted", now)])
    if not isinstance(outcome, Sent):
        raise SettingsError(f"{name} did not take the test message: {outcome.why}")
    return f"{name} took the test message"
