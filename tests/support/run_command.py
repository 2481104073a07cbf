"""Runs a command in this process."""

from click.testing import CliRunner, Result

from vigil.app.cli.main import main


def run(*words: str, stdin: str | bytes | None = None, **settings: str) -> Result:
    """`vigil WORDS`, with settings as environment variables; its output is that of no terminal."""
    environment = {f"VIGIL_{name.upper()}": value for name, value in settings.items()} | {"COLUMNS": "200"}
    return CliRunner().invoke(main, list(words), input=stdin, env=environment)
