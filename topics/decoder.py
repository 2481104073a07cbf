"""How messages are decoded, or rejected with InvalidEvent.

value ──strictly──▶ event                          nearly all messages
  └──▶ framing, byte order mark ──▶ strictly ──▶ event
           └──▶ parsed ──▶ repaired ──▶ event, and the optional fields that were left out
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from vigil.topics.diagnosis import not_text, unframed
from vigil.topics.fields import MAX_MESSAGE_BYTES, MAX_OUTPUT_BYTES, InvalidEvent
from vigil.topics.labels import OnIgnored
from vigil.topics.repair import Ignored, NoJsonError, Repair, parsed

S = TypeVar("S", bound=Struct)

FAILURES: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def nobody(field: str, number: int) -> None:
    """Nobody wants to know which fields are left out."""


class EventDecoder(Generic[S]):
    """Decodes the messages of one input topic."""

    def __init__(self, kind: type[S]) -> None:
        self.strictly: Final[Callable[[str], S]] = msgspec.json.Decoder(kind).decode
        """The first step: the event of a text that needs no second look; raises one of FAILURES."""
        self._repair = Repair(kind)

    def decode(self, value: bytes | None, on_ignored: OnIgnored = nobody) -> S:
        """The event of a message; raise InvalidEvent. `on_ignored` receives each optional field that is left out.

        The value is first checked to be UTF-8 as a whole: msgspec skips unknown fields without looking into them.
        """
        if value is None:
            raise InvalidEvent("the message has no value (a tombstone is not an event here)")
        if len(value) > MAX_MESSAGE_BYTES:
            raise InvalidEvent(f"the message has {len(value)} bytes, more than {MAX_MESSAGE_BYTES}")
        try:
            return self.strictly(value.decode())
        except FAILURES:
            return self._otherwise(value, on_ignored)

    def _otherwise(self, value: bytes, on_ignored: OnIgnored) -> S:
        bare = unframed(value)
        if bare is not value:
            with suppress(*FAILURES):
                return self.strictly(bare.decode())
        content = content_of(bare)
        ignored: Ignored = {}
        event: S = self._repair.event(content, ignored, self.needed(content))
        for field, number in ignored.items():
            on_ignored(field, number)
        return event

    def needed(self, content: object) -> frozenset[str]:
        """The optional fields that this content makes required: for topics with such to override."""
        return frozenset()


def content_of(value: bytes) -> Any:
    """The content of a JSON text in UTF-8; raise InvalidEvent, which says what the value is instead."""
    try:
        return parsed(value.decode())
    except (UnicodeDecodeError, NoJsonError) as error:
        raise InvalidEvent(f"not valid JSON: {why_no_json(value, error)}") from error


def why_no_json(value: bytes, error: Exception) -> str:
    """What a value is that `parsed` does not take."""
    at = error.at if isinstance(error, NoJsonError) else None
    if (named := not_text(value, at)) is not None:
        return named
    if isinstance(error, UnicodeDecodeError):
        other = ": is it Latin-1, GBK or Shift JIS?" if value.lstrip()[:1] == b"{" else ""
        return f"not UTF-8: {error.reason} at byte {error.start}{other}"
    return str(error)


def decode_own(decoder: "msgspec.json.Decoder[S]", value: bytes | None) -> S:
    """Decode a message of an internal topic, which a worker has written; raise InvalidEvent.

    It may be larger than a message from outside: it can hold what several of those said.
    """
    if value is None:
        raise InvalidEvent("the message has no value (a tombstone is not an event here)")
    if len(value) > MAX_OUTPUT_BYTES:
        raise InvalidEvent(f"the message has {len(value)} bytes, more than {MAX_OUTPUT_BYTES}")
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise InvalidEvent(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidEvent(f"not valid JSON: {error}") from error
    except RecursionError as error:
        raise InvalidEvent("not valid JSON: it is nested too deeply") from error
