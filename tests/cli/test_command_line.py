"""Every command has help, typing errors get a suggestion, and shells complete commands and options."""

import os
import subprocess
import sys

import pytest

from tests.support.run_command import run
from vigil.app.cli.main import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str):
    result = run(command, "--help")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Usage: ")


def test_a_typing_error_gets_a_suggestion():
    result = run("topic")
    assert result.exit_code == 2
    assert "Did you mean 'topics'?" in result.stderr


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
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert result.stdout.split() == [f"plain,{completed}"]
