"""Logs the first message that is rejected of each topic and reason since the start; later ones are only counted.

counted ──▶ awaited ──its dead letter was sent──▶ logged
"""

from typing import Any, Final

import orjson
import structlog

from vigil.app.observability.terminal import escape_control_chars

log: Final = structlog.get_logger("vigil.report")

SHOWN: Final = 300
"""Characters of a detail that are logged: it may quote what others sent."""

Kind = tuple[str, str]
"""Topic and reason."""


class FirstRejections:
    """Which rejections have been logged: as many as there are topics and reasons."""

    def __init__(self) -> None:
        self._counted: set[Kind] = set()
        self._awaited: set[Kind] = set()

    def count(self, topic: str, reason: str) -> None:
        """Messages of this topic were rejected for this reason."""
        if (topic, reason) not in self._counted:
            self._counted.add((topic, reason))
            self._awaited.add((topic, reason))

    def sent(self, payload: bytes) -> None:
        """The broker has this dead letter: log it if it is a first one."""
        if not self._awaited:
            return
        letter: dict[str, Any] = orjson.loads(payload)
        kind = (letter["topic"], letter["reason"])
        if kind not in self._awaited:
            return
        self._awaited.discard(kind)
        log.warning(
            "first message rejected",
            topic=letter["topic"],
            reason=letter["reason"],
            partition=letter["partition"],
            offset=letter["offset"],
            detail=escape_control_chars(letter["detail"])[:SHOWN],
            hint="further ones of this topic and reason are counted once a minute; all are in the topic dead-letter",
        )
