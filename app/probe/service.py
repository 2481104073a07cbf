"""Watches rooms live: a thread for each stream, a few for the detectors, and the event loop that sends.

stream ─▶ LiveRoom ─▶ DetectionPool ─▶ RoomProbe ─▶ Outbox ─▶ sink
each second: stalled? ──┘
"""

import asyncio
import concurrent.futures
import functools
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple, get_args

import structlog

from vigil.app.kafka.settings import SettingsError
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.probe.detection_pool import DetectionPool
from vigil.app.probe.detector import Detectors
from vigil.app.probe.live_room import AbsenceTask, LiveRoom, PictureTask, RoomPorts, RoomState, RoomTask
from vigil.app.probe.media import Media, ShownBefore
from vigil.app.probe.metrics import ProbeMetrics
from vigil.app.probe.outbox import Outbox
from vigil.app.probe.room_probe import RoomProbe
from vigil.app.probe.rooms_file import RoomsError, WatchedRoom
from vigil.app.probe.sinks import Sink
from vigil.app.probe.sound import joined

log = structlog.get_logger(__name__)

TICK_S: Final = 1.0
STOP_S: Final = 5.0
"""Seconds that threads have to end. One that waits for a stream that is silent is left behind."""


class ProbeOptions(NamedTuple):
    """How rooms are watched."""

    interval_ms: int = 1_000
    """About one picture in this time."""
    speech: bool = False
    """Send the host's speech as comments."""
    threads: int = 1
    """Threads for the detectors."""
    stays: bool = False
    """Go on after all broadcasts have ended: the list of rooms may change."""


class ProbeService:
    """One process that watches rooms."""

    def __init__(self, detectors: Detectors, sink: Sink, metrics: ProbeMetrics, options: ProbeOptions) -> None:
        self._detectors = detectors
        self._sink = sink
        self._metrics = metrics
        self._options = options
        self._rooms: dict[str, LiveRoom] = {}
        self._failed: concurrent.futures.Future[None] = concurrent.futures.Future()
        """The first error of ours in a thread."""
        self._outbox: Outbox | None = None
        self._pool: DetectionPool[RoomProbe, RoomTask] | None = None

    async def run(
        self,
        rooms: Iterable[WatchedRoom],
        stop: asyncio.Event,
        read_again: Callable[[], list[WatchedRoom] | None] | None = None,
    ) -> None:
        """Watch rooms until `stop` is set or all broadcasts have ended; raise SettingsError where nothing can be sent.

        `read_again` is called each second; it returns the list of rooms where that has changed, raises RoomsError where
        it cannot be used, and returns nothing where it is as before.
        """
        await self._sink.start()
        self._outbox = Outbox(asyncio.get_running_loop(), lambda why: self._metrics.dropped.labels(why).inc())
        self._pool = DetectionPool(self._options.threads, self._observe, merged, self._fail)
        sending = asyncio.create_task(self._outbox.send_all(self._sink))
        ends: list[asyncio.Future[Any]] = [sending, asyncio.create_task(stop.wait()), asyncio.wrap_future(self._failed)]
        try:
            self.watch(rooms)
            while not any(end.done() for end in ends) and not self._is_over():
                await asyncio.wait(ends, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
                if read_again is not None:
                    self._watch_changed(read_again)
                for room in list(self._rooms.values()):
                    room.tick()
            for end in ends:
                if end.done():
                    end.result()
        finally:
            ends[1].cancel()
            await asyncio.to_thread(self._stop_threads)
            await self._send_rest(sending)

    async def _send_rest(self, sending: asyncio.Task[None]) -> None:
        assert self._outbox is not None  # noqa: S101 - made before
        self._outbox.close()
        try:
            with suppress(TimeoutError, SettingsError):  # an error of the sink was raised above
                await asyncio.wait_for(sending, STOP_S)
        finally:
            if dropped := self._outbox.drop_rest():
                log.warning("messages not sent before the end", messages=dropped)
            await self._sink.stop()

    def watch(self, rooms: Iterable[WatchedRoom]) -> None:
        """Watch these rooms from now on. The broadcast of a room that is not among them any more is over."""
        wanted = {room.room_id: room for room in rooms}
        for room_id in self._rooms.keys() - wanted.keys():
            self._rooms.pop(room_id).end()
        for room_id, room in wanted.items():
            watched = self._rooms.get(room_id)
            if watched is not None and watched.room == room:
                continue
            if watched is not None:
                watched.stop()
            self._begin(room)

    def _begin(self, room: WatchedRoom) -> None:
        assert self._pool is not None  # noqa: S101 - made before
        probe = RoomProbe(
            room,
            self._detectors.room(),
            speech=self._options.speech,
            on_unmeasured=self._metrics.unmeasured.inc,
        )
        offer = functools.partial(self._offer, probe)
        live = LiveRoom(room, RoomPorts(self._open, offer, self._fail, self._metrics), wall_ms)
        self._rooms[room.room_id] = live
        live.start()

    def refresh_metrics(self) -> None:
        """Set the gauges."""
        rooms = list(self._rooms.values())
        states = Counter(room.state for room in rooms)
        for state in get_args(RoomState):
            self._metrics.rooms.labels(state).set(states[state])
        decoded = Counter("key" if room.plan.keys_only else "all" for room in rooms if room.plan is not None)
        for pictures in ("key", "all"):
            self._metrics.decoded.labels(pictures).set(decoded[pictures])

    def not_ready(self) -> str | None:
        """What is wrong, for `/health/ready`; None once the streams are being read."""
        return None if self._rooms else "no room is watched yet"

    def _watch_changed(self, read_again: Callable[[], list[WatchedRoom] | None]) -> None:
        try:
            rooms = read_again()
        except RoomsError as error:
            self._metrics.list_problems.inc()
            log.error("the list of rooms cannot be used; the rooms of before are kept", why=str(error))
            return
        if rooms is not None:
            log.info("the list of rooms has changed", rooms=len(rooms))
            self.watch(rooms)

    def _open(self, room: WatchedRoom, shown_before: ShownBefore) -> Media:
        return Media(
            room.address, self._options.interval_ms, shown_before=shown_before, on_damaged=self._metrics.damaged.inc
        )

    def _offer(self, probe: RoomProbe, task: RoomTask) -> None:
        assert self._pool is not None  # noqa: S101 - made before
        if self._pool.offer(probe, task):
            self._metrics.skipped.inc()

    def _observe(self, probe: RoomProbe, task: RoomTask) -> None:
        """Called by the threads of the pool."""
        assert self._outbox is not None  # noqa: S101 - made before
        if isinstance(task, PictureTask):
            messages = list(probe.see(task.sample, task.at_ms))
            self._metrics.pictures.inc()
            self._metrics.delay.observe(max(0, wall_ms() - task.at_ms) / 1000)
        elif task.stream == "ended":
            messages = list(probe.ended(task.at_ms))
        else:
            messages = list(probe.disconnected(task.at_ms))
        self._outbox.put(messages)

    def _fail(self, error: BaseException) -> None:
        with suppress(concurrent.futures.InvalidStateError):  # one was first
            self._failed.set_exception(error)

    def _is_over(self) -> bool:
        return not self._options.stays and all(room.state == "ended" for room in self._rooms.values())

    def _stop_threads(self) -> None:
        assert self._pool is not None  # noqa: S101 - made before
        until_s = time.monotonic() + STOP_S
        for room in self._rooms.values():
            room.stop()
        for room in self._rooms.values():
            room.join(max(0.0, until_s - time.monotonic()))
        self._pool.close(STOP_S)


def merged(old: RoomTask, new: RoomTask) -> RoomTask:
    """The task that stands for two that wait: the newer picture, with the sound of both."""
    if isinstance(old, AbsenceTask) and old.stream == "ended":
        return old
    if isinstance(old, PictureTask) and isinstance(new, PictureTask):
        return new._replace(sample=new.sample._replace(sound=joined(old.sample.sound, new.sample.sound)))
    return new
