"""Why a worker stops by itself, as its log says it."""

from typing import Final

import structlog
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError

from vigil.agents.shard_runner import SourceChanged
from vigil.agents.worker_clock import ClockChangedError
from vigil.app.engine.changelog import StoredStateError
from vigil.app.kafka.settings import SettingsError
from vigil.app.observability.logs import silence_libraries
from vigil.app.runtime.clock_guard import StoredClockError

log: Final = structlog.get_logger("vigil.worker")

FORBIDDEN: Final = TopicAuthorizationFailedError | GroupAuthorizationFailedError
"""What a worker meets whose rights were taken away while it ran."""

EXPLAINED: Final = ClockChangedError | StoredClockError | StoredStateError | SettingsError | SourceChanged | FORBIDDEN
"""Errors whose text says what to do: a traceback would hide it."""


def log_stop(error: BaseException) -> None:
    """Log the error that stops the worker; after one whose text says what to do, libraries log nothing more."""
    explained = isinstance(error, EXPLAINED)
    text = str(error) or repr(error)
    if isinstance(error, FORBIDDEN):
        text = f"the broker does not permit it any more: {text}; docs/security.md has the rights of a worker"
    log.critical("stopped by an error", error=text, exc_info=None if explained else error)
    if explained:
        silence_libraries()
