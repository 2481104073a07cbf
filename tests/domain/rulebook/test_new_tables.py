"""What the marketplace adds is a dated table: no code, shown by `vigil rules`, and judged by a worker."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support.line_stories import ask, claim, custom, epr, product
from tests.support.supplier_stories import Chain, at
from vigil.app.cli.main import main
from vigil.app.domain.rulebook.reader import BUILT_IN, load_rulebook

TABLES = """
[star-plan.from.2023-01-01]
audience = "some"
industries = ["toys"]
source = "a further phase of the star plan"

[stars.toys]
says = "Two and three stars of toys."

[stars.toys.from.2023-01-01]
two = ["craft", "new + dispatch-12d"]
three = ["private-mould + delivery-20d"]
source = "another industry's star table"

[epr.ES.wood]
says = "Wood in Spain."

[epr.ES.wood.from.2023-01-01]
trait = "wood"
declared = "half-year"
weeks = [3, 9]
source = "another country's EPR category"

[due.photo-check]
says = "Photos are checked."

[due.photo-check.from.2023-01-01]
opened_by = "ask"
within_h = 5
closed_by = ["done"]
owed_by = "marketplace"
source = "another duty with another deadline"

[programme.toy-fair]
says = "Enrolment in the toy fair."

[programme.toy-fair.from.2023-01-01]
edition = "month"
first_day = 1
last_day = 5
source = "another programme"
"""
NOW = at("2023-01-03 12:00")


@pytest.fixture
def rulebook(tmp_path: Path) -> Path:
    file = tmp_path / "rulebook.toml"
    file.write_text(BUILT_IN.read_text(encoding="utf-8") + TABLES, encoding="utf-8")
    return file


def test_rules_show_them(rulebook: Path) -> None:
    names = ("star-plan", "stars.toys", "epr.ES.wood", "due.photo-check", "programme.toy-fair")
    only = [word for name in names for word in ("--only", name)]
    arguments = ["rules", "--rulebook", str(rulebook), "--on", "2023-01-03", *only]
    result = CliRunner().invoke(main, arguments, env={"COLUMNS": "200"})
    assert (result.exit_code, result.stderr) == (0, "")
    assert all(name in result.stdout for name in names)
    assert result.stdout.count("│ 2023-01-01 │") == len(names)


def test_a_worker_accepts_what_they_ask_for(rulebook: Path) -> None:
    story = [
        custom(NOW, "bear", industry="toys", abilities=["craft"], markets=["ES"], traits=["wood"]),
        product(NOW, "lamp", abilities=["overseas-stock"]),
        ask(NOW, "photo-check", "bear"),
        claim(NOW, "toy-fair"),
    ]
    chain = Chain(load_rulebook(rulebook)).play(*story).checkpoint()
    assert chain.sent("dead-letter") == []
    bear: Any = chain.states("product-standing")["s/bear"]
    assert (bear["stars"], bear["audience"], bear["rulebook"]) == (2, "some", "2023-01-01")
    assert bear["epr"]["ES"]["missing"] == [{"category": "wood", "weeks": [3, 9]}]
    assert chain.states("product-standing")["s/lamp"]["stars"] is None, "its industry is not open in this phase"
    [duty] = chain.states("obligation").values()
    assert (duty["duty"], duty["due"], duty["rulebook"]) == ("photo-check", NOW + 5 * 3_600_000, "2023-01-01")
    assert chain.states("participation")["toy-fair/2023-01/s"]["status"] == "completed"
    chain.play(epr(NOW + 1, "ES", "wood")).checkpoint()
    assert chain.states("product-standing")["s/bear"]["epr"]["ES"]["missing"] == []


def test_without_them_a_worker_rejects_it() -> None:
    chain = Chain().play(ask(NOW, "photo-check", "bear"), claim(NOW, "toy-fair"), epr(NOW, "ES", "wood")).checkpoint()
    assert [letter["reason"] for letter in chain.sent("dead-letter")] == ["malformed"] * 3
