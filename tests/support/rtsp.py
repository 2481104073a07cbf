"""A small RTSP server for tests: it sends a clip (H.264, AAC) to every player, over the player's own TCP connection.

It speaks as much of the protocol as the FFmpeg in PyAV uses: OPTIONS, DESCRIBE, SETUP, PLAY, and interleaved RTP.
"""

import base64
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import av

LARGEST: Final = 1_200
"""Bytes of a picture in one RTP packet."""
VIDEO_HZ: Final = 90_000


class _Unit(NamedTuple):
    """What is sent at one time of one track."""

    track: int
    at_s: float
    payloads: list[bytes]


def _avc_sets(extradata: bytes) -> list[bytes]:
    """The parameter sets of an H.264 stream in an MP4 file."""
    sets, place = [], 5
    for mask in (0x1F, 0xFF):
        count, place = extradata[place] & mask, place + 1
        for _ in range(count):
            (size,) = struct.unpack_from(">H", extradata, place)
            sets.append(extradata[place + 2 : place + 2 + size])
            place += 2 + size
    return sets


def _nal_payloads(picture: bytes) -> Iterator[bytes]:
    """The RTP payloads of a picture in an MP4 file: each of its units whole, or in fragments."""
    place = 0
    while place < len(picture):
        (size,) = struct.unpack_from(">I", picture, place)
        unit = picture[place + 4 : place + 4 + size]
        place += 4 + size
        if size <= LARGEST:
            yield unit
            continue
        parts = [unit[begin : begin + LARGEST] for begin in range(1, size, LARGEST)]
        for number, part in enumerate(parts):
            flags = (0x80 if number == 0 else 0) | (0x40 if number == len(parts) - 1 else 0)
            yield bytes([unit[0] & 0xE0 | 28, flags | unit[0] & 0x1F]) + part


class RtspServer:
    """Listens on a loopback port until `close`; each player sees the clip from its beginning, over and over."""

    def __init__(self, clip: Path, port: int) -> None:
        self._units, self._length_s = [], 0.0
        with av.open(str(clip)) as source:
            video, audio = source.streams.video[0], source.streams.audio[0]
            self._rates = VIDEO_HZ, audio.rate
            self._sdp = self._described(video.codec_context.extradata or b"", audio.codec_context.extradata or b"")
            for packet in source.demux():
                if packet.dts is None or packet.pts is None:
                    continue
                at_s, content = float(packet.pts * packet.time_base), bytes(packet)
                self._length_s = max(self._length_s, at_s + 0.1)
                track = 0 if packet.stream.type == "video" else 1
                in_one = [struct.pack(">HH", 16, len(content) << 3) + content]
                self._units.append(_Unit(track, at_s, list(_nal_payloads(content)) if track == 0 else in_one))
        self._stop = threading.Event()
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Hang up, and listen no more."""
        self._stop.set()
        for each in (self._listener, *self._connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _described(self, video: bytes, audio: bytes) -> str:
        sets = ",".join(base64.b64encode(each).decode() for each in _avc_sets(video))
        return "\r\n".join(
            [
                "v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0",
                "m=video 0 RTP/AVP 96", f"a=rtpmap:96 H264/{VIDEO_HZ}",
                f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}", "a=control:track0",
                "m=audio 0 RTP/AVP 97", f"a=rtpmap:97 mpeg4-generic/{self._rates[1]}/1",
                "a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
                f"indexdeltalength=3;config={audio[:2].hex()}", "a=control:track1", "",
            ]
        )  # fmt: skip

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        with suppress(OSError, ValueError):
            while True:
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    if not (line := lines.readline()):
                        return
                    request = b"" if line.startswith(b"$") else request + line  # reports of the player are not read
                method = request.split(b" ", 1)[0].decode()
                connection.sendall(self._answer(method, request.decode()))
                if method == "PLAY":
                    threading.Thread(target=self._play, args=(connection,), daemon=True).start()

    def _answer(self, method: str, request: str) -> bytes:
        number = re.search(r"CSeq: (\d+)", request)
        headers = ["RTSP/1.0 200 OK", f"CSeq: {number[1] if number else 0}", "Session: 1"]
        body = ""
        if method == "OPTIONS":
            headers.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
        elif method == "DESCRIBE":
            body = self._sdp
            headers += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        elif method == "SETUP":
            channels = re.search(r"interleaved=[\d-]+", request)
            headers.append(f"Transport: RTP/AVP/TCP;unicast;{channels[0] if channels else 'interleaved=0-1'}")
        return ("\r\n".join(headers) + "\r\n\r\n" + body).encode()

    def _play(self, connection: socket.socket) -> None:
        began, offset_s, numbers = time.monotonic(), 0.0, [0, 0]
        with suppress(OSError):
            while True:
                for track, at_s, payloads in self._units:
                    due_s = max(0.0, offset_s + at_s)
                    if self._stop.wait(max(0.0, began + due_s - time.monotonic())):
                        return
                    stamp = round(due_s * self._rates[track]) & 0xFFFFFFFF
                    for index, payload in enumerate(payloads):
                        last = 0x80 if index == len(payloads) - 1 else 0
                        head = struct.pack(">BBHII", 0x80, last | 96 + track, numbers[track] & 0xFFFF, stamp, track + 1)
                        numbers[track] += 1
                        frame = head + payload
                        connection.sendall(struct.pack(">cBH", b"$", 2 * track, len(frame)) + frame)
                offset_s += self._length_s
