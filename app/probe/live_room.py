"""Reads one room's stream in a thread of its own, connects again when it breaks, and knows whether it is live.

    waiting ──first picture──▶ live ──stalled, or lost──▶ disconnected ──picture──▶ live
                                └────────────── end of the broadcast ─────────────▶ ended

Before the first picture nothing is said of a room: its broadcast may not have begun.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import structlog

from vigil.app.probe.media import Media, MediaSample, ShownBefore
from vigil.app.probe.metrics import ProbeMetrics
from vigil.app.probe.rooms_file import WatchedRoom
from vigil.app.probe.sampling import BackOff, DecodePlan, Playout
from vigil.app.probe.source_lost import SourceLostError

log = structlog.get_logger(__name__)

RoomState = Literal["waiting", "live", "disconnected", "ended"]

Open = Callable[[WatchedRoom, ShownBefore], Media]
"""Opens the stream of a room; raises SourceLostError."""


class PictureTask(NamedTuple):
    """Look at a picture."""

    sample: MediaSample
    at_ms: int


class AbsenceTask(NamedTuple):
    """There is no picture: the stream is disconnected, or the broadcast is over."""

    stream: Literal["disconnected", "ended"]
    at_ms: int


RoomTask = PictureTask | AbsenceTask

JITTER: Final = 0.2
"""Rooms of a server that comes back do not all connect in the same second."""


class RoomPorts(NamedTuple):
    """What a room is connected with."""

    open: Open
    offer: Callable[[RoomTask], None]
    """Receives what there is to observe."""
    on_failure: Callable[[BaseException], None]
    """Receives an error of ours, after which the thread ends."""
    metrics: ProbeMetrics


class LiveRoom:
    """The stream of one room."""

    def __init__(self, room: WatchedRoom, ports: RoomPorts, wall_ms: Callable[[], int]) -> None:
        self.room = room
        self.state: RoomState = "waiting"
        self.plan: DecodePlan | None = None
        """That of the connection; None without one."""
        self._open, self._offer, self._on_failure, self._metrics = ports
        self._wall_ms = wall_ms
        self._log = log.bind(room=room.room_id, source=room.address.shown)
        self._lock = threading.Lock()
        """Of the state: the reading thread and the ticks change it."""
        self._stopped = threading.Event()
        self._seen_s = 0.0
        self._at_ms = 0
        self._back_off = BackOff()
        self._shown_before = ShownBefore()
        self._thread = threading.Thread(target=self._run, name=f"reads-{room.room_id}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more. The thread ends with the packet or the attempt that it waits for."""
        self._stopped.set()

    def join(self, within_s: float) -> None:
        """Wait for the end of the thread, for so many seconds at most."""
        self._thread.join(within_s)

    def end(self) -> None:
        """The broadcast is over."""
        self.stop()
        self._leave("ended")

    def tick(self) -> None:
        """Called about once a second: a stream without pictures is disconnected, and every second says so."""
        with self._lock:
            if self.state == "live" and time.monotonic() - self._seen_s > self.room.address.manner.stalled_s:
                self._log.warning("stream stalled")
                self._metrics.losses.labels("stalled").inc()
                self.state = "disconnected"
            if self.state == "disconnected":
                self._offer(AbsenceTask("disconnected", self._next_ms()))

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                try:
                    self._read()
                    return
                except SourceLostError as error:
                    self._lost(str(error))
                jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - it need not be unpredictable
                self._stopped.wait(self._back_off.failed() * jitter)
        except BaseException as error:
            self._on_failure(error)

    def _read(self) -> None:
        """Read to the end of the broadcast, or until the room is stopped; raise SourceLostError."""
        playout = Playout() if self.room.address.manner.played else None
        with self._open(self.room, self._shown_before) as media:
            self.plan = media.plan
            self._log.info("stream opened")
            for sample in media.samples():
                if playout is not None:
                    self._stopped.wait(playout.wait_s(sample.media_ms, time.monotonic()))
                if self._stopped.is_set():
                    return
                self._see(sample)
        self._log.info("broadcast ended")
        self._leave("ended")

    def _see(self, sample: MediaSample) -> None:
        with self._lock:
            if self._stopped.is_set():  # the room has ended while the thread waited: it must not be live again
                return
            if self.state != "live":
                self._log.info("stream live", before=self.state)
                self._back_off.succeeded()
                self.state = "live"
            self._seen_s = time.monotonic()
            self._offer(PictureTask(sample, self._next_ms()))

    def _lost(self, why: str) -> None:
        self.plan = None
        with self._lock:
            was, self.state = self.state, "disconnected" if self.state == "live" else self.state
        self._metrics.losses.labels("lost" if was == "live" else "not-opened").inc()
        self._log.warning("stream lost" if was == "live" else "stream not opened", why=why)

    def _leave(self, state: Literal["ended"]) -> None:
        with self._lock:
            if self.state in ("live", "disconnected"):
                self._offer(AbsenceTask(state, self._next_ms()))
            self.state = state

    def _next_ms(self) -> int:
        """The time of an observation: now, and after those before it."""
        self._at_ms = max(self._wall_ms(), self._at_ms + 1)
        return self._at_ms
