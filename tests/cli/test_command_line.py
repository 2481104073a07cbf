"""The command line as a whole: every command can be asked for help, slips are answered, shells complete."""

import os
import subprocess
import sys

import pytest

from tests.support.run_command import run
from vigil.app.cli.main import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str):
    told = run(command, "--help")
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith("Usage: ")


def test_a_slip_is_answered_with_the_nearest_command():
    told = run("topic")
    assert told.exit_code == 2
    assert "Did you mean 'topics'?" in told.stderr


@pytest.mark.parametrize(
    "typed, completed",
    [("vigil top", "topics"), ("vigil dead-letter res", "resend"), ("vigil schema --as", "--asyncapi")],
)
def test_bash_completes(typed: str, completed: str):
    words = typed.split()
    environment = os.environ | {
        "_VIGIL_COMPLETE": "bash_complete",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) - 1),
    }
    code = "import sys; sys.argv[0] = 'vigil'; from vigil.app.cli.main import main; main(prog_name='vigil')"
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert told.stdout.split() == [f"plain,{completed}"]
