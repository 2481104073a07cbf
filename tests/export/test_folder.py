"""The folder of an export has all tables of one export, or none."""

from pathlib import Path

import pytest

from vigil.app.export.folder import MANIFEST, REPLACED_FOLDER, UNFINISHED_FOLDER, ExportFolderError, export_folder

TABLES = ("verdicts", "comments")


def write(folder: Path, replace: bool = False, *, tables: tuple[str, ...] = TABLES, text: str = "new") -> None:
    with export_folder(folder, TABLES, replace) as unfinished:
        for table in tables:
            (unfinished / table).mkdir()
            (unfinished / table / "part").write_text(text)
        (unfinished / MANIFEST).write_text(text)


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


WHOLE = {"verdicts/part": "new", "comments/part": "new", MANIFEST: "new"}


@pytest.mark.parametrize("there", [False, True], ids=["new", "empty"])
def test_a_new_or_empty_folder_gets_all_tables(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "a" / "lake"
    if there:
        folder.mkdir(parents=True)
    write(folder)
    assert content(folder) == WHOLE
    assert {path.name for path in folder.iterdir()} == {*TABLES, MANIFEST}


def test_an_export_is_not_replaced_by_accident(tmp_path: Path) -> None:
    write(tmp_path, text="old")
    with pytest.raises(ExportFolderError, match=r"has the files of an export.*--replace"):
        write(tmp_path)
    assert set(content(tmp_path).values()) == {"old"}


def test_replace_removes_every_table_of_the_former_export_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, text="old")
    (tmp_path / "notes.txt").write_text("mine")
    write(tmp_path, replace=True, tables=("verdicts",))
    assert content(tmp_path) == {"verdicts/part": "new", MANIFEST: "new", "notes.txt": "mine"}


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_of_something_else_is_refused(tmp_path: Path, replace: bool) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ExportFolderError, match="not empty, and not the folder of an export"):
        write(tmp_path, replace)
    assert content(tmp_path) == {"thesis.txt": "mine"}


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("")
    with pytest.raises(ExportFolderError, match="is not a folder"):
        write(tmp_path / "lake")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    write(tmp_path / "old", text="old")
    for name in ("old", "new"):
        with pytest.raises(error), export_folder(tmp_path / name, TABLES, replace=True) as unfinished:
            (unfinished / "verdicts").mkdir()
            raise error
    assert set(content(tmp_path / "old").values()) == {"old"}
    assert not (tmp_path / "old" / UNFINISHED_FOLDER).exists()
    assert not (tmp_path / "new").exists()


def test_what_a_killed_export_left_is_removed_on_request_only(tmp_path: Path) -> None:
    (tmp_path / UNFINISHED_FOLDER / "verdicts").mkdir(parents=True)
    (tmp_path / UNFINISHED_FOLDER / "verdicts" / "half").write_text("old")
    with pytest.raises(ExportFolderError, match=r"is running, or was killed.*--replace"):
        write(tmp_path)
    write(tmp_path, replace=True)
    assert content(tmp_path) == WHOLE


OLD = {"verdicts/part": "old", "comments/part": "old", MANIFEST: "old"}


class Killed(BaseException):
    """The end of a process in which nothing else runs."""


@pytest.mark.parametrize("after", range(6))
def test_an_export_that_is_interrupted_as_it_moves_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Three things of the earlier export are moved aside, and three of the new one to their places."""
    write(tmp_path, text="old")
    interrupted_after(after, monkeypatch, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, replace=True)
    assert content(tmp_path) == OLD
    assert {path.name for path in tmp_path.iterdir()} == {*TABLES, MANIFEST}


@pytest.mark.parametrize("after", range(6))
def test_an_export_that_is_killed_as_it_moves_keeps_the_earlier_one_until_another_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    write(tmp_path, text="old")
    with monkeypatch.context() as patched:
        patched.setattr("vigil.app.export.folder._move_back", lambda *_: None)
        patched.setattr("vigil.app.export.folder._remove_empty", lambda *_: None)
        interrupted_after(after, patched, Killed)
        with pytest.raises(Killed):
            write(tmp_path, replace=True)
    assert sorted(content(tmp_path).values()).count("old") == 3
    with pytest.raises(ExportFolderError, match="was killed"):
        write(tmp_path)
    with pytest.raises(ValueError), export_folder(tmp_path, TABLES, replace=True):
        raise ValueError
    assert sorted(content(tmp_path).values()).count("old") == 3
    write(tmp_path, replace=True)
    assert content(tmp_path) == WHOLE
    assert {path.name for path in tmp_path.iterdir()} == {*TABLES, MANIFEST}


def interrupted_after(number: int, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    """Let the move with this number be the last one."""
    moves, rename = iter(range(10)), Path.rename

    def moved(path: Path, target: Path) -> Path:
        if path.parent.name == REPLACED_FOLDER or target.parent.name == UNFINISHED_FOLDER:
            return rename(path, target)  # back
        done = rename(path, target)
        if next(moves) == number:
            raise error
        return done

    monkeypatch.setattr(Path, "rename", moved)


def test_what_an_export_that_was_killed_at_its_very_end_left_is_removed_on_request(tmp_path: Path) -> None:
    """The new tables are complete, and the earlier ones half removed."""
    write(tmp_path)
    (tmp_path / REPLACED_FOLDER / "verdicts").mkdir(parents=True)
    with pytest.raises(ExportFolderError, match="was killed"):
        write(tmp_path)
    write(tmp_path, replace=True)
    assert content(tmp_path) == WHOLE
    assert not (tmp_path / REPLACED_FOLDER).exists()
