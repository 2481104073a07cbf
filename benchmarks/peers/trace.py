"""The events of the job, in order of arrival, and the verdicts that they must give.

Each room has a frame a second, a comment every five and an entry every ten; one comment in ten is the host's. Every
twentieth room is without a face for over 5 minutes, every twentieth is black for over 2, and as many miss these limits
by a little. The last 25 s have no entries and no comments but one of each at the very end, by which every clock passes
the last deadline; that entry is answered, so that no deadline is left at the end.
"""

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

import orjson

from benchmarks.peers.room import Room, event_of

START_MS: Final = 1_790_000_000_000
DISORDER_MS: Final = 1000
QUIET_MS: Final = 25_000
EARLY_MS: Final = 1000
"""Vigil counts a comment of the host up to a second before an entry as its answer: no entry is so close."""


class TraceMessage(NamedTuple):
    """One message to send."""

    arrives: float
    topic: str
    room: str
    at: int
    value: bytes


def trace(rooms: int, seconds: int) -> list[TraceMessage]:
    """Return the messages in order of arrival."""
    found: list[TraceMessage] = []
    for number in range(rooms):
        rng = random.Random(f"{number}/{seconds}")
        for at, topic, value in room_events(number, seconds * 1000, rng):
            room = f"room-{number:05d}"
            message = {"room_id": room, "host_id": f"host-{number % 311:05d}", "at": at, **value}
            found.append(TraceMessage(at + rng.random() * DISORDER_MS, topic, room, at, orjson.dumps(message)))
    found.sort()
    return found


def room_events(number: int, lasts_ms: int, rng: random.Random) -> Iterator[tuple[int, str, dict[str, object]]]:
    """Yield time, topic and content of one room's events; no two of them have the same time."""
    host = f"host-{number % 311:05d}"
    away = span(number % 20, {0: (308, 400), 2: (270, 295)}, lasts_ms, rng)
    black = span(number % 20, {1: (122, 200), 3: (90, 117)}, lasts_ms, rng)
    used: set[int] = set()

    def unique(at: float) -> int:
        time = int(at)
        while time in used:
            time += 1
        used.add(time)
        return time

    offset = 50 + rng.random() * 900
    for second in range(lasts_ms // 1000):
        at = unique(START_MS + second * 1000 + offset + rng.uniform(-20, 20))
        yield at, "frame-status", {
            "frame_id": f"f{number}-{second}", "stream": "live", "face": at not in away and rng.random() < 0.9,
            "black": at in black or rng.random() < 0.02, "luma": rng.randint(0, 255), "motion": round(rng.random(), 3),
        }  # fmt: skip
    end, greeted = START_MS + lasts_ms - QUIET_MS, []
    for index, at in enumerate(times(5000, end, rng)):
        is_host = rng.random() < 0.1 and int(at) not in away
        time = unique(at)
        greeted += [time] * is_host
        yield time, "comment", {
            "comment_id": f"c{number}-{index}", "author_id": host if is_host else f"user-{rng.randint(0, 99_999):06d}",
            "author_role": "host" if is_host else "buyer", "text": "welcome, nice to see you" + "x" * rng.randint(0, 30)
        }  # fmt: skip
    for index, at in enumerate(times(10_000, end, rng)):
        time = unique(at)
        if not any(0 <= time - host_at <= EARLY_MS for host_at in greeted):
            yield time, "buyer-entry", entry(number, index)
    last = START_MS + lasts_ms - 1000
    yield unique(last), "buyer-entry", entry(number, -1)
    yield unique(last + 1), "comment", {"comment_id": f"c{number}-end", "author_id": host, "author_role": "host",
                                        "text": "bye"}  # fmt: skip


def entry(number: int, index: int) -> dict[str, object]:
    """Return the content of an entry; its buyer enters once."""
    return {"buyer_id": f"buyer-{number}-{index}", "entry_id": f"e{number}-{index}", "source": "feed", "device": "ios"}


def times(mean_ms: float, end: int, rng: random.Random) -> Iterator[float]:
    """Yield random times up to `end`."""
    at = START_MS + 2000.0  # after the first frame: nothing counts before it
    while (at := at + rng.expovariate(1 / mean_ms)) < end:
        yield at


def span(kind: int, lasts_s: dict[int, tuple[int, int]], lasts_ms: int, rng: random.Random) -> range:
    """Return a stretch of time of a random length, if this kind of room has one."""
    if kind not in lasts_s:
        return range(0)
    lasts = rng.randint(*lasts_s[kind]) * 1000
    begin = START_MS + rng.randint(5000, lasts_ms - lasts - QUIET_MS)
    return range(begin, begin + lasts)


def expected(messages: list[TraceMessage]) -> list[tuple[str, str, int]]:
    """Return (room, rule, time) of each verdict, sorted: the rules applied to all events of a room in order."""
    rooms: dict[str, Room] = {}
    end = max(message.at for message in messages)
    for message in messages:
        event = event_of(message.topic, orjson.loads(message.value))
        if event is not None:
            rooms.setdefault(message.room, Room()).add(event)
    return sorted((name, *verdict) for name, room in rooms.items() for verdict in room.advance(end))
