"""The audit fails on known vulnerabilities, and reports when it was not possible."""

import json
from typing import Any

import pytest

from tools.audit import LOCKS, ROOT, AuditRun, audit


def answer(*packages: dict[str, Any], status: int = 0) -> AuditRun:
    return AuditRun(status, json.dumps({"dependencies": list(packages), "fixes": []}), "")


CLEAN = {"name": "clean", "version": "1", "vulns": []}
BAD = {"name": "bad", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"], "aliases": []}]}
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found on PyPI and could not be audited: unknown (1)"}
OFFLINE = AuditRun(1, "", "Traceback …\nrequests.exceptions.ConnectionError: no route")


def test_it_passes_without_known_vulnerabilities():
    assert audit(["a"], lambda _: answer(CLEAN), False) == (0, ["a: 1 of 1 packages audited, 0 known vulnerabilities"])


def test_a_known_vulnerability_fails_and_is_named_with_its_fix():
    status, lines = audit(
        ["a", "b"], lambda lock: answer(CLEAN) if lock == "a" else answer(CLEAN, BAD, status=1), False
    )
    assert status == 1
    assert "b: bad 1: PYSEC-1, fixed in 2" in lines


@pytest.mark.parametrize("required", [False, True])
def test_without_a_network_it_passes_with_a_message_unless_it_is_required(required: bool):
    status, lines = audit(["a"], lambda _: OFFLINE, required)
    assert status == required
    assert lines == ["a: not audited: requests.exceptions.ConnectionError: no route"]


@pytest.mark.parametrize("required", [False, True])
def test_an_index_without_advisories_does_not_count_as_an_audit(required: bool):
    status, lines = audit(["a"], lambda _: answer(UNKNOWN, UNKNOWN), required)
    assert status == required
    assert lines == ["a: 0 of 2 packages audited, 0 known vulnerabilities; the index has no advisories for the others"]


def test_a_vulnerability_fails_even_if_other_packages_were_not_audited():
    assert audit(["a"], lambda _: answer(UNKNOWN, BAD), False)[0] == 1


def test_the_locks_exist():
    assert all((ROOT / lock).is_file() for lock in LOCKS)
