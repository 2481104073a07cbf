"""What docs/architecture.md, docs/glossary.md and docs/adr/ name exists: files, tests and figures."""

import ast
import re
from pathlib import Path

import pytest

from tools.structure import MEASURES

ROOT = Path(__file__).parents[2]
RECORDS = sorted(path for path in (ROOT / "docs/adr").glob("*.md") if path.name != "README.md")
PAGES = [ROOT / "docs/architecture.md", ROOT / "docs/glossary.md", ROOT / "docs/adr/README.md", *RECORDS]

_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
_QUOTED = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"(?:agents|app|benchmarks|docs|src|tests|tools|topics)(?:/[\w.*-]+)+/?")
SECTIONS = ["Context", "Decision", "Consequences", "Alternatives", "Held by"]


def quoted(page: Path) -> list[str]:
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return _QUOTED.findall(text)


def names_of_tests(path: Path) -> set[str]:
    """The tests of a file: functions, and methods as `Class::function`."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{own.name}" for own in node.body if isinstance(own, _FUNCTION)}
        elif isinstance(node, _FUNCTION):
            found.add(node.name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    wrong = []
    for name in quoted(page):
        path, separator, test = name.partition("::")
        if separator and (not (ROOT / path).exists() or test not in names_of_tests(ROOT / path)):
            wrong.append(name)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    paths = {name.partition("::")[0] for name in quoted(page) if "NAME" not in name}
    wrong = [path for path in sorted(paths) if _PATH.fullmatch(path) and not any(ROOT.glob(path.rstrip("/")))]
    assert wrong == []


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_record_has_its_sections_and_names_what_holds_it(record: Path) -> None:
    text = record.read_text()
    assert text.startswith(f"# {record.name[:4]} ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert re.search(r"`tests/[\w/]+\.py", text.partition("## Held by")[2])


def test_the_index_lists_every_record_in_order_with_its_title() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    titles = [(record.name, record.read_text().splitlines()[0][7:]) for record in RECORDS]
    assert re.findall(r"^\| \[\d{4}\]\((\S+)\) \| (.*?) \|", index, re.MULTILINE) == titles
    numbers = [int(record.name[:4]) for record in RECORDS]
    assert sorted(set(numbers)) == numbers


def test_invariants_are_numbered_without_gaps_and_each_names_a_test() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    rows = re.findall(r"^\| \*\*I-(\d+)\*\* \|.*?\| (.*?) \|$", text, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    assert rows
    assert all("`tests/" in held_by for _, held_by in rows)


def test_code_and_tests_refer_to_every_invariant_and_to_no_other() -> None:
    listed = set(re.findall(r"\*\*(I-\d+)\*\*", (ROOT / "docs/architecture.md").read_text()))
    product = _invariants("app", "agents")
    assert product <= listed
    assert _invariants("tests") == listed


def _invariants(*folders: str) -> set[str]:
    modules = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {name for path in modules for name in re.findall(r"\bI-\d+\b", path.read_text())}


def test_the_table_of_figures_has_every_figure_and_its_target() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    for name, measure in MEASURES.items():
        row = re.search(rf"^\|.*\(`{name}`\).*$", text, re.MULTILINE)
        assert row is not None, name
        target = row[0].strip("| ").split("|")[-1].strip()
        assert re.fullmatch(rf"≤ {measure.target:g}( %)?", target), (name, target)
