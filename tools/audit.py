"""Checks the locked packages for known vulnerabilities with pip-audit: `python -m tools.audit` or `make audit`.

Exit status 0: no vulnerability is known, or the audit was not possible (no network, or an index without advisories),
which is reported. 1: vulnerabilities are known (update the package, or add the reason to IGNORED), or, with
VIGIL_REQUIRE_AUDIT=1, the audit was not possible.
"""

import json
import os
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


def audit(locks: Sequence[str], ask: Callable[[str], AuditRun], required: bool) -> tuple[int, list[str]]:
    """Return the exit status and the lines to print."""
    status, lines = 0, []
    for lock in locks:
        ran = ask(lock)
        try:
            packages = json.loads(ran.out)["dependencies"]
        except (ValueError, KeyError):
            reasons = ran.err.strip().splitlines()[-1:] or ["pip-audit printed nothing"]
            lines.append(f"{lock}: not audited: {reasons[0]}")
            status = max(status, int(required))
            continue
        failed, found = _judged(lock, packages, required)
        status = max(status, int(failed))
        lines += found
    return status, lines


def _judged(lock: str, packages: Sequence[Mapping[str, Any]], required: bool) -> tuple[bool, list[str]]:
    """Return whether the packages of a lock fail the audit, and the lines to print."""
    found = [(package, known) for package in packages for known in package.get("vulns", ())]
    lines = []
    for package, known in found:
        fixed = ", ".join(known["fix_versions"]) or "no version yet"
        lines.append(f"{lock}: {package['name']} {package['version']}: {known['id']}, fixed in {fixed}")
    skipped = sum("skip_reason" in package for package in packages)
    summary = f"{len(packages) - skipped} of {len(packages)} packages audited, {len(found)} known vulnerabilities"
    if skipped and not found:
        summary += "; the index has no advisories for the others"
    lines.append(f"{lock}: {summary}")
    return bool(found) or (required and skipped > 0), lines


def main() -> int:
    """Run the audit and return the exit status."""
    status, lines = audit(LOCKS, pip_audit, os.environ.get("VIGIL_REQUIRE_AUDIT") == "1")
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
