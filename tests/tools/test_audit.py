"""The audit blocks where vulnerabilities are known, and tells where nobody could be asked."""

import json
from typing import Any

import pytest

from tools.audit import LOCKS, ROOT, Ran, audit


def answer(*packages: dict[str, Any], status: int = 0) -> Ran:
    return Ran(status, json.dumps({"dependencies": list(packages), "fixes": []}), "")


CLEAN = {"name": "clean", "version": "1", "vulns": []}
BAD = {"name": "bad", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"], "aliases": []}]}
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found on PyPI and could not be audited: unknown (1)"}
OFFLINE = Ran(1, "", "Traceback …\nrequests.exceptions.ConnectionError: no route")


def test_none_known_passes():
    assert audit(["a"], lambda _: answer(CLEAN), False) == (0, ["a: 1 of 1 packages audited, 0 known vulnerabilities"])


def test_one_known_blocks_and_is_named_with_its_remedy():
    status, said = audit(["a", "b"], lambda lock: answer(CLEAN) if lock == "a" else answer(CLEAN, BAD, status=1), False)
    assert status == 1
    assert "b: bad 1: PYSEC-1, corrected in 2" in said


@pytest.mark.parametrize("required", [False, True])
def test_where_nobody_can_be_asked_it_passes_in_words_unless_it_is_required(required: bool):
    status, said = audit(["a"], lambda _: OFFLINE, required)
    assert status == required
    assert said == ["a: not audited: requests.exceptions.ConnectionError: no route"]


@pytest.mark.parametrize("required", [False, True])
def test_an_index_without_advisories_is_not_taken_for_a_clean_bill(required: bool):
    status, said = audit(["a"], lambda _: answer(UNKNOWN, UNKNOWN), required)
    assert status == required
    assert said == ["a: 0 of 2 packages audited, 0 known vulnerabilities; of the others this index tells nothing"]


def test_a_vulnerability_blocks_although_others_were_not_audited():
    assert audit(["a"], lambda _: answer(UNKNOWN, BAD), False)[0] == 1


def test_the_locks_exist():
    assert all((ROOT / lock).is_file() for lock in LOCKS)
