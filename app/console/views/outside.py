"""Links that leave the console: to the marketplace's own pages, and to recordings that producers name.

The templates are the operator's (settings `room_url`, `clip_url`, `profile_url`). A `media_uri` comes with an event and
is not trusted: only http and https addresses become links, everything else is shown as text.
"""

from typing import NamedTuple
from urllib.parse import urlsplit

from vigil.app.kafka.settings import Settings
from vigil.app.kafka.url_templates import filled


class OutsideLinks(NamedTuple):
    """The templates of one console; each method returns None where there is no link."""

    settings: Settings

    def room(self, room_id: str, host_id: str) -> str | None:
        """Return where the marketplace shows a room."""
        return _fill(self.settings.room_url, room_id=room_id, host_id=host_id)

    def clip(self, room_id: str, host_id: str, at: int) -> str | None:
        """Return where the marketplace shows a room's recording at an event time (ms)."""
        return _fill(self.settings.clip_url, room_id=room_id, host_id=host_id, at=at)

    def profile(self, account_id: str) -> str | None:
        """Return where the marketplace shows the account of a host or supplier."""
        return _fill(self.settings.profile_url, account_id=account_id)


def _fill(template: str | None, **values: str | int) -> str | None:
    try:
        return filled(template, **values)
    except UnicodeEncodeError:  # an id with a lone surrogate has no form in a URL
        return None


def is_web_address(uri: str | None) -> bool:
    """Return True for an http or https address that a browser may be sent to."""
    if uri is None or not uri.isprintable() or " " in uri:
        return False
    try:
        address = urlsplit(uri)
        return address.scheme in ("http", "https") and bool(address.hostname)
    except ValueError:
        return False
