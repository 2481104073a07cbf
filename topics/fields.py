"""Field types that the events share, and InvalidEvent, with which messages are rejected."""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta

Id = Annotated[str, Meta(min_length=1, max_length=128)]
"""An identifier: 1 to 128 code points."""

LEAST_TIME: Final = 10**12
"""A smaller number is a time in seconds: in milliseconds it would lie before September 2001."""

LAST_TIME: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""

At = Annotated[int, Meta(ge=LEAST_TIME, le=LAST_TIME)]
"""Event time: integer milliseconds since the Unix epoch, UTC, from 2001-09-09 to the end of the year 9999."""

Instant = Annotated[int, Meta(ge=0, le=LAST_TIME)]
"""A time in what Vigil publishes, in ms since the epoch. It ends with the year 9999 because calendars do: what others
write into its topics may be any number."""

Number = Annotated[int, Meta(ge=0, le=10**12)]
"""A count in what Vigil publishes."""

Parameter = Annotated[int, Meta(ge=-(10**15), le=10**15)]
"""A number in a published sentence: what is larger fits into no store and no counter."""

ShortText = Annotated[str, Meta(max_length=8192)]
"""A text in what Vigil publishes: a comment, a label or shorter."""

Seconds = Annotated[float, Meta(ge=0, le=10**11)]
"""A span of time in what Vigil publishes."""

Tier = Literal["L0", "L1", "L2", "L3", "L4"]
"""The marketplace's buyer tier; L1 and above are the high-quality buyers."""

HIGH_QUALITY: Final[tuple[Tier, ...]] = ("L1", "L2", "L3", "L4")
"""The tiers whose misses moderators see first."""

Reason = Literal["malformed", "misrouted", "future", "late", "unknown-verdict", "unknown-incident", "too-many"]
"""Why a message is in `dead-letter`. The first four are tested in this order; the first that applies is the reason."""

MAX_MESSAGE_BYTES = 64 * 1024
"""A larger message is rejected without being decoded."""

MAX_OUTPUT_BYTES: Final = 16 * MAX_MESSAGE_BYTES
"""A larger message is none that a worker publishes, and is not decoded. (A dead letter carries another message.)"""

MediaUri = Annotated[str, Meta(max_length=2048)]
"""Where a person can see or hear what was observed: a clip, a picture, a recording at a time."""

Detector = Annotated[str, Meta(max_length=128)]
"""What observed it, with its version."""

MAX_AHEAD_MS = 60 * 1000
"""The default of `max_ahead_ms`: an event further than this ahead of the worker's clock is rejected (live only)."""


class _Unkeyed(bytes):
    """See UNKEYED."""


UNKEYED: Final[bytes] = _Unkeyed()
"""The key of a message of a recording that has no keys: it is not checked. A message that Kafka delivers without a key
has the key None and is rejected."""


class InvalidEvent(Exception):
    """The message cannot be judged. The text becomes the `detail` of its dead letter, so it must help the producer."""

    def __init__(self, detail: str, reason: Reason = "malformed", event: Any = None) -> None:
        """`event`: what the message says, where only its place is wrong: its key or its partition."""
        super().__init__(detail)
        self.detail = detail
        self.reason: Reason = reason
        self.event = event


def check_key(key: bytes | None, field: str, expected: str, event: Any = None) -> None:
    """Raise InvalidEvent (with `event`) if the Kafka key is missing or differs from the field that it must repeat."""
    if key is UNKEYED or key == expected.encode():
        return
    if key is None:
        raise InvalidEvent(f"the message has no key; it must be the {field}, {expected!r}", event=event)
    quoted = ": it is in quotes, as a JSON serializer writes it" if key == f'"{expected}"'.encode() else ""
    shown = key.decode(errors="backslashreplace")[:128]
    raise InvalidEvent(f"the key {shown!r} is not the {field} {expected!r}{quoted}", event=event)
