"""A rule costs a descriptor, a section of the rulebook and its words: everything else that knows rules derives.

The rule "phone call for 60 s" is added in a process of its own (tests/support/new_rule.py), before anything else is
imported. docs/adr/0011-rule-is-one-descriptor.md says which files a real rule touches.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

S = 1000


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each part of Vigil makes of a host who is on the phone from the 1st to the 91st second."""
    folder = tmp_path_factory.mktemp("new-rule")
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.new_rule", str(folder)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    findings: dict[str, Any] = json.loads(done.stdout)
    return findings


def test_it_is_judged(found: dict[str, Any]) -> None:
    verdict, start = found["verdict"], found["start"]
    assert (verdict["rule"], verdict["family"]) == ("phone-call", "low-quality")
    assert (verdict["since"] - start, verdict["at"] - start) == (1 * S, 61 * S)


def test_its_evidence_is_worded_in_english_and_read_back_in_chinese(found: dict[str, Any]) -> None:
    notes = [one["note"] for one in found["verdict"]["evidence"]]
    assert notes == [f"the {which} of 61 frames in a row of a host on the phone" for which in ("first", "last")]
    assert found["note"] == "连续 61 帧主播在打电话：其中第一帧"


def test_it_warns_at_half_of_its_time(found: dict[str, Any]) -> None:
    (notice,) = found["notices"]
    assert (notice["kind"], notice["rule"]) == ("at-risk", "phone-call")
    assert (notice["at"] - found["start"], notice["due"] - found["start"]) == (31 * S, 61 * S)


def test_the_ladder_of_its_family_follows(found: dict[str, Any]) -> None:
    assert (found["action"]["rule"], found["action"]["steps"]) == ("phone-call", ["warn"])


def test_a_backtest_can_change_its_number(found: dict[str, Any]) -> None:
    assert [one["rule"] for one in found["backtest"]["gone"]] == ["phone-call"]


def test_an_explanation_says_what_prevents_it(found: dict[str, Any]) -> None:
    first, second = found["explain"]["prevented"]
    assert "with the host not on the phone: the run would have ended before it had lasted 1 min" in first
    assert second == "Ending the stream: only live frames count."


def test_the_console_ranks_draws_and_finds_it_by_its_name(found: dict[str, Any]) -> None:
    assert found["wall"] == [["phone-call", found["start"] + 1 * S, found["start"] + 61 * S, 0, None]]
    assert found["lanes"][-1] == found["script"] == "打电话"
    assert "23:06:41–23:08:12 打电话" in found["hints"]  # the activity, in UTC
    assert found["search"] == ["phone-call"]


def test_an_alert_names_it(found: dict[str, Any]) -> None:
    assert found["alerts"] == [f"{head}: host on the phone in room room-1" for head in ("At risk", "VIOLATION")]
    assert found["alert"] == "违规：直播间 room-1 主播打电话"


def test_metrics_count_it_from_zero(found: dict[str, Any]) -> None:
    series = {name: number for name, number in found["metrics"].items() if number}
    assert series == {"vigil_verdicts": 1, "vigil_shadow_verdicts": 3, "vigil_notices": 2, "vigil_rooms_at_risk": 1}


def test_the_rulebook_command_and_page_show_it(found: dict[str, Any]) -> None:
    assert found["rules"]["sections"]["phone-call"]["limits"]["lasts_s"] == 60
    (row,) = found["docs"]
    assert row.startswith(
        "| `phone-call`<br>family low-quality | The host is on the phone for a minute. | 2022-07-19 |"
    )


def test_the_contract_documents_have_its_activity(found: dict[str, Any]) -> None:
    """One word in `topics/rooms.py`: the schemas are generated from it."""
    assert "phone" in found["activities"][0]["enum"]
