"""The state machine of incidents: what rooms found, what hosts' ladders said, and what people did, on arrival."""

from typing import Final

import msgspec

from vigil.app.domain.incidents.options import IncidentOptions
from vigil.app.domain.incidents.room import IncidentEvent, RoomIncidents
from vigil.app.domain.incidents.stored import ReceivedCase
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.incidents import INCIDENTS, IncidentLimits
from vigil.app.engine.subject import Arrival, Order, OriginOf, SourceRecord, StateChunks, StateMachineDefaults
from vigil.topics.decoder import decode_own
from vigil.topics.fields import check_key
from vigil.topics.incidents import decode_case
from vigil.topics.internal import ACTION_BY_ROOM, FOUND_BY_ROOM, ActionInRoom, FoundInRoom
from vigil.topics.labels import OnIgnored

_FOUND: Final = msgspec.json.Decoder(FoundInRoom)
_ACTION: Final = msgspec.json.Decoder(ActionInRoom)


class IncidentMachine(StateMachineDefaults[IncidentEvent]):
    """The incidents of rooms by room. They do not depend on the order of arrival, so no event is late."""

    topics: tuple[str, ...] = (FOUND_BY_ROOM, ACTION_BY_ROOM, "case")
    order: Order = Arrival()

    def __init__(self, rulebook: Rulebook, case_wait_ms: int | None) -> None:
        """`case_wait_ms`: how long a command waits for its incident; None: until the end of the input."""
        limits = rulebook.optional_section(INCIDENTS, IncidentLimits)
        self._how = IncidentOptions(limits, rulebook.families, case_wait_ms)

    def decode(
        self, source_index: int, record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> IncidentEvent:
        """What a record says; raise InvalidEvent."""
        key, value = record.key, record.value
        if source_index == self.topics.index("case"):
            return ReceivedCase(decode_case(key, value, on_ignored), *origin_of(record), key, value)
        event = decode_own(_FOUND, value) if source_index == 0 else decode_own(_ACTION, value)
        check_key(key, "room_id", event.room_id)
        return event

    def key_of(self, event: IncidentEvent) -> str:
        return event.room_id

    def load(self, key: str, chunks: StateChunks) -> RoomIncidents:
        return RoomIncidents(key, self._how, chunks)
