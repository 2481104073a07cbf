"""A camera on this machine: clips of drawn scenes, and live streams of them by RTMP, RTSP, SRT and HLS."""

import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

import av
import numpy as np
from numpy.typing import NDArray

from tests.support.rtmp import RtmpServer
from tests.support.rtsp import RtspServer
from vigil.app.kafka.embedded_broker import free_port

Scene = Literal["moving", "still", "black", "letterbox"]
Image = NDArray[np.uint8]

FPS: Final = 10
WIDTH: Final = 320
HEIGHT: Final = 180
RATE_HZ: Final = 16_000


def picture(scene: Scene, number: int) -> Image:
    """Draw a picture of a scene, RGB: a room with something that moves, the same without, nothing, or black bars."""
    if scene == "black":
        return np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    room = np.stack([90 + columns // 4, 60 + rows // 2, 120 - columns // 8], axis=2).astype(np.uint8)
    step = 0 if scene == "still" else number
    left, top = (step * 9) % (WIDTH - 80), 40 + (step * 5) % 60
    room[top : top + 70, left : left + 70] = (220, 180, 150)
    room[top + 20 : top + 30, left + 15 : left + 55] = (40, 30, 30)
    if scene == "letterbox":
        room[:, : WIDTH // 3] = 0
        room[:, -WIDTH // 3 :] = 0
    return room


def sound(scene: Scene, number: int) -> NDArray[np.float32]:
    """The sound of one picture's time: a tone where something moves, else silence."""
    times = np.arange(number * RATE_HZ // FPS, (number + 1) * RATE_HZ // FPS, dtype=np.float32) / RATE_HZ
    loud = 0.3 if scene == "moving" else 0.0
    return (loud * np.sin(2 * np.pi * 440 * times)).astype(np.float32)


def write_clip(
    path: Path, scenes: Sequence[tuple[Scene, float]], *, key_every_s: float = 1.0, loud: bool = True
) -> Path:
    """Write a clip of scenes, each with its seconds; the container follows from the name."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"preset": "ultrafast", "sc_threshold": "0", "g": str(round(key_every_s * FPS)), "bf": "0"}
        audio = out.add_stream("aac", rate=RATE_HZ, layout="mono") if loud else None
        number = 0
        for scene, seconds in scenes:
            for _ in range(round(seconds * FPS)):
                frame = av.VideoFrame.from_ndarray(picture(scene, number), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                out.mux(video.encode(frame))
                if audio is not None:
                    heard = av.AudioFrame.from_ndarray(sound(scene, number)[None, :], format="fltp", layout="mono")
                    heard.sample_rate, heard.pts = RATE_HZ, number * RATE_HZ // FPS
                    heard.time_base = Fraction(1, RATE_HZ)
                    out.mux(audio.encode(heard))
                number += 1
        for stream in out.streams:
            out.mux(stream.encode(None))  # type: ignore[attr-defined]
    return path


def play(clip: Path, target: "str | RtmpServer", form: str, options: dict[str, str], stop: threading.Event) -> None:
    """Send a clip over and over, at its own speed, until `stop`."""
    with av.open(target, "w", format=form, options=options) as out, av.open(str(clip)) as first:
        streams = {each.index: out.add_stream_from_template(each) for each in first.streams}
        began, offset_s = time.monotonic(), 0.0
        while not stop.is_set():
            end_s = 0.0
            with av.open(str(clip)) as source:
                for packet in source.demux():
                    if packet.dts is None or packet.pts is None:
                        continue
                    base = packet.time_base
                    end_s = max(end_s, float((packet.dts + (packet.duration or 0)) * base))
                    if stop.wait(max(0.0, began + offset_s + float(packet.dts * base) - time.monotonic())):
                        return
                    shift = round(offset_s / base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = streams[packet.stream.index]
                    out.mux(packet)
            offset_s += end_s + 0.1  # sound begins before 0: its time stamps must not go back


@contextmanager
def hls_camera(clip: Path, playlist: Path) -> Iterator[None]:
    """Write a clip as a live HLS playlist, in a thread, until the end of the block."""
    options = {"hls_time": "1", "hls_list_size": "6", "hls_flags": "delete_segments+omit_endlist+temp_file"}
    with _playing(clip, str(playlist), "hls", options):
        yield


@contextmanager
def rtsp_camera(clip: Path, port: int) -> Iterator[None]:
    """Serve a clip by RTSP at any path, in threads, until the end of the block."""
    server = RtspServer(clip, port)
    try:
        yield
    finally:
        server.close()


@contextmanager
def srt_camera(clip: Path, port: int, program: str) -> Iterator[None]:
    """Serve a clip by SRT, until the end of the block; `program`: srt-live-transmit."""
    inner = free_port()
    command = [program, "-q", f"udp://127.0.0.1:{inner}", f"srt://127.0.0.1:{port}?mode=listener"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            with _playing(clip, f"udp://127.0.0.1:{inner}?pkt_size=1316", "mpegts", {}):
                yield
        finally:
            server.kill()


@contextmanager
def rtmp_camera(clip: Path, port: int) -> Iterator[RtmpServer]:
    """Serve a clip by RTMP at any path, in threads, until the end of the block."""
    server = RtmpServer(port)
    try:
        with _playing(clip, server, "flv", {}):
            yield server
    finally:
        server.close()


@contextmanager
def _playing(clip: Path, target: "str | RtmpServer", form: str, options: dict[str, str]) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=play, args=(clip, target, form, options, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)
