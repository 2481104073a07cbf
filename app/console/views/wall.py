"""The wall: a row for each live room, and for each room with a violation that nobody has reviewed; the latest verdicts.

Rows are ordered by urgency (urgency.py).

Counts that change all the time make a row change at most every SLOW_MS, so that browsers get few changes.
"""

from collections import deque
from typing import Any, Final

import orjson

from vigil.app.console.ingest.model import ConsoleModel
from vigil.app.console.ingest.subject_views import RoomView
from vigil.app.console.views.changes import Changes
from vigil.app.console.views.urgency import BANDS, NO_DEADLINE, OpenViolation, Urgency
from vigil.app.domain.rulebook.book import Rulebook
from vigil.topics.verdicts import Verdict

SLOW_MS: Final = 10_000
FORGET_MS: Final = 24 * 3_600_000
"""A room without any message, and a violation, is not shown for longer than this: Vigil forgets rooms then, too."""
LATEST: Final = 100
"""How many verdicts the wall lists."""
SHOWN_CONDITIONS: Final = 6
SHOWN_BUYERS: Final = 4


class Wall:
    """The rows of live rooms, and the latest verdicts."""

    def __init__(self, model: ConsoleModel, rulebook: Rulebook) -> None:
        self._model = model
        self._rulebook = rulebook
        self.rows = Changes()
        self.verdicts = Changes()
        self.counts: dict[str, int] = dict.fromkeys(BANDS, 0)
        self._bands: dict[str, int] = {}
        self._revisit: dict[str, int] = {}
        """When a row looks different though nothing is read."""
        self._slow: dict[str, tuple[int, list[int]]] = {}
        """Of each row: the counts that are shown, and since when."""
        self._latest: deque[str] = deque()

    def use(self, rulebook: Rulebook) -> None:
        """Rank rooms by another rulebook."""
        self._rulebook = rulebook

    def refresh(self, now: int) -> None:
        """Make the rows that have changed since the last call, by what was read or by the passing of time."""
        due = {room_id for room_id, at in self._revisit.items() if at <= now}
        gone = [room_id for room_id in self._bands if room_id not in self._model.rooms]
        for room_id in [*(self._model.dirty | due), *gone]:
            self._refresh_row(room_id, now)
        self._model.dirty.clear()
        counts = dict.fromkeys(BANDS, 0)
        for band in self._bands.values():
            counts[BANDS[band]] += 1
        self.counts = counts
        self._refresh_verdicts()

    def _refresh_row(self, room_id: str, now: int) -> None:
        room = self._model.rooms.get(room_id)
        if room is not None:
            violations = self.violations(room, now)
            if violations or on_air(room, now):
                self.rows.put(room_id, orjson.dumps(self._row(room, now, violations)))
                return
        self._bands.pop(room_id, None)
        self._revisit.pop(room_id, None)
        self._slow.pop(room_id, None)
        self.rows.put(room_id, None)

    def violations(self, room: RoomView, now: int) -> list[OpenViolation]:
        """The room's violations that nobody has reviewed, the latest first."""
        track = self._model.tracks.get(room.room_id)
        found = []
        for verdict_id in reversed(room.verdicts):
            verdict = self._model.verdicts.get(verdict_id)
            if verdict is None or self._model.is_decided(verdict_id) or verdict.at < now - FORGET_MS:
                continue
            condition = (verdict.rule, verdict.subject)
            continues = not room.ended and track is not None and track.continues(condition, verdict.at, now)
            found.append(OpenViolation(verdict, continues))
        return found

    def _row(self, room: RoomView, now: int, violations: list[OpenViolation]) -> dict[str, Any]:
        urgency = Urgency(room, self._rulebook, now, violations)
        self._bands[room.room_id] = urgency.band
        counts, slow_until = self._counts(room, now)
        self._revisit[room.room_id] = max(min(urgency.revisit, slow_until), now + 1)
        return {
            "r": room.room_id,
            "h": room.host_id,
            "b": urgency.band,
            "k": urgency.due,
            "s": room.status.stream if room.status else None,
            "l": room.lost_since,
            "o": [list(one) for one in urgency.conditions[:SHOWN_CONDITIONS]],
            "w": urgency.high_tier[:SHOWN_BUYERS],
            "n": counts,
            "v": self._last_verdict(room),
        }

    def _counts(self, room: RoomView, now: int) -> tuple[list[int], int]:
        """Buyers now, entries, missed, verdicts, undecided entries: as shown, and until when at least."""
        status = room.status
        counts = [0, 0, 0, 0, 0]
        if status is not None:
            counts = [status.buyers_now, status.entries, status.missed, status.verdicts, len(status.waiting)]
        since, shown = self._slow.get(room.room_id, (0, []))
        if counts != shown and (now - since >= SLOW_MS or not shown or counts[3] != shown[3]):
            self._slow[room.room_id] = (now, counts)
            return counts, NO_DEADLINE
        return shown, since + SLOW_MS if counts != shown else NO_DEADLINE

    def _last_verdict(self, room: RoomView) -> list[Any] | None:
        for verdict_id in reversed(room.verdicts):
            verdict = self._model.verdicts.get(verdict_id)
            if verdict is not None:
                return [verdict.rule, verdict.at, verdict_id]
        return None

    def _refresh_verdicts(self) -> None:
        """The latest verdicts, each with its action and what a review decided."""
        fresh, self._model.fresh = self._model.fresh, []
        for verdict_id in dict.fromkeys(fresh[-10 * LATEST :]):
            verdict = self._model.verdicts.get(verdict_id)
            if verdict is not None and self._is_latest(verdict):
                self.verdicts.put(verdict_id, orjson.dumps(self._verdict_row(verdict)))
        while len(self._latest) > LATEST:
            oldest = min(self._latest, key=self._at)
            self._latest.remove(oldest)
            self.verdicts.put(oldest, None)

    def _is_latest(self, verdict: Verdict) -> bool:
        """True if the wall lists the verdict, or does from now on."""
        if verdict.verdict_id not in self._latest:
            if len(self._latest) >= LATEST and verdict.at < min(map(self._at, self._latest)):
                return False
            self._latest.append(verdict.verdict_id)
        return True

    def _verdict_row(self, verdict: Verdict) -> dict[str, Any]:
        action = self._model.action(verdict.verdict_id)
        reviews = self._model.reviews.get(verdict.verdict_id)
        return {
            "i": verdict.verdict_id,
            "r": verdict.room_id,
            "h": verdict.host_id,
            "u": verdict.rule,
            "j": verdict.subject,
            "a": verdict.at,
            "c": action.count if action else None,
            "t": list(action.steps) if action else [],
            "q": list(action.choice) if action and isinstance(action.choice, tuple | list) else [],
            "x": action is not None and action.status == "withdrawn",
            "d": next((each.decision for each in reversed(reviews or ()) if each.decision != "appealed"), None),
        }

    def _at(self, verdict_id: str) -> int:
        verdict = self._model.verdicts.get(verdict_id)
        return verdict.at if verdict is not None else 0


def on_air(room: RoomView, now: int) -> bool:
    """True for the rooms of the wall: live, or disconnected without having ended."""
    if room.ended or room.latest_at < now - FORGET_MS:
        return False
    if room.status is None:
        return room.lost_since is not None or bool(room.risks)
    return room.status.stream in ("live", "disconnected")
