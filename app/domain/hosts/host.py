"""One host: its verdicts, the reviews of them, and the actions published so far.

    verdict ──▶ counted ──▶ action, revision 1 ──changes──▶ revision 2, 3, …
    review  ──overturned──▶ withdrawn (the fields of the last active revision) ──upheld──▶ active again
       └─────verdict not known──▶ waits ──verdict comes──▶ applied right after it
                                    └─────time is up─────▶ dead-letter

An action is published again whenever its content changes, under the same identity with the next revision.

Forgets: a verdict no longer counts, can no longer be reviewed and is no longer recognised once it is older than
[hosts] remember_days. Its record stays as long again, because it decides the counts of verdicts that can still change;
a host without records is forgotten.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec
from msgspec import Struct

from vigil.app.domain.hosts.ladder import DAY_MS, Conclusion, LadderCounts, Violation, remembered_ms
from vigil.app.domain.hosts.reviews import ReceivedReview, Standing, Waiting, latest, refuse
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.hosts import FAMILIES
from vigil.app.engine.subject import Arrival, Order, OutputCollector, StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output
from vigil.topics.fields import InvalidEvent, check_key, decode_json
from vigil.topics.reviews import Review, decode_review
from vigil.topics.verdicts import Action, Verdict

HostEvent = Verdict | ReceivedReview


VERSION: Final = 1
"""Of the stored state. New fields go to the end of their struct, with a default; anything else is a new version."""


class VerdictRecord(Struct, array_like=True):
    """A verdict of the host, the review that stands, and its action as last published."""

    version: int
    verdict_id: str
    rule: str
    family: str
    room_id: str
    at: int
    review: Standing | None = None
    revision: int = 0
    """0: no action was published, for no ladder was in force."""
    concluded: Conclusion | None = None
    """What the last active revision says."""

    @property
    def violation(self) -> Violation:
        return Violation(self.at, self.verdict_id, self.rule, self.family)

    @property
    def overturned(self) -> bool:
        return self.review is not None and self.review.decision == "overturned"


class _Main(Struct, array_like=True):
    """The main part of a host's stored state."""

    version: int = VERSION
    arrivals: int = 0
    """How many reviews had to wait so far: the next one's part name."""


_RECORD: Final = msgspec.msgpack.Decoder(VerdictRecord)
_WAITING: Final = msgspec.msgpack.Decoder(Waiting)
_MAIN: Final = msgspec.msgpack.Decoder(_Main)
_VERDICT: Final = msgspec.json.Decoder(Verdict)


def _check(host_id: str, version: int) -> None:
    if version != VERSION:
        raise ValueError(f"host {host_id!r} is stored in version {version}; this is for {VERSION}")


class HostState:
    """All that is remembered of one host."""

    def __init__(self, host_id: str, rulebook: Rulebook, review_wait_ms: int | None, parts: StateChunks) -> None:
        self._host_id = host_id
        self._rulebook = rulebook
        self._review_wait_ms = review_wait_ms
        self._main = _MAIN.decode(parts[b""]) if b"" in parts else _Main()
        _check(host_id, self._main.version)
        self._records: dict[str, VerdictRecord] = {}
        self._waiting: dict[bytes, Waiting] = {}
        self._counts = LadderCounts(rulebook)
        self._changed: set[bytes] = set() if b"" in parts else {b""}
        for name, stored in parts.items():
            if name.startswith(b"v"):
                record = _RECORD.decode(stored)
                _check(host_id, record.version)
                self._records[record.verdict_id] = record
            elif name.startswith(b"w"):
                self._waiting[name] = _WAITING.decode(stored)
        # In the order in which they came: parts are stored in none.
        self._waiting = dict(sorted(self._waiting.items(), key=lambda item: int(item[0][1:])))
        for record in sorted(self._records.values(), key=lambda record: record.violation):
            if not record.overturned:
                self._counts.add(record.violation)
        self._keep_ms: int = 2 * max(dated.limits.remember_days for dated in rulebook.versions("hosts")) * DAY_MS
        self._deadline = self._next_deadline()

    def is_duplicate(self, event: HostEvent) -> bool:
        """Is this a verdict that was applied before?"""
        return isinstance(event, Verdict) and event.verdict_id in self._records

    def apply(self, event: HostEvent, watermark: int, collector: OutputCollector) -> None:
        """Take a verdict or a review in; one that is older than what is remembered has no effect and is counted."""
        if self._forgot(event.at, watermark):
            collector.count("too_old")
        elif isinstance(event, Verdict):
            if not self.is_duplicate(event):
                self._apply_verdict(event, collector)
        elif (record := self._records.get(event.review.verdict_id)) and not self._forgot(record.at, watermark):
            self._apply_review(record, event, collector)
        else:
            self._wait(event, watermark)

    def next_timer(self) -> int:
        """When the next waiting review is refused or the next record deleted."""
        return self._deadline

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        """Refuse reviews that waited long enough and delete the records that nothing depends on any more."""
        for name, waiting in sorted(self._waiting.items(), key=lambda item: (item[1].due, int(item[0][1:]))):
            if waiting.due <= at:
                refuse(waiting.received, waiting.due, collector)
                self._drop_waiting(name)
        for record in [record for record in self._records.values() if record.at + self._keep_ms <= at]:
            if not record.overturned:
                # Later ones that would now count less are past changing: they are not published again.
                self._counts.remove(record.violation)
            del self._records[record.verdict_id]
            self._changed.add(_part_of(record))
        self._deadline = self._next_deadline()

    def on_end_of_input(self, watermark: int, collector: OutputCollector) -> None:
        """The input has ended: what still waits, waited in vain."""
        for name, waiting in list(self._waiting.items()):
            refuse(waiting.received, watermark, collector)
            self._drop_waiting(name)
        self._deadline = self._next_deadline()

    def pending_outputs(self, watermark: int, final: bool) -> Iterable[Output]:
        """A host has no compacted output."""
        return ()

    def has_deferred_output(self) -> bool:
        return False

    def expired(self) -> bool:
        return not self._records and not self._waiting

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        """The changed parts: `v…` one verdict each, `w…` one waiting review each, and the main one."""
        told: dict[bytes, bytes | None] = {}
        for name in sorted(self._changed):
            stored: Struct | None = self._main
            if name.startswith(b"v"):
                stored = self._records.get(name[1:].decode())
            elif name.startswith(b"w"):
                stored = self._waiting.get(name)
            told[name] = None if stored is None else msgspec.msgpack.encode(stored)
        self._changed.clear()
        return told

    def _forgot(self, at: int, watermark: int) -> bool:
        return watermark > at + remembered_ms(self._rulebook, at)

    def _apply_verdict(self, verdict: Verdict, collector: OutputCollector) -> None:
        record = VerdictRecord(
            version=VERSION,
            verdict_id=verdict.verdict_id,
            rule=verdict.rule,
            family=verdict.family,
            room_id=verdict.room_id,
            at=verdict.at,
        )
        self._records[record.verdict_id] = record
        self._changed.add(_part_of(record))
        self._publish_changes(self._counts.add(record.violation), collector)
        for name, waiting in list(self._waiting.items()):
            if waiting.received.review.verdict_id == record.verdict_id:
                self._drop_waiting(name)
                self._apply_review(record, waiting.received, collector)
        self._deadline = min(self._deadline, record.at + self._keep_ms)  # never too late; too early does no harm

    def _apply_review(self, record: VerdictRecord, received: ReceivedReview, collector: OutputCollector) -> None:
        before = record.overturned
        record.review = latest(record.review, received)
        self._changed.add(_part_of(record))
        if record.overturned == before:
            return
        if record.overturned:
            if record.concluded is not None:
                self._publish(record, record.concluded, "withdrawn", collector)
            self._publish_changes(self._counts.remove(record.violation), collector)
        else:
            self._publish_changes(self._counts.add(record.violation), collector, again=record)

    def _publish_changes(
        self,
        concluded: Iterable[tuple[Violation, Conclusion | None]],
        collector: OutputCollector,
        again: VerdictRecord | None = None,
    ) -> None:
        """Publish the actions whose content is another than last published, and that of `again` in any case."""
        for violation, conclusion in concluded:
            record = self._records[violation.verdict_id]
            if conclusion is not None and (record is again or conclusion != record.concluded):
                self._publish(record, conclusion, "active", collector)

    def _publish(
        self,
        record: VerdictRecord,
        conclusion: Conclusion,
        status: Literal["active", "withdrawn"],
        collector: OutputCollector,
    ) -> None:
        record.revision += 1
        record.concluded = conclusion
        self._changed.add(_part_of(record))
        action = Action(
            action_id=record.verdict_id,
            revision=record.revision,
            status=status,
            host_id=self._host_id,
            room_id=record.room_id,
            rule=record.rule,
            family=record.family,
            count=conclusion.count,
            steps=conclusion.steps,
            choice=conclusion.choice,
            ban_days=conclusion.ban_days,
            ban_until=conclusion.ban_until,
            freeze_days=conclusion.freeze_days,
            past_days=conclusion.past_days,
            at=record.at,
        )
        collector.emit("enforcement", self._host_id, f"{action.action_id}:{action.revision}", action.at, action)

    def _wait(self, received: ReceivedReview, watermark: int) -> None:
        # The clock is behind the arrival by the allowed lateness, and so is every deadline: the wait counts from the
        # clock. It may be further behind (a backlog, or it has not begun): then from the review's own time at least.
        due = MAX_TIME if self._review_wait_ms is None else max(watermark + self._review_wait_ms, received.review.at)
        name = b"w%d" % self._main.arrivals
        self._main.arrivals += 1
        self._waiting[name] = Waiting(due, received)
        self._changed |= {b"", name}
        self._deadline = min(self._deadline, due)

    def _drop_waiting(self, name: bytes) -> None:
        del self._waiting[name]
        self._changed.add(name)

    def _next_deadline(self) -> int:
        due = min((waiting.due for waiting in self._waiting.values()), default=MAX_TIME)
        oldest: int = min((record.at for record in self._records.values()), default=MAX_TIME)
        return min(due, oldest + self._keep_ms)


def _part_of(record: VerdictRecord) -> bytes:
    return b"v" + record.verdict_id.encode()


class HostMachine:
    """The shards of hosts: verdicts repartitioned by host, and reviews. Order of arrival does not matter."""

    topics: tuple[str, ...] = ("verdict-by-host", "review")
    order: Order = Arrival()

    def __init__(self, rulebook: Rulebook, review_wait_ms: int | None) -> None:
        """`review_wait_ms`: how long a review waits for its verdict; None: until the end of the input."""
        self._rulebook = rulebook
        self._review_wait_ms = review_wait_ms

    def decode(self, source_index: int, key: bytes | None, value: bytes | None, watermark: int) -> Verdict | Review:
        """The verdict or review of a message; raise Refused."""
        if source_index == 1:
            return decode_review(key, value)
        verdict = decode_json(_VERDICT, value)
        check_key(key, "host_id", verdict.host_id)
        if verdict.family not in FAMILIES:
            raise InvalidEvent(f"no ladder for the family {verdict.family!r}")
        return verdict

    def with_metadata(
        self,
        event: Verdict | Review,
        partition: int | None,
        offset: int | None,
        key: bytes | None,
        value: bytes | None,
    ) -> HostEvent:
        """An event with the message that it came in, where that must be kept."""
        return event if isinstance(event, Verdict) else ReceivedReview(event, partition, offset, key, value)

    def key_of(self, event: HostEvent | Review) -> str:
        return event.review.host_id if isinstance(event, ReceivedReview) else event.host_id

    def dedup_key(self, event: HostEvent | Review) -> str | None:
        return event.verdict_id if isinstance(event, Verdict) else None

    def load(self, key: str, parts: StateChunks) -> HostState:
        return HostState(key, self._rulebook, self._review_wait_ms, parts)

    def is_duplicate(self, state: HostState, event: HostEvent) -> bool:
        return state.is_duplicate(event)
