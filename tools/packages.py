"""Fetches packages of public registries with their ordinary clients, once, and reads the files in them.

Packages are kept in ~/.cache/vigil/packages (VIGIL_PACKAGE_CACHE), never in the repository. Nothing of a package is
installed or imported: it is an archive of data.
"""

import hashlib
import io
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

    client: Literal["pip", "npm", "apt"]
    name: str
    version: str
    """Of a Debian package the one that was looked at: the release of the machine decides which is fetched."""
    sha256: str | None
    """Of the archive: another one is rejected. None: whoever reads its files checks these."""
    licence: str
    """As the package states it, and its data where these have one of their own."""

    @property
    def folder(self) -> Path:
        """Where its archive is kept."""
        return cache() / f"{self.client}-{self.name.replace('/', '+')}-{self.version}"


def cache() -> Path:
    """Return the folder for what is fetched."""
    named = os.environ.get("VIGIL_PACKAGE_CACHE")
    return Path(named).resolve() if named else Path.home() / ".cache" / "vigil" / "packages"


def fetched(package: RegistryPackage) -> Path:
    """Return the archive of a package, fetched unless it is in the cache; raise PackageMissing."""
    folder = package.folder
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
    with _tape(archive) as tape:
        files = [member for member in tape.getmembers() if member.isfile() and member.name.endswith(suffixes)]
        return {member.name: reader.read() for member in files if (reader := tape.extractfile(member)) is not None}


def member(archive: Path, suffix: str) -> bytes:
    """Return the one file of an archive whose path ends so; raise PackageMissing."""
    found = members(archive, suffix)
    if len(found) != 1:
        raise PackageMissing(f"{archive.name} has {len(found)} files that end in {suffix}, not one")
    return next(iter(found.values()))


def _tape(archive: Path) -> tarfile.TarFile:
    if archive.suffix != ".deb":
        return tarfile.open(archive)
    # Debian's own tool knows every compression that a package may have.
    unpacked = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(archive)], check=True, capture_output=True).stdout
    return tarfile.open(fileobj=io.BytesIO(unpacked))


def _download(package: RegistryPackage, into: Path) -> Path:
    for command in _commands(package, into):
        _run(command, package, into)
    archives = list(into.iterdir())
    if len(archives) != 1:
        raise PackageMissing(f"{package.name} {package.version}: {len(archives)} files were fetched, not one")
    return archives[0]


def _commands(package: RegistryPackage, into: Path) -> list[list[str]]:
    """Return what downloads a package into a folder."""
    name, version = package.name, package.version
    return {
        "pip": [[sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                 "--dest", str(into), f"{name}=={version}"]],
        "npm": [["npm", "pack", "--silent", "--pack-destination", str(into), f"{name}@{version}"]],
        "apt": [["apt-get", "update", "-qq"], ["apt-get", "download", "-qq", name]],
    }[package.client]  # fmt: skip


def _run(command: list[str], package: RegistryPackage, folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise PackageMissing(f"{package.name} is fetched with {command[0]}, which is not on PATH")
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise PackageMissing(f"{package.name}: {command[0]} did not end within {TIMEOUT_S} s") from error
    if done.returncode:
        raise PackageMissing(f"{package.name} {package.version} cannot be fetched: {done.stderr.strip()[-800:]}")


def _check(package: RegistryPackage, archive: Path) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != package.sha256 and package.sha256 is not None:
        raise PackageMissing(f"{archive} has the SHA-256 {digest}, not {package.sha256}")
