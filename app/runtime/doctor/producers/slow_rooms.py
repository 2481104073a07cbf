"""Which rooms of a sample are behind: their events come late, nearly all of them and by much the same. Pure.

events ──▶ by how much each is behind the time of writing, or the newest event of other rooms before it ──▶ by room
                                          most rooms are prompt ──▶ those of which nearly all are behind that

A producer whose own clock is slow stamps its records with times of writing that are slow, too. Then only the order of
its partition shows it, and only where most of its rooms are not behind, or its newest event is of the present:
otherwise one clock that is ahead may be the cause.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from statistics import median_low
from typing import Final

from vigil.app.engine.watermark import MIN_TIME
from vigil.app.runtime.doctor.producers.stamps import AHEAD_MS, ALWAYS, FEW, Stamped, newest_of_others

SLOW_MS: Final = 5_000
"""By how much a room must be behind the others: for less, an allowed lateness may make up."""


def behind_others(
    partitions: Collection[Sequence[Stamped]], ahead: Collection[str], now: int | None = None
) -> dict[str, int]:
    """The rooms that are behind those of all partitions, by how much (ms).

    `ahead`: rooms whose clock is ahead; `now`: when the sample was read, ms.
    """
    behind: dict[str, int] = {}
    for via in sorted({event.via for events in partitions for event in events}):  # speech takes its time
        lags: dict[str, list[int]] = {}
        for events in partitions:
            lags |= _lags([event for event in events if event.via == via and event.key not in ahead], now)
        if not lags:
            continue
        usual = median_low([median_low(each) for each in lags.values()])
        slow = {room: median_low(each) - usual for room, each in lags.items() if _always(each, usual + SLOW_MS)}
        if 2 * len(slow) < len(lags):
            behind |= {room: max(ms, behind.get(room, 0)) for room, ms in slow.items()}
    return behind


def _always(lags: Sequence[int], limit: int) -> bool:
    return len(lags) >= FEW and sum(lag > limit for lag in lags) > ALWAYS * len(lags)


def _lags(events: Sequence[Stamped], now: int | None) -> dict[str, list[int]]:
    """By room, by how much (ms) each event of a partition is behind."""
    by_writing: dict[str, list[int]] = defaultdict(list)
    by_order: dict[str, list[int]] = defaultdict(list)
    for event, (_, newest) in newest_of_others(events):
        by_writing[event.key].append(max(0, event.written - event.at))
        if newest > MIN_TIME:  # before, nobody knows
            by_order[event.key].append(max(event.written, newest) - event.at)
    slow = {room for room, each in by_order.items() if _always(each, SLOW_MS)}
    newest = max((event.at for event in events), default=MIN_TIME)
    no_clock_is_ahead = now is not None and -AHEAD_MS <= now - newest <= SLOW_MS
    return by_writing | by_order if no_clock_is_ahead or 2 * len(slow) < len(by_writing) else by_writing
