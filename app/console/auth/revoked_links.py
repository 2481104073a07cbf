"""Links of hosts that work no more although they have not ended: a short file, read again whenever it changes.

    2026-12-06T12:00:00Z merchant-7      the links of merchant-7 that end then or before

A token does not say when it was made, so links differ by their ends. Those that are made after a revocation end
later if all are made for as long.
"""

from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from vigil.app.console.settings import PREFIX
from vigil.app.kafka.settings import SettingsError

log: Final = structlog.get_logger("vigil.console")

PLACE: Final = f"{PREFIX}REVOKED_HOST_LINKS_FILE"


class RevokedLinks:
    """Up to when the links of which hosts do not work."""

    def __init__(self, file: str | None) -> None:
        """`file`: None for no revocations. Raise SettingsError if it cannot be used."""
        self._file = None if file is None else Path(file)
        self._version: tuple[int, ...] = ()
        self._ends: dict[str, float] = {}
        """By host: the end of the last link that is revoked, s since the epoch."""
        if self._file is not None:
            self._version, self._ends = _version_of(self._file), _read(self._file)

    def has(self, host_id: str, until_s: int) -> bool:
        """True for a link that is revoked."""
        if self._file is not None:
            self._update(self._file)
        return until_s <= self._ends.get(host_id, 0)

    def _update(self, file: Path) -> None:
        """Read the file again if it has changed. One that cannot be used is logged once, and the former list stays."""
        version = _version_of(file)
        if version == self._version:
            return
        self._version = version
        try:
            self._ends = _read(file)
        except SettingsError as error:
            log.error("revoked links not read again: those of before stay revoked", why=str(error))
        else:
            log.info("revoked links read again", hosts=len(self._ends))


def _version_of(file: Path) -> tuple[int, ...]:
    """What differs once a file was written or replaced; empty if it is not there."""
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(file: Path) -> dict[str, float]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{PLACE}: cannot read {file}: {error}") from error
    ends: dict[str, float] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            until_s, host_id = _entry(line, f"{PLACE}: {file}:{number}")
            ends[host_id] = max(until_s, ends.get(host_id, 0))
    return ends


def _entry(line: str, place: str) -> tuple[float, str]:
    time, _, host_id = line.strip().partition(" ")
    try:
        until = datetime.fromisoformat(time)
    except ValueError:
        until = None
    if until is None or until.tzinfo is None or not host_id.strip():
        raise SettingsError(f"{place}: write the end of the last link and its host: 2026-12-06T12:00:00Z merchant-7")
    return until.timestamp(), host_id.strip()
