"""The audit fails on known vulnerabilities, and reports when it was not possible."""

import json
from typing import Any

import pytest

from tools.audit import LOCKS, NOT_AUDITED, ROOT, VULNERABLE, AuditRun, audit


def answer(*packages: dict[str, Any], status: int = 0) -> AuditRun:
    return AuditRun(status, json.dumps({"dependencies": list(packages), "fixes": []}), "")


CLEAN = {"name": "clean", "version": "1", "vulns": []}
BAD = {"name": "bad", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"], "aliases": []}]}
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found on PyPI and could not be audited: unknown (1)"}
OFFLINE = AuditRun(1, "", "Traceback …\nrequests.exceptions.ConnectionError: no route")


def test_it_passes_where_all_were_audited_and_none_is_vulnerable():
    assert audit(["a"], lambda _: answer(CLEAN), False) == (0, ["a: 1 of 1 packages audited, 0 vulnerabilities"])


@pytest.mark.parametrize("best_effort", [False, True])
def test_a_known_vulnerability_fails_and_is_named_with_its_fix(best_effort: bool):
    status, lines = audit(
        ["a", "b"], lambda lock: answer(CLEAN) if lock == "a" else answer(CLEAN, BAD, status=1), best_effort
    )
    assert status == VULNERABLE
    assert "b: bad 1: PYSEC-1, fixed in 2" in lines


@pytest.mark.parametrize(("best_effort", "expected"), [(False, NOT_AUDITED), (True, 0)])
def test_without_a_network_it_fails_unless_its_best_effort_is_enough(best_effort: bool, expected: int):
    status, lines = audit(["a"], lambda _: OFFLINE, best_effort)
    assert status == expected
    assert lines == ["a: NOT AUDITED: requests.exceptions.ConnectionError: no route"]


@pytest.mark.parametrize(("best_effort", "expected"), [(False, NOT_AUDITED), (True, 0)])
def test_an_index_without_advisories_does_not_count_as_an_audit(best_effort: bool, expected: int):
    status, lines = audit(
        ["a", "b"], lambda lock: answer(UNKNOWN, UNKNOWN, CLEAN) if lock == "a" else answer(CLEAN), best_effort
    )
    assert status == expected
    assert lines == [
        "a: 1 of 3 packages audited, 0 vulnerabilities",
        "a: 2 packages NOT AUDITED: the index has no advisories for them",
        "b: 1 of 1 packages audited, 0 vulnerabilities",
    ]


@pytest.mark.parametrize("best_effort", [False, True])
def test_a_vulnerability_fails_even_if_other_packages_were_not_audited(best_effort: bool):
    assert audit(["a"], lambda _: answer(UNKNOWN, BAD), best_effort)[0] == VULNERABLE


def test_the_locks_exist():
    assert all((ROOT / lock).is_file() for lock in LOCKS)
