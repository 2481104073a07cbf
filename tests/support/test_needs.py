"""What is left out of a run is told at its end, and fails where it is required."""

from types import SimpleNamespace

import pytest

from tests.conftest import left_out
from tests.support.needs import program


def test_what_lacks_is_skipped_with_its_reason_and_the_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VIGIL_REQUIRE_KCAT", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"kcat is not tested: there is no no-kcat .*apt-get install kcat"):
        program("KCAT", "kcat is", "kcat", "no-kcat")


def test_what_is_required_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VIGIL_REQUIRE_KCAT", "1")
    with pytest.raises(pytest.fail.Exception, match="VIGIL_REQUIRE_KCAT=1, but there is no no-kcat"):
        program("KCAT", "kcat is", "kcat", "no-kcat")
    assert program("KCAT", "python is", "python3", "no-kcat", "python3").endswith("python3")


def test_the_end_of_a_run_counts_what_was_left_out_by_reason():
    reports = [SimpleNamespace(longrepr=("a.py", 1, f"Skipped: {why}")) for why in ("no kcat", "no npm", "no kcat")]
    assert left_out(reports) == {"no kcat": 2, "no npm": 1}  # type: ignore[arg-type]
