"""What a library repeats is one line of a kind and minute; nothing else is left out."""

import logging

import pytest

from tests.observability.test_logs import lines
from vigil.app.observability.log_throttle import MOST_KINDS, WINDOW_S, LibraryThrottle

GONE = "Topic %s not found in cluster metadata"


class Log:
    """A log that is read, and its time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.lines: list[str] = []
        self._filter = LibraryThrottle(["aiokafka"], lambda: self.now)
        reports = logging.getLogger("vigil.app.observability.log_throttle")
        monkeypatch.setattr(reports, "warning", lambda message, *args: self.lines.append(message % args))

    def write(self, message: str, *args: object, name: str = "aiokafka.cluster", level: int = logging.ERROR) -> None:
        record = logging.LogRecord(name, level, "", 0, message, args, None)
        if self._filter.filter(record):
            self.lines.append(record.getMessage())


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    return Log(monkeypatch)


def test_a_line_that_is_repeated_is_written_once_a_minute_with_the_number_that_was_left_out(log: Log) -> None:
    for _ in range(90):
        for _ in range(30):
            log.write(GONE, "comment")
        log.now += 1
    first = "Topic comment not found in cluster metadata"
    assert log.lines == [first, f"{first} (1,799 more lines like it were left out)"]


def test_lines_of_another_kind_are_written_and_numbers_make_no_kind(log: Log) -> None:
    log.write(GONE, "comment")
    log.write(GONE, "frame-status")
    log.write("Attempt to fetch offsets for partition %s failed", 1)
    log.write("Attempt to fetch offsets for partition %s failed", 2)
    log.write(GONE, "comment", name="aiokafka.client")
    assert len(log.lines) == 4


def test_what_was_left_out_last_is_reported_with_the_next_line_of_anybody(log: Log) -> None:
    for _ in range(3):
        log.write(GONE, "comment")
    log.now += WINDOW_S
    log.write("all is well", name="vigil.app.runtime.worker", level=logging.INFO)
    assert log.lines[1:] == [
        "2 more lines were left out: aiokafka.cluster: Topic comment not found in cluster metadata",
        "all is well",
    ]


@pytest.mark.parametrize(
    ("name", "level"), [("vigil.app", logging.ERROR), ("aiokafkaesque", logging.ERROR), ("aiokafka", logging.CRITICAL)]
)
def test_nobody_else_s_line_and_no_critical_one_is_left_out(log: Log, name: str, level: int) -> None:
    for _ in range(3):
        log.write("the same", name=name, level=level)
    assert log.lines == ["the same"] * 3


def test_the_number_of_kinds_is_bounded(log: Log) -> None:
    for number in range(2 * MOST_KINDS):
        log.write("of %s", chr(0x4E00 + number))
    assert len(log.lines) == MOST_KINDS + 1


def test_a_process_that_logs_as_configured_is_limited_but_for_debug() -> None:
    code = "for at in range(3): logging.getLogger('aiokafka.cluster').error('Topic %s not found', 'comment')"
    assert len(lines(code)) == 1
    assert len(lines(code, "debug")) == 3
