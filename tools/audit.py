"""Checks the locked packages for known vulnerabilities with pip-audit: `python -m tools.audit` or `make audit`.

Exit status 0: every package was audited, and no vulnerability is known. 1: vulnerabilities are known: update the
package, or add the reason to IGNORED. 2: some packages were not audited (no network, or an index without advisories);
with `--best-effort` this is reported and the status is 0.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

LOCKS: Final = ("requirements.lock", "deploy/requirements.lock")

IGNORED: Final[dict[str, str]] = {}
"""Advisories that do not concern Vigil, by their id, each with the reason."""

ROOT: Final = Path(__file__).parents[1]
TIMEOUT_S: Final = 180
VULNERABLE: Final = 1
NOT_AUDITED: Final = 2


class AuditRun(NamedTuple):
    """The result of a run of pip-audit."""

    status: int
    out: str
    err: str


def pip_audit(lock: str) -> AuditRun:
    """Audit one lock."""
    ignored = [word for name in IGNORED for word in ("--ignore-vuln", name)]
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", lock, "--require-hashes", "--disable-pip",
        "--format", "json", "--progress-spinner", "off", "--timeout", "15", *ignored,
    ]  # fmt: skip
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return AuditRun(1, "", f"no answer in {TIMEOUT_S} s")
    return AuditRun(run.returncode, run.stdout, run.stderr)


def audit(locks: Sequence[str], ask: Callable[[str], AuditRun], best_effort: bool) -> tuple[int, list[str]]:
    """Return the exit status and the lines to print."""
    vulnerable = incomplete = False
    lines: list[str] = []
    for lock in locks:
        ran = ask(lock)
        try:
            packages = json.loads(ran.out)["dependencies"]
        except (ValueError, KeyError):
            reasons = ran.err.strip().splitlines()[-1:] or ["pip-audit printed nothing"]
            lines.append(f"{lock}: NOT AUDITED: {reasons[0]}")
            incomplete = True
            continue
        known, skipped = _known(lock, packages), sum("skip_reason" in package for package in packages)
        vulnerable, incomplete = vulnerable or bool(known), incomplete or skipped > 0
        lines += known
        lines.append(
            f"{lock}: {len(packages) - skipped} of {len(packages)} packages audited, {len(known)} vulnerabilities"
        )
        if skipped:
            lines.append(f"{lock}: {skipped} packages NOT AUDITED: the index has no advisories for them")
    if vulnerable:
        return VULNERABLE, lines
    return NOT_AUDITED if incomplete and not best_effort else 0, lines


def _known(lock: str, packages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each known vulnerability."""
    return [
        f"{lock}: {package['name']} {package['version']}: {known['id']}, "
        f"fixed in {', '.join(known['fix_versions']) or 'no version yet'}"
        for package in packages
        for known in package.get("vulns", ())
    ]


def main() -> int:
    """Run the audit and return the exit status."""
    parser = argparse.ArgumentParser(description="Check the locked packages for known vulnerabilities.")
    parser.add_argument("--best-effort", action="store_true", help="exit 0 where packages could not be audited")
    status, lines = audit(LOCKS, pip_audit, parser.parse_args().best_effort)
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
