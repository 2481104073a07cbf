"""The wheel claims only the import name `vigil`, and works next to packages called `app`, `agents` and `topics`."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORY = ROOT / "tests/runtime/replay/stories/greeting.jsonl"


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command and return its output; fail with its output if it fails."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this checkout from a copy, so that the tree stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    copy.mkdir()
    for name in ("app", "agents", "topics", "src", "pyproject.toml", "README.md", "LICENSE"):
        run("cp", "-a", ROOT / name, copy / name, cwd=folder)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, copy, cwd=folder)
    (built,) = folder.glob("vigil_live-*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel, its dependencies and another project's `app`."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel, cwd=environment)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=environment).strip())
    # Adds the packages of this environment but not its .pth files, so that the editable install is not visible.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for name in ("app", "agents", "topics"):
        (site / name).mkdir()
        (site / name / "__init__.py").write_text("OWNER = 'somebody else'\n")
    return python


def test_the_wheel_claims_one_import_name(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"vigil"}


def test_the_wheel_carries_every_data_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    kept = {".toml", ".json", ".html", ".css", ".js", ".svg", ".tflite"}
    files = {
        path.relative_to(ROOT).as_posix()
        for top in ("app", "agents", "topics")
        for path in (ROOT / top).rglob("*")
        if path.suffix in kept
    }
    assert files
    assert {f"vigil/{name}" for name in files} | {"vigil/py.typed"} <= names


def test_other_packages_of_the_same_names_are_still_importable(python: Path, tmp_path: Path) -> None:
    code = (
        "import agents, app, topics, vigil.app.cli.main, vigil.agents, vigil.topics\n"
        "print(*sorted({app.OWNER, agents.OWNER, topics.OWNER}), vigil.__file__)"
    )
    owner, file = run(python, "-c", code, cwd=tmp_path).strip().rsplit(" ", 1)
    assert owner == "somebody else"
    assert Path(file).is_relative_to(python.parents[1])


def test_the_installed_command_replays_a_recording(python: Path, tmp_path: Path) -> None:
    run(python.with_name("vigil"), "replay", STORY, "--out", tmp_path / "out", cwd=tmp_path)
    assert '"rule":"greeting-miss"' in (tmp_path / "out" / "verdict.jsonl").read_text()


def test_a_checkout_installed_for_development_claims_one_import_name(tmp_path: Path) -> None:
    code = "import importlib.util as u; print([n for n in ('app', 'agents', 'topics') if u.find_spec(n)])"
    assert run(sys.executable, "-c", code, cwd=tmp_path).strip() == "[]"


def test_a_type_checker_sees_the_types_of_a_checkout_installed_for_development(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text("from vigil.topics.rooms import Comment\n\nwrong: int = Comment\n")
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "user.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 'expression has type "type[Comment]", variable has type "int"' in done.stdout
    assert "import-not-found" not in done.stdout
    assert "import-untyped" not in done.stdout
