"""Webhooks: one signed JSON object for each change."""

import hashlib
import hmac
import json
import time
from collections.abc import Sequence

from vigil.app.kafka.settings import SettingsError
from vigil.app.notify import shown
from vigil.app.notify.alerts import AlertChange
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders.http import HttpPoster
from vigil.app.notify.senders.outcome import SendOutcome
from vigil.app.notify.targets import Webhook
from vigil.app.notify.urls import url_problem


def payload(change: AlertChange) -> bytes:
    """Return a change as JSON for a webhook."""
    return json.dumps(shown.payload(change), ensure_ascii=False, separators=(",", ":")).encode()


def signature(keys: Sequence[str], timestamp: int, content: bytes) -> str:
    """Return `v1=HEX` for each key: HMAC-SHA256 of the timestamp in seconds, a full stop and the body."""
    signed = b"%d." % timestamp + content
    return ",".join(f"v1={hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()}" for key in keys)


class WebhookSender:
    """Sends each change as a request of its own."""

    batch = 1

    def __init__(self, target: Webhook, secrets: Secrets, http: HttpPoster) -> None:
        """Raise SettingsError where a secret is missing or the secret URL cannot be posted to."""
        self._url = target.url or secrets.of(target.url_secret or "")
        if problem := url_problem(self._url):
            raise SettingsError(f"the secret {target.url_secret} {problem}")
        self._keys = secrets.of(target.secret).split()
        self._timeout_s = target.timeout_s
        self._http = http

    async def send(self, changes: Sequence[AlertChange]) -> list[SendOutcome]:
        """Send the changes one after the other."""
        return [await self._send_one(change) for change in changes]

    async def _send_one(self, change: AlertChange) -> SendOutcome:
        content, now = payload(change), int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "vigil-notify",
            "Idempotency-Key": change.id,
            "Vigil-Timestamp": str(now),
            "Vigil-Signature": signature(self._keys, now, content),
        }
        return await self._http.post(self._url, content, headers, self._timeout_s)
