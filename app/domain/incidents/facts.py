"""Keeps the facts of a room's incidents: each message adds what it says, once, in whatever order it comes. Pure."""

from bisect import insort
from typing import Final

from vigil.app.domain.incidents.stored import (
    CONDITION,
    ENTRY,
    FOLLOW_UP,
    MOST_COMMANDS,
    MOST_ENDS,
    MOST_LOSSES,
    SIGNAL,
    Command,
    ConditionRecord,
    EntryRecord,
    FollowUp,
    FoundVerdict,
    Loss,
    RoomRecord,
    SignalRecord,
)
from vigil.app.domain.rooms.rules.table import GREETING
from vigil.topics.internal import FoundInRoom

Groups = dict[str, ConditionRecord | EntryRecord | SignalRecord]
"""By name of their chunk: what incidents are about."""

_EVER_LATER: Final = 10**18


def earlier(known: int | None, at: int) -> int:
    """The earlier of two times."""
    return min(_EVER_LATER if known is None else known, at)


def note_condition(groups: Groups, found: FoundInRoom) -> str:
    """Note a warning, its end, or a verdict; return the name of the condition."""
    name = f"{CONDITION}{found.since}:{found.rule}"
    record = groups.get(name)
    if not isinstance(record, ConditionRecord):
        record = groups[name] = ConditionRecord(found.rule or "", found.since, found.host_id, verdicts=[])
    if found.kind == "at-risk":
        record.warned_at = earlier(record.warned_at, found.at)
        record.due = found.due if record.due is None else record.due
    elif found.kind == "risk-cleared":
        record.cleared_at = earlier(record.cleared_at, found.at)
    else:
        verdict = FoundVerdict(
            found.at,
            found.subject or "",
            found.verdict_id or "",
            found.family or "",
            found.priority,
            found.media_uri,
        )
        if verdict not in record.verdicts:
            insort(record.verdicts, verdict)
    return name


def note_entry(groups: Groups, found: FoundInRoom) -> str:
    """Note a missed entry; return its name."""
    name = f"{ENTRY}{found.since}:{found.buyer_id}"
    groups.setdefault(name, EntryRecord(found.rule or "", found.buyer_id or "", found.since, found.host_id, found.at))
    return name


def warnings_about(groups: Groups, since: int) -> set[str]:
    """The names of the warnings whose priority a missed entry of that time may raise."""
    return {
        name
        for name, one in groups.items()
        if isinstance(one, ConditionRecord) and one.is_warning_of(GREETING) and one.since <= since <= one.until
    }


def note_signal(groups: Groups, found: FoundInRoom) -> str:
    """Note that the signal was lost or came back after a loss, which is known by the last frame before it."""
    record = groups.get(SIGNAL)
    if not isinstance(record, SignalRecord):
        record = groups[SIGNAL] = SignalRecord(losses=[])
    if record.losses and record.losses[0].since <= found.since <= record.left_out_until:
        return SIGNAL
    known = next((loss for loss in record.losses if loss.since == found.since), Loss(found.since, found.host_id))
    lost_at, back_at = known.lost_at, known.back_at
    if found.kind == "signal-lost":
        lost_at = earlier(lost_at, found.at)
    else:
        back_at = earlier(back_at, found.at)
    record.losses = [loss for loss in record.losses if loss.since != found.since]
    insort(record.losses, Loss(found.since, known.host_id, lost_at, back_at), key=lambda loss: loss.since)
    if len(record.losses) > MOST_LOSSES:
        first, left_out = record.losses[0], record.losses.pop(1)
        record.losses[0] = Loss(first.since, first.host_id, first.lost_at, left_out.back_at)
        record.left_out += 1
        record.left_out_until = left_out.since
    return SIGNAL


def note_stream(main: RoomRecord, found: FoundInRoom) -> None:
    """Note what the room's stream became."""
    if found.stream in ("ended", "forgotten") and found.at not in main.ends:
        insort(main.ends, found.at)
        del main.ends[:-MOST_ENDS]
    if found.at >= main.stream_at:
        main.stream_at, main.live = found.at, found.stream == "live"


def end_after(main: RoomRecord, at: int) -> int | None:
    """When the room ended at or after a time; None: it did not."""
    return next((end for end in main.ends if end >= at), None)


def follow_up_name(verdict_id: str) -> str:
    """The name of the chunk of what follows from a verdict."""
    return FOLLOW_UP + verdict_id


def note_contested(follow_ups: dict[str, FollowUp], verdict_id: str, at: int) -> None:
    """Note that a reception which came late speaks against a verdict."""
    follow_up = follow_ups.setdefault(verdict_id, FollowUp(verdict_id, at))
    follow_up.at = max(follow_up.at, at)
    follow_up.contested_at = earlier(follow_up.contested_at, at)


def note_command(commands: list[Command], command: Command) -> bool:
    """Add a command in its place; return False where it is known already, sent again."""
    for index, known in enumerate(commands):
        if known.content == command.content:
            commands[index] = min(known, command)
            commands.sort()
            return False
    insort(commands, command)
    del commands[:-MOST_COMMANDS]
    return True
