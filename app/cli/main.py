"""The command `vigil`. Each subcommand is imported when it is used."""

import errno
import importlib
import os
import sys
from typing import Any, Final

import click

COMMANDS: Final = {
    "demo": "vigil.app.cli.demo",
    "worker": "vigil.app.cli.worker",
    "console": "vigil.app.cli.console",
    "probe": "vigil.app.cli.probe",
    "record": "vigil.app.cli.record",
    "replay": "vigil.app.cli.replay",
    "export": "vigil.app.cli.export",
    "backtest": "vigil.app.cli.backtest",
    "explain": "vigil.app.cli.explain",
    "simulate": "vigil.app.cli.simulate",
    "rules": "vigil.app.cli.rules",
    "schema": "vigil.app.cli.schema",
    "topics": "vigil.app.cli.topics",
    "doctor": "vigil.app.cli.doctor",
    "repair": "vigil.app.cli.repair",
    "dead-letter": "vigil.app.cli.dead_letter",
    "notify": "vigil.app.cli.notify",
}
"""Each command and its module, in the order of the help."""


_DISK_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
"""Errors of a disk that is full or broken."""


class _Commands(click.Group):
    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command; report a full disk behind standard output as an error message, for every command."""
        try:
            try:
                return super().main(*args, **options)
            finally:
                sys.stdout.flush()  # now, while a failure can still be reported
        except OSError as error:
            if error.errno not in _DISK_ERRORS and not isinstance(error, BrokenPipeError):
                raise
            # The interpreter flushes again as it exits: redirect that to nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
            if error.errno in _DISK_ERRORS:
                where = error.filename or "standard output"
                click.echo(f"Error: cannot write {where}: {error.strerror}; the output is incomplete", err=True)
            raise SystemExit(1) from None

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[name]), name.replace("-", "_"))
        return command

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if near:
                error.message += f" Did you mean {near[0]!r}?"
            raise


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="vigil-live", prog_name="vigil")
def main() -> None:
    """Moderate live-commerce rooms and compute suppliers' RFQ metrics in real time.

    Start with `vigil demo`: it needs no Kafka and shows verdicts within a minute.
    """


if __name__ == "__main__":
    main()
