"""Each SRT relay has a port of its own, though a port is free until FFmpeg opens it."""

import socket
from typing import Any

import pytest

from vigil.app.probe import srt


class Offered:
    """Sockets to which the system gives these ports."""

    ports: list[int]

    def __init__(self, *_: Any) -> None:
        self._port = self.ports.pop(0)

    def __enter__(self) -> "Offered":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def bind(self, address: tuple[str, int]) -> None:
        return

    def getsockname(self) -> tuple[str, int]:
        return srt.HOST, self._port


def test_two_relays_have_two_ports_and_one_that_is_closed_gives_its_own_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Offered, "ports", [5001, 5001, 5002, 5001], raising=False)
    monkeypatch.setattr(socket, "socket", Offered)
    monkeypatch.setattr(srt, "start_child", lambda *_: None)
    monkeypatch.setattr(srt, "stop_child", lambda *_: None)
    first, second = srt.SrtRelay("srt://h:1"), srt.SrtRelay("srt://h:2")
    assert ":5001?" in first.url and ":5002?" in second.url
    first.close()
    third = srt.SrtRelay("srt://h:3")
    assert ":5001?" in third.url
    second.close()
    third.close()
    assert not srt._relayed
