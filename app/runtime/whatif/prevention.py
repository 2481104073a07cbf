"""What would have prevented a verdict, in words: every number is the rulebook's, every name the evidence's. Pure."""

from collections.abc import Callable
from typing import Any, Final

from vigil.app.domain.rooms.limits import GREETING
from vigil.app.domain.rooms.rules.conditions import RESTARTED_BY_RECEPTION, THROUGH_DISCONNECTED
from vigil.app.domain.rulebook.formatting import format_value
from vigil.app.domain.rulebook.rooms import LayoutLimits
from vigil.topics.fields import HIGH_QUALITY
from vigil.topics.verdicts import Verdict

Clock = Callable[[int], str]
"""A time in words."""


def spoken(verdict: Verdict) -> bool:
    """Does the verdict rest on what the host said, and not on frames?"""
    return bool(verdict.evidence) and all(evidence.topic == "comment" for evidence in verdict.evidence)


def prevention(verdict: Verdict, limits: Any, clock: Clock) -> list[str]:
    """What would have prevented the verdict under the limits that judged it."""
    if verdict.rule == GREETING:
        return _greeting(verdict, limits, clock)
    if spoken(verdict):
        return _labelled(verdict, limits, clock) if verdict.subject is not None else _repeated(limits)
    return _run(verdict, limits, clock)


def _greeting(verdict: Verdict, limits: Any, clock: Clock) -> list[str]:
    windows = [f"from {clock(entry.at)} to {clock(entry.at + limits.within_s * 1000)}" for entry in verdict.evidence]
    within = format_value("within_s", limits.within_s)
    told = [
        f"A reception by the host within {within} of any one of the {len(windows)} entries, typed or spoken and more "
        f"than chat: {'; or '.join(windows)}. The count of misses would have begun at 0 again."
    ]
    if any(f"({tier})" in entry.note for entry in verdict.evidence for tier in HIGH_QUALITY):
        told.append("Buyers of tier L1 and above were among them: their misses were told with high priority.")
    return told


def _run(verdict: Verdict, limits: Any, clock: Clock) -> list[str]:
    last = verdict.evidence[-1].at if verdict.evidence else verdict.at
    lasts = format_value("lasts_s", limits.lasts_s)
    told = [
        f"Any live frame after {clock(verdict.since)}, up to the one at {clock(last)} that published it, with "
        f"{_instead(verdict, limits)}: the run would have ended before it had lasted {lasts}."
    ]
    if verdict.rule in RESTARTED_BY_RECEPTION:
        told.append(
            f"A reception by the host (typed or spoken, and more than chat) after {clock(verdict.since)}, up to "
            f"{clock(last)}: the time would have begun anew."
        )
    if verdict.rule in THROUGH_DISCONNECTED:
        told.append("Ending the stream by the End button; a disconnection does not end this run.")
    else:
        told.append("Ending the stream: only live frames count.")
    return told


def _instead(verdict: Verdict, limits: Any) -> str:
    """What a frame shows that does not belong to the run."""
    if verdict.subject is not None:
        return f"no label {verdict.subject!r}"
    if verdict.rule == "av-desync":
        return (
            f"sound and picture together (sound from {limits.earliest_ms} to {limits.latest_ms} ms after the picture)"
        )
    if isinstance(limits, LayoutLimits):
        camera = format_value("share", limits.camera_share_at_most)
        bare = format_value("share", limits.uncovered_share_over)
        return (
            f"a good layout (camera above {camera} of the canvas and in the safe area, at most {bare} uncovered, "
            f"materials at most {limits.materials_over}, videos at most {limits.videos_over})"
        )
    return _INSTEAD.get(verdict.rule, "nothing of the kind")


_INSTEAD: Final = {
    "absence": "a visible face",
    "black-screen": "a picture that is not black",
    "dead-air": "the host broadcasting again",
    "sleeping": "the host awake",
    "no-content": "the host hosting (no equipment, eating, chatting, driving or nothing)",
}


def _labelled(verdict: Verdict, limits: Any, clock: Clock) -> list[str]:
    again, later = format_value("again_s", limits.again_s), verdict.at + limits.again_s * 1000
    return [
        f"Not saying it: a host's comment labelled {verdict.subject!r} is a violation at once.",
        f"In comments, the same label counts again in this room {again} later, from {clock(later)} on.",
    ]


def _repeated(limits: Any) -> list[str]:
    within, alike = format_value("within_s", limits.within_s), format_value("share", limits.similarity)
    return [
        f"One of the {limits.repeats} comments less: said more than {within} apart, less than {alike} alike, shorter "
        f"than {limits.shortest} characters, or meant (and classified) as a greeting, question, introduction or answer."
    ]
