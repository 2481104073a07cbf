"""Known vulnerabilities in what is locked: `python -m tools.audit` (`make audit`), by pip-audit.

0  asked, and none is known      1  some are known: update, or say in IGNORED why not
0  nobody could be asked (no network, or an index without advisories), and it says so; 1 with VIGIL_REQUIRE_AUDIT=1
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

LOCKS: Final = ("requirements.lock", "deploy/requirements.lock")

IGNORED: Final[dict[str, str]] = {}
"""Advisories that do not concern Vigil, by their id, each with the reason."""

ROOT: Final = Path(__file__).parents[1]
TIMEOUT_S: Final = 180


class Ran(NamedTuple):
    """What pip-audit gave."""

    status: int
    out: str
    err: str


def pip_audit(lock: str) -> Ran:
    """Ask about one lock."""
    ignored = [word for name in IGNORED for word in ("--ignore-vuln", name)]
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", lock, "--require-hashes", "--disable-pip",
        "--format", "json", "--progress-spinner", "off", "--timeout", "15", *ignored,
    ]  # fmt: skip
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return Ran(1, "", f"no answer in {TIMEOUT_S} s")
    return Ran(run.returncode, run.stdout, run.stderr)


def audit(locks: Sequence[str], ask: Callable[[str], Ran], required: bool) -> tuple[int, list[str]]:
    """The exit status and what to say."""
    worst, said = 0, []
    for lock in locks:
        ran = ask(lock)
        try:
            packages = json.loads(ran.out)["dependencies"]
        except (ValueError, KeyError):
            why = ran.err.strip().splitlines()[-1:] or ["pip-audit said nothing"]
            said.append(f"{lock}: not audited: {why[0]}")
            worst = max(worst, int(required))
            continue
        found = [(package, known) for package in packages for known in package.get("vulns", ())]
        for package, known in found:
            fixed = ", ".join(known["fix_versions"]) or "no version yet"
            said.append(f"{lock}: {package['name']} {package['version']}: {known['id']}, corrected in {fixed}")
        skipped = sum("skip_reason" in package for package in packages)
        told = f"{len(packages) - skipped} of {len(packages)} packages audited"
        said.append(f"{lock}: {told}, {len(found)} known vulnerabilities")
        if found:
            worst = 1
        elif skipped:
            said[-1] += "; of the others this index tells nothing"
            worst = max(worst, int(required))
    return worst, said


def main() -> int:
    """The command."""
    status, said = audit(LOCKS, pip_audit, os.environ.get("VIGIL_REQUIRE_AUDIT") == "1")
    print("\n".join(said))
    return status


if __name__ == "__main__":
    sys.exit(main())
