"""Links that give a merchant access to the record of one host: signed, with an end, and stored nowhere.

    token    v1.PAYLOAD.MAC    PAYLOAD: the host and the end of the link (s since the epoch), as JSON in base64url

A console accepts every link that was signed with one of its keys, and signs with the first. To replace a key, put the
new one before it; once the links that it signed have ended, remove it. Removing a key ends its links at once; single
ones are revoked by a file (revoked_links.py).
"""

import base64
import binascii
import hashlib
import hmac
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.console.auth.revoked_links import RevokedLinks
from vigil.app.console.settings import PREFIX, ConsoleSettings
from vigil.app.kafka.settings import SettingsError
from vigil.topics.fields import Id

VERSION: Final = "v1"
MIN_KEY_CHARS: Final = 32
"""As hexadecimal digits, 128 bits: the least that nobody guesses. `openssl rand -hex 32` gives 64."""
MAX_KEYS: Final = 2
"""A key and its predecessor. With more, it would not be clear which links still work."""
MAX_TOKEN_CHARS: Final = 2048
"""Longer than the token of the longest id; what is longer is not decoded."""
MAX_LINK_DAYS: Final = 90
"""A link can be passed on, so it ends; a marketplace makes a new one each time that it shows the page."""


class LinkError(Exception):
    """A token gives no access."""

    def __init__(self, expired: bool = False) -> None:
        super().__init__("the link has expired" if expired else "the link is not valid")
        self.expired = expired
        """True if it gave access before."""


class _Content(Struct, frozen=True, forbid_unknown_fields=True):
    host_id: Id
    until_s: int


_DECODER: Final = msgspec.json.Decoder(_Content)


class HostLinks:
    """Signs and checks the tokens of links."""

    def __init__(self, keys: tuple[str, ...], revoked: RevokedLinks | None = None) -> None:
        """`keys`: the one that signs first; without any, no token gives access."""
        self._keys = keys
        self._revoked = revoked

    def __bool__(self) -> bool:
        return bool(self._keys)

    def token(self, host_id: str, until_s: int) -> str:
        """Return a token for one host up to a time (s since the epoch). Needs a key."""
        content = msgspec.json.encode(_Content(host_id, until_s))
        signed = f"{VERSION}.{_encode(content)}"
        return f"{signed}.{_encode(_mac(self._keys[0], signed))}"

    def host_of(self, token: str, now_s: float) -> str:
        """Return the host to whose record a token gives access; raise LinkError where it gives none."""
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise LinkError
        signed, _, mac = token.rpartition(".")
        # Each key is compared, and in constant time: how long it takes says nothing about any of them.
        if not sum(hmac.compare_digest(_encode(_mac(key, signed)), mac) for key in self._keys):
            raise LinkError
        version, _, payload = signed.partition(".")
        try:
            content = _DECODER.decode(_decode(payload))
        except (msgspec.DecodeError, binascii.Error) as error:
            raise LinkError from error
        if version != VERSION:
            raise LinkError
        revoked = self._revoked is not None and self._revoked.has(content.host_id, content.until_s)
        if revoked or now_s >= content.until_s:
            raise LinkError(expired=True)
        return content.host_id


def load_host_links(settings: ConsoleSettings) -> HostLinks:
    """Return the links of the settings; raise SettingsError where the keys or the revocations cannot be used.

    The text of keys is not shown.
    """
    return HostLinks(_load_keys(settings), RevokedLinks(settings.revoked_host_links_file))


def _load_keys(settings: ConsoleSettings) -> tuple[str, ...]:
    if settings.host_link_keys is not None and settings.host_link_keys_file is not None:
        raise SettingsError(f"{PREFIX}HOST_LINK_KEYS and {PREFIX}HOST_LINK_KEYS_FILE: set one of them")
    if settings.host_link_keys is not None:
        return _keys(settings.host_link_keys, f"{PREFIX}HOST_LINK_KEYS")
    if settings.host_link_keys_file is None:
        return ()
    place = f"{PREFIX}HOST_LINK_KEYS_FILE"
    try:
        text = Path(settings.host_link_keys_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{place}: cannot read {settings.host_link_keys_file}: {error}") from error
    return _keys(text, f"{place}: {settings.host_link_keys_file}")


def _keys(text: str, place: str) -> tuple[str, ...]:
    """The keys of a text, one a line or separated by `;`; raise SettingsError."""
    lines = (line.split("#")[0].strip() for line in text.replace(";", "\n").splitlines())
    keys = tuple(line for line in lines if line)
    if not 1 <= len(keys) <= MAX_KEYS:
        raise SettingsError(f"{place}: there are {len(keys)} keys; give one, or the new one and then the old one")
    if any(len(key) < MIN_KEY_CHARS for key in keys):
        raise SettingsError(f"{place}: a key has fewer than {MIN_KEY_CHARS} characters; make one: openssl rand -hex 32")
    if len(set(keys)) < len(keys):
        raise SettingsError(f"{place}: the two keys are the same")
    return keys


def _mac(key: str, signed: str) -> bytes:
    return hmac.new(key.encode(), f"host-link|{signed}".encode(), hashlib.sha256).digest()


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
