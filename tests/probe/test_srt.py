"""Each SRT relay has a port of its own, though a port is free until FFmpeg opens it."""

import socket
from typing import Any

import pytest

from vigil.app.probe import srt


class Offered(socket.socket):
    """A socket to which the system gives the next of these UDP ports."""

    ports: list[int]

    def bind(self, address: Any) -> None:
        super().bind((address[0], self.ports.pop(0)) if self.type == socket.SOCK_DGRAM else address)


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Two free ports; `Offered` is what sockets are."""
    with socket.socket() as one, socket.socket() as other:
        one.bind((srt.HOST, 0))
        other.bind((srt.HOST, 0))
        free = one.getsockname()[1], other.getsockname()[1]
    monkeypatch.setattr(socket, "socket", Offered)
    monkeypatch.setattr(srt, "start_child", lambda *_: None)
    monkeypatch.setattr(srt, "stop_child", lambda *_: None)
    return free


def test_two_relays_have_two_ports_and_one_that_is_closed_gives_its_own_back(
    ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = ports
    monkeypatch.setattr(Offered, "ports", [one, one, other, one], raising=False)
    first, second = srt.SrtRelay("srt://h:1"), srt.SrtRelay("srt://h:2")
    assert f":{one}?" in first.url and f":{other}?" in second.url
    first.close()
    third = srt.SrtRelay("srt://h:3")
    assert f":{one}?" in third.url
    second.close()
    third.close()


def test_the_port_of_another_process_is_left_to_it(ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = ports
    monkeypatch.setattr(Offered, "ports", [taken, free], raising=False)
    with socket.socket() as claim:
        claim.bind((srt.HOST, taken))
        relay = srt.SrtRelay("srt://h:1")
    assert f":{free}?" in relay.url
    relay.close()
