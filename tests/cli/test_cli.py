"""The command line is readable and quick, and has no tracebacks."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from vigil.app.cli.main import COMMANDS, main


@pytest.mark.parametrize("asked", [["--help"], ["-h"], [], *([name, "-h"] for name in COMMANDS)])
def test_help_fits_a_terminal_and_says_what_a_command_does(asked: list[str]) -> None:
    result = CliRunner().invoke(main, asked, terminal_width=100, prog_name="vigil")
    text = result.output
    assert result.exit_code == (0 if asked else 2)
    assert text.startswith("Usage: vigil")
    assert max(map(len, text.splitlines())) <= 100
    assert not isinstance(result.exception, Exception)
    summary = text.split("\n\n")[1].strip()
    assert summary.endswith((".", ":")), summary


def test_every_command_is_listed_with_a_summary_of_its_own() -> None:
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
def test_a_typing_error_is_answered_with_the_nearest_command(typed: str, meant: str) -> None:
    result = CliRunner().invoke(main, [typed])
    assert result.exit_code == 2
    assert f"No such command {typed!r}. Did you mean {meant!r}?" in result.stderr


def test_an_unknown_command_is_answered_without_a_guess() -> None:
    result = CliRunner().invoke(main, ["xyzzy"])
    assert result.exit_code == 2
    assert "No such command 'xyzzy'." in result.stderr
    assert "mean" not in result.stderr


def test_every_command_that_reads_settings_reports_wrong_ones() -> None:
    for command in ("worker", "topics", "doctor", "demo"):
        result = CliRunner().invoke(main, [command, "--broker", "nowhere"])
        assert result.exit_code == 2, command
        assert "--broker: 'nowhere' is not host:port" in result.stderr
        assert "Traceback" not in result.output


def test_repair_says_why_no_broker_answers_and_what_to_do() -> None:
    result = CliRunner().invoke(main, ["repair", "clock", "--broker", "127.0.0.1:1"])
    assert result.exit_code == 2
    assert "127.0.0.1:1: connection refused; is it running, and is the address right" in result.stderr


def test_the_demo_says_which_number_is_wrong_before_it_starts_a_worker() -> None:
    result = CliRunner().invoke(main, ["demo", "--rooms", "-1", "--plain"])
    assert result.exit_code == 2
    assert "rooms is -1: it must be from 0 to 100000" in result.stderr
    assert "simulator" not in result.stdout


def test_a_worker_without_its_rulebook_exits_with_2() -> None:
    program = [sys.executable, "-m", "vigil", "worker"]
    environment = {**os.environ, "VIGIL_RULEBOOK": "/nowhere/rules.toml"}
    result = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "/nowhere/rules.toml" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_help_of_a_command_does_not_load_kafka() -> None:
    code = (
        "import sys; from vigil.app.cli.main import main\n"
        "try: main(['replay', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(name for name in ('faust', 'aiokafka', 'starlette', 'apprise') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
