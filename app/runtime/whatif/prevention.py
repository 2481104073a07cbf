"""What would have prevented a verdict: codes of remedies with the rulebook's numbers and the evidence's names. Pure."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Struct

from vigil.app.domain.rooms.rules.table import GREETING, RULES
from vigil.app.domain.rulebook.formatting import format_value
from vigil.app.domain.rulebook.rooms import GreetingLimits, HarassmentLimits
from vigil.app.messages import Message, message_of
from vigil.topics.fields import HIGH_QUALITY
from vigil.topics.verdicts import Verdict

Clock = Callable[[int], str]
"""A time of day as text."""

L = TypeVar("L", bound=Struct)


def spoken(verdict: Verdict) -> bool:
    """True if the verdict rests on what the host said, and not on frames."""
    return bool(verdict.evidence) and all(evidence.topic == "comment" for evidence in verdict.evidence)


def remedies(verdict: Verdict, limits: Struct, clock: Clock) -> list[Message]:
    """What would have prevented the verdict under the limits that judged it."""
    if verdict.rule == GREETING:
        return _greeting(verdict, _as(limits, GreetingLimits), clock)
    if not spoken(verdict):
        return _condition(verdict, limits, clock)
    if verdict.subject is None:
        return _repeated(_as(limits, HarassmentLimits))
    return _labelled(verdict, limits, clock)


def _greeting(verdict: Verdict, limits: GreetingLimits, clock: Clock) -> list[Message]:
    early_ms = limits.early_s * 1000
    windows = tuple(
        Message(
            "remedy.window", {"since": clock(entry.at - early_ms), "until": clock(entry.at + limits.within_s * 1000)}
        )
        for entry in verdict.evidence
    )
    within = format_value("within_s", limits.within_s)
    code = "remedy.greeting-alone" if limits.greeting_alone_counts else "remedy.greeting"
    found = [Message(code, {"within": within, "entries": len(windows), "windows": windows})]
    entries = [message_of(entry) for entry in verdict.evidence]
    if any(entry is not None and entry.params.get("tier") in HIGH_QUALITY for entry in entries):
        found.append(Message("remedy.high-tier"))
    return found


def _condition(verdict: Verdict, limits: Struct, clock: Clock) -> list[Message]:
    since = clock(verdict.since)
    last = clock(verdict.evidence[-1].at if verdict.evidence else verdict.at)
    lasts = format_value("lasts_s", limits.lasts_s)  # type: ignore[attr-defined] # every condition lasts
    frame = {"since": since, "last": last, "instead": instead_of(verdict.rule, verdict.subject, limits), "lasts": lasts}
    found = [Message("remedy.frame", frame)]
    rule = RULES.get(verdict.rule)
    if rule is not None and rule.restarted_by_reception:
        found.append(Message("remedy.reception", {"since": since, "last": last}))
    found.append(Message("remedy.end-button" if rule is not None and rule.spans_disconnect else "remedy.end"))
    return found


def instead_of(rule_id: str, label: str | None, limits: Struct) -> Message:
    """What a frame shows that does not satisfy the condition of a rule, or of one of its labels."""
    if label is not None:
        return Message("remedy.no-label", {"label": repr(label)})
    rule = RULES.get(rule_id)
    if rule is None or rule.holds is None:
        return Message("remedy.something-else")
    return Message(rule.remedy, _numbers(limits))


def _numbers(limits: Struct) -> dict[str, object]:
    """A rule's numbers by their keys: whole numbers as they are, shares in per cent."""
    values = msgspec.structs.asdict(limits)
    return {name: value if isinstance(value, int) else format_value(name, value) for name, value in values.items()}


def _labelled(verdict: Verdict, limits: Struct, clock: Clock) -> list[Message]:
    again_s: int = limits.again_s  # type: ignore[attr-defined] # every rule that labels on comments decide has it
    later = {"again": format_value("again_s", again_s), "at": clock(verdict.at + again_s * 1000)}
    return [Message("remedy.unsaid", {"label": repr(verdict.subject)}), Message("remedy.again", later)]


def _repeated(limits: HarassmentLimits) -> list[Message]:
    numbers = {
        "repeats": limits.repeats,
        "within": format_value("within_s", limits.within_s),
        "similarity": format_value("share", limits.similarity),
        "shortest": limits.shortest,
    }
    return [Message("remedy.repeated", numbers)]


def _as(limits: Struct, kind: type[L]) -> L:
    """The limits of a rule with limits of its own type; raise TypeError if they are others."""
    if not isinstance(limits, kind):
        raise TypeError(f"the limits are no {kind.__name__}")
    return limits
