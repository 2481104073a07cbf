"""What people's commands come to: who works on an incident, until when it is snoozed, what was noted. Pure.

    claim ──▶ held ──release, end of the incident, no command for claim_expires_s──▶ free ──claim──▶ …
                └──claim by another──▶ no effect

Commands count in order of (`at`, offset), whatever the order of their arrival.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from vigil.app.domain.incidents.stored import Command
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.incidents import Note

MOST_NOTES: Final = 20


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
    lost: int = 0
    """Commands that had no effect: claims of what another one has claimed, and releases of what is not one's own."""
    due: int = MAX_TIME
    """When time alone changes it."""

    def release(self) -> None:
        self.claimed_by = self.claimed_at = None

    def free_by(self, at: int, ended_at: int | None, expires_ms: int) -> None:
        """End a claim that holds no more at a time: its incident has ended since, or nothing was heard of its owner."""
        if self.claimed_at is None:
            return
        ends = [self.heard_at + expires_ms]
        if ended_at is not None and ended_at > self.claimed_at:
            ends.append(ended_at)
        if min(ends) <= at:
            self.at = max(self.at, min(ends))
            self.release()

    def apply(self, command: Command) -> None:
        """Apply the next command."""
        self.at = max(self.at, command.at)
        if command.kind == "claim":
            self._claim(command)
        elif command.kind == "release":
            if self.claimed_by == command.by:
                self.release()
            else:
                self.lost += 1
        elif command.kind == "snooze":
            self.snoozed_at, self.snoozed_until = command.at, command.until
        elif command.kind == "unsnooze":
            self.snoozed_until = None
        else:
            self.notes = (*self.notes, Note(by=command.by, at=command.at, text=command.text))[-MOST_NOTES:]
        if self.claimed_by == command.by:
            self.heard_at = command.at

    def _claim(self, command: Command) -> None:
        if self.claimed_by is None:
            self.claimed_by, self.claimed_at = command.by, command.at
            self.first_claimed_at = self.first_claimed_at or command.at
        elif self.claimed_by != command.by:
            self.lost += 1


def work_of(commands: Iterable[Command], now: int, *, ended_at: int | None, worse_at: int, expires_ms: int) -> Work:
    """What commands come to as of `now`.

    `worse_at`: when the incident got worse last, which ends a snooze from before; 0: never. A claim of an incident that
    has ended holds as any other: an appeal is worked on then.
    """
    work = Work()
    for command in commands:
        work.free_by(command.at, ended_at, expires_ms)
        work.apply(command)
    work.free_by(max(now, ended_at or 0), ended_at, expires_ms)
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
