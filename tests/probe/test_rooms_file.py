"""A list of rooms is read, or refused with the line and what to write; addresses do not show their secrets."""

import os
from pathlib import Path

import pytest

from vigil.app.probe.addresses import Address, AddressError
from vigil.app.probe.rooms_file import ChangedRooms, RoomsError, read_rooms


def written(folder: Path, *lines: str) -> Path:
    file = folder / "rooms.txt"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_rooms_comments_and_quoted_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "of today.mp4").touch()
    file = written(
        tmp_path,
        "\ufeff# source room host",
        "",
        "rtmp://media.example.com/live/8f2c#1  room-1  merchant-7",
        '"of today.mp4" room-2 merchant-9',
    )
    stream, recording = read_rooms(file)
    assert (stream.address.url, stream.room_id, stream.host_id) == (
        "rtmp://media.example.com/live/8f2c#1",
        "room-1",
        "merchant-7",
    )
    assert (recording.address.url, recording.address.is_file) == (f"file:{tmp_path}/of today.mp4", True)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["rtmp://h/a room-1"], "line 1: has 2 values; write: SOURCE ROOM HOST"),
        (["", "rtmp://h/a room 1 host"], "line 2: has 4 values"),
        (['rtmp://h/"a room host'], "line 1: a quotation mark has no partner"),
        (["rtmp://h/a r h", "rtmp://h/b r h"], "line 2: room r is in line 1 already"),
        (["ftp://h/a r h"], "line 1: the source begins with ftp://; write the path of a file, or one of rtmp://"),
        (["rtmp:///a r h"], "line 1: the source has no host; write rtmp://HOST/"),
        (["rtmp://h:port/a r h"], "line 1: the source is no address"),
        (["gone.mp4 r h"], "line 1: there is no file .*gone.mp4; a stream begins with one of rtmp://"),
        ([f"rtmp://h/a {'r' * 129} h"], "line 1: the room has no or more than 128 characters"),
        (["rtmp://h/a r ''"], "line 1: the host has no or more"),
        (["# nothing"], "has no rooms; write one a line"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_with_the_remedy(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(RoomsError, match=words):
        read_rooms(written(tmp_path, *lines))


def test_a_list_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(RoomsError, match=r"gone\.txt: cannot be read: No such file"):
        read_rooms(tmp_path / "gone.txt")
    (tmp_path / "rooms.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RoomsError, match="is not UTF-8"):
        read_rooms(tmp_path / "rooms.txt")


def test_srt_without_its_program_is_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AddressError, match=r"srt-live-transmit \(Debian: apt-get install srt-tools\)"):
        Address.of("srt://media.example.com:9000")


def test_no_address_shows_its_key_or_password() -> None:
    address = Address.of("rtsp://admin:secret@camera.example.com:554/key?token=secret")
    assert address.shown == "rtsp://camera.example.com:554/…"
    with pytest.raises(AddressError) as error:
        Address.of("rtsp://admin:secret@[::1/key")
    assert "secret" not in str(error.value)


def test_a_list_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    file = written(tmp_path, "rtmp://h/a room-1 host")
    changed = ChangedRooms(file)
    assert changed() is None
    written(tmp_path, "rtmp://h/a room-1 host", "rtmp://h/b room-2 host")
    assert [room.room_id for room in changed() or ()] == ["room-1", "room-2"]
    assert changed() is None
    file.unlink()
    with pytest.raises(RoomsError, match="cannot be read"):
        changed()
    assert changed() is None, "reported once"
    written(tmp_path, "rtmp://h/b room-2 host")
    os.utime(file, ns=(1, 1))
    assert [room.room_id for room in changed() or ()] == ["room-2"]
