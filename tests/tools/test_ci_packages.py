"""tools/ci-packages lists the Debian packages whose programs are missing."""

import os
import shutil
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "tools" / "ci-packages"


def listed(path: str) -> set[str]:
    done = subprocess.run(
        [shutil.which("bash") or "bash", str(SCRIPT), "--missing"],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_without_any_program_every_package_is_missing(tmp_path: Path) -> None:
    assert listed(str(tmp_path)) == {"chromium", "prometheus", "prometheus-alertmanager", "kcat", "jq", "srt-tools"}


def test_one_of_a_packages_programs_is_enough(tmp_path: Path) -> None:
    for program in ("google-chrome", "jq"):
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    assert listed(str(tmp_path)) == {"prometheus", "prometheus-alertmanager", "kcat", "srt-tools"}


def test_an_unknown_option_prints_the_usage(tmp_path: Path) -> None:
    done = subprocess.run([str(SCRIPT), "--nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "tools/ci-packages --missing" in done.stderr
