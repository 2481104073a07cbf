"""The alerting rules are valid, each is tested by promtool, and each has a section of the runbook."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.test_compose import labels_by_name
from tests.support.needs import program

ROOT = Path(__file__).parents[3]
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
UNIT_TESTS = sorted(Path(__file__).parent.glob("*_test.yml"))
RUNBOOK = (ROOT / "docs/runbook.md").read_text()


def rules() -> list[dict[str, Any]]:
    return [rule for file in RULES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


ALERTS = [rule for rule in rules() if "alert" in rule]


@pytest.fixture
def promtool() -> str:
    return program("PROMETHEUS", "alerting rules are", "prometheus", "promtool")


def test_promtool_accepts_the_rules(promtool: str):
    subprocess.run([promtool, "check", "rules", *map(str, RULES)], check=True, capture_output=True, text=True)


@pytest.mark.ci
def test_alerts_fire_when_they_should_and_only_then(promtool: str, tmp_path: Path):
    for file in (*RULES, *UNIT_TESTS):
        shutil.copy(file, tmp_path)
    run = subprocess.run(
        [promtool, "test", "rules", *(file.name for file in UNIT_TESTS)],
        cwd=tmp_path,
        env={**os.environ, "GOGC": "400"},  # it collects its garbage for a quarter of its time otherwise
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_alert_fires_in_a_unit_test():
    fired = {
        name
        for file in UNIT_TESTS
        for test in yaml.safe_load(file.read_text())["tests"]
        for asked in test["promql_expr_test"]
        for sample in asked["exp_samples"]
        for name in re.findall(r'alertname="(\w+)"', sample["labels"])
    }
    assert fired == {alert["alert"] for alert in ALERTS}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_has_a_summary_a_description_and_a_section_of_the_runbook(alert: dict[str, Any]):
    assert alert["labels"]["severity"] in ("page", "ticket")
    annotations = alert["annotations"]
    assert annotations["summary"] and annotations["description"].endswith(".")
    page, _, anchor = annotations["runbook_url"].partition("#")
    assert (ROOT / page).is_file()
    assert anchor == alert["alert"].lower()
    (section,) = re.findall(rf"^## {alert['alert']}\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert all(f"**{word}**" in section for word in ("Means", "Look", "Do"))


def test_the_runbook_has_no_section_without_an_alert():
    assert set(re.findall(r"^## (Vigil\w+)$", RUNBOOK, re.MULTILINE)) == {alert["alert"] for alert in ALERTS}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_use_only_existing_metrics(rule: dict[str, Any]):
    records = {other["record"] for other in rules() if "record" in other}
    assert set(re.findall(r"\bvigil_\w+", rule["expr"])) <= set(labels_by_name())
    assert set(re.findall(r"\bvigil:\w+:\w+", rule["expr"])) <= records
