"""What the summary of a replay warns of: input that was read and led to nothing."""

from collections.abc import Iterator, Mapping
from typing import Final

from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook
from vigil.app.runtime.replay import Outputs
from vigil.topics.envelope import timestamp
from vigil.topics.rooms import ROOM_TOPICS

LATE_SHARE: Final = 0.01
"""More late lines than this share of all room lines are no accident."""

NOT_ACCEPTED: Final = ("malformed", "late")
"""The reasons for which a line of a recording has no effect at all."""


def accepted(outputs: Outputs) -> int:
    """The number of lines that were accepted, duplicates among them."""
    counts = outputs.counts
    read = sum(number for name, number in counts.items() if name.startswith("events:") and _of_input(name))
    return read - sum(_rejected(counts, reason) for reason in NOT_ACCEPTED)


def _of_input(name: str) -> bool:
    topic = name.split(":")[1]
    return topic in REGISTRY.readers and REGISTRY.is_input(topic)


def _rejected(counts: Mapping[str, int], reason: str) -> int:
    return sum(
        number
        for name, number in counts.items()
        if name.startswith("refused:") and name.endswith(f":{reason}") and _of_input(name)
    )


def warnings(outputs: Outputs, rulebook: Rulebook) -> Iterator[str]:
    """Sentences about what the reader of a summary would not expect."""
    yield from _before_any_rule(outputs, rulebook)
    yield from _many_late(outputs)


def _before_any_rule(outputs: Outputs, rulebook: Rulebook) -> Iterator[str]:
    first = min((rulebook.versions(rule)[0] for rule in rulebook.families), key=lambda version: version.start)
    begin = outputs.rooms_begin
    if begin is None or begin >= first.start:
        return
    every = "all" if outputs.until < first.start else "some"
    yield (
        f"{every} events lie before any rule is in force: the recording of rooms begins at {timestamp(begin)}, and the "
        f"first rule applies from {first.effective_date} ({rulebook.time_zone}); what lies before is not judged"
    )


def _many_late(outputs: Outputs) -> Iterator[str]:
    lines = sum(outputs.counts.get(f"events:{topic}", 0) for topic in ROOM_TOPICS)
    late = sum(outputs.counts.get(f"refused:{topic}:late", 0) for topic in ROOM_TOPICS)
    if late <= LATE_SHARE * lines:
        return
    jump = outputs.furthest
    words = f"{late:,} of {lines:,} room lines ({late / lines:.1%}) were late and not judged"
    yield f"{words}: line {jump.line:,} moved the clock furthest ahead, by {_span(jump.ms)}" if jump.line else words


def _span(ms: int) -> str:
    seconds = ms / 1000
    for unit, name in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.1f} s"
