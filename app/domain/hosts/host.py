"""One host: its verdicts, the reviews of them, and the actions published so far.

    verdict ──▶ counted ──▶ action, revision 1 ──content changes──▶ revision 2, 3, …
    review  ──overturned──▶ withdrawn (with the content of the last active revision) ──upheld──▶ active again
       ├─────upheld──▶ who decided, and what was chosen; by two people: a held action is active
       ├─────appealed──▶ noted
       └─────verdict not known──▶ pending ──verdict arrives──▶ applied right after it
                                     └─────deadline passes──▶ dead-letter

An action is published again whenever its content changes, under the same identity with the next revision. So the latest
revisions are a function of the set of verdicts and reviews, whatever the order of their arrival.

A verdict may change the actions of all later ones. So that a thousand verdicts do not do so a thousand times, verdicts
with the same `at` are one step, whose changes are published once; and a worker publishes what all verdicts of a
checkpoint have changed once, leaving out what is superseded by then.

Expiry: a verdict that is older than [hosts] remember_days does not count, cannot be reviewed and is not recognised as a
duplicate. Its record stays as long again, because it decides the counts of verdicts that can still change; a host
without records expires.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vigil.app.domain.hosts.conclusion import Conclusion
from vigil.app.domain.hosts.decisions import decision_of, why_not_offered
from vigil.app.domain.hosts.ladder import DAY_MS, LadderCounts, Violation, remembered_ms
from vigil.app.domain.hosts.pending import PendingReviews
from vigil.app.domain.hosts.published import action_in_room, action_of
from vigil.app.domain.hosts.reviews import (
    Received,
    ReceivedReview,
    as_decided,
    reject,
    with_outcome,
)
from vigil.app.domain.hosts.stored import (
    VERDICT_CHUNK,
    VERSION,
    HostMainChunk,
    VerdictRecord,
    check_version,
    decode_main,
    decode_record,
)
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.hosts import HostMemory
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import KeyStateDefaults, StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.internal import ACTION_BY_ROOM
from vigil.topics.verdicts import Verdict

HostEvent = Verdict | Received


class HostOptions(NamedTuple):
    """How hosts are judged, besides the rulebook."""

    review_wait_ms: int | None
    """How long a review waits for its verdict; None: until the end of the input."""
    every_revision: bool = False
    """Publish what each step changes, as a replay does: what is superseded is not left out. Nothing is stored."""


class HostState(KeyStateDefaults[HostEvent]):
    """All that is remembered of one host."""

    def __init__(self, host_id: str, rulebook: Rulebook, how: HostOptions, chunks: StateChunks) -> None:
        self._host_id = host_id
        self._rulebook = rulebook
        self._how = how
        self._step: list[Violation] = []
        """Of the verdicts whose changes are not published yet."""
        self._step_known_at = 0
        """When the last of them became known."""
        self._main = decode_main(chunks[b""]) if b"" in chunks else HostMainChunk()
        check_version(host_id, self._main.version)
        self._records: dict[str, VerdictRecord] = {}
        self._counts = LadderCounts(rulebook)
        self._changed: set[bytes] = set() if b"" in chunks else {b""}
        """The keys of the chunks that changed since they were dumped."""
        waiting: dict[bytes, bytes] = {}
        for chunk_key, chunk in chunks.items():
            if chunk_key.startswith(VERDICT_CHUNK):
                record = decode_record(chunk)
                check_version(host_id, record.version)
                self._records[record.verdict_id] = record
            elif chunk_key:
                waiting[chunk_key] = chunk
        self._pending = PendingReviews(self._main, how.review_wait_ms, waiting)
        for record in sorted(self._records.values(), key=lambda record: record.violation):
            self._counts.decisions[record.verdict_id] = decision_of(record.reviews)
            if not record.overturned:
                self._counts.insert(record.violation)
        if self._records:
            self._counts.conclude_from(Violation(0, "", "", ""))
        memories = rulebook.section("hosts", HostMemory).versions
        self._keep_ms = 2 * max(version.limits.remember_days for version in memories) * DAY_MS
        self._next_timer = self._earliest_timer()

    def is_duplicate(self, event: HostEvent) -> bool:
        """True for a verdict that was applied before."""
        return isinstance(event, Verdict) and event.verdict_id in self._records

    def apply(self, event: HostEvent, watermark: int, collector: OutputCollector) -> None:
        """Apply a verdict or a review. One that is older than what is remembered has no effect, and is counted."""
        if self._is_expired(event.at, watermark):
            collector.count("too_old")
        elif isinstance(event, Verdict):
            if not self.is_duplicate(event):
                self._apply_verdict(event, collector)
        elif (record := self._records.get(event.verdict_id)) and not self._is_expired(record.at, watermark):
            self._apply_received(record, event, collector)
        else:
            chunk_key = self._pending.add(event, watermark)
            self._changed |= {b"", chunk_key}
            self._next_timer = min(self._next_timer, self._pending.records[chunk_key].deadline)

    def next_timer(self) -> int:
        """When the next pending review is rejected or the next record deleted."""
        return self._next_timer

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        """Reject reviews whose deadline passed, and delete the records on which nothing depends any more."""
        self._publish_step(collector)
        self._changed.update(self._pending.reject_due(at, collector))
        for record in [record for record in self._records.values() if record.at + self._keep_ms <= at]:
            if not record.overturned:
                # Later violations now have a smaller count. They are too old to change, and not published again.
                self._counts.remove(record.violation)
            del self._records[record.verdict_id]
            self._counts.decisions.pop(record.verdict_id, None)
            self._changed.add(_chunk_key(record))
        self._next_timer = self._earliest_timer()

    def on_end_of_input(self, until: int, collector: OutputCollector) -> None:
        """Publish the last step, and reject every pending review: its verdict does not come any more."""
        self._publish_step(collector)
        self._changed.update(self._pending.reject_all(until, collector))
        self._next_timer = self._earliest_timer()

    def expired(self) -> bool:
        return not self._records and not self._pending.records

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        """The chunks that changed: `v…` one verdict each, `w…` one pending review each, and the main one."""
        chunks: dict[bytes, bytes | None] = {}
        for chunk_key in sorted(self._changed):
            stored: Struct | None = self._main
            if chunk_key.startswith(VERDICT_CHUNK):
                stored = self._records.get(chunk_key[1:].decode())
            elif chunk_key:
                stored = self._pending.records.get(chunk_key)
            chunks[chunk_key] = None if stored is None else msgspec.msgpack.encode(stored)
        self._changed.clear()
        return chunks

    def _is_expired(self, at: int, watermark: int) -> bool:
        return watermark > at + remembered_ms(self._rulebook, at)

    def _apply_verdict(self, verdict: Verdict, collector: OutputCollector) -> None:
        if self._how.every_revision and self._step and self._step[0].at != verdict.at:
            self._publish_step(collector)
        record = VerdictRecord(
            version=VERSION,
            verdict_id=verdict.verdict_id,
            rule=verdict.rule,
            family=verdict.family,
            room_id=verdict.room_id,
            at=verdict.at,
        )
        self._records[record.verdict_id] = record
        self._changed.add(_chunk_key(record))
        self._counts.insert(record.violation)
        if not self._step and not self._how.every_revision:
            collector.defer(self._publish_step)
        self._step.append(record.violation)
        known_at = verdict.published_at or verdict.at
        if known_at > self._step_known_at:
            self._step_known_at = known_at
        if self._pending.records:
            for chunk_key, received in self._pending.take(record.verdict_id):
                self._changed.add(chunk_key)
                self._apply_received(record, received, collector)
        # A dropped review may leave the timer too early, which is harmless; it must not be too late.
        self._next_timer = min(self._next_timer, record.at + self._keep_ms)

    def _publish_step(self, collector: OutputCollector) -> None:
        """Publish what the verdicts since the last step have changed."""
        if self._step:
            first, known_at = min(self._step), self._step_known_at
            self._step, self._step_known_at = [], 0
            self._publish_changes(self._counts.conclude_from(first), collector, known_at)

    def _apply_received(self, record: VerdictRecord, received: Received, collector: OutputCollector) -> None:
        if isinstance(received, ReceivedReview):
            self._apply_review(record, received, collector)
        elif (outcomes := with_outcome(record.outcomes, received.outcome)) != record.outcomes:
            self._publish_step(collector)
            record.outcomes = outcomes
            self._inform_room(record, collector)

    def _apply_review(self, record: VerdictRecord, received: ReceivedReview, collector: OutputCollector) -> None:
        self._publish_step(collector)
        review = as_decided(received)
        if review is None:
            if received.at > (record.appealed_at or 0):
                record.appealed_at = received.at
                self._inform_room(record, collector)
        elif review.choice is not None and (why := why_not_offered(review.choice, record.concluded)) is not None:
            reject(received, "malformed", f"{why} - at `$.choice`", received.at, collector)
        else:
            before, reviews = record.overturned, record.reviews.add(review)
            if reviews == record.reviews:
                return
            record.reviews = reviews
            self._changed.add(_chunk_key(record))
            self._counts.decisions[record.verdict_id] = decision_of(record.reviews)
            sent = record.sent
            self._publish_decision(record, before, collector, review.at)
            if record.sent == sent:
                self._inform_room(record, collector)  # no ladder is effective: there is no action

    def _publish_decision(
        self, record: VerdictRecord, overturned_before: bool, collector: OutputCollector, at: int
    ) -> None:
        """Publish what follows from the reviews of a verdict: its own action and those of later verdicts."""
        if record.overturned:
            decision = self._counts.decisions[record.verdict_id]
            if record.concluded is not None:
                conclusion = replace(record.concluded, decided_by=decision.by, decided_at=decision.at)
                if conclusion != record.concluded or not overturned_before:
                    self._publish(record, conclusion, collector)
            if not overturned_before:
                self._publish_changes(self._counts.remove(record.violation), collector, at)
        elif overturned_before:
            self._publish_changes(self._counts.add(record.violation), collector, at, record, again=True)
        else:
            self._publish_changes(self._counts.conclude_from(record.violation), collector, at, record)

    def _publish_changes(
        self,
        concluded: Iterable[tuple[Violation, Conclusion | None]],
        collector: OutputCollector,
        at: int,
        decided: VerdictRecord | None = None,
        *,
        again: bool = False,
    ) -> None:
        """Publish the actions whose content differs from the one published last.

        `at`: the time of what changes them; `decided`: the verdict whose review does, published anyway if `again`.
        """
        for violation, conclusion in concluded:
            record = self._records[violation.verdict_id]
            if conclusion is None or (conclusion == record.concluded and not (again and record is decided)):
                continue
            if record is not decided and record.revision and at > record.at:
                record.revised_at = max(record.revised_at, at)
            self._publish(record, conclusion, collector)

    def _publish(self, record: VerdictRecord, conclusion: Conclusion, collector: OutputCollector) -> None:
        """Publish the next revision of a verdict's action; it is withdrawn where the verdict is overturned."""
        record.revision += 1
        record.concluded = conclusion
        action = action_of(self._host_id, record)
        if action is not None:
            collector.emit("enforcement", self._host_id, f"{action.action_id}:{action.revision}", action.at, action)
        self._inform_room(record, collector)

    def _inform_room(self, record: VerdictRecord, collector: OutputCollector) -> None:
        """Send what the incident of a verdict shows of its action and reviews."""
        record.sent += 1
        self._changed.add(_chunk_key(record))
        found = action_in_room(self._host_id, record)
        collector.emit(ACTION_BY_ROOM, record.room_id, f"{record.verdict_id}:{record.sent}", found.at, found)

    def _earliest_timer(self) -> int:
        deadline = min((pending.deadline for pending in self._pending.records.values()), default=MAX_TIME)
        oldest = min((record.at for record in self._records.values()), default=MAX_TIME)
        return min(deadline, oldest + self._keep_ms)


def _chunk_key(record: VerdictRecord) -> bytes:
    return VERDICT_CHUNK + record.verdict_id.encode()
