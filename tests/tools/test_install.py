"""The installation shows how far it is, and what pip printed if it fails."""

import io
import sys

import pytest

from tools.install import install


class Terminal(io.StringIO):
    """A screen that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def pip_that(*lines: str, status: int = 0) -> list[str]:
    """Return a command that prints what pip would, and ends like it."""
    return [sys.executable, "-c", f"print({chr(10).join(lines)!r}); raise SystemExit({status})"]


COLLECTED = [f"Collecting package-{number}==1.0 (from -r some.lock (line {number}))" for number in range(1, 26)]


def test_every_tenth_package_is_shown_where_there_is_no_terminal():
    screen = io.StringIO()
    assert install(pip_that(*COLLECTED, "Installing collected packages: a, b"), 30, screen) == 0
    shown = screen.getvalue().splitlines()
    assert shown[:3] == ["  10 of 30 packages", "  20 of 30 packages", "  unpacking 25 packages"]
    assert shown[3].startswith("  installed 25 packages in ")
    assert len(shown) == 4


def test_a_terminal_shows_each_package_on_one_line():
    screen = Terminal()
    assert install(pip_that(*COLLECTED), 25, screen) == 0
    shown = screen.getvalue()
    assert shown.count("\n") == 1
    assert "\r\x1b[K  7 of 25 packages: package-7" in shown


def test_what_is_installed_already_counts():
    screen = io.StringIO()
    again = [line.replace("Collecting", "Requirement already satisfied:") for line in COLLECTED]
    install(pip_that(*again), 25, screen)
    assert "installed 25 packages" in screen.getvalue()


@pytest.mark.parametrize("screen", [io.StringIO(), Terminal()])
def test_a_failure_shows_what_pip_printed_and_has_its_status(screen: io.StringIO):
    assert install(pip_that(COLLECTED[0], "ERROR: the hashes do not match", status=3), 25, screen) == 3
    assert "ERROR: the hashes do not match" in screen.getvalue()
    assert "installed" not in screen.getvalue()
