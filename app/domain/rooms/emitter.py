"""What a room publishes: verdicts and notices with their identities, to the topics that carry them."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from vigil.app.domain.rooms.contestable import ContestableVerdict, ContestableVerdicts, Span
from vigil.app.domain.rooms.found import emit_found, found_notice, found_verdict
from vigil.app.domain.rooms.rules.table import RESTRICTED, unknown_labels
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.messages import Message, render
from vigil.topics.internal import RESTRICTED_BY_SUPPLIER, FoundInRoom, StreamNews
from vigil.topics.verdicts import Evidence, Notice, NoticeKind, Priority, Verdict, identity

SHOWN: Final = 80
"""How many code points of somebody's text evidence repeats: enough to recognise it, and verdicts stay small."""

LONGEST_RECEPTION: Final = 600
"""In tenths of a second. Longer receptions are counted as this, so that the number of counters is bounded."""


def shown(text: str) -> str:
    """Somebody else's text in quotes, with control characters escaped, and cut where it is long."""
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")


class RuleVersion(NamedTuple):
    """A rule with the version of its limits that judges."""

    rule: str
    family: str
    effective_date: str


class EvidenceItem(NamedTuple):
    """One event that a verdict rests on, as data; its sentence is rendered when the verdict is published."""

    topic: str
    at: int
    message: Message
    media_uri: str | None = None
    """Where it can be seen or heard."""

    def published(self) -> Evidence:
        """As it stands in the verdict."""
        code, params = self.message
        return Evidence(
            topic=self.topic,
            at=self.at,
            note=render(self.message),
            code=code,
            params={name: value if isinstance(value, int) else str(value) for name, value in params.items()},
            media_uri=self.media_uri,
        )


class EventTimes(NamedTuple):
    """When what is published began, when its own event occurred, and when it becomes a violation."""

    since: int
    at: int
    due: int | None = None


class NoticeSubject(NamedTuple):
    """What a notice is about besides a rule: a buyer's entry, or a verdict."""

    buyer_id: str | None = None
    priority: Priority = "normal"
    verdict_id: str | None = None


NOTHING_ELSE: Final = NoticeSubject()


class VerdictEmitter:
    """Publishes for one room."""

    __slots__ = ("collector", "contestable", "host_id", "room_id", "shadow", "verdicts")

    collector: OutputCollector
    """Set before each call of the room."""

    def __init__(
        self, room_id: str, host_id: str, verdicts: int, contestable: ContestableVerdicts, shadow: bool
    ) -> None:
        self.room_id = room_id
        self.host_id = host_id
        self.verdicts = verdicts
        """How many it has published."""
        self.contestable = contestable
        self.shadow = shadow
        """Publish verdicts to `verdict-shadow`, and nothing else: they are those of a candidate rulebook."""

    def verdict(
        self,
        version: RuleVersion,
        subject: str | None,
        times: EventTimes,
        evidence: Sequence[EvidenceItem],
        spans: Sequence[Span] = (),
    ) -> None:
        """Publish a violation.

        `subject`: the label that decided it; `spans`: when a reception would have prevented it.
        """
        since, at = times.since, times.at
        verdict = Verdict(
            verdict_id=identity(version.rule, subject, self.room_id, since, at),
            rule=version.rule,
            family=version.family,
            subject=subject,
            rulebook=version.effective_date,
            room_id=self.room_id,
            host_id=self.host_id,
            since=since,
            at=at,
            evidence=tuple(item.published() for item in evidence),
        )
        emit = self.collector.emit
        if subject is not None and subject.startswith(RESTRICTED):
            # Whether the host has the permit is known where its supplier's certificates are; see restricted.py.
            if not self.shadow:
                emit(RESTRICTED_BY_SUPPLIER, self.host_id, verdict.verdict_id, at, verdict)
            return
        self.verdicts += 1
        if self.shadow:
            emit("verdict-shadow", self.room_id, verdict.verdict_id, at, verdict)
            return
        emit("verdict", self.room_id, verdict.verdict_id, at, verdict)
        emit("verdict-by-host", self.host_id, verdict.verdict_id, at, verdict)
        emit_found(found_verdict(verdict), verdict.verdict_id, self.collector)
        if spans:
            self.contestable.add(ContestableVerdict(verdict.verdict_id, version.rule, at, tuple(spans)))
            if self.contestable.late and (made := self.contestable.late_within(spans)) is not None:
                about = NoticeSubject(verdict_id=verdict.verdict_id)
                self._notice("verdict-contested", version.rule, EventTimes(made, at), about)

    def at_risk(self, rule: str, since: int, at: int, due: int | None = None) -> None:
        """Publish that a condition is near its violation, at `due` where it has such a time."""
        self._notice("at-risk", rule, EventTimes(since, at, due))

    def risk_cleared(self, rule: str, since: int, at: int) -> None:
        """Publish that a condition which was at risk has ended without a violation."""
        self._notice("risk-cleared", rule, EventTimes(since, at))

    def entry_missed(self, rule: str, since: int, at: int, entry: NoticeSubject) -> None:
        """Publish that a buyer who entered at `since` was not received by `at`."""
        self._notice("entry-missed", rule, EventTimes(since, at), entry)

    def contested(self, first: int, last: int, now: int, contested_ms: int) -> None:
        """Publish, at the clock's time `now`, that a reception which came too late speaks against verdicts.

        It was made between `first` and `last`. A verdict is contested for `contested_ms` after its violation.
        """
        for verdict in self.contestable.covering((first, last), now - contested_ms):
            about = NoticeSubject(verdict_id=verdict.verdict_id)
            self._notice("verdict-contested", verdict.rule, EventTimes(first, now), about)

    def signal(self, lost: bool, since: int, at: int) -> None:
        """Publish that frames have stopped, or come again; the last one before was at `since`."""
        self._notice("signal-lost" if lost else "signal-back", None, EventTimes(since, at))

    def stream(self, stream: StreamNews, at: int) -> None:
        """Report to the room's incidents what the stream has become."""
        if not self.shadow:
            found = FoundInRoom(room_id=self.room_id, host_id=self.host_id, at=at, kind="stream", stream=stream)
            emit_found(found, identity("stream", self.room_id, stream, at), self.collector)

    def count_reception(self, delay_ms: int) -> None:
        """Count, for the metrics, a reception this long after the entry: in tenths of a second, rounded up."""
        if not self.shadow:
            self.collector.count(f"reception:{min(-(-delay_ms // 100), LONGEST_RECEPTION)}")

    def count_unobserved(self, topic: str) -> None:
        """Count, for the metrics, a second in which a record of a topic lies in another partition."""
        if not self.shadow:
            self.collector.count(f"unobserved:{topic}")

    def count_voided(self) -> None:
        """Count, for the metrics, an entry that is not judged because a reception may not have been observed."""
        if not self.shadow:
            self.collector.count("voided:entry")

    def count_labels(self, labels: tuple[str, ...]) -> None:
        """Count, for the metrics, the labels of an event that no rule knows."""
        if not self.shadow:
            for label in unknown_labels(labels):
                self.collector.count_name("unknown_label", label)

    def _notice(
        self, kind: NoticeKind, rule: str | None, times: EventTimes, about: NoticeSubject = NOTHING_ELSE
    ) -> None:
        if self.shadow:
            return
        buyer_id, priority, verdict_id = about
        notice = Notice(
            notice_id=identity(kind, rule, verdict_id or buyer_id, self.room_id, times.since, times.at),
            kind=kind,
            rule=rule,
            room_id=self.room_id,
            host_id=self.host_id,
            buyer_id=buyer_id,
            priority=priority,
            since=times.since,
            at=times.at,
            due=times.due,
            verdict_id=verdict_id,
        )
        self.collector.emit("notice", self.room_id, notice.notice_id, times.at, notice)
        if kind != "entry-missed" or priority == "high":
            emit_found(found_notice(notice), notice.notice_id, self.collector)
