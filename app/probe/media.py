"""Pictures and sound of a file or a stream, by FFmpeg (PyAV): about one picture in an interval.

    packets ─▶ plan: only key pictures, or all ─▶ decoder ─▶ sampler ─▶ small BGR picture ┐
          └──▶ decoder ─▶ 16 kHz mono ─────────────────────────────────────────────────────┴▶ MediaSample

A connection that breaks, has no data for too long, or data that PyAV fails at, raises SourceLostError; a packet that
FFmpeg cannot decode is counted and left out. What an earlier connection has already shown is skipped: servers send the
last seconds again, and a playlist that has stopped still has its last segments.
"""

import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final, NamedTuple, Self, TypeVar

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vigil.app.probe.addresses import OPEN_TIMEOUT_S, Address
from vigil.app.probe.sampling import DecodePlan, Sampler
from vigil.app.probe.sound import Samples, SoundBuffer
from vigil.app.probe.source_lost import SourceLostError, source_lost
from vigil.app.probe.srt import SrtRelay

Image = NDArray[np.uint8]
Frame = TypeVar("Frame")

LONGEST_SIDE: Final = 640
"""Pixels. Larger pictures are made smaller: detectors need no more, and memory per room stays below a megabyte."""

_REMEMBERED: Final = 32
"""Key pictures with which those of a new connection are compared: more than the three segments that it begins with."""


class MediaSample(NamedTuple):
    """A picture, with the sound since the one before."""

    media_ms: int
    """Time in the stream."""
    image: Image
    """Height × width × BGR."""
    sound: Samples | None
    """Mono, 16 kHz; None: the stream has no sound."""


class ShownBefore:
    """Remembers the last key pictures of a stream over its connections."""

    def __init__(self) -> None:
        self._last: deque[tuple[int | None, int]] = deque(maxlen=_REMEMBERED)
        self._repeating = False

    def connect(self) -> None:
        """A connection begins: what it shows first may be known."""
        self._repeating = bool(self._last)

    def skips(self, packet: "Packet[Any]") -> bool:
        """True if a packet belongs to what was shown before; called for each packet of the picture, in order."""
        if not packet.is_keyframe:
            return self._repeating
        mark = packet.pts, zlib.crc32(memoryview(packet))
        self._repeating = self._repeating and mark in self._last
        if not self._repeating:
            self._last.append(mark)
        return self._repeating


class Media:
    """An opened file or stream."""

    def __init__(
        self,
        address: Address,
        interval_ms: int,
        *,
        shown_before: ShownBefore | None = None,
        on_damaged: Callable[[], object] = lambda: None,
    ) -> None:
        """Open it; raise SourceLostError. `on_damaged` is called for each packet that cannot be decoded."""
        self._on_damaged = on_damaged
        self._shown_before = shown_before or ShownBefore()
        self._shown_before.connect()
        self._sampler = Sampler(interval_ms)
        self.plan = DecodePlan()
        self._closing = ExitStack()
        with ExitStack() as opened:
            self._container = opened.enter_context(_opened(address, opened))
            self._video = _video_of(self._container)
            self._closing = opened.pop_all()
        self._video.codec_context.thread_count = 1
        # Pictures on which no other builds are not needed where one in a second is taken.
        self._video.codec_context.skip_frame = "NONREF"
        self._audio = _audio_of(self._container)
        self._sound = SoundBuffer() if self._audio is not None else None
        for stream in self._container.streams:
            if stream not in (self._video, self._audio):  # an HLS playlist's other qualities would be loaded, too
                stream.discard = Discard.all
        self._address = address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def samples(self) -> Iterator[MediaSample]:
        """Yield the pictures up to the end of the broadcast or file; raise SourceLostError where a stream breaks."""
        packets = self._container.demux([stream for stream in (self._video, self._audio) if stream is not None])
        while True:
            with source_lost():
                packet = next(packets, None)
            if packet is None:
                break
            if packet.stream.type == "audio":
                self._hear(packet)
            else:
                yield from self._see(packet)
        if not self._has_ended():
            raise SourceLostError("the publisher or the server has stopped")

    def _has_ended(self) -> bool:
        """True if the broadcast is over, and not just its connection."""
        if self._address.is_file:
            return True
        if "hls" not in self._container.format.name:
            return bool(self._container.duration)
        # FFmpeg says the same where a playlist ends and where its server is gone. One that has ended has a length.
        with suppress(SourceLostError), ExitStack() as again:
            return bool(again.enter_context(_opened(self._address, again)).duration)
        return False

    def _hear(self, packet: "Packet[Any]") -> None:
        assert self._audio is not None and self._sound is not None  # noqa: S101 - or it would not be read
        for frame in self._decoded(partial(self._audio.codec_context.decode, packet)):
            self._sound.add(frame)

    def _see(self, packet: "Packet[Any]") -> Iterator[MediaSample]:
        if packet.size and self._shown_before.skips(packet):
            return
        if packet.is_keyframe and packet.pts is not None and packet.size:
            self.plan.on_key_picture(round(packet.pts * packet.time_base * 1000))
        for frame in self._decoded(partial(self._pictures, packet)):
            media_ms = self._ms(frame)
            if media_ms is not None and self._sampler.is_due(media_ms, key=self.plan.keys_only):
                self._sampler.take(media_ms)
                yield MediaSample(media_ms, _small(frame), self._sound.take() if self._sound else None)

    def _ms(self, frame: VideoFrame) -> int | None:
        """When a picture is shown, in the time of the stream; None: it does not say."""
        stamp = frame.pts if frame.pts is not None else frame.dts
        base = self._video.time_base
        return None if stamp is None or base is None else round(stamp * base * 1000)

    def _decoded(self, decode: Callable[[], list[Frame]]) -> list[Frame]:
        """What a packet completes; nothing where FFmpeg cannot decode it, which is counted. Raise SourceLostError."""
        with source_lost(), suppress(FFmpegError):
            return decode()
        self._on_damaged()
        return []

    def _pictures(self, packet: "Packet[Any]") -> list[VideoFrame]:
        """The pictures that a packet completes; raise what PyAV raises."""
        codec = self._video.codec_context
        if not packet.size:  # the end: pictures that the decoder still has
            return [] if self.plan.keys_only else codec.decode(None)
        if not self.plan.keys_only:
            return codec.decode(packet)
        if not packet.is_keyframe:
            return []
        # The decoder is emptied after each: it would wait for pictures that are shown before this one.
        frames = [*codec.decode(packet), *codec.decode(None)]
        codec.flush_buffers()
        return frames


def _opened(address: Address, closing: ExitStack) -> InputContainer:
    """Open an address; raise SourceLostError. `closing` closes what stands between it and FFmpeg."""
    url = address.url
    if url.startswith("srt:"):
        relay = SrtRelay(url)
        closing.callback(relay.close)
        url = relay.url
    with source_lost():
        return av.open(
            url,
            options=dict(address.manner.options),
            metadata_errors="replace",  # titles in GBK, say
            timeout=(OPEN_TIMEOUT_S, address.manner.read_timeout_s),
        )


def _video_of(container: InputContainer) -> VideoStream:
    """The pictures that are looked at; raise SourceLostError."""
    if not container.streams.video:
        raise SourceLostError("it has no picture")
    video = container.streams.video[0]
    if not _is_decoded(video):
        raise SourceLostError("its picture has a form that FFmpeg cannot decode")
    return video


def _audio_of(container: InputContainer) -> AudioStream | None:
    """The sound that is listened to, if any can be decoded."""
    return next(filter(_is_decoded, container.streams.audio), None)


def _is_decoded(stream: VideoStream | AudioStream) -> bool:
    """True if FFmpeg has a decoder for it; PyAV's types know no stream without one."""
    context: object = stream.codec_context
    return context is not None


def _small(frame: VideoFrame) -> Image:
    """The picture as BGR, at most LONGEST_SIDE pixels wide and high, and upright: telephones film on their sides."""
    scale = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
    width, height = (max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
    with source_lost():
        small, rotation = frame.reformat(width=width, height=height, format="bgr24").to_ndarray(), frame.rotation
    return np.ascontiguousarray(np.rot90(small, round(rotation / 90)), dtype=np.uint8)
