"""Skipped tests are listed at the end of a run, and fail if they are required."""

from types import SimpleNamespace

import pytest

from tests.conftest import skips_by_reason
from tests.support.needs import program


def test_a_missing_program_skips_a_test_with_reason_and_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VIGIL_REQUIRE_KCAT", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"kcat is not tested: there is no no-kcat .*apt-get install kcat"):
        program("KCAT", "kcat is", "kcat", "no-kcat")


def test_a_missing_program_that_is_required_fails_a_test(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VIGIL_REQUIRE_KCAT", "1")
    with pytest.raises(pytest.fail.Exception, match="VIGIL_REQUIRE_KCAT=1, but there is no no-kcat"):
        program("KCAT", "kcat is", "kcat", "no-kcat")
    assert program("KCAT", "python is", "python3", "no-kcat", "python3").endswith("python3")


def test_the_end_of_a_run_counts_skipped_tests_by_reason():
    reports = [SimpleNamespace(longrepr=("a.py", 1, f"Skipped: {why}")) for why in ("no kcat", "no npm", "no kcat")]
    assert skips_by_reason(reports) == {"no kcat": 2, "no npm": 1}  # type: ignore[arg-type]
