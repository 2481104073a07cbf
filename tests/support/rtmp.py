"""A small RTMP server for tests: it sends one stream to every player that connects, and can stall, or hang up.

It speaks as much of the protocol as a player needs (handshake, connect, createStream, play), as the FFmpeg in PyAV uses
it. The stream is fed as the bytes of an FLV file, whose tags are RTMP's messages.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

CHUNK: Final = 60_000
HANDSHAKE: Final = 1536

SET_CHUNK_SIZE, AUDIO, VIDEO, DATA, COMMAND = 1, 8, 9, 18, 20


class RtmpMessage(NamedTuple):
    kind: int
    at_ms: int
    content: bytes

    @property
    def begins_decoding(self) -> bool:
        """True if a player needs it before all others: what the codecs are."""
        of_codec = self.kind in (AUDIO, VIDEO) and len(self.content) > 1 and self.content[1] == 0
        return self.kind == DATA or of_codec

    @property
    def is_key_picture(self) -> bool:
        return self.kind == VIDEO and self.content[0] >> 4 == 1


# ---- AMF0, the notation of commands


def amf(value: Any) -> bytes:
    """A value as RTMP's commands have it."""
    if value is None:
        return b"\x05"
    if isinstance(value, str):
        return b"\x02" + struct.pack(">H", len(value)) + value.encode()
    if isinstance(value, dict):
        fields = b"".join(struct.pack(">H", len(name)) + name.encode() + amf(of) for name, of in value.items())
        return b"\x03" + fields + b"\x00\x00\x09"
    return b"\x00" + struct.pack(">d", value)


def command_of(content: bytes) -> tuple[str, float]:
    """The name of a command, and the number that its answer repeats."""
    (length,) = struct.unpack_from(">H", content, 1)
    (number,) = struct.unpack_from(">d", content, 3 + length + 1)
    return content[3 : 3 + length].decode(), number


# ---- connections


class _Player:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._inputs = connection.makefile("rb")
        self._chunk = 128
        self._parts: dict[int, tuple[int, int, bytearray]] = {}
        """By chunk stream: length and type of its message, and what has come of it."""
        self.playing = False
        self.sees = False
        """A key picture was sent: pictures that build on it may follow."""

    def greet(self) -> None:
        first = self._read(1 + HANDSHAKE)
        self._connection.sendall(b"\x03" + bytes(HANDSHAKE) + first[1:])
        self._read(HANDSHAKE)
        self.send(RtmpMessage(SET_CHUNK_SIZE, 0, struct.pack(">I", CHUNK)), channel=2)

    def commands(self) -> Iterator[tuple[str, float]]:
        """Yield the commands of the player until it hangs up."""
        while True:
            kind, content = self._message()
            if kind == SET_CHUNK_SIZE:
                (self._chunk,) = struct.unpack(">I", content)
            elif kind == COMMAND:
                yield command_of(content)

    def answer(self, *values: Any, stream: int = 0) -> None:
        self.send(RtmpMessage(COMMAND, 0, b"".join(map(amf, values))), channel=3, stream=stream)

    def send(self, message: RtmpMessage, channel: int = 4, stream: int = 0) -> None:
        kind, at_ms, content = message
        header = struct.pack(">B", channel) + at_ms.to_bytes(3, "big") + len(content).to_bytes(3, "big")
        header += struct.pack(">B", kind) + struct.pack("<I", stream)
        parts = [content[begin : begin + CHUNK] for begin in range(0, len(content), CHUNK)] or [b""]
        with self._lock:
            self._connection.sendall(header + struct.pack(">B", 0xC0 | channel).join(parts))

    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _message(self) -> tuple[int, bytes]:
        while True:
            (basic,) = self._read(1)
            form, channel = basic >> 6, basic & 0x3F
            length, kind, content = self._parts.get(channel, (0, 0, bytearray()))
            if form < 3:
                header = self._read((11, 7, 3)[form])
                if form < 2:
                    length, kind = int.from_bytes(header[3:6], "big"), header[6]
            content += self._read(min(self._chunk, length - len(content)))
            self._parts[channel] = length, kind, content
            if len(content) == length:
                self._parts[channel] = length, kind, bytearray()
                return kind, bytes(content)

    def _read(self, number: int) -> bytes:
        read = self._inputs.read(number)
        if len(read) < number:
            raise ConnectionError("the player has gone")
        return read


class RtmpServer:
    """Listens on a loopback port until `close`. `write` takes the bytes of an FLV file, as a file object does."""

    def __init__(self, port: int) -> None:
        self.stalled = False
        """True: connections stay, and nothing is sent."""
        self._listener = socket.create_server(("127.0.0.1", port))
        self._lock = threading.Lock()
        self._players: list[_Player] = []
        self._codecs: dict[int, RtmpMessage] = {}
        self._unread = bytearray()
        self._begun = False
        threading.Thread(target=self._accept, daemon=True).start()

    def write(self, content: bytes) -> int:
        """Send the whole tags of what was written to the players."""
        self._unread += content
        if not self._begun and len(self._unread) >= 13:
            self._begun = True
            del self._unread[:13]
        while self._begun and len(self._unread) >= 11:
            size = int.from_bytes(self._unread[1:4], "big")
            if len(self._unread) < 11 + size + 4:
                break
            at_ms = int.from_bytes(self._unread[4:7], "big") | self._unread[7] << 24
            self._send(RtmpMessage(self._unread[0], at_ms, bytes(self._unread[11 : 11 + size])))
            del self._unread[: 11 + size + 4]
        return len(content)

    def close(self) -> None:
        """Hang up, and listen no more."""
        # A thread that waits in `accept` keeps a socket open that is only closed.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for player in self._players:
                player.close()

    def _send(self, message: RtmpMessage) -> None:
        with self._lock:
            if message.begins_decoding:
                self._codecs[message.kind] = message
            for player in list(self._players) if not self.stalled else ():
                if not player.playing:
                    continue
                player.sees = player.sees or message.is_key_picture
                if player.sees or message.begins_decoding:
                    try:
                        player.send(message, stream=1)
                    except OSError:
                        self._players.remove(player)

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(_Player(connection),), daemon=True).start()

    def _serve(self, player: _Player) -> None:
        with suppress(OSError):
            player.greet()
            with self._lock:
                self._players.append(player)
            for name, number in player.commands():
                if name == "connect":
                    success = {"level": "status", "code": "NetConnection.Connect.Success"}
                    player.answer("_result", number, {"fmsVer": "FMS/3,0,1,123"}, success)
                elif name == "createStream":
                    player.answer("_result", number, None, 1)
                elif name == "play":
                    player.answer("onStatus", 0, None, {"level": "status", "code": "NetStream.Play.Start"}, stream=1)
                    with self._lock:
                        for message in sorted(self._codecs.values(), key=lambda message: -message.kind):
                            player.send(message, stream=1)
                        player.playing = True
