"""What a room finds, on its way to its incidents (`found-by-room`): no more of it than they show.

Verdicts and warnings go there beside their public topics, because an incident also needs the end of its room, in the
order in which the room came to both (docs/adr/0039-incidents.md).
"""

from vigil.app.engine.output_collector import OutputCollector
from vigil.topics.fields import HIGH_QUALITY
from vigil.topics.internal import FOUND_BY_ROOM, FoundInRoom
from vigil.topics.verdicts import Notice, Verdict


def found_verdict(verdict: Verdict) -> FoundInRoom:
    """What incidents show of a verdict."""
    shown = [(one.at, one.media_uri) for one in verdict.evidence if one.media_uri is not None]
    high = any(one.params.get("tier") in HIGH_QUALITY for one in verdict.evidence)
    return FoundInRoom(
        room_id=verdict.room_id,
        host_id=verdict.host_id,
        at=verdict.at,
        kind="verdict",
        rule=verdict.rule,
        family=verdict.family,
        subject=verdict.subject,
        since=verdict.since,
        verdict_id=verdict.verdict_id,
        priority="high" if high else "normal",
        media_uri=max(shown)[1] if shown else None,
    )


def found_notice(notice: Notice) -> FoundInRoom:
    """What incidents show of a notice."""
    return FoundInRoom(
        room_id=notice.room_id,
        host_id=notice.host_id,
        at=notice.at,
        kind=notice.kind,
        rule=notice.rule,
        since=notice.since,
        due=notice.due,
        buyer_id=notice.buyer_id,
        verdict_id=notice.verdict_id,
        priority=notice.priority,
    )


def emit_found(found: FoundInRoom, id_: str, collector: OutputCollector) -> None:
    """Send it on its way; `id_`: the identity of what was found."""
    collector.emit(FOUND_BY_ROOM, found.room_id, id_, found.at, found)
