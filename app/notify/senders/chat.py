"""Chats and messengers, by the library apprise.

Apprise reports only whether a message was sent, not why it was not. So a message that was not sent is always tried
again.
"""

import asyncio
import logging
from collections.abc import Sequence

import apprise

from vigil.app.kafka.settings import SettingsError
from vigil.app.notify import shown
from vigil.app.notify.alerts import AlertChange
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders.outcome import RetryLater, SendOutcome, Sent
from vigil.app.notify.targets import Chat


class ChatSender:
    """Sends each change as a plain-text message of its own."""

    batch = 1

    def __init__(self, name: str, target: Chat, secrets: Secrets) -> None:
        """Raise SettingsError where the secret is missing, or is no URL that apprise knows."""
        silence_apprise()
        asset = apprise.AppriseAsset(
            app_id="Vigil", http_redirects=False, storage_mode=apprise.PersistentStoreMode.MEMORY
        )
        service = apprise.Apprise.instantiate(secrets.of(target.url_secret), asset=asset, suppress_exceptions=True)
        if not isinstance(service, apprise.NotifyBase):
            raise SettingsError(
                f"the secret {target.url_secret} (target {name}) is no URL that apprise knows, "
                "such as slack://… or dingtalk://…"
            )
        self._service = service
        self._target = target
        self._secrets = secrets

    async def send(self, changes: Sequence[AlertChange]) -> list[SendOutcome]:
        """Send the changes one after the other."""
        return [await self._send_one(change) for change in changes]

    async def _send_one(self, change: AlertChange) -> SendOutcome:
        types = {"violation": "failure", "resolved": "success", "action": "info"}
        sending = asyncio.to_thread(
            self._service.notify,
            body=shown.body(change, self._target.console_url, self._target.language),
            title=shown.title(change, self._target.language),
            notify_type=apprise.NotifyType(types.get(change.kind, "warning")),
            body_format=apprise.NotifyFormat.TEXT,
        )
        try:
            async with asyncio.timeout(self._target.timeout_s):
                sent = await sending
        except TimeoutError:
            return RetryLater("no answer in time")
        except Exception as error:  # each of apprise's many plug-ins has its own; their texts may contain the URL
            return RetryLater(self._secrets.redact(f"apprise: {type(error).__name__}: {error}")[:300])
        return Sent() if sent else RetryLater("the service did not take it")


def silence_apprise() -> None:
    """Discard apprise's logs: they contain what it sends and the secret URL that it sends to."""
    for name in ("apprise", "urllib3", "requests"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [logging.NullHandler()]
        logger.propagate = False
