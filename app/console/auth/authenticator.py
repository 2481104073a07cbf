"""Who looks, and what they may do: a token signed in with, a signing-in proxy's header, or this machine's user.

    tokens    a line each: `ROLE NAME sha256:HEX`; the browser gets a sealed cookie, worth nothing once the line is gone
    proxy     a header, believed from trusted addresses only
    local     neither is set up, and the console listens on this machine alone: whoever has this machine's user's name

Beyond this machine the console does not start without one of the first two.
"""

import base64
import binascii
import getpass
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple

from starlette.requests import Request

from vigil.app.console.settings import PREFIX, ConsoleSettings, Role
from vigil.app.kafka.settings import SettingsError

COOKIE: Final = "vigil_session"
VISITOR: Final = "vigil_visitor"
LASTS_S: Final = 12 * 3600
"""A sign-in ends after a working day."""
LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")

Mode = Literal["local", "tokens", "proxy"]


class Person(NamedTuple):
    """Who is signed in."""

    name: str
    role: Role

    @property
    def may_review(self) -> bool:
        return self.role == "review"


class Token(NamedTuple):
    """One line of the tokens."""

    role: Role
    name: str
    digest: str


def new_token(name: str, role: Role) -> tuple[str, str]:
    """A fresh token, and the line by which the console knows it."""
    token = secrets.token_urlsafe(24)
    return token, f"{role} {name} sha256:{_digest(token)}"


def read_tokens(text: str, place: str) -> tuple[Token, ...]:
    """The tokens of a file or setting; raise SettingsError where a line is not one. `#` begins a comment."""
    tokens = []
    for number, line in enumerate(text.replace(";", "\n").splitlines(), start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 3 or words[0] not in ("view", "review") or not words[2].startswith("sha256:"):
            raise SettingsError(
                f"{place}: line {number} is not `view NAME sha256:HEX` or `review NAME sha256:HEX`; "
                "`vigil console --new-token NAME` makes one"
            )
        digest = words[2].removeprefix("sha256:").lower()
        if len(digest) != 64 or any(digit not in "0123456789abcdef" for digit in digest):
            raise SettingsError(f"{place}: line {number}: after sha256: there must be 64 hexadecimal digits")
        tokens.append(Token("review" if words[0] == "review" else "view", words[1], digest))
    if len({token.digest for token in tokens}) < len(tokens):
        raise SettingsError(f"{place}: two lines have the same token")
    return tuple(tokens)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def is_local(host: str) -> bool:
    """Does only this machine reach what listens there?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Authenticator:
    """Knows who asks."""

    def __init__(self, settings: ConsoleSettings) -> None:
        """Raise SettingsError where the settings would let in anybody, or nobody."""
        self._settings = settings
        self._tokens = _all_tokens(settings)
        self._proxies = _networks(settings.trusted_proxies)
        self._secret = _secret(settings)
        self.mode: Mode = "local"
        if settings.proxy_header is not None:
            if self._tokens:
                raise SettingsError(
                    f"{PREFIX}PROXY_HEADER and {PREFIX}TOKENS_FILE are two ways to sign in: set one of them"
                )
            if not self._proxies:
                raise SettingsError(
                    f"{PREFIX}TRUSTED_PROXIES is missing: name the addresses whose {settings.proxy_header} is believed"
                )
            if settings.review_group is not None and settings.proxy_groups_header is None:
                raise SettingsError(f"{PREFIX}PROXY_GROUPS_HEADER is missing: review_group is looked for in it")
            self.mode = "proxy"
        elif self._tokens:
            self.mode = "tokens"
        elif not is_local(settings.host):
            raise SettingsError(
                f"--host {settings.host} is reached from other machines, and nobody would have to sign in. "
                f"Make tokens (`vigil console --new-token NAME --role review`) and set {PREFIX}TOKENS_FILE, or set "
                f"{PREFIX}PROXY_HEADER and {PREFIX}TRUSTED_PROXIES for a signing-in proxy, or listen on 127.0.0.1"
            )
        self._local = Person(_user(), "review")

    # ---- who asks ---------------------------------------------------------------------------------------------

    def who(self, request: Request) -> Person | None:
        """Who makes a request; None where nobody is signed in."""
        return self.person(request.client.host if request.client else None, request.headers, request.cookies)

    def person(self, peer: str | None, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Person | None:
        """Who asks; None where nobody is signed in. `peer` is the address of the connection itself."""
        if self.mode == "local":
            return self._local
        if self.mode == "proxy":
            return self._by_proxy(peer, headers)
        return self._by_cookie(cookies.get(COOKIE))

    def _by_proxy(self, peer: str | None, headers: Mapping[str, str]) -> Person | None:
        try:
            address = ipaddress.ip_address(peer or "")
        except ValueError:
            return None
        mapped = getattr(address, "ipv4_mapped", None)
        if not any((mapped or address) in network for network in self._proxies):
            return None
        name = headers.get(self._settings.proxy_header or "", "").strip()
        if not name or len(name) > 256:
            return None
        role = self._settings.proxy_role
        if self._settings.review_group is not None:
            told = headers.get(self._settings.proxy_groups_header or "", "")
            groups = {group.strip() for group in told.split(",")}
            role = "review" if self._settings.review_group in groups else "view"
        return Person(name, role)

    def _by_cookie(self, cookie: str | None) -> Person | None:
        opened = self._open(cookie)
        if opened is None:
            return None
        digest, _, until = opened.partition(" ")
        if not until.isdigit() or int(until) < time.time():
            return None
        # Asked for each time: a token that was taken out of the file ends its sign-ins with the next start.
        return next((Person(token.name, token.role) for token in self._tokens if token.digest == digest), None)

    def sign_in(self, token: str) -> str | None:
        """The cookie of whoever has the token; None where nobody has."""
        digest = _digest(token.strip())
        known = [one for one in self._tokens if hmac.compare_digest(one.digest, digest)]
        return self._seal(f"{digest} {int(time.time()) + LASTS_S}") if known else None

    # ---- forms of this console only ---------------------------------------------------------------------------

    def new_visitor(self) -> str:
        """A cookie that ties forms to the browser that they were shown in."""
        return secrets.token_urlsafe(18)

    def form_token(self, visitor: str, person: Person | None) -> str:
        """What a form carries that only a page of ours, shown to this person in this browser, can have."""
        return self._mac(f"form|{visitor}|{person.name if person else ''}")

    def is_ours(self, token: str, visitor: str | None, person: Person | None) -> bool:
        """Does the form come from a page of ours?"""
        if not visitor:
            return False
        return hmac.compare_digest(token.encode(), self.form_token(visitor, person).encode())

    # ---- seals ------------------------------------------------------------------------------------------------

    def _mac(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    def _seal(self, text: str) -> str:
        return base64.urlsafe_b64encode(f"{text}|{self._mac('seal|' + text)}".encode()).decode()

    def _open(self, sealed: str | None) -> str | None:
        try:
            text, _, mac = base64.urlsafe_b64decode((sealed or "").encode()).decode().rpartition("|")
        except (binascii.Error, UnicodeError, ValueError):
            return None
        return text if text and hmac.compare_digest(mac.encode(), self._mac("seal|" + text).encode()) else None


def _all_tokens(settings: ConsoleSettings) -> tuple[Token, ...]:
    tokens = read_tokens(settings.tokens, f"{PREFIX}TOKENS") if settings.tokens else ()
    if settings.tokens_file is not None:
        try:
            text = Path(settings.tokens_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{PREFIX}TOKENS_FILE: cannot read {settings.tokens_file}: {error}") from error
        tokens += read_tokens(text, settings.tokens_file)
        if not tokens:
            raise SettingsError(f"{PREFIX}TOKENS_FILE: {settings.tokens_file} has no token: nobody could sign in")
    return tokens


def _networks(text: str) -> "list[ipaddress.IPv4Network | ipaddress.IPv6Network]":
    networks = []
    for word in text.replace(",", " ").split():
        try:
            networks.append(ipaddress.ip_network(word))
        except ValueError as error:
            raise SettingsError(f"{PREFIX}TRUSTED_PROXIES: {word!r} is no address or network: {error}") from error
    return networks


def _secret(settings: ConsoleSettings) -> bytes:
    if settings.secret_file is None:
        return secrets.token_bytes(32)
    try:
        secret = Path(settings.secret_file).read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"{PREFIX}SECRET_FILE: cannot read {settings.secret_file}: {error.strerror}") from error
    if len(secret) < 32:
        raise SettingsError(f"{PREFIX}SECRET_FILE: {settings.secret_file} must have at least 32 bytes of randomness")
    return secret


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, as in some containers
        return "local"
