"""The targets of notifications as the routing file declares them. Pure.

Field names are keys of the routing file. Where an attribute has another name, `rename` maps it.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from vigil.app.messages import Language

TargetName = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[a-z0-9][a-z0-9-]*$")]
Text = Annotated[str, Meta(min_length=1, max_length=500)]


class Sending(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"max_pending": "most_owed"}):
    """The limits that every target has."""

    per_minute: Annotated[int, Meta(ge=1, le=100_000)] = 600
    """The largest number of requests a minute, retries included."""
    timeout_s: Annotated[float, Meta(gt=0, le=120)] = 10
    """For one try, from connecting to the answer."""
    give_up_after_s: Annotated[int, Meta(ge=0, le=7 * 86_400)] = 3600
    """Counted from the first try; then the message goes to `notify-dead-letter`."""
    parallel: Annotated[int, Meta(ge=1, le=64)] = 4
    """Requests in flight at a time. Changes of one incident never overtake each other."""
    max_pending: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    """With this many changes pending for a target, further ones go to `notify-dead-letter`. Memory stays bounded, and a
    target that is down holds up no other."""


class Alertmanager(Sending, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prometheus's Alertmanager, API v2."""

    kind: Literal["alertmanager"]
    urls: Annotated[tuple[Text, ...], Meta(min_length=1)]
    """One Alertmanager, or all members of one cluster: each is sent everything, and one must accept it."""
    resolve_timeout_s: Annotated[int, Meta(ge=1, le=86_400)] = 300
    """An alert that is not sent again for this time ends. It is sent again four times in it."""
    language: Language = "en"
    """Of the annotations."""
    labels: dict[str, str] = {}
    """Added to every alert."""
    bearer_secret: TargetName | None = None
    """The name of the secret that is sent as a bearer token."""
    console_url: Text | None = None
    """The address of Vigil's console, which alerts link to."""


class Webhook(Sending, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An HTTP endpoint that receives signed JSON."""

    kind: Literal["webhook"]
    url: Text | None = None
    url_secret: TargetName | None = None
    """The name of the secret that is the URL, where the URL itself is confidential."""
    secret: TargetName
    """The name of the secret that signs messages. A secret of several words gives a signature for each."""


class Chat(Sending, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A chat or messenger that the library apprise knows: Slack, DingTalk, WeCom, Feishu, Telegram …"""

    kind: Literal["chat"]
    url_secret: TargetName
    """The name of the secret that is apprise's URL of the chat."""
    per_minute: Annotated[int, Meta(ge=1, le=100_000)] = 20
    """Chats allow far fewer messages than other targets."""
    parallel: Annotated[int, Meta(ge=1, le=64)] = 1
    language: Language = "en"
    console_url: Text | None = None
    """The address of Vigil's console, which messages link to."""


Target = Alertmanager | Webhook | Chat
