"""The subject `rooms`: live rooms by id, judged in event time."""

from typing import Final

from vigil.app.domain.rooms.limits import EffectiveLimits
from vigil.app.domain.rooms.machine import ROOM_SOURCES
from vigil.app.domain.rooms.metrics import ROOM_METRICS
from vigil.app.domain.rooms.rules.table import RULES
from vigil.app.domain.rooms.shadow import ShadowedRoomMachine
from vigil.app.domain.rulebook.book import Rulebook, first_versions
from vigil.app.domain.rulebook.rooms import DurationLimits, RoomLimits
from vigil.app.domain.subject import OutputTopic, Subject
from vigil.topics.internal import FOUND_BY_ROOM


def _always(rulebook: Rulebook) -> dict[str, object]:
    limits = EffectiveLimits(rulebook)
    return {
        **{f"[{rule}] family": family for rule, family in rulebook.families.items()},
        "[rooms] comment_memory_s, the longest (ms)": limits.longest_comment_memory_ms,
        "[rooms] contested_s, the longest (ms)": limits.longest_contested_ms,
        "[rooms] presence_s, the longest (ms)": limits.longest_presence_ms,
        "[rooms] engaged_comments, the most": limits.most_engaged_comments,
        "[greeting-miss] early_s, the longest (ms)": limits.longest_early_ms,
        "again_s of any rule, the longest (ms)": limits.longest_again_ms,
        "[harassment] within_s, the longest": max(rule.dated.limits.within_s for rule in limits.repeats),
        "[harassment] shortest, the least": min(rule.dated.limits.shortest for rule in limits.repeats),
        **first_versions(rulebook, ["rooms", *RULES]),
    }


SUBJECT: Final = Subject(
    name="rooms",
    sources=ROOM_SOURCES,
    outputs=(
        OutputTopic("verdict", identity="verdict_id", summary="verdicts", latency_promised=True),
        OutputTopic("notice", identity="notice_id", summary="notices", latency_promised=True),
        OutputTopic("room-status", "state", identity="room_id", summary="rooms at the end", in_backtest=False),
        OutputTopic("verdict-shadow", "shadow"),
        OutputTopic("verdict-by-host", "internal"),
        OutputTopic(FOUND_BY_ROOM, "internal", sections=()),
        OutputTopic("misrouted-by-room", "internal", sections=()),
        OutputTopic("restricted-by-supplier", "internal", sections=("prohibited-goods",), awaited=False),
    ),
    machine=lambda context: ShadowedRoomMachine(context.rulebook, context.candidate),
    sections={
        "rooms": RoomLimits,
        # Shown in this order: rules with several numbers first.
        **{rule.id: rule.limits for rule in sorted(RULES.values(), key=lambda rule: rule.limits is DurationLimits)},
    },
    always=_always,
    metrics=ROOM_METRICS,
)
