"""One process watches many rooms: what it does when streams end, lists change, detectors fail, and it is stopped."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from tests.probe.stages import BrightnessDetector, BrightnessDetectors, KeptSink, decoded, decoder_fails, room
from vigil.app.kafka.settings import SettingsError
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.probe import service as probe_service
from vigil.app.probe.live_room import AbsenceTask, LiveRoom, PictureTask, RoomPorts, RoomTask
from vigil.app.probe.media import Media, MediaSample, ShownBefore
from vigil.app.probe.messages import ProbeMessage
from vigil.app.probe.metrics import ProbeMetrics
from vigil.app.probe.outbox import CAPACITY, Outbox
from vigil.app.probe.rooms_file import RoomsError, WatchedRoom
from vigil.app.probe.sampling import DecodePlan
from vigil.app.probe.service import ProbeOptions, ProbeService, merged
from vigil.app.probe.source_lost import SourceLostError


def sample(second: int, luma: int = 90, sound: int | None = None) -> MediaSample:
    heard = None if sound is None else np.full(sound, 0.5, np.float32)
    return MediaSample(second * 1000, np.full((8, 8, 3), luma, np.uint8), heard)


class Stream:
    """A stream of a test: a picture each 20 ms, as many as it has; then it ends, breaks or is silent."""

    opened: dict[str, int]

    def __init__(self, pictures: int, then: str) -> None:
        self.plan = DecodePlan()
        self._pictures = pictures
        self._then = then

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def samples(self) -> Iterator[MediaSample]:
        for number in range(self._pictures):
            yield sample(number)
            time.sleep(0.02)
        if self._then == "breaks":
            raise SourceLostError("gone")
        if self._then == "silent":
            time.sleep(30)


class Stage:
    """A service whose rooms have streams of tests."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, detectors: Any = None, **options: Any) -> None:
        self.streams: dict[str, Stream | SourceLostError] = {}
        self.sink = KeptSink()
        self.metrics = ProbeMetrics()
        self.service = ProbeService(
            detectors or BrightnessDetectors(), self.sink, self.metrics, ProbeOptions(**options)
        )
        self.stop = asyncio.Event()
        monkeypatch.setattr(probe_service, "TICK_S", 0.05)
        monkeypatch.setattr(probe_service, "STOP_S", 1.0)
        monkeypatch.setattr(self.service, "_open", self._open)

    def _open(self, room: WatchedRoom, shown_before: ShownBefore) -> Stream:
        stream = self.streams[room.room_id]
        if isinstance(stream, SourceLostError):
            raise stream
        return stream

    def frames(self, room_id: str = "room") -> list[dict[str, Any]]:
        return [decoded(message) for message in self.sink.messages if message.key == room_id.encode()]

    async def until(self, happened: Any) -> None:
        async with asyncio.timeout(10):
            while not happened():
                await asyncio.sleep(0.02)

    def value(self, name: str, **labels: str) -> float | None:
        self.service.refresh_metrics()
        return self.metrics.registry.get_sample_value(name, labels)


async def test_a_broadcast_that_ends_is_observed_to_its_end_and_ends_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch)
    stage.streams = {"room": Stream(5, "ends"), "other": Stream(2, "ends")}
    await stage.service.run([room(), room(room_id="other")], stage.stop)
    for room_id, number in (("room", 5), ("other", 2)):
        frames = stage.frames(room_id)
        assert [frame["stream"] for frame in frames] == ["live"] * number + ["ended"]
        times = [frame["at"] for frame in frames]
        assert times == sorted(set(times))
        assert abs(times[0] - wall_ms()) < 10_000
    assert stage.value("vigil_probe_pictures_total") == 7
    assert stage.value("vigil_probe_rooms", state="ended") == 2


async def test_a_stream_that_breaks_is_disconnected_each_second_until_it_returns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vigil.app.probe.sampling.BackOff.FIRST_S", 0.3)
    stage = Stage(monkeypatch)
    stage.streams = {"room": Stream(3, "breaks")}
    running = asyncio.create_task(stage.service.run([room()], stage.stop))
    await stage.until(lambda: stage.frames()[-1:] and stage.frames()[-1]["stream"] == "disconnected")
    stage.streams = {"room": Stream(2, "ends")}
    await running
    shown = [frame["stream"] for frame in stage.frames()]
    assert shown[:3] == ["live"] * 3
    assert shown[-3:] == ["live", "live", "ended"]
    assert len(shown) > 7 and set(shown[3:-3]) == {"disconnected"}
    assert stage.value("vigil_probe_losses_total", why="lost") == 1


async def test_a_stalled_publisher_is_disconnected_and_never_black(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.streams = {"room": Stream(2, "silent")}
    quick = room(manner=room().address.manner._replace(stalled_s=0.2))
    running = asyncio.create_task(stage.service.run([quick], stage.stop))
    await stage.until(lambda: len(stage.frames()) >= 4)
    stage.stop.set()
    await running
    assert [frame["stream"] for frame in stage.frames()][:4] == ["live", "live", "disconnected", "disconnected"]
    assert not any(frame["black"] for frame in stage.frames())
    assert stage.value("vigil_probe_losses_total", why="stalled") == 1


async def test_nothing_is_said_of_a_room_before_its_first_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.streams = {"room": SourceLostError("no such stream")}
    running = asyncio.create_task(stage.service.run([room()], stage.stop))
    await stage.until(lambda: stage.value("vigil_probe_losses_total", why="not-opened"))
    await asyncio.sleep(0.2)
    assert stage.value("vigil_probe_rooms", state="waiting") == 1
    stage.stop.set()
    await running
    assert stage.sink.messages == []


async def test_a_room_that_leaves_the_list_has_ended_and_a_new_one_is_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, stays=True)
    stage.streams = {"room": Stream(1000, "ends"), "new": Stream(3, "ends")}
    lists: list[Any] = [None, None, RoomsError("line 2: has 2 values"), [room(room_id="new")]]

    def read_again() -> list[WatchedRoom] | None:
        found = lists.pop(0) if lists and stage.frames() else None
        if isinstance(found, RoomsError):
            raise found
        return found

    running = asyncio.create_task(stage.service.run([room()], stage.stop, read_again))
    await stage.until(lambda: stage.frames("new")[-1:] and stage.frames("new")[-1]["stream"] == "ended")
    assert not running.done(), "the list may change again"
    stage.stop.set()
    await running
    shown = [frame["stream"] for frame in stage.frames()]
    assert set(shown[:-1]) == {"live"} and shown[-1] == "ended"
    assert stage.value("vigil_probe_list_problems_total") == 1


def test_a_picture_that_comes_as_the_room_ends_does_not_make_it_live_again() -> None:
    """The thread has the picture, and waits for its turn while the room is taken out of the list."""
    tasks: list[RoomTask] = []
    ports = RoomPorts(lambda room, shown: pytest.fail("opened"), tasks.append, pytest.fail, ProbeMetrics())
    live = LiveRoom(room(), ports, wall_ms)
    live._see(sample(1))
    live.end()
    live._see(sample(2))
    assert [type(task) for task in tasks] == [PictureTask, AbsenceTask]
    assert live.state == "ended"


async def test_a_room_that_leaves_the_list_before_its_first_picture_has_not_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, stays=True)
    stage.streams = {"room": SourceLostError("no such stream"), "other": Stream(3, "silent")}
    lists: list[Any] = [None, [room(room_id="other")]]
    read_again = lambda: lists.pop(0) if lists else None  # noqa: E731 - one line
    running = asyncio.create_task(stage.service.run([room()], stage.stop, read_again))
    await stage.until(lambda: len(stage.frames("other")) >= 3)
    stage.stop.set()
    await running
    assert stage.frames() == []


async def test_a_room_whose_address_changes_is_read_there_and_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, stays=True)
    opened: list[str] = []
    first, second = room("rtmp://127.0.0.1/live/first"), room("rtmp://127.0.0.1/live/second")

    def open_media(room: WatchedRoom, shown_before: ShownBefore) -> Stream:
        opened.append(room.address.url)
        return Stream(1000, "ends")

    monkeypatch.setattr(stage.service, "_open", open_media)
    lists: list[Any] = [None, [second], [second]]

    def read_again() -> list[WatchedRoom] | None:
        return lists.pop(0) if lists and stage.frames() else None

    running = asyncio.create_task(stage.service.run([first], stage.stop, read_again))
    await stage.until(lambda: len(opened) == 2 and not lists)
    await asyncio.sleep(0.2)
    began = len(stage.frames())
    await asyncio.sleep(0.4)
    rate = len(stage.frames()) - began
    stage.stop.set()
    await running
    assert opened == [first.address.url, second.address.url]
    assert rate <= 25, "one stream is read, with a picture each 20 ms"
    assert {frame["stream"] for frame in stage.frames()} == {"live"}


async def test_stopping_says_nothing_of_the_rooms_and_sends_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.streams = {"room": Stream(1000, "ends")}
    running = asyncio.create_task(stage.service.run([room()], stage.stop))
    await stage.until(lambda: len(stage.frames()) >= 3)
    stage.stop.set()
    await running
    assert {frame["stream"] for frame in stage.frames()} == {"live"}
    assert len(stage.frames()) == stage.value("vigil_probe_pictures_total")


async def test_a_stream_whose_decoder_fails_disturbs_no_other_room(monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
    """PyAV's own errors are no FFmpegError: it is lost, counted, and opened again."""
    monkeypatch.setattr("vigil.app.probe.sampling.BackOff.FIRST_S", 0.1)
    stage = Stage(monkeypatch)
    stage.streams = {"other": Stream(1000, "ends")}
    opened: list[Media] = []

    def open_media(room: WatchedRoom, shown_before: ShownBefore) -> Media | Stream:
        if room.room_id == "other":
            return stage.streams["other"]
        media = Media(room.address, 1000)
        decoder_fails(media, ValueError("unknown form"))
        opened.append(media)
        return media

    monkeypatch.setattr(stage.service, "_open", open_media)
    running = asyncio.create_task(stage.service.run([room(str(clip)), room(room_id="other")], stage.stop))
    await stage.until(lambda: len(opened) >= 2)
    seen = len(stage.frames("other"))
    await stage.until(lambda: len(stage.frames("other")) > seen)
    assert not running.done()
    stage.stop.set()
    await running
    assert (stage.value("vigil_probe_losses_total", why="not-opened") or 0) >= 2
    assert {frame["stream"] for frame in stage.frames("other")} == {"live"}


class FailingDetector(BrightnessDetector):
    def see(self, image: Any, at_ms: int) -> Any:
        raise ZeroDivisionError


async def test_an_error_of_ours_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def room(self) -> FailingDetector:
            return FailingDetector()

    stage = Stage(monkeypatch, Failing())
    stage.streams = {"room": Stream(1000, "ends")}
    with pytest.raises(ZeroDivisionError):
        await stage.service.run([room()], stage.stop)


async def test_a_sink_that_takes_nothing_ends_the_process_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.streams = {"room": Stream(1000, "ends")}

    async def refuses(message: ProbeMessage) -> None:
        raise SettingsError("the broker rejects frames")

    monkeypatch.setattr(stage.sink, "send", refuses)
    with pytest.raises(SettingsError, match="rejects frames"):
        await stage.service.run([room()], stage.stop)


def test_of_two_pictures_that_wait_the_newer_is_seen_and_both_are_heard() -> None:
    old, new = PictureTask(sample(1, sound=3), 1000), PictureTask(sample(2, sound=4), 2000)
    both = merged(old, new)
    assert isinstance(both, PictureTask) and both.sample.sound is not None
    assert (both.at_ms, both.sample.media_ms, len(both.sample.sound)) == (2000, 2000, 7)
    gone, over = AbsenceTask("disconnected", 3000), AbsenceTask("ended", 4000)
    assert merged(new, gone) == gone
    assert merged(gone, new) == new
    assert merged(over, new) == over


async def test_the_oldest_messages_are_dropped_where_too_many_wait() -> None:
    dropped: list[str] = []
    outbox = Outbox(asyncio.get_running_loop(), dropped.append)
    outbox.put(ProbeMessage("frame-status", b"room", b"", at) for at in range(CAPACITY + 3))
    outbox.close()
    sink = KeptSink()
    await outbox.send_all(sink)
    assert dropped == ["outbox-full"] * 3
    assert [message.at for message in sink.messages] == list(range(3, CAPACITY + 3))


async def test_what_still_waits_when_the_probe_stops_is_counted_as_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.streams = {"room": Stream(1000, "ends")}

    async def waits(message: ProbeMessage) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(stage.sink, "send", waits)
    running = asyncio.create_task(stage.service.run([room()], stage.stop))
    await stage.until(lambda: (stage.value("vigil_probe_pictures_total") or 0) >= 3)
    stage.stop.set()
    await running
    dropped = stage.value("vigil_probe_messages_dropped_total", why="stopped")
    assert dropped == stage.value("vigil_probe_pictures_total"), "the one that the sink was at, too"
    outbox = stage.service._outbox
    assert outbox is not None
    outbox.put([ProbeMessage("frame-status", b"room", b"", 1)])
    assert stage.value("vigil_probe_messages_dropped_total", why="stopped") == dropped + 1, "of a thread left behind"
