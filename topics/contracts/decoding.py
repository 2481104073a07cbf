"""Would Vigil take this message? The decoder of each topic that comes in, by the topic's name."""

from typing import Any

from vigil.topics.fields import MAX_AHEAD_MS, InvalidEvent
from vigil.topics.reviews import decode_review
from vigil.topics.rooms import ROOM_TOPICS, decode_room_event
from vigil.topics.suppliers import decode_payment, decode_profile, decode_quote


def decode(topic: str, key: bytes | None, value: bytes | None, now: int | None = None) -> Any:
    """The event of a message, or Refused; with `now` (ms) also where it lies too far ahead, as a live worker does."""
    if topic in ROOM_TOPICS:
        event: Any = decode_room_event(ROOM_TOPICS.index(topic), key, value)
    elif topic == "quote":
        event = decode_quote(key, value)
    elif topic == "payment":
        event = decode_payment(key, value)
    elif topic == "supplier-profile":
        event = decode_profile(key, value, now or 0)
    elif topic == "review":
        event = decode_review(key, value)
    else:
        raise InvalidEvent(f"{topic!r} is no topic that Vigil reads from outside")
    if now is not None and event.at > now + MAX_AHEAD_MS:
        raise InvalidEvent(f"at {event.at} is more than a day ahead of the clock, {now}")
    return event
