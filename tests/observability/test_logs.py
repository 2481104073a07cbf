"""Logs: one JSON object a line, whoever speaks and whatever it says, and nothing after an error that was told."""

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


def said(code: str, level: str = "info", form: str = "json") -> str:
    """What a program that runs the code says on standard error; on standard output it must say nothing."""
    program = BEGIN.format(level=level, form=form) + code
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


def lines(code: str, level: str = "info") -> list[dict[str, Any]]:
    return [json.loads(line) for line in said(code, level).splitlines()]


def test_our_words_and_those_of_libraries_are_json_with_level_logger_and_time() -> None:
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
def test_whatever_is_said_the_line_is_there(value: str) -> None:
    (line,) = lines(f"log.info('odd', value={value})")
    assert line["event"] == "odd"
    assert line["value"] is not None


@pytest.mark.parametrize(("level", "events"), [("info", ["i", "w"]), ("warning", ["w"]), ("debug", ["d", "i", "w"])])
def test_the_level_holds_for_our_words(level: str, events: list[str]) -> None:
    assert [line["event"] for line in lines("log.debug('d'); log.info('i'); log.warning('w')", level)] == events


def test_libraries_are_quiet_below_warnings_unless_all_is_asked_for() -> None:
    code = "logging.getLogger('aiokafka.consumer').info('i'); logging.getLogger('faust.app').warning('w')"
    assert [line["event"] for line in lines(code)] == ["w"]
    assert [line["event"] for line in lines(code, "debug")] == ["i", "w"]


def test_after_an_error_that_was_told_its_libraries_say_no_more() -> None:
    code = "silence_libraries(); logging.getLogger('faust.worker').critical('crash!'); log.info('ours')"
    assert [line["event"] for line in lines(code)] == ["ours"]


def test_text_is_for_eyes() -> None:
    told = said("log.info('hello', rooms=3)", form="text")
    assert "hello" in told
    assert "rooms=3" in told
    assert "\x1b" not in told, "no colours where it is not a terminal"


ORDER = "\\x1b[2J\\x9b\\u202e"


@pytest.mark.parametrize("form", ["json", "text"])
def test_texts_of_others_give_no_orders_to_a_terminal(form: str) -> None:
    code = f"""
log.warning("odd {ORDER}", room="{ORDER}")
logging.getLogger("some.library").warning("%s", "{ORDER}")
try: raise ValueError("{ORDER}")
except ValueError as error: log.critical("stopped", exc_info=error)
"""
    told = said(code, form=form)
    assert told.count("2J") == 4
    assert "\x1b" not in told
    if form == "text":
        assert told.isascii(), "it is written out"
        assert "ValueError: \\x1b[2J" in told
