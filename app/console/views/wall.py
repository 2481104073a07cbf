"""The wall of live rooms: a row a room, ordered by urgency, told as changes rather than anew.

    critical   a condition within a minute of its violation, or two entries missed in a row and another waiting
    at-risk    a condition past half of its time, two entries missed in a row, or a high-tier buyer with less than
               five seconds left
    watch      another open condition, a high-tier buyer waiting, no signal, disconnected
    calm       everything else

Within a band, what falls due first comes first. Browsers get every row once, and then those that changed; counts that
change all the time make a row change at most every SLOW_MS.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

from vigil.app.console.ingest.model import ConsoleModel, RoomView
from vigil.topics.fields import HIGH_QUALITY

CRITICAL, AT_RISK, WATCH, CALM = range(4)
BANDS: Final = ("critical", "at-risk", "watch", "calm")

SOON_MS: Final = 60_000
SHORT_MS: Final = 60_000
"""A condition whose rule takes less than this is critical as soon as it is open."""
LAST_SECONDS_MS: Final = 5_000
OVERDUE_MS: Final = 5_000
"""What fell due so long ago without a verdict was something that ended."""
SLOW_MS: Final = 10_000
FORGET_MS: Final = 24 * 3_600_000
LATEST: Final = 100
"""Verdicts that the wall lists."""
MAX_TIME: Final = 1 << 53
"""Still a whole number in JavaScript."""


class Changes:
    """The current value of each key, and which came after a version. A key that went has the value None for a while."""

    def __init__(self, most_gone: int = 5_000) -> None:
        self.version = 0
        self._values: OrderedDict[str, tuple[int, bytes | None]] = OrderedDict()
        self._gone: deque[str] = deque()
        self._most_gone = most_gone
        self.forgotten = 0
        """Whoever has a version before this must begin anew."""

    def put(self, key: str, value: bytes | None) -> None:
        held = self._values.get(key)
        if (held[1] if held is not None else None) == value:
            return
        self.version += 1
        self._values[key] = (self.version, value)
        self._values.move_to_end(key)
        if value is None:
            self._gone.append(key)
            while len(self._gone) > self._most_gone:
                self._let_go(self._gone.popleft())

    def _let_go(self, key: str) -> None:
        version, value = self._values.get(key, (0, b""))
        if value is None:
            del self._values[key]
            self.forgotten = max(self.forgotten, version)

    def since(self, version: int) -> list[tuple[str, bytes | None]]:
        """What changed after the version, latest first; everything that is there for version 0.

        A version before `forgotten` is too old to be asked for.
        """
        if version == 0:
            return [(key, value) for key, (_, value) in self._values.items() if value is not None]
        found = []
        for key in reversed(self._values):
            at, value = self._values[key]
            if at <= version:
                break
            found.append((key, value))
        return found

    def keys(self) -> Iterator[str]:
        return (key for key, (_, value) in self._values.items() if value is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self.keys())


class Wall:
    """The rows of live rooms, and the latest verdicts."""

    def __init__(self, model: ConsoleModel) -> None:
        self._model = model
        self.rows = Changes()
        self.verdicts = Changes()
        self.counts: dict[str, int] = dict.fromkeys(BANDS, 0)
        self._bands: dict[str, int] = {}
        self._revisit: dict[str, int] = {}
        """When a row looks different though nothing is heard."""
        self._slow: dict[str, tuple[int, list[int]]] = {}
        """Of each row: since when, and which, counts are shown."""
        self._latest: deque[str] = deque()

    def refresh(self, now: int) -> None:
        """Look at what changed since the last time, and at what time has changed."""
        due = {room_id for room_id, at in self._revisit.items() if at <= now}
        gone = [room_id for room_id in self._bands if room_id not in self._model.rooms]
        for room_id in [*(self._model.dirty | due), *gone]:
            self._look(room_id, now)
        self._model.dirty.clear()
        counts = dict.fromkeys(BANDS, 0)
        for band in self._bands.values():
            counts[BANDS[band]] += 1
        self.counts = counts
        self._news()

    def _look(self, room_id: str, now: int) -> None:
        room = self._model.rooms.get(room_id)
        row = self._row(room, now) if room is not None and on_air(room, now) else None
        if row is None:
            self._bands.pop(room_id, None)
            self._revisit.pop(room_id, None)
            self._slow.pop(room_id, None)
            self.rows.put(room_id, None)
        else:
            self.rows.put(room_id, orjson.dumps(row))

    def _row(self, room: RoomView, now: int) -> dict[str, Any]:
        status = room.status
        risks = {place: notice for place, notice in room.risks.items() if overdue_in(notice.due, now)}
        opened = [one for one in (status.open if status else ()) if one.due > now - OVERDUE_MS]
        waiting = [one for one in (status.waiting if status else ()) if one.due > now - 1_000]
        high = sorted((one.due, one.buyer_tier) for one in waiting if one.buyer_tier in HIGH_QUALITY)
        band, key, revisit = CALM, MAX_TIME, MAX_TIME

        def urgent(new_band: int, due: int) -> None:
            nonlocal band, key
            if (new_band, due) < (band, key):
                band, key = new_band, due

        conditions: list[list[Any]] = []
        for one in opened:
            risky = (one.rule, one.since) in risks
            left = one.due - now
            level = CRITICAL if left <= SOON_MS or one.due - one.since < SHORT_MS else AT_RISK if risky else WATCH
            urgent(level, one.due)
            conditions.append([one.rule, one.since, one.due, level])
            revisit = min(revisit, one.due - SOON_MS if left > SOON_MS else one.due + OVERDUE_MS)
        shown = {(rule, since) for rule, since, *_ in conditions}
        for (rule, since), notice in risks.items():
            if rule == "greeting-miss":
                # The next miss is the violation: it has a time while somebody waits.
                third = min((one.due for one in waiting), default=None)
                level = AT_RISK if third is None else CRITICAL
                urgent(level, MAX_TIME - 1 if third is None else third)
                conditions.append([rule, since, third, level])
            elif (rule, since) not in shown and notice.due is not None:
                left = notice.due - now
                level = CRITICAL if left <= SOON_MS else AT_RISK
                urgent(level, notice.due)
                conditions.append([rule, since, notice.due, level])
                revisit = min(revisit, notice.due - SOON_MS if left > SOON_MS else notice.due + OVERDUE_MS)
        for due, _ in high:
            left = due - now
            urgent(AT_RISK if left <= LAST_SECONDS_MS else WATCH, due)
            revisit = min(revisit, due - LAST_SECONDS_MS if left > LAST_SECONDS_MS else due + 1_000)
        if room.lost_since is not None:
            urgent(WATCH, room.lost_since)
        elif status is not None and status.stream == "disconnected":
            urgent(WATCH, MAX_TIME - 1)
        conditions.sort(key=lambda one: (one[3], one[2] or 0))
        self._bands[room.room_id] = band
        counts, slow_until = self._counts(room, now)
        self._revisit[room.room_id] = max(min(revisit, slow_until), now + 1)
        last = self._last_verdict(room)
        return {
            "r": room.room_id,
            "h": room.host_id,
            "b": band,
            "k": key,
            "s": status.stream if status else None,
            "l": room.lost_since,
            "o": conditions[:6],
            "w": high[:4],
            "n": counts,
            "v": last,
        }

    def _counts(self, room: RoomView, now: int) -> tuple[list[int], int]:
        """Buyers now, entries, missed, verdicts, undecided entries: as shown, and until when at least."""
        status = room.status
        told = [0, 0, 0, 0, 0]
        if status is not None:
            told = [status.buyers_now, status.entries, status.missed, status.verdicts, len(status.waiting)]
        since, shown = self._slow.get(room.room_id, (0, []))
        if told != shown and (now - since >= SLOW_MS or not shown or told[3] != shown[3]):
            self._slow[room.room_id] = (now, told)
            return told, MAX_TIME
        return shown, since + SLOW_MS if told != shown else MAX_TIME

    def _last_verdict(self, room: RoomView) -> list[Any] | None:
        for verdict_id in reversed(room.verdicts):
            verdict = self._model.verdicts.get(verdict_id)
            if verdict is not None:
                return [verdict.rule, verdict.at, verdict_id]
        return None

    def _news(self) -> None:
        """The latest verdicts, each with what follows from it and what a review said."""
        fresh, self._model.fresh = self._model.fresh, []
        for verdict_id in dict.fromkeys(fresh[-10 * LATEST :]):
            verdict = self._model.verdicts.get(verdict_id)
            if verdict is None:
                continue
            if verdict_id not in self._latest:
                if len(self._latest) >= LATEST and verdict.at < self._oldest():
                    continue
                self._latest.append(verdict_id)
            action = self._model.action(verdict_id)
            reviews = self._model.reviews.get(verdict_id)
            row = {
                "i": verdict_id,
                "r": verdict.room_id,
                "h": verdict.host_id,
                "u": verdict.rule,
                "j": verdict.subject,
                "a": verdict.at,
                "c": action.count if action else None,
                "t": list(action.steps) if action else [],
                "x": action is not None and action.status == "withdrawn",
                "d": reviews[-1].decision if reviews else None,
            }
            self.verdicts.put(verdict_id, orjson.dumps(row))
        while len(self._latest) > LATEST:
            oldest = min(self._latest, key=self._at)
            self._latest.remove(oldest)
            self.verdicts.put(oldest, None)

    def _at(self, verdict_id: str) -> int:
        verdict = self._model.verdicts.get(verdict_id)
        return verdict.at if verdict is not None else 0

    def _oldest(self) -> int:
        return min(map(self._at, self._latest))


def overdue_in(due: int | None, now: int) -> bool:
    """Does what falls due then still stand? (None: it has no such time.)"""
    return due is None or due > now - OVERDUE_MS


def on_air(room: RoomView, now: int) -> bool:
    """Is the room one for the wall: live, or dropped out without having ended?"""
    if room.ended or room.latest_at < now - FORGET_MS:
        return False
    if room.status is None:
        return room.lost_since is not None or bool(room.risks)
    return room.status.stream in ("live", "disconnected")


def array(rows: Iterable[tuple[str, bytes | None]]) -> bytes:
    """Rows as a JSON array: the row itself, or its key where it went."""
    return b"[" + b",".join(orjson.dumps(key) if value is None else value for key, value in rows) + b"]"
