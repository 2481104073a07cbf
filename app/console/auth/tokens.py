"""Tokens: who may sign in, a line each: `ROLE NAME sha256:HEX`. `#` begins a comment. Only digests are stored."""

import hashlib
import secrets
from pathlib import Path
from typing import Final, NamedTuple

from vigil.app.console.settings import PREFIX, ConsoleSettings, Role
from vigil.app.kafka.settings import SettingsError

MAX_NAME_CHARS: Final = 128
"""As long as the name of who sends a command may be."""
TOKEN_BYTES = 24
"""192 bits: nobody guesses a token, and its digest needs no salt."""


class Token(NamedTuple):
    """One line of the tokens."""

    role: Role
    name: str
    digest: str


def new_token(name: str, role: Role) -> tuple[str, str]:
    """Return a new token, and the line by which the console knows it."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    return token, f"{role} {name} sha256:{digest_of(token)}"


def digest_of(token: str) -> str:
    """Return the SHA-256 of a token in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_tokens(text: str, place: str) -> tuple[Token, ...]:
    """Return the tokens of a file or setting; raise SettingsError, which begins with `place`, where a line is wrong."""
    tokens = []
    for number, line in enumerate(text.replace(";", "\n").splitlines(), start=1):
        words = line.split("#")[0].split()
        if words:
            tokens.append(_token(words, f"{place}: line {number}"))
    if len({token.digest for token in tokens}) < len(tokens):
        raise SettingsError(f"{place}: two lines have the same token")
    return tuple(tokens)


def _token(words: list[str], place: str) -> Token:
    if len(words) != 3 or words[0] not in ("view", "review") or not words[2].startswith("sha256:"):
        raise SettingsError(
            f"{place} is not `view NAME sha256:HEX` or `review NAME sha256:HEX`; "
            "`vigil console --new-token NAME` makes one"
        )
    digest = words[2].removeprefix("sha256:").lower()
    if len(digest) != 64 or any(digit not in "0123456789abcdef" for digit in digest):
        raise SettingsError(f"{place}: after sha256: there must be 64 hexadecimal digits")
    if len(words[1]) > MAX_NAME_CHARS:
        raise SettingsError(f"{place}: the name has more than {MAX_NAME_CHARS} characters")
    return Token("review" if words[0] == "review" else "view", words[1], digest)


def load_tokens(settings: ConsoleSettings) -> tuple[Token, ...]:
    """Return the tokens of the setting and of the file; raise SettingsError where either is wrong or the file is
    empty."""
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
