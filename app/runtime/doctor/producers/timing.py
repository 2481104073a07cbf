"""Whose clock is ahead or behind in a sample of one topic, and how late its other events come. Pure.

events of a partition ──▶ rooms that are ahead or behind (left out) ──▶ a backlog that was written at once ──▶ Times

An event moves the clock of its partition. One of a room whose clock is 30 s ahead makes the events of all other rooms
there late, which no allowed lateness is to make up for. Times of writing may be the producers' own, as wrong as their
event times. But what is written later is later: an event whose time is above the times of writing of what follows, of
other rooms and again and again, comes from a clock that is ahead of theirs.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from statistics import median_low
from typing import Final, NamedTuple

from vigil.app.engine.watermark import MIN_TIME
from vigil.app.runtime.doctor.producers.slow_rooms import behind_others
from vigil.app.runtime.doctor.producers.stamps import AHEAD_MS, ALWAYS, FEW, Stamped, newest_of_others

BLOCK: Final = 50
"""Events of a partition that are looked at together: were they written as they happened?"""

BACKLOG_MS: Final = 60_000
"""Events of so long a time that were written in less than half of it are a backlog: a recording, or what waited."""


class Times:
    """How late the events of one topic come, or of one `via` of comments."""

    def __init__(self) -> None:
        self.delays = array("q")
        """Time of writing minus event time, ms; not of a backlog."""
        self.needed = array("q")
        """The allowance (ms) with which each event would have been in time. An event is late against the others of its
        partition, or against the wall clock if its partition was silent."""

    def add(self, delay: int | None, disorder: int) -> None:
        """Add one event. `delay`: None for one of a backlog; `disorder`: by how much it is below the largest event time
        before it in its partition, ms."""
        if delay is not None:
            self.delays.append(delay)
        self.needed.append(max(0, delay or 0, disorder))

    def lateness(self, per_mille: int) -> int:
        """The allowance (ms) with which so many of a thousand events would have been in time."""
        return rank(self.needed, per_mille)


class Backlog(NamedTuple):
    """What was written at once. It says nothing of how late events come when they are sent as they happen."""

    events: int
    lasts_ms: int
    """The event time that it covers."""
    took_ms: int
    """How long its writing took."""


class Timing(NamedTuple):
    """What the times of a sample say."""

    times: dict[str, Times]
    """By `via` of comments; under the empty name for other topics. Without rooms that are ahead or behind."""
    ahead: dict[str, int]
    """By how much a room's clock is ahead of those of the others, ms."""
    behind: dict[str, int]
    """By how much a room's events are behind those of the others, nearly all of them, ms."""
    backlog: Backlog


def rank(numbers: Sequence[int], per_mille: int) -> int:
    """The smallest number that at least `per_mille` of a thousand are not above; 0 of none."""
    ordered = sorted(numbers)
    return ordered[max(0, -(-len(ordered) * per_mille // 1000) - 1)] if ordered else 0


def timing(partitions: Collection[Sequence[Stamped]], now: int | None = None) -> Timing:
    """Measure the events of each partition, in the order of their offsets. `now`: when the sample was read, ms."""
    ahead: dict[str, int] = {}
    for events in partitions:
        ahead |= ahead_of_others(events, now)
    if len(ahead) == len({event.key for events in partitions for event in events}):
        ahead = {}  # all are: then it may be the time of writing that is wrong
    behind = behind_others(partitions, ahead, now)
    apart = ahead.keys() | behind.keys()
    late: list[tuple[Stamped, int]] = []
    for events in partitions:
        newest = MIN_TIME
        for event in events:
            if event.key not in apart:
                late.append((event, max(0, newest - event.at)))
                newest = max(newest, event.at)
    late.sort(key=lambda each: each[0].written)
    at_once, backlog = _backlog([event for event, _ in late])
    times: dict[str, Times] = {}
    for number, (event, disorder) in enumerate(late):
        delay = None if number // BLOCK in at_once else event.written - event.at
        times.setdefault(event.via, Times()).add(delay, disorder)
    return Timing(times, ahead, behind, backlog)


def ahead_of_others(events: Sequence[Stamped], now: int | None = None) -> dict[str, int]:
    """The rooms of a partition whose clock is ahead of the times of writing, with by how much (ms)."""
    delays: dict[str, list[int]] = defaultdict(list)
    for event in events:
        delays[event.key].append(event.written - event.at)
    usual = {key: median_low(each) for key, each in delays.items()}
    ahead = {key: -delay for key, delay in usual.items() if delay < -AHEAD_MS}
    for via in sorted({event.via for event in events}):  # speech takes its time
        others = [event for event in events if event.via == via]
        while found := _ahead_by_order([event for event in others if event.key not in ahead], now):
            ahead |= found
    return ahead


def _ahead_by_order(events: Sequence[Stamped], now: int | None) -> dict[str, int]:
    """The rooms whose event times are above the times of writing of what other rooms have written after them."""
    leads: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    """By room, and by another room whose events are behind it."""
    since: Counter[str] = Counter()
    """How many events of each room there are since the first that is behind."""
    latest: dict[str, int] = {}
    for event, (other, newest) in newest_of_others(events):
        latest[event.key] = event.at
        if newest - event.written > AHEAD_MS:
            leads[other][event.key].append(newest - event.written)
        if leads:
            since[event.key] += 1
    behind = Counter(room for by_room in leads.values() for room, each in by_room.items() for _ in each)
    always = {room for room, number in behind.items() if number > ALWAYS * since[room]}
    found = {other: [lead for room in always for lead in by_room.get(room, ())] for other, by_room in leads.items()}
    found = {other: each for other, each in found.items() if each}
    if sum(map(len, found.values())) < FEW:
        return {}  # slow for once, or rooms that are slow and at times prompt
    most_are_behind = 2 * len(always) > len(since)
    if not most_are_behind and not all(now is not None and latest[other] > now + AHEAD_MS for other in found):
        return {}  # a few rooms are behind all others, or nobody knows which of two clocks is wrong
    return {other: median_low(each) for other, each in found.items()}


def _backlog(events: Sequence[Stamped]) -> tuple[set[int], Backlog]:
    """Which blocks of a sample, in the order of writing, are a backlog, with the next one on both sides.

    Those at its ends have some of its events.
    """
    fast: list[tuple[int, int, int]] = []
    """Number, event time and time of writing of each block that was written faster than it happened."""
    runs: list[list[tuple[int, int, int]]] = []
    newest, written = (events[0].at, events[0].written) if events else (0, 0)
    for number in range(-(-len(events) // BLOCK)):
        block = events[number * BLOCK : (number + 1) * BLOCK]
        covers, took = max(event.at for event in block) - newest, block[-1].written - written
        newest, written = newest + max(0, covers), block[-1].written
        if covers <= 2 * took:
            fast = []
        elif fast:
            fast.append((number, covers, took))
        else:
            fast = [(number, covers, took)]
            runs.append(fast)
    found = [block for run in runs if sum(covers for _, covers, _ in run) >= BACKLOG_MS for block in run]
    at_once = {near for number, _, _ in found for near in (number - 1, number, number + 1)}
    blocks = [len(events[number * BLOCK : (number + 1) * BLOCK]) for number, _, _ in found]
    return at_once, Backlog(sum(blocks), sum(covers for _, covers, _ in found), sum(took for _, _, took in found))
