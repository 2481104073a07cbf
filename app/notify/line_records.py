"""Records of `obligation` and `participation` as input of the alerts about lines."""

from typing import Any, Final

import msgspec
from aiokafka.structs import ConsumerRecord

from vigil.app.notify.line_alerts import participation_id
from vigil.app.notify.line_book import LineBook, ScheduledChange
from vigil.app.notify.records import tombstone_time
from vigil.topics.fields import InvalidEvent
from vigil.topics.programmes import Participation
from vigil.topics.read_back import ForeignMessageError, read_back
from vigil.topics.services import Obligation

LINE_TOPICS: Final = ("obligation", "participation")
"""They are read only where a route asks for them."""

_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "obligation": msgspec.json.Decoder(Obligation),
    "participation": msgspec.json.Decoder(Participation),
}


def apply_line(lines: LineBook, topic: str, record: ConsumerRecord, now: int) -> list[ScheduledChange]:
    """Apply one record and return the changes; raise InvalidEvent where Vigil cannot have written it.

    `topic`: the record's, by its name in the catalogue.
    """
    if record.value is None:
        key = (record.key or b"").decode(errors="replace")
        id_ = key if topic == "obligation" else participation_id(key)
        return lines.gone(id_, tombstone_time(record), now)
    try:
        message = read_back(_DECODERS[topic], record.value)
    except ForeignMessageError as error:
        raise InvalidEvent(str(error)) from error
    return lines.obligation(message, now) if topic == "obligation" else lines.participation(message, now)
