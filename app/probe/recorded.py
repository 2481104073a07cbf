"""Files as fast as they can be read: their messages have the times at which a camera would have sent them.

Rooms are merged by event time, so that the result is one recording, the same every time. One picture of each room is in
memory.
"""

import heapq
from collections.abc import Iterable, Iterator

from vigil.app.probe.media import Media
from vigil.app.probe.messages import ProbeMessage
from vigil.app.probe.metrics import ProbeMetrics
from vigil.app.probe.room_probe import RoomProbe
from vigil.app.probe.rooms_file import RoomsError
from vigil.app.probe.source_lost import SourceLostError


def recorded_messages(
    probes: Iterable[RoomProbe], start_ms: int, interval_ms: int, metrics: ProbeMetrics
) -> Iterator[ProbeMessage]:
    """Yield the messages of all rooms, which begin at `start_ms`; raise RoomsError where a file cannot be read."""
    rooms = [_messages(probe, start_ms, interval_ms, metrics) for probe in probes]
    return heapq.merge(*rooms, key=lambda message: message.at)


def _messages(probe: RoomProbe, start_ms: int, interval_ms: int, metrics: ProbeMetrics) -> Iterator[ProbeMessage]:
    address = probe.room.address
    at_ms, first_ms = start_ms - 1, None
    try:
        with Media(address, interval_ms, on_damaged=metrics.damaged.inc) as media:
            for sample in media.samples():
                first_ms = sample.media_ms if first_ms is None else first_ms
                at_ms = max(at_ms + 1, start_ms + sample.media_ms - first_ms)
                metrics.pictures.inc()
                yield from probe.see(sample, at_ms)
    except SourceLostError as error:
        raise RoomsError(f"{address.shown}: cannot be read as video: {error}") from error
    if first_ms is None:
        raise RoomsError(f"{address.shown}: has no picture that can be decoded")
    yield from probe.ended(at_ms + interval_ms)
