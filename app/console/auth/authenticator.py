"""Who makes a request and what they may do: by a token, a signing-in proxy's header, or this machine's user.

    tokens    a line each: `ROLE NAME sha256:HEX`. A sign-in gives the browser a sealed cookie with the token's
              digest, which every request is checked by: once a token's line is removed, its sign-ins are worth nothing.
    proxy     a header, accepted from trusted addresses only
    local     neither is set up, and the console listens on this machine alone: everybody is the user who runs it

On other addresses the console does not start without tokens or a proxy.
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

from vigil.app.console.auth.tokens import MAX_NAME_CHARS, digest_of, load_tokens
from vigil.app.console.settings import PREFIX, ConsoleSettings, Role
from vigil.app.kafka.settings import SettingsError

SESSION_COOKIE: Final = "vigil_session"
VISITOR_COOKIE: Final = "vigil_visitor"
SESSION_S: Final = 12 * 3600
"""A sign-in lasts for a working day."""
MAX_ENDED: Final = 100_000
"""Sign-ins that were ended before their time and are remembered until then."""
MIN_SECRET_BYTES: Final = 32
LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")

Mode = Literal["local", "tokens", "proxy"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Person(NamedTuple):
    """Who is signed in."""

    name: str
    role: Role

    @property
    def may_review(self) -> bool:
        """True for those who may send reviews."""
        return self.role == "review"


def is_local(host: str) -> bool:
    """Return whether only this machine can connect to what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Authenticator:
    """Identifies who makes a request, and seals cookies and forms."""

    def __init__(self, settings: ConsoleSettings) -> None:
        """Raise SettingsError where the settings would let in everybody, or nobody."""
        self._settings = settings
        self._tokens = load_tokens(settings)
        self._proxies = _networks(settings.trusted_proxies)
        self._secret = _secret(settings)
        self._ended: dict[str, int] = {}
        """Sign-ins that were ended by signing out, by content, and when each would have ended anyway (s)."""
        self._local = Person(_user_name(), "review")
        self.mode: Mode = "local"
        if settings.proxy_header is not None:
            self._check_proxy(settings.proxy_header)
            self.mode = "proxy"
        elif self._tokens:
            self.mode = "tokens"
        elif not is_local(settings.host):
            raise SettingsError(
                f"--host {settings.host} is reached from other machines, and nobody would have to sign in. "
                f"Make tokens (`vigil console --new-token NAME --role review`) and set {PREFIX}TOKENS_FILE, or set "
                f"{PREFIX}PROXY_HEADER and {PREFIX}TRUSTED_PROXIES for a signing-in proxy, or listen on 127.0.0.1"
            )

    def _check_proxy(self, header: str) -> None:
        settings = self._settings
        if self._tokens:
            raise SettingsError(
                f"{PREFIX}PROXY_HEADER and {PREFIX}TOKENS_FILE are two ways to sign in: set one of them"
            )
        if not self._proxies:
            raise SettingsError(
                f"{PREFIX}TRUSTED_PROXIES is missing: name the addresses from which {header} is accepted"
            )
        if settings.review_group is not None and settings.proxy_groups_header is None:
            raise SettingsError(f"{PREFIX}PROXY_GROUPS_HEADER is missing: review_group is looked for in it")

    # ---- who makes a request ----------------------------------------------------------------------------------

    def identify(self, request: Request) -> Person | None:
        """Return who makes a request; None where nobody is signed in."""
        return self.person(request.client.host if request.client else None, request.headers, request.cookies)

    def person(self, peer: str | None, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Person | None:
        """Return who sends these headers and cookies from `peer`, the address of the connection itself."""
        if self.mode == "local":
            return self._local
        if self.mode == "proxy":
            return self._person_by_proxy(peer, headers)
        return self._person_by_cookie(cookies.get(SESSION_COOKIE))

    def is_proxy(self, peer: str) -> bool:
        """Return whether this is the address of a trusted proxy."""
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._proxies)

    def _person_by_proxy(self, peer: str | None, headers: Mapping[str, str]) -> Person | None:
        if not self.is_proxy(peer or ""):
            return None
        name = _header_text(headers.get(self._settings.proxy_header or "", "")).strip()
        if not name or len(name) > MAX_NAME_CHARS:
            return None
        return Person(name, self._role_by_proxy(headers))

    def _role_by_proxy(self, headers: Mapping[str, str]) -> Role:
        if self._settings.review_group is None:
            return self._settings.proxy_role
        groups = _header_text(headers.get(self._settings.proxy_groups_header or "", "")).split(",")
        return "review" if self._settings.review_group in {group.strip() for group in groups} else "view"

    def _person_by_cookie(self, cookie: str | None) -> Person | None:
        content = self._unseal(cookie)
        if content is None or content in self._ended:
            return None
        digest, until = _session(content)
        if until < time.time():
            return None
        return next((Person(token.name, token.role) for token in self._tokens if token.digest == digest), None)

    def sign_in(self, token: str) -> str | None:
        """Return the session cookie of the person with this token; None where nobody has it."""
        digest = digest_of(token.strip())
        known = [one for one in self._tokens if hmac.compare_digest(one.digest, digest)]
        # The last part distinguishes sign-ins, so that signing out ends only one.
        return self._seal(f"{digest} {int(time.time()) + SESSION_S} {secrets.token_hex(8)}") if known else None

    def sign_out(self, cookie: str | None) -> None:
        """End a sign-in: its cookie is worth nothing from now on, whoever has a copy."""
        content = self._unseal(cookie)
        if content is None:
            return
        now = time.time()
        if len(self._ended) >= MAX_ENDED:
            self._ended = {content: until for content, until in self._ended.items() if until >= now}
        self._ended[content] = _session(content)[1]

    # ---- forms ------------------------------------------------------------------------------------------------

    def new_visitor(self) -> str:
        """Return the value of a new visitor cookie, which ties forms to the browser that they are shown in."""
        return secrets.token_urlsafe(18)

    def form_token(self, visitor: str, person: Person | None) -> str:
        """Return the token of a form that is shown to this person in this browser. No other site can know it."""
        return self._mac(f"form|{visitor}|{person.name if person else ''}")

    def is_form_token(self, token: str, visitor: str | None, person: Person | None) -> bool:
        """Return whether a form with this token was shown to this person in this browser."""
        if not visitor:
            return False
        return hmac.compare_digest(token.encode(), self.form_token(visitor, person).encode())

    # ---- seals ------------------------------------------------------------------------------------------------

    def _mac(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    def _seal(self, text: str) -> str:
        return base64.urlsafe_b64encode(f"{text}|{self._mac('seal|' + text)}".encode()).decode()

    def _unseal(self, sealed: str | None) -> str | None:
        try:
            text, _, mac = base64.urlsafe_b64decode((sealed or "").encode()).decode().rpartition("|")
        except (binascii.Error, UnicodeError, ValueError):
            return None
        return text if text and hmac.compare_digest(mac.encode(), self._mac("seal|" + text).encode()) else None


def _header_text(value: str) -> str:
    """Return a header as text. On the wire it has bytes, which the server gives as Latin-1; proxies send UTF-8."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _session(content: str) -> tuple[str, int]:
    """Return the token's digest and the end (s) of a sign-in; 0 where it has none."""
    digest, _, rest = content.partition(" ")
    until = rest.partition(" ")[0]
    return digest, int(until) if until.isascii() and until.isdigit() and len(until) < 20 else 0


def _networks(text: str) -> list[Network]:
    networks = []
    for word in text.replace(",", " ").split():
        try:
            networks.append(ipaddress.ip_network(word))
        except ValueError as error:
            raise SettingsError(f"{PREFIX}TRUSTED_PROXIES: {word!r} is no address or network: {error}") from error
    return networks


def _secret(settings: ConsoleSettings) -> bytes:
    if settings.secret_file is None:
        return secrets.token_bytes(MIN_SECRET_BYTES)
    try:
        secret = Path(settings.secret_file).read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"{PREFIX}SECRET_FILE: cannot read {settings.secret_file}: {error.strerror}") from error
    if len(secret) < MIN_SECRET_BYTES:
        raise SettingsError(
            f"{PREFIX}SECRET_FILE: {settings.secret_file} must have at least {MIN_SECRET_BYTES} bytes of randomness"
        )
    return secret


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, as in some containers
        return "local"
