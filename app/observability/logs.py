"""Structured logs of Vigil, Faust and aiokafka on standard error, one JSON object a line or as text."""

import json
import logging
import sys
from io import StringIO
from typing import Any, Final, TextIO

import orjson
import structlog

from vigil.app.observability.log_throttle import LibraryThrottle
from vigil.app.observability.terminal import escape_control_chars

_QUIET: Final = ("vigil.agents.faust", "aiokafka", "kafka", "mode", "faust")
"""Loggers that are too verbose at `info`. Faust's services log under the name of the module that subclasses them."""


def _dumps(event: Any, **_: Any) -> str:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate or a number beyond 64 bits; no content may cost a log line
        return json.dumps(event, default=str)


def _escaped(_logger: Any, _method: str, event: Any) -> Any:
    """Escape control characters in all texts, so that nothing from outside can control a terminal."""
    return {name: escape_control_chars(value) if isinstance(value, str) else value for name, value in event.items()}


def _escaped_traceback(out: TextIO, exc_info: Any) -> None:
    plain = StringIO()
    structlog.dev.plain_traceback(plain, exc_info)
    out.write("\n".join(map(escape_control_chars, plain.getvalue().split("\n"))))


def silence_libraries() -> None:
    """Silence the libraries from now on: the error was reported, and what they log while they fail adds nothing."""
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def configure_logging(level: str, form: str) -> None:
    """Send all logs of this process to standard error; `form` is `json` or `text` (setting `log_format`)."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_escaped_traceback)
    )
    if form != "json":
        shared.pop()  # the console renderer formats exceptions itself
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([] if form == "json" else [_escaped]),
                renderer,
            ],
        )
    )
    if level != "debug":
        handler.addFilter(LibraryThrottle(_QUIET))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    quiet = logging.WARNING if level != "debug" else logging.DEBUG
    for name in _QUIET:
        logging.getLogger(name).setLevel(quiet)
    # At `debug` it logs every request, which with SASL PLAIN includes the password.
    logging.getLogger("aiokafka.conn").setLevel(max(quiet, logging.INFO))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
