"""Secrets of the targets: read by name from the environment or a file of their own, and never shown."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from vigil.app.kafka.settings import SettingsError

PREFIX: Final = "VIGIL_NOTIFY_SECRET_"
"""The secret `ops-chat` is VIGIL_NOTIFY_SECRET_OPS_CHAT in the environment."""

MIN_HIDDEN_CHARS: Final = 6
"""Shorter parts of a secret are not hidden: they are ordinary words such as `https`, and texts would become
unreadable."""

_SEPARATORS: Final = re.compile(r"[/?&=@:\s]+")


class Secrets:
    """Secrets by name. Removes them from any text."""

    def __init__(self, values: Mapping[str, str], places: str = "the environment") -> None:
        """`places` says where secrets are looked for, for error messages."""
        self._values = dict(values)
        self._places = places
        # The error of a library may contain only a part of a URL, so every longer part is hidden too.
        parts = {part for value in values.values() for part in (value, *_SEPARATORS.split(value))}
        self._hidden = sorted((part for part in parts if len(part) >= MIN_HIDDEN_CHARS), key=len, reverse=True)

    def of(self, name: str) -> str:
        """Return the secret of that name; raise SettingsError where there is none."""
        if name in self._values:
            return self._values[name]
        near = difflib.get_close_matches(name, self._values, n=1)
        hint = f"did you mean {near[0]}?" if near else f"set {variable(name)}, or put it into the secrets file"
        raise SettingsError(f"the secret {name} is not in {self._places}: {hint}")

    def redact(self, text: str) -> str:
        """Return the text without any secret or longer part of one."""
        for part in self._hidden:
            text = text.replace(part, "…")
        return text

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._values))})"


def variable(name: str) -> str:
    """Return the environment variable that holds a secret."""
    return PREFIX + name.upper().replace("-", "_")


def load_secrets(file: Path | None, environment: Mapping[str, str] | None = None) -> Secrets:
    """Read secrets from a TOML file of `name = "value"` and the environment, which has precedence; raise
    SettingsError."""
    environment = os.environ if environment is None else environment
    values = {} if file is None else dict(_read(file))
    for name, value in environment.items():
        if name.startswith(PREFIX) and value.strip():
            values[name.removeprefix(PREFIX).lower().replace("_", "-")] = value.strip()
    return Secrets(values, f"{file} or the environment" if file else "the environment")


def _read(file: Path) -> Iterable[tuple[str, str]]:
    try:
        table = tomllib.loads(file.read_text())
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # Only the line number is shown: the error's text may quote a part of a secret.
        line = next((word for word in str(error).split() if word.rstrip(",").isdigit()), "?").rstrip(",")
        raise SettingsError(f'{file}: line {line}: is not TOML; write name = "value", a line each') from None
    for name, value in table.items():
        if not isinstance(value, str) or not value.strip():
            raise SettingsError(f'{file}: {name}: a secret is text: write {name} = "…"')
        yield name, value.strip()
