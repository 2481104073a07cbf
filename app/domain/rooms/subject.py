"""The subject `rooms`: live rooms by id, judged in event time."""

from typing import Final

from vigil.app.domain.rooms.machine import ROOM_SOURCES
from vigil.app.domain.rooms.metrics import ROOM_METRICS
from vigil.app.domain.rooms.rules.table import RULES
from vigil.app.domain.rooms.shadow import ShadowedRoomMachine
from vigil.app.domain.rulebook.rooms import DurationLimits, RoomLimits
from vigil.app.domain.subject import OutputTopic, Subject
from vigil.topics.internal import FOUND_BY_ROOM

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
    metrics=ROOM_METRICS,
)
