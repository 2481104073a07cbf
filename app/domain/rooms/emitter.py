"""How a room speaks: verdicts and notices with their identities, to the topics that carry them."""

from typing import Final

from vigil.app.engine.subject import OutputCollector
from vigil.topics.verdicts import Evidence, Notice, NoticeKind, Priority, Verdict, identity

SHOWN: Final = 80
"""Code points of what somebody wrote that evidence repeats."""

LONGEST_RECEPTION: Final = 600
"""Tenths of a second: what took longer is counted as this."""


def shown(text: str) -> str:
    """Somebody else's words in quotes, without control characters, and cut where they go on for long."""
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")


class VerdictEmitter:
    """A room's way out."""

    __slots__ = ("collector", "host_id", "room_id", "shadow", "verdicts")

    collector: OutputCollector
    """Set whenever the room is called."""

    def __init__(self, room_id: str, host_id: str, verdicts: int, shadow: bool) -> None:
        self.room_id = room_id
        self.host_id = host_id
        self.verdicts = verdicts
        """How many so far."""
        self.shadow = shadow
        """Verdicts of a candidate rulebook go to a topic of their own, and nothing else goes out."""

    def verdict(
        self,
        rule: str,
        family: str,
        subject: str | None,
        rulebook: str,
        since: int,
        at: int,
        evidence: tuple[Evidence, ...],
    ) -> None:
        """A violation occurred at `at`, judged by the limits effective from the day `rulebook`."""
        verdict = Verdict(
            verdict_id=identity(rule, subject, self.room_id, since, at),
            rule=rule,
            family=family,
            subject=subject,
            rulebook=rulebook,
            room_id=self.room_id,
            host_id=self.host_id,
            since=since,
            at=at,
            evidence=evidence,
        )
        self.verdicts += 1
        emit = self.collector.emit
        if self.shadow:
            emit("verdict-shadow", self.room_id, verdict.verdict_id, at, verdict)
            return
        emit("verdict", self.room_id, verdict.verdict_id, at, verdict)
        emit("verdict-by-host", self.host_id, verdict.verdict_id, at, verdict)

    def received(self, after_ms: int) -> None:
        """An entry was received this long after it, for the metrics: in tenths of a second, rounded up."""
        if not self.shadow:
            self.collector.count(f"reception:{min(-(-after_ms // 100), LONGEST_RECEPTION)}")

    def notice(
        self,
        kind: NoticeKind,
        rule: str | None,
        since: int,
        at: int,
        due: int | None = None,
        buyer_id: str | None = None,
        priority: Priority = "normal",
    ) -> None:
        """Tell moderators something that is no violation."""
        if self.shadow:
            return
        notice = Notice(
            notice_id=identity(kind, rule, buyer_id, self.room_id, since, at),
            kind=kind,
            rule=rule,
            room_id=self.room_id,
            host_id=self.host_id,
            buyer_id=buyer_id,
            priority=priority,
            since=since,
            at=at,
            due=due,
        )
        self.collector.emit("notice", self.room_id, notice.notice_id, at, notice)
