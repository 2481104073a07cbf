"""Installs a lock with pip and shows how far it is: `python tools/install.py LOCK`, in the environment to install into.

pip's own output is kept back and printed if it fails. The script needs the standard library only.
"""

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Final

PIP: Final = (
    sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off",
    "--require-hashes", "--requirement",
)  # fmt: skip

PACKAGE: Final = re.compile(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)")
LOCKED: Final = re.compile(r"^[\w.-]+==", re.MULTILINE)


class InstallProgress:
    """One line that is rewritten on a terminal; elsewhere a line for every tenth package."""

    def __init__(self, total: int, screen: IO[str]) -> None:
        """`total`: packages of the lock. Some may be for other platforms and never come."""
        self._total = total
        self._screen = screen
        self._number = 0

    def package(self, name: str) -> None:
        """Show that a package is being downloaded."""
        self._number += 1
        if self._screen.isatty():
            self._write(f"{self._number} of {self._total} packages: {name}")
        elif self._number % 10 == 0:
            self._write(f"{self._number} of {self._total} packages")

    def unpacking(self) -> None:
        """Show that all are downloaded: pip says nothing until it has unpacked them."""
        self._write(f"unpacking {self._number} packages")

    def end(self, seconds: float) -> None:
        """Show the end."""
        self._write(f"installed {self._number} packages in {seconds:.0f} s")
        if self._screen.isatty():
            self._screen.write("\n")

    def _write(self, text: str) -> None:
        start, end = ("\r\x1b[K", "") if self._screen.isatty() else ("", "\n")
        self._screen.write(f"{start}  {text}{end}")
        self._screen.flush()


def install(command: list[str], total: int, screen: IO[str]) -> int:
    """Run pip; return its exit status."""
    progress, began, kept = InstallProgress(total, screen), time.monotonic(), []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        for line in pip.stdout or ():
            kept.append(line)
            if match := PACKAGE.match(line):
                progress.package(match[1])
            elif line.startswith("Installing collected packages"):
                progress.unpacking()
    if pip.returncode:
        screen.write("\n" + "".join(kept))
    else:
        progress.end(time.monotonic() - began)
    return pip.returncode


def main() -> int:
    """Install the lock that the command line names."""
    lock = sys.argv[1]
    return install([*PIP, lock], len(LOCKED.findall(Path(lock).read_text())), sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
