"""Violations in rooms that are none if the supplier held a permit when they began.

They are judged once, when the clock is past them: so what the supplier did up to then has arrived, as far as it came in
order. A violation that is referred again, after a restart of its room, is not judged twice.
"""

from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.memory import DAY_MS
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.storage.buckets import Buckets
from vigil.app.engine.subject import ChangedChunks, StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.internal import RESTRICTED_BY_ROOM
from vigil.topics.verdicts import Verdict

KEEP_MS: Final = 7 * DAY_MS
"""How long a judged referral is remembered: as long as the topic keeps it, which may bring it again."""

_decode: Final = msgspec.json.Decoder(Verdict).decode
_encode: Final = msgspec.json.Encoder().encode


class ReferralRecord(Struct, array_like=True):
    """One violation that was referred. Stored by position."""

    verdict_id: str
    at: int
    verdict: bytes
    """As its message; empty once it is judged."""
    bucket: int = 0

    def latest(self) -> int:
        """Return its time."""
        return self.at


class Referrals:
    """What was referred to one supplier."""

    def __init__(self, chunks: StateChunks) -> None:
        self._buckets: Buckets[ReferralRecord] = Buckets(b"V", ReferralRecord, chunks)
        self._records = {record.verdict_id: record for record in self._buckets}

    def __bool__(self) -> bool:
        """True if a violation waits to be judged."""
        return any(record.verdict for record in self._records.values())

    def add(self, verdict: Verdict) -> None:
        """Take a violation; one that came before changes nothing."""
        if verdict.verdict_id not in self._records:
            record = ReferralRecord(verdict.verdict_id, verdict.at, _encode(verdict))
            self._records[verdict.verdict_id] = record
            self._buckets.add(record)

    def next_timer(self) -> int:
        """When the next one is judged."""
        return min((record.at for record in self._records.values() if record.verdict), default=MAX_TIME)

    def judge(self, until: int, facts: Facts, collector: OutputCollector) -> None:
        """Judge what happened up to `until`, by the events up to when each began."""
        due = [record for record in self._records.values() if record.verdict and record.at <= until]
        for record in sorted(due, key=lambda one: (one.at, one.verdict_id)):
            verdict = _decode(record.verdict)
            record.verdict = b""
            self._buckets.touch(record)
            permit = (verdict.subject or "").partition(":")[2]
            if not facts.at(verdict.since).permit(permit):
                collector.emit(RESTRICTED_BY_ROOM, verdict.room_id, verdict.verdict_id, verdict.at, verdict)

    def forget(self, now: int) -> None:
        """Delete what was judged long ago. What waits to be judged stays: a replay judges at its end only."""
        until = min(now - KEEP_MS, self.next_timer() - 1)
        self._buckets.expire(until, lambda record: self._records.pop(record.verdict_id))

    def dump(self, into: ChangedChunks) -> None:
        """Put the chunks that changed since the last call into `into`."""
        self._buckets.dump(into)
