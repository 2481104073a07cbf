"""Changelogs that have lost records, as a worker and `vigil doctor` report them.

Compaction removes records and leaves the beginning of a log where it was. It moves where retention deletes segments, or
where somebody deletes records; the keys that did not change since are gone with them, and nothing else would show it.

A topic that is deleted while a worker runs, and created again, has a whole checkpoint as soon as that worker writes the
next one, of the keys that changed. The marker says how many keys there were.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from vigil.agents.ports import TopicPartition

SHOWN: Final = 4
"""Partitions that are named."""

CUT_REMEDY: Final = (
    "Set its cleanup.policy to compact if `vigil topics` says that it is another, and restore the topic from a backup. "
    "Without one, set `state_lost` (VIGIL_STATE_LOST=true) until all workers have started: what is left is kept, what "
    'is gone is forgotten (docs/operations.md, "Lost state")'
)


class CutLog(NamedTuple):
    """One changelog partition that has lost its beginning."""

    tp: TopicPartition
    begin: int
    """The offset at which it begins now."""
    known: int = 0
    """The offset at which it began when that was last accepted."""


class ThinLog(NamedTuple):
    """One changelog partition that has fewer keys than its last checkpoint says."""

    tp: TopicPartition
    keys: int
    """The number of keys that it has, or at most has."""
    stored: int
    """The number of keys that had state."""


THIN_REMEDY: Final = (
    "Restore the topic from a backup. Without one, set `state_lost` (VIGIL_STATE_LOST=true) until all workers have "
    "started: what is left is kept, what is gone is forgotten; or delete this topic and no other before that: what the "
    'input topics still have is judged again (docs/operations.md, "Lost state")'
)


def thin_words(thin: Collection[ThinLog]) -> str:
    """What has happened, for operators."""
    lines = [
        f"{each.tp.topic}, partition {each.tp.partition}, has {each.keys:,} of {each.stored:,} keys"
        for each in sorted(thin)
    ]
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return (
        "stored state is lost (the topic was deleted and created again while its worker ran, or records were deleted): "
        f"{'; '.join(lines[:SHOWN])}{more}"
    )


def cut_words(cut: Collection[CutLog]) -> str:
    """What has happened, for operators."""
    lines = [
        f"{each.tp.topic}, partition {each.tp.partition}, where up to {each.begin - each.known:,} records below offset "
        f"{each.begin} are gone"
        for each in sorted(cut)
    ]
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return (
        f"stored state has lost its beginning (by retention, or because records were deleted): "
        f"{'; '.join(lines[:SHOWN])}{more}"
    )
