"""How a change reaches each kind of target, and what its answer means. Redirects are never followed.

2xx ─▶ Sent     408, 425, 429, 5xx, no answer ─▶ Later (as told by Retry-After)     anything else ─▶ Refused
"""

import asyncio
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple, Protocol

import aiohttp
import apprise
import msgspec

from vigil.app.kafka.settings import SettingsError
from vigil.app.notify import words
from vigil.app.notify.changes import Incident, IncidentChange
from vigil.app.notify.routes import Alertmanager, Chat, Target, Webhook
from vigil.app.notify.routing_file import wrong_url
from vigil.app.notify.secrets import Secrets
from vigil.topics.envelope import timestamp

READ_BYTES: Final = 2048
"""So much of an answer is read: it may be of any length, and is only told to people."""
BATCH: Final = 64
"""Alerts in one request to an Alertmanager."""


class Sent(NamedTuple):
    """It was taken."""


class Later(NamedTuple):
    """It may be taken another time; `after_s`: when the target said so."""

    why: str
    after_s: float | None = None


class DeliveryRejected(NamedTuple):
    """It will never be taken."""

    why: str


Outcome = Sent | Later | DeliveryRejected


class Sender(Protocol):
    """The way to one target."""

    batch: int
    """How many changes it takes in one go."""

    async def send(self, changes: Sequence[IncidentChange]) -> list[Outcome]:
        """What came of each."""


class Http:
    """Requests as all of them are made."""

    def __init__(self, session: aiohttp.ClientSession, secrets: Secrets) -> None:
        self._session = session
        self._secrets = secrets

    async def post(self, url: str, data: bytes, headers: dict[str, str], timeout_s: float) -> Outcome:
        try:
            async with asyncio.timeout(timeout_s):
                async with self._session.post(url, data=data, headers=headers, allow_redirects=False) as answer:
                    status, said = answer.status, ""
                    if status >= 300:
                        said = (await answer.content.read(READ_BYTES)).decode(errors="replace")
                    after = _after(answer.headers.get("Retry-After"))
                    answer.close()  # whatever more it would say
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            words_ = str(error) or type(error).__name__
            return Later(self._secrets.redact(f"no answer: {words_}")[:500])
        if 200 <= status < 300:
            return Sent()
        why = self._secrets.redact(f"HTTP {status}: {words.escape_control_chars(said, 300)}".rstrip(": "))
        if 300 <= status < 400:
            return DeliveryRejected(f"{why} (redirects are not followed: name the address itself)")
        return Later(why, after) if status in (408, 425, 429) or status >= 500 else DeliveryRejected(why)


def _after(said: str | None) -> float | None:
    """Seconds that a Retry-After header tells, as a number or a date; None where it tells none."""
    if not said:
        return None
    if said.strip().isascii() and said.strip().isdigit():
        return float(said.strip()[:9])
    try:
        when = parsedate_to_datetime(said)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max((when - datetime.now(UTC)).total_seconds(), 0.0)


def payload(change: IncidentChange) -> bytes:
    """A change as JSON for a webhook: data as it came, to be escaped by whoever shows it."""
    incident = msgspec.to_builtins(change.incident)
    for inner in ("heard", "told"):
        incident.pop(inner, None)
    incident["open"] = change.incident.open
    told = {"id": change.id, "event": change.event, "kind": change.kind, "at": change.at, "incident": incident}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def signature(keys: Sequence[str], timestamp: int, content: bytes) -> str:
    """`v1=HEX` for each key: HMAC-SHA256 of the timestamp in seconds, a full stop and the body."""
    signed = b"%d." % timestamp + content
    return ",".join(f"v1={hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()}" for key in keys)


class WebhookSender:
    """Signed JSON, one change a request."""

    batch = 1

    def __init__(self, target: Webhook, secrets: Secrets, http: Http) -> None:
        self._url = target.url or secrets.of(target.url_secret or "")
        if wrong := wrong_url(self._url):
            raise SettingsError(f"the secret {target.url_secret} {wrong}")
        self._keys = secrets.of(target.secret).split()
        self._timeout_s = target.timeout_s
        self._http = http

    async def send(self, changes: Sequence[IncidentChange]) -> list[Outcome]:
        return [await self._one(change) for change in changes]

    async def _one(self, change: IncidentChange) -> Outcome:
        content, now = payload(change), int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "vigil-notify",
            "Idempotency-Key": change.id,
            "Vigil-Timestamp": str(now),
            "Vigil-Signature": signature(self._keys, now, content),
        }
        return await self._http.post(self._url, content, headers, self._timeout_s)


class AlertmanagerSender:
    """Alerts: the same labels from the beginning to the end of an incident, what became of it in the annotations."""

    batch = BATCH

    def __init__(self, target: Alertmanager, secrets: Secrets, http: Http, wall_ms: Callable[[], int]) -> None:
        self._urls = [f"{url.rstrip('/')}/api/v2/alerts" for url in target.urls]
        self._target = target
        self._headers = {"Content-Type": "application/json", "User-Agent": "vigil-notify"}
        if target.bearer_secret is not None:
            self._headers["Authorization"] = f"Bearer {secrets.of(target.bearer_secret)}"
        self._http = http
        self._wall_ms = wall_ms
        # One request at a time: what says that an alert is on must not overtake what says that it is over.
        self._lock = asyncio.Lock()
        self._over: dict[str, Incident] = {}
        """Told to be over not long ago: said again too, should a request that was given up arrive late."""

    @property
    def resend_s(self) -> float:
        return self._target.resolve_timeout_s / 4

    async def send(self, changes: Sequence[IncidentChange]) -> list[Outcome]:
        async with self._lock:
            for change in changes:
                if change.event == "resolved":
                    self._over[change.incident.id] = change.incident
            outcome = await self._post([change.incident for change in changes])
            if isinstance(outcome, DeliveryRejected) and len(changes) > 1:  # one bad alert spoils all of a request
                return [await self._post([change.incident]) for change in changes]
            return [outcome] * len(changes)

    async def resend(self, sounding: Callable[[], Iterable[Incident]]) -> AsyncIterator[tuple[int, Outcome]]:
        """Say again what is on, before the Alertmanager takes it for over; yield how many, and what came of it.

        `sounding`: the incidents that are on, and that the Alertmanager knows to be.
        """
        left = [incident.id for incident in sounding()]
        while left:
            part, left = set(left[:BATCH]), left[BATCH:]
            async with self._lock:  # asked again: it may be over by now
                on = [incident for incident in sounding() if incident.id in part and incident.id not in self._over]
                outcome = await self._post(on) if on else Sent()
            yield len(on), outcome
        oldest = self._wall_ms() - self._target.resolve_timeout_s * 1000
        over = list(self._over.values())
        self._over = {one.id: one for one in over if one.heard > oldest}
        for first in range(0, len(over), BATCH):
            async with self._lock:
                outcome = await self._post(over[first : first + BATCH])
            yield 0, outcome

    async def _post(self, incidents: Sequence[Incident]) -> Outcome:
        data = msgspec.json.encode([self.alert(incident) for incident in incidents])
        outcomes = await asyncio.gather(
            *(self._http.post(url, data, self._headers, self._target.timeout_s) for url in self._urls)
        )
        # Of a cluster one member is enough: it tells the others. The best answer counts.
        return min(outcomes, key=lambda one: (Sent, Later, DeliveryRejected).index(type(one)))

    def alert(self, incident: Incident) -> dict[str, Any]:
        """The alert of an incident as the API wants it."""
        now = self._wall_ms()
        begin = min(incident.opened_at if incident.opened_at is not None else incident.at, now)
        if incident.resolved_at is None or incident.sort in ("entry", "action"):
            end = now + self._target.resolve_timeout_s * 1000
        else:
            end = max(min(incident.resolved_at, now), begin + 1)
        labels = {
            **self._target.labels,
            "alertname": _alert_name(incident),
            "family": incident.family or "",
            "host_id": incident.host_id,
            "incident": incident.id,
            "room_id": incident.room_id,
            "rule": incident.rule or "",
        }
        violated = incident.violated_at is not None
        annotations = {
            "summary": words.summary(incident),
            "description": words.body(IncidentChange(id="", event="noted", at=incident.at, incident=incident)),
            "stage": "over" if not incident.open else "violation" if violated else "at-risk",
            "severity": "critical" if violated else "warning",
            "steps": words.steps(incident),
            "why": incident.why or "",
        }
        return {
            "startsAt": timestamp(begin),
            "endsAt": timestamp(end),
            "generatorURL": self._target.console_url or "",
            "labels": {name: words.label(value) for name, value in labels.items() if value},
            "annotations": {name: value for name, value in annotations.items() if value},
        }


def _alert_name(incident: Incident) -> str:
    """`VigilBlackScreen`, `VigilSignalLost`: what an incident has as its name from beginning to end."""
    name = {"signal": "signal-lost", "entry": "entry-missed", "action": "action"}.get(
        incident.sort, incident.rule or ""
    )
    return "Vigil" + "".join(part.capitalize() for part in name.split("-"))


class ChatSender:
    """A message by apprise, as plain text. Apprise says only whether it was sent: what was not is tried again."""

    batch = 1

    def __init__(self, name: str, target: Chat, secrets: Secrets) -> None:
        silence_apprise()
        asset = apprise.AppriseAsset(
            app_id="Vigil", http_redirects=False, storage_mode=apprise.PersistentStoreMode.MEMORY
        )
        service = apprise.Apprise.instantiate(secrets.of(target.url_secret), asset=asset, suppress_exceptions=True)
        if not isinstance(service, apprise.NotifyBase):
            raise SettingsError(
                f"the secret {target.url_secret} (target {name}) is no URL that apprise knows, such as slack://… or dingtalk://…"
            )
        self._service: Any = service
        self._target = target
        self._secrets = secrets

    async def send(self, changes: Sequence[IncidentChange]) -> list[Outcome]:
        return [await self._one(change) for change in changes]

    async def _one(self, change: IncidentChange) -> Outcome:
        kinds = {"violation": "failure", "resolved": "success", "action": "info"}
        sending = asyncio.to_thread(
            self._service.notify,
            body=words.body(change, self._target.console_url),
            title=words.title(change),
            notify_type=apprise.NotifyType(kinds.get(change.kind, "warning")),
            body_format=apprise.NotifyFormat.TEXT,
        )
        try:
            async with asyncio.timeout(self._target.timeout_s):
                taken = await sending
        except TimeoutError:
            return Later("no answer in time")
        except Exception as error:  # a plug-in of a library of many; its words may hold the URL
            return Later(self._secrets.redact(f"apprise: {type(error).__name__}: {error}")[:300])
        return Sent() if taken else Later("the service did not take it")


def silence_apprise() -> None:
    """Apprise logs what it sends and where to; that is secret."""
    for name in ("apprise", "urllib3", "requests"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [logging.NullHandler()]
        logger.propagate = False


def make_sender(
    name: str, target: Target, secrets: Secrets, http: Http, wall_ms: Callable[[], int]
) -> WebhookSender | AlertmanagerSender | ChatSender:
    """The way to a target; raise SettingsError where a secret is missing or cannot be used."""
    if isinstance(target, Webhook):
        return WebhookSender(target, secrets, http)
    if isinstance(target, Alertmanager):
        return AlertmanagerSender(target, secrets, http, wall_ms)
    return ChatSender(name, target, secrets)
