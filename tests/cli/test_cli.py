"""The command line as a newcomer meets it: readable, quick, and without tracebacks."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from vigil.app.cli.main import COMMANDS, main


@pytest.mark.parametrize("asked", [["--help"], ["-h"], [], *([name, "-h"] for name in COMMANDS)])
def test_help_fits_a_terminal_and_says_what_a_command_does(asked: list[str]) -> None:
    told = CliRunner().invoke(main, asked, terminal_width=100, prog_name="vigil")
    text = told.output
    assert told.exit_code == (0 if asked else 2)
    assert text.startswith("Usage: vigil")
    assert max(map(len, text.splitlines())) <= 100
    assert not isinstance(told.exception, Exception)
    said = text.split("\n\n")[1].strip()
    assert said.endswith((".", ":")), said


def test_every_command_is_listed_with_a_word_of_its_own() -> None:
    text = CliRunner().invoke(main, ["--help"]).output.partition("Commands:")[2]
    listed = {line.split()[0]: line.split(maxsplit=1)[1] for line in text.splitlines() if line.strip()}
    assert list(listed) == list(COMMANDS)
    assert len(set(listed.values())) == len(COMMANDS)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("replya", "replay"),
        ("work", "worker"),
        ("simulat", "simulate"),
        ("deadletter", "dead-letter"),
        ("rule", "rules"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(typed: str, meant: str) -> None:
    told = CliRunner().invoke(main, [typed])
    assert told.exit_code == 2
    assert f"No such command {typed!r}. Did you mean {meant!r}?" in told.stderr


def test_what_is_like_no_command_is_answered_without_a_guess() -> None:
    told = CliRunner().invoke(main, ["xyzzy"])
    assert told.exit_code == 2
    assert "No such command 'xyzzy'." in told.stderr
    assert "mean" not in told.stderr


def test_settings_that_are_wrong_are_told_by_every_command_that_reads_them() -> None:
    for command in ("worker", "topics", "doctor"):
        told = CliRunner().invoke(main, [command, "--broker", "nowhere"])
        assert told.exit_code == 2, command
        assert "--broker: 'nowhere' is not host:port" in told.stderr
        assert "Traceback" not in told.output


def test_a_worker_with_a_rulebook_that_is_not_there_ends_with_2() -> None:
    program = [sys.executable, "-m", "vigil", "worker"]
    environment = {**os.environ, "VIGIL_RULEBOOK": "/nowhere/rules.toml"}
    told = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "/nowhere/rules.toml" in told.stderr
    assert "Traceback" not in told.stderr


def test_asking_for_help_of_one_command_loads_nothing_of_kafka() -> None:
    code = (
        "import sys; from vigil.app.cli.main import main\n"
        "try: main(['replay', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(name for name in ('faust', 'aiokafka', 'starlette', 'apprise') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
