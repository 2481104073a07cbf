"""Field types that the events share, and how messages are decoded, or rejected with InvalidEvent."""

import json
from typing import Annotated, Final, Literal, NoReturn, TypeVar

import msgspec
from msgspec import Meta, Struct

Id = Annotated[str, Meta(min_length=1, max_length=128)]
"""An identifier: 1 to 128 code points."""

At = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
"""Event time: integer milliseconds since the Unix epoch, UTC, before the year 10000."""

Instant = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
"""A time in what Vigil publishes, in ms since the epoch. It ends with the year 9999 because calendars do: what others
write into its topics may be any number."""

Number = Annotated[int, Meta(ge=0, le=10**12)]
"""A count in what Vigil publishes."""

Seconds = Annotated[float, Meta(ge=0, le=10**11)]
"""A span of time in what Vigil publishes."""

Tier = Literal["L0", "L1", "L2", "L3", "L4"]
"""The marketplace's buyer tier; L1 and above are the high-quality buyers."""

HIGH_QUALITY: Final[tuple[Tier, ...]] = ("L1", "L2", "L3", "L4")
"""The tiers whose misses moderators see first."""

Reason = Literal["malformed", "misrouted", "future", "late", "unknown-verdict"]
"""Why a message is in `dead-letter`. The first four are tested in this order; the first that applies is the reason."""

MAX_MESSAGE_BYTES = 64 * 1024
"""A larger message is rejected without being decoded."""

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

    def __init__(self, detail: str, reason: Reason = "malformed") -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason: Reason = reason


S = TypeVar("S", bound=Struct)


def decode_json(decoder: "msgspec.json.Decoder[S]", value: bytes | None) -> S:
    """Decode one message strictly; raise InvalidEvent.

    The value is first checked to be UTF-8 as a whole: msgspec skips unknown fields without looking into them.
    """
    if value is None:
        raise InvalidEvent("the message has no value (a tombstone is not an event here)")
    if len(value) > MAX_MESSAGE_BYTES:
        raise InvalidEvent(f"the message has {len(value)} bytes, more than {MAX_MESSAGE_BYTES}")
    try:
        return decoder.decode(value.decode())
    except msgspec.ValidationError as error:
        raise InvalidEvent(str(error)) from error
    except UnicodeDecodeError as error:
        raise InvalidEvent(f"not UTF-8: {error.reason} at byte {error.start}") from error
    except msgspec.DecodeError as error:
        raise InvalidEvent(f"not valid JSON: {why_not_json(error, value)}") from error
    except RecursionError as error:
        raise InvalidEvent("not valid JSON that we read: it is nested too deeply") from error


def why_not_json(error: msgspec.DecodeError, text: bytes) -> str:
    """Why a text is not accepted as JSON; for a lone surrogate msgspec reports a wrong end or a wrong escape."""
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return str(error)
    return "a lone surrogate (an escape from \\ud800 to \\udfff that is not half of a pair) is no character"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def check_key(key: bytes | None, field: str, expected: str) -> None:
    """Raise InvalidEvent if the Kafka key is missing or differs from the field that it must repeat."""
    if key is UNKEYED or key == expected.encode():
        return
    if key is None:
        raise InvalidEvent(f"the message has no key; it must be the {field}, {expected!r}")
    raise InvalidEvent(f"the key {key.decode(errors='backslashreplace')[:128]!r} is not the {field} {expected!r}")
