"""Fetches what the peers need into ~/.cache/vigil (VIGIL_KAFKA_CACHE), once: a Python environment, and jars."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
LOCK: Final = HERE / "requirements.lock"


class PeerMissing(Exception):
    """A peer cannot run here; the text says why."""


def cache() -> Path:
    """Return the folder for what is fetched."""
    root = os.environ.get("VIGIL_KAFKA_CACHE")
    return Path(root).resolve() if root else Path.home() / ".cache" / "vigil"


def python() -> str:
    """Return the interpreter of an environment with the locked libraries; raise PeerMissing."""
    place = cache() / f"peers-python-{_digest([LOCK])}-{sys.version_info[0]}.{sys.version_info[1]}"
    interpreter = place / "bin" / "python"
    if not (place / "installed").exists():
        print(f"installing the Python peers into {place}, once", flush=True)
        shutil.rmtree(place, ignore_errors=True)
        venv.create(place, with_pip=True)
        options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:"]
        _run([str(interpreter), "-m", "pip", "install", *options, "--requirement", str(LOCK)])
        (place / "installed").touch()
    return str(interpreter)


def classpath(peer: str) -> str:
    """Return the class path of a peer in Java, compiled; raise PeerMissing."""
    sources = sorted([*HERE.glob("java/common/*.java"), *HERE.glob(f"java/{peer}/*")])
    place = cache() / f"peers-{peer}-{_digest(sources)}"
    if not place.is_dir():
        for program in ("mvn", "javac"):
            if shutil.which(program) is None:
                raise PeerMissing(f"there is no {program} on PATH")
        print(f"fetching the jars of {peer} into {place}, once", flush=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".peers-") as folder:
            work = Path(folder, "work")
            jars, classes = work / "jars", work / "classes"
            pom = ["-f", str(HERE / "java" / peer / "pom.xml")]
            _run(["mvn", "-B", "-q", *pom, "dependency:copy-dependencies", "-DincludeScope=runtime",
                  f"-DoutputDirectory={jars}"])  # fmt: skip
            java = [str(source) for source in sources if source.suffix == ".java"]
            _run(["javac", "--release", "17", "-d", str(classes), "-cp", f"{jars}/*", *java])
            work.rename(place)  # atomic: complete or not at all
    return f"{place}/classes:{place}/jars/*"


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _run(command: list[str]) -> None:
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode:
        raise PeerMissing(f"{' '.join(command[:6])} … failed: {result.stdout[-1500:]}")
