"""The folder of an export: it gets its tables once all of them are complete.

DIR/.unfinished/TABLE/…    while the export runs; removed if it ends early
DIR/TABLE/day=…/…          afterwards
DIR/export.json            written last: the export is complete
DIR/.replaced/…            an earlier export while its successor takes its place; removed last, or moved back
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

MANIFEST: Final = "export.json"
UNFINISHED_FOLDER: Final = ".unfinished"
REPLACED_FOLDER: Final = ".replaced"


class ExportFolderError(Exception):
    """The folder cannot be written to. The text says why, and what helps."""


@contextmanager
def export_folder(folder: Path, tables: Iterable[str], replace: bool = False) -> Iterator[Path]:
    """Yield a folder for the files of an export; what is in it moves to `folder` at the end, and the manifest last.

    `tables`: the names of all tables that any export writes. `replace`: remove those of an earlier export, at the end.
    Raise ExportFolderError before anything is written if there is something else in `folder`.
    """
    is_new = not folder.exists()
    _check(folder, replace)
    unfinished = folder / UNFINISHED_FOLDER
    if replace:
        shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise ExportFolderError(f"cannot create {unfinished}: {error.strerror}") from error
    try:
        yield unfinished
        _publish(unfinished, folder, tables)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise


def _check(folder: Path, replace: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise ExportFolderError(f"{folder} is not a folder")
    found = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if not found:
        return
    if not found & {MANIFEST, UNFINISHED_FOLDER, REPLACED_FOLDER}:
        raise ExportFolderError(f"{folder} is not empty, and not the folder of an export: name another one")
    if not replace:
        what = "the files of an export"
        if found & {UNFINISHED_FOLDER, REPLACED_FOLDER}:
            what = "an export that is running, or was killed"
        raise ExportFolderError(f"{folder} has {what}: name another folder, or replace it with --replace")


def _publish(unfinished: Path, folder: Path, tables: Iterable[str]) -> None:
    """Move what was written to where it is looked for, and remove an earlier export. What ends it early undoes it."""
    replaced = folder / REPLACED_FOLDER
    if (folder / MANIFEST).exists():  # else an export was killed as it moved, and the earlier one is in there
        shutil.rmtree(replaced, ignore_errors=True)
    replaced.mkdir(exist_ok=True)
    with ExitStack() as undo:
        undo.callback(_remove_empty, replaced)
        for name in (MANIFEST, *tables):
            if (replaced / name).exists():
                _remove(folder / name)
            _move(folder / name, replaced / name, undo)
        for path in sorted(unfinished.iterdir(), key=lambda path: (path.name == MANIFEST, path.name)):
            _move(path, folder / path.name, undo)
        undo.pop_all()
    unfinished.rmdir()
    shutil.rmtree(replaced)


def _move(path: Path, to: Path, undo: ExitStack) -> None:
    """Move a file or folder if it is there; `undo` moves it back."""
    undo.callback(_move_back, to, path)  # first: an interruption may come at any time
    if path.exists():
        path.rename(to)


def _move_back(path: Path, to: Path) -> None:
    if path.exists() and not to.exists():
        path.rename(to)


def _remove(path: Path) -> None:
    """Remove a file or folder if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
