"""Senders: how a change reaches each kind of target."""

from collections.abc import Callable

from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders.alertmanager import AlertmanagerSender
from vigil.app.notify.senders.chat import ChatSender
from vigil.app.notify.senders.http import HttpPoster
from vigil.app.notify.senders.webhook import WebhookSender
from vigil.app.notify.targets import Alertmanager, Target, Webhook

AnySender = WebhookSender | AlertmanagerSender | ChatSender


def make_sender(name: str, target: Target, secrets: Secrets, http: HttpPoster, wall_ms: Callable[[], int]) -> AnySender:
    """Return the sender of a target; raise SettingsError where a secret is missing or cannot be used."""
    if isinstance(target, Webhook):
        return WebhookSender(target, secrets, http)
    if isinstance(target, Alertmanager):
        return AlertmanagerSender(target, secrets, http, wall_ms)
    return ChatSender(name, target, secrets)
