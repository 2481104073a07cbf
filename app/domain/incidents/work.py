"""What people's commands come to: who works on an incident, until when it is snoozed, what was noted. Pure.

    claim ──▶ held ──release, end of the incident, no command for claim_expires_s──▶ free ──claim──▶ …
                └──claim by another──▶ no effect

Commands count in order of (`at`, offset), whatever the order of their arrival.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from vigil.app.domain.incidents.stored import Command
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.incidents import Effect, LoggedCommand, Note

MOST_SHOWN: Final = 20
"""Notes, and commands, that a line shows: the latest."""


class Work(Struct):
    """What people do about an incident, as of a time."""

    claimed_by: str | None = None
    claimed_at: int | None = None
    first_claimed_at: int | None = None
    heard_at: int = 0
    """The last command of the one who has claimed it."""
    snoozed_at: int = 0
    snoozed_until: int | None = None
    notes: tuple[Note, ...] = ()
    at: int = 0
    """The latest command, or what time alone has changed since."""
    commands: list[LoggedCommand] = []
    """Every command, and what it came to."""
    due: int = MAX_TIME
    """When time alone changes it."""

    def release(self) -> None:
        self.claimed_by = self.claimed_at = None

    def free_by(self, at: int, ends: Sequence[int], expires_ms: int) -> None:
        """End a claim that holds no more at a time: its incident has ended since, or nothing was heard of its owner."""
        if self.claimed_at is None:
            return
        claimed_at = self.claimed_at
        free_at = min([self.heard_at + expires_ms, *(end for end in ends if end > claimed_at)])
        if free_at <= at:
            self.at = max(self.at, free_at)
            self.release()

    def apply(self, command: Command) -> None:
        """Apply the next command."""
        self.at = max(self.at, command.at)
        effect: Effect = "done"
        if command.kind == "claim":
            effect = self._claim(command)
        elif command.kind == "release":
            effect = self._release(command)
        elif command.kind == "snooze":
            self.snoozed_at, self.snoozed_until = command.at, command.until
        elif command.kind == "unsnooze":
            self.snoozed_until = None
        else:
            self.notes = (*self.notes, Note(by=command.by, at=command.at, text=command.text))[-MOST_SHOWN:]
        self.commands.append(LoggedCommand(kind=command.kind, by=command.by, at=command.at, effect=effect))
        if self.claimed_by == command.by:
            self.heard_at = command.at

    def _claim(self, command: Command) -> Effect:
        """Let the incident be claimed; lost where another person holds it."""
        if self.claimed_by is None:
            self.claimed_by, self.claimed_at = command.by, command.at
            self.first_claimed_at = self.first_claimed_at or command.at
        return "done" if self.claimed_by == command.by else "lost"

    def _release(self, command: Command) -> Effect:
        """End the person's own claim; lost where there is none."""
        if self.claimed_by != command.by:
            return "lost"
        self.release()
        return "done"


def work_of(commands: Iterable[Command], now: int, *, ends: Sequence[int], worse_at: int, expires_ms: int) -> Work:
    """What commands come to as of `now`.

    `ends`: when the incident ended, each of which ends the claims from before; one that was withdrawn may go on since.
    `worse_at`: when it got worse last, which ends a snooze from before; 0: never. A claim of an incident that has ended
    holds as any other: an appeal is worked on then.
    """
    work = Work()
    for command in commands:
        work.free_by(command.at, ends, expires_ms)
        work.apply(command)
    work.free_by(max(now, *ends, 0), ends, expires_ms)
    if work.claimed_by is not None:
        work.due = work.heard_at + expires_ms
    until = work.snoozed_until
    if until is not None:
        over_at = min(until, worse_at) if worse_at > work.snoozed_at else until
        if over_at <= now or over_at < until:
            work.at, work.snoozed_until = max(work.at, over_at), None
        else:
            work.due = min(work.due, until)
    return work
