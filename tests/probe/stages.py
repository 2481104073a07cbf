"""Detectors and sinks of tests: what they are given, they keep."""

from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np

from vigil.app.probe.addresses import Address, Manner
from vigil.app.probe.media import Image, Media
from vigil.app.probe.messages import ProbeMessage
from vigil.app.probe.observation import Observation
from vigil.app.probe.rooms_file import WatchedRoom
from vigil.app.probe.sound import Samples


def observation(at_ms: int, **rest: Any) -> Observation:
    """An observation of which nothing but `rest` was measured."""
    return Observation(at_ms=at_ms, **rest)


class BrightnessDetector:
    """Sees whether a picture is dark, and hears whether there is sound: what a test can compute beside it."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, int]] = []
        """Time, and number of samples."""
        self._loud: bool | None = None

    def hear(self, samples: Samples, at_ms: int) -> None:
        self.heard.append((at_ms, len(samples)))
        self._loud = bool(np.abs(samples).mean() > 0.01)

    def see(self, image: Image, at_ms: int) -> Observation:
        luma = float(image.mean())
        silent = None if self._loud is None else not self._loud
        return observation(at_ms, face=False, black=luma < 8, luma_mean=luma, silent=silent, speech=self._loud)

    def disconnected(self, at_ms: int) -> Observation:
        self._loud = None
        return observation(at_ms)


class BrightnessDetectors:
    """Detectors of every room."""

    def room(self) -> BrightnessDetector:
        return BrightnessDetector()


class KeptSink:
    """Keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[ProbeMessage] = []

    async def start(self) -> None:
        return

    async def send(self, message: ProbeMessage) -> None:
        self.messages.append(message)

    async def stop(self) -> None:
        return


def room(url: str = "rtmp://127.0.0.1/live/room", room_id: str = "room", manner: Manner | None = None) -> WatchedRoom:
    address = Address.of(url)
    return WatchedRoom(address if manner is None else address._replace(manner=manner), room_id, "host")


def decoder_fails(media: Media, error: Exception, *, of_sound: bool = False) -> None:
    """Let the decoder of a file's pictures, or of its sound, raise an error at each packet."""

    def decode(packet: object = None) -> None:
        raise error

    packets, name = media._container.demux(), "_audio" if of_sound else "_video"
    media.__dict__["_container"] = SimpleNamespace(demux=lambda _: packets)
    media.__dict__[name] = SimpleNamespace(codec_context=SimpleNamespace(decode=decode))


def decoded(message: ProbeMessage) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.json.decode(message.value)
    return content
