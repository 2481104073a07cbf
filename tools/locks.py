"""Checks that the locks match pyproject.toml. It only reads files and needs no network.

requirements.lock           everything with all extras, which `make install` installs
deploy/requirements.lock    what the image needs, in the same versions
deploy/demo.lock            what `make demo` needs, in the same versions
deploy/build.lock           what builds Vigil, from deploy/build.in, in the same version
deploy/linters.lock         what `make deploy-check` runs, from deploy/linters.in
benchmarks/peers/…lock      what `make bench peers` compares Vigil with, from benchmarks/peers/requirements.in
"""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([\w.-]+)==([^\s\\]+)(?: ; [^\\\n]+?)?((?: \\\n +--hash=sha256:[0-9a-f]{64})*)$", re.MULTILINE)


def pins(text: str, name: str, problems: list[str]) -> dict[str, set[Version]]:
    """Return the locked versions of each package; there are several if markers choose among them."""
    found: dict[str, set[Version]] = {}
    for package, version, hashes in PIN.findall(text):
        found.setdefault(canonicalize_name(package), set()).add(Version(version))
        if not hashes:
            problems.append(f"{name}: {package}=={version} has no hash")
    if "://" in text:
        problems.append(f"{name}: names a host; the index is a matter of each user's settings")
    return found


def unmet(wanted: list[str], locked: dict[str, set[Version]], name: str, asked: str = "pyproject.toml") -> list[str]:
    """Return a line for each requirement that the lock does not satisfy."""
    problems = []
    for requirement in map(Requirement, wanted):
        versions = locked.get(canonicalize_name(requirement.name), set())
        if not any(requirement.specifier.contains(version, prereleases=True) for version in versions):
            found = ", ".join(map(str, sorted(versions))) or "nothing"
            problems.append(f"{name}: {asked} wants {requirement}, the lock has {found}")
    return problems


def listed(root: Path, name: str) -> list[str]:
    """Return the requirements of an input file such as deploy/linters.in."""
    lines = (root / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def check(root: Path) -> list[str]:
    """Return a line for each mismatch."""
    read = tomllib.loads((root / "pyproject.toml").read_text())
    project, builder = read["project"], read["build-system"]["requires"]
    extras = project["optional-dependencies"]
    problems: list[str] = []
    every = pins((root / "requirements.lock").read_text(), "requirements.lock", problems)
    wanted = [*project["dependencies"], *(one for extra in extras.values() for one in extra)]
    problems += unmet(wanted, every, "requirements.lock")
    build = listed(root, "deploy/build.in")
    parts = {
        "deploy/requirements.lock": (project["dependencies"], "pyproject.toml"),
        "deploy/demo.lock": ([*project["dependencies"], *extras["demo"], *build], "pyproject.toml"),
        "deploy/build.lock": ([*build, *builder], "deploy/build.in"),
    }
    for name, (wanted, asked) in parts.items():
        locked = pins((root / name).read_text(), name, problems)
        problems += unmet(wanted, locked, name, asked)
        for package, versions in locked.items():
            if not versions <= every.get(package, set()):
                problems.append(f"{name}: {package} differs from requirements.lock")
    for name in ("deploy/linters", "benchmarks/peers/requirements"):
        locked = pins((root / f"{name}.lock").read_text(), f"{name}.lock", problems)
        problems += unmet(listed(root, f"{name}.in"), locked, f"{name}.lock", f"{name}.in")
    return problems


def main() -> int:
    problems = check(ROOT)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print("to renew the locks, run: make lock", file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
