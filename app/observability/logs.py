"""Structured logs: everything that Vigil, Faust and aiokafka say, one JSON object a line, to standard error."""

import json
import logging
import sys
from io import StringIO
from typing import Any, Final, TextIO

import orjson
import structlog

from vigil.app.observability.terminal import escape_control_chars

_QUIET: Final = ("vigil.agents.faust.batches", "aiokafka", "kafka", "mode", "faust")
"""Who tells too much at `info`; Faust's services speak by the name of the module that extends them."""


def _dumps(event: Any, **_: Any) -> str:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate or a number beyond 64 bits: a line must never be lost for what is in it
        return json.dumps(event, default=str)


def _harmless(_logger: Any, _method: str, event: Any) -> Any:
    """Texts of others as words for eyes: no sign in them gives orders to a terminal."""
    return {name: escape_control_chars(value) if isinstance(value, str) else value for name, value in event.items()}


def _harmless_traceback(out: TextIO, exc_info: Any) -> None:
    told = StringIO()
    structlog.dev.plain_traceback(told, exc_info)
    out.write("\n".join(map(escape_control_chars, told.getvalue().split("\n"))))


def silence_libraries() -> None:
    """From now on Vigil alone speaks: an error was told in words, and how its libraries fall over it is noise."""
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def configure_logging(level: str, form: str) -> None:
    """Send all logs of this process to standard error; `form` is `json` or `text`."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_harmless_traceback)
    )
    if form != "json":
        shared.pop()  # the console renderer shows exceptions itself
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([] if form == "json" else [_harmless]),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    quiet = logging.WARNING if level != "debug" else logging.DEBUG
    for name in _QUIET:
        logging.getLogger(name).setLevel(quiet)
    # At `debug` it writes every request down, and with SASL's PLAIN the password in it.
    logging.getLogger("aiokafka.conn").setLevel(max(quiet, logging.INFO))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
