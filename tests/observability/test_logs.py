"""Logs are one JSON object a line, whatever is logged, and libraries are silent after a reported error."""

import json
import subprocess
import sys
from typing import Any

import pytest

BEGIN = """
import logging, structlog
from vigil.app.observability.logs import silence_libraries, configure_logging
configure_logging({level!r}, {form!r})
log = structlog.get_logger("vigil.test")
"""


def logged(code: str, level: str = "info", form: str = "json") -> str:
    """Run the code and return its standard error; its standard output must be empty."""
    program = BEGIN.format(level=level, form=form) + code
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


def lines(code: str, level: str = "info") -> list[dict[str, Any]]:
    return [json.loads(line) for line in logged(code, level).splitlines()]


def test_logs_of_vigil_and_of_libraries_are_json_with_level_logger_and_time() -> None:
    ours, theirs = lines("log.info('hello', rooms=3); logging.getLogger('some.library').warning('%s left', 2)")
    assert ours | {"timestamp": ""} == {
        "event": "hello",
        "rooms": 3,
        "level": "info",
        "logger": "vigil.test",
        "timestamp": "",
    }
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("2 left", "warning", "some.library")
    assert all(line["timestamp"].endswith("Z") for line in (ours, theirs))


def test_a_traceback_is_one_line() -> None:
    (line,) = lines("try: 1 / 0\nexcept ZeroDivisionError as error: log.critical('stopped', exc_info=error)")
    assert "ZeroDivisionError: division by zero" in line["exception"]


@pytest.mark.parametrize("value", [r"'\ud800'", "1 << 80", "{1: 2}", "b'\\xff'", "object", "{'a': {'b': {3}}}"])
def test_no_value_costs_a_log_line(value: str) -> None:
    (line,) = lines(f"log.info('odd', value={value})")
    assert line["event"] == "odd"
    assert line["value"] is not None


@pytest.mark.parametrize(("level", "events"), [("info", ["i", "w"]), ("warning", ["w"]), ("debug", ["d", "i", "w"])])
def test_the_level_applies_to_the_logs_of_vigil(level: str, events: list[str]) -> None:
    assert [line["event"] for line in lines("log.debug('d'); log.info('i'); log.warning('w')", level)] == events


def test_libraries_log_only_warnings_unless_the_level_is_debug() -> None:
    code = "logging.getLogger('aiokafka.consumer').info('i'); logging.getLogger('faust.app').warning('w')"
    assert [line["event"] for line in lines(code)] == ["w"]
    assert [line["event"] for line in lines(code, "debug")] == ["i", "w"]


def test_silenced_libraries_log_nothing() -> None:
    code = "silence_libraries(); logging.getLogger('faust.worker').critical('crash!'); log.info('ours')"
    assert [line["event"] for line in lines(code)] == ["ours"]


def test_the_text_format_has_no_colours_outside_a_terminal() -> None:
    text = logged("log.info('hello', rooms=3)", form="text")
    assert "hello" in text
    assert "rooms=3" in text
    assert "\x1b" not in text, "colours"


SEQUENCE = "\\x1b[2J\\x9b\\u202e"


@pytest.mark.parametrize("form", ["json", "text"])
def test_texts_from_outside_cannot_control_a_terminal(form: str) -> None:
    code = f"""
log.warning("odd {SEQUENCE}", room="{SEQUENCE}")
logging.getLogger("some.library").warning("%s", "{SEQUENCE}")
try: raise ValueError("{SEQUENCE}")
except ValueError as error: log.critical("stopped", exc_info=error)
"""
    text = logged(code, form=form)
    assert text.count("2J") == 4
    assert "\x1b" not in text
    if form == "text":
        assert text.isascii(), "the characters are escaped"
        assert "ValueError: \\x1b[2J" in text
