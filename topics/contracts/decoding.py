"""Decodes a message of any input topic as a worker would: to check messages that nobody has sent yet."""

from typing import Any

from vigil.topics.catalog import BY_NAME
from vigil.topics.decoder import nobody
from vigil.topics.event_time import check_ahead
from vigil.topics.fields import MAX_AHEAD_MS, InvalidEvent
from vigil.topics.labels import OnIgnored


def decode(  # noqa: PLR0913 - all that decides whether a worker would take it
    topic: str,
    key: bytes | None,
    value: bytes | None,
    now: int | None = None,
    max_ahead: int = MAX_AHEAD_MS,
    on_ignored: OnIgnored = nobody,
) -> Any:
    """The event of a message; raise InvalidEvent. `on_ignored` receives each optional field that cannot be read.

    With `now` an event that lies more than `max_ahead` ahead of it is refused, too, as by a live worker (all in ms).
    """
    known = BY_NAME.get(topic)
    if known is None or known.decode is None:
        raise InvalidEvent(f"{topic!r} is no topic that Vigil reads from outside")
    event = known.decode(key, value, now or 0, on_ignored)
    if now is not None:
        check_ahead(event.at, now, max_ahead)
    return event
