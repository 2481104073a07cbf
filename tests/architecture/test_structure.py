"""The measured figures of docs/architecture.md stay within their targets, and are measured as they say."""

import subprocess
from pathlib import Path

import pytest

from tools.structure import (
    MEASURES,
    ROOT,
    Figure,
    any_in_agents,
    bodies,
    complex_by_radon,
    complex_by_ruff,
    in_cycles,
    loose_modules,
    outside,
    package_cycles,
    package_imports,
    shared_class_names,
    upward_imports,
    write,
)


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_a_figure_is_within_its_target(name: str) -> None:
    figure = MEASURES[name].measure(ROOT)
    assert figure.value <= MEASURES[name].target, "\n".join(figure.findings)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small product with one fault of each kind."""
    source = {
        "app/__init__.py": "",
        "app/loose.py": "",
        "app/cli/__init__.py": "from vigil.app.kafka import clients\n",
        "app/kafka/__init__.py": "",
        "app/kafka/clients.py": "from vigil.app.cli import main\n",
        "app/cli/main.py": "class Record:\n    pass\n",
        "agents/runner.py": "from typing import Any\n\n\nclass Record:\n    held: Any\n",
        "agents/faust/app.py": "x: Any\n" * 20,
        "topics/rooms.py": "def f(x):\n" + "    if x:\n        x += 1\n" * 10 + "def g(): ...\n",
        "tools/one.py": "def f():\n    from app.kafka import clients\n",
        "benchmarks/one.py": "",
    }
    for name, text in source.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_complexity_is_counted_by_radon_and_by_ruff(checkout: Path) -> None:
    assert complex_by_radon(checkout) == (50, ("topics/rooms.py:1 f: 11",), "%")
    assert complex_by_ruff(checkout).findings == ("topics/rooms.py:1 `f` is too complex (11 > 10)",)


def test_any_is_counted_by_line_without_imports_and_without_the_adapter(checkout: Path) -> None:
    assert any_in_agents(checkout, without_adapter=True) == (20, ("agents/runner.py:5",), "")
    assert any_in_agents(checkout, without_adapter=False).value == 84


def test_modules_directly_in_app_are_loose(checkout: Path) -> None:
    assert loose_modules(checkout).findings == ("loose.py",)


def test_imports_between_packages_are_seen_wherever_they_stand(checkout: Path) -> None:
    assert package_imports(checkout).findings == ("app.cli → app.kafka", "app.kafka → app.cli", "tools → app.kafka")


def test_an_import_of_a_higher_layer_points_upward(checkout: Path) -> None:
    assert upward_imports(checkout).findings == ("app.kafka.clients → app.cli", "app.kafka.clients → app.cli.main")


def test_packages_that_import_each_other_are_a_cycle(checkout: Path) -> None:
    assert package_cycles(checkout).findings == ("app.cli", "app.kafka")
    assert in_cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


def test_a_class_name_with_two_meanings_is_named_with_its_places(checkout: Path) -> None:
    assert shared_class_names(checkout).findings == ("Record: agents/runner.py:4, app/cli/main.py:1",)


def test_the_table_of_the_page_is_renewed_by_figure(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "| figure | before | now | target |\n| rules | 10 | 4 | 4 |\n| of some (`radon`) | 6 % | – | ≤ 1 |\n"
    )
    write(page, {"radon": Figure(1.46, (), "%"), "loose": Figure(0)})
    assert page.read_text().splitlines()[1:] == ["| rules | 10 | 4 | 4 |", "| of some (`radon`) | 6 % | 1.5 % | ≤ 1 |"]


def test_a_commit_without_a_body_and_files_outside_a_folder_are_counted(tmp_path: Path) -> None:
    def git(*command: str) -> None:
        identity = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
        subprocess.run(["git", *identity, *command], cwd=tmp_path, check=True, capture_output=True)

    def commit(message: str, *names: str) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(message)
        git("add", "-A")
        git("commit", "-m", message)

    git("init")
    commit("Start", "README.md")
    git("tag", "start")
    commit("Add toys\n\nThey were missing.", "app/domain/toys/subject.py", "tests/domain/toys/test_toys.py")
    commit("Register toys", "app/domain/registry.py")
    assert outside("app/domain/toys", "start..HEAD", tmp_path) == (1, ("app/domain/registry.py",), "")
    without = bodies("start..HEAD", tmp_path)
    assert (without.value, without.unit) == (50, "%")
    assert [finding.partition(" ")[2] for finding in without.findings] == ["Register toys"]
