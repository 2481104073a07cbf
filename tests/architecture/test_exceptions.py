"""Every exception from a rule of ruff carries a reason."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("agents", "app", "benchmarks", "tests", "tools", "topics")
NOQA = re.compile(r"# (?:ruff: )?noqa\b(?!: [A-Z]+\d+(?:, [A-Z]+\d+)* - \w)")


def test_every_noqa_names_its_rule_and_has_a_reason() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if NOQA.search(line)
    ]
    assert wrong == []


def test_a_noqa_without_a_rule_or_a_reason_is_found() -> None:
    mark = "# no" + "qa"
    assert NOQA.search(f"x = 1  {mark}")
    assert NOQA.search(f"x = 1  {mark}: E501")
    assert not NOQA.search(f"x = 1  {mark}: E501, S101 - one case a line")
