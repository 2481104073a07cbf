"""Names what a message is that is no event: its encoding, or the unit of its times."""

import re
from typing import Final

from vigil.topics.fields import LAST_TIME, LEAST_TIME
from vigil.topics.forms import binary_form, text_form
from vigil.topics.wrapping import is_base64_of_json

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_FRAME_BYTES: Final = 5
"""Confluent's wire format: a zero byte and the four bytes of a schema's id stand before the value."""

_NUMBER: Final = re.compile(r"[+-]?\d[\d.,_]*([eE][+-]?\d+)?")
_DATE: Final = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])")
_SPREADSHEET: Final = (36_526, 73_050)
"""The years from 2000 to 2099 as spreadsheets count days."""

_UNITS: Final = (
    ("Windows file time (100 ns since 1601)", 126_000_000_000_000_000, 159_000_000_000_000_000),
    (".NET ticks (100 ns since the year 1)", 630_000_000_000_000_000, 663_000_000_000_000_000),
    ("microseconds", LEAST_TIME * 1000, LAST_TIME * 1000),
    ("nanoseconds", LEAST_TIME * 1_000_000, LAST_TIME * 1_000_000),
)
"""Other units of time, with the first and last number that is taken for one."""

_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?\s*")
_SHOWN: Final = 40


def unframed(value: bytes) -> bytes:
    """A Kafka value without Confluent's five bytes before JSON, and without a byte order mark; else the same object."""
    if value[:1] == b"\x00" and len(value) > _FRAME_BYTES:
        rest = value[_FRAME_BYTES:].removeprefix(BYTE_ORDER_MARK)
        if rest.lstrip(b" \t\r\n")[:1] == b"{":
            return rest
    return value[len(BYTE_ORDER_MARK) :] if value.startswith(BYTE_ORDER_MARK) else value


def not_text(value: bytes, at: int | None = None) -> str | None:
    """What a value is that is no JSON in UTF-8; None where that cannot be seen.

    `at`: the character at which its text is no JSON; None for a fault of another kind.
    """
    if not value:
        return "it is empty"
    if (form := binary_form(value)) is not None:
        return form
    if value[:1] == b"\x00" and len(value) > _FRAME_BYTES:
        schema = int.from_bytes(value[1:_FRAME_BYTES], "big")
        return (
            f"it begins like Confluent's wire format (schema {schema}) and no JSON object follows: Avro and Protobuf "
            "are not read"
        )
    if is_base64_of_json(value):
        return "it is JSON in base64, not JSON"
    return None if at is None else text_form(value.decode(), at)


def why_no_time(value: object) -> str | None:
    """What a value is that stands for a time in milliseconds and is none; None where that cannot be seen."""
    if isinstance(value, str):
        return _text_for_a_time(value)
    if isinstance(value, dict | list):
        return "it is written in parts: send one number of milliseconds since the Unix epoch" if value else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value == 0:
        return f"{_short(value)} stands for no time: it seems that nothing set it"
    if value < 0:
        return f"{_short(value)} would lie before 1970"
    if LEAST_TIME <= value <= LAST_TIME:
        return "milliseconds have no fraction here: round it"
    unit = _unit(value)
    return None if unit is None else f"{_short(value)} seems to be {unit}, not milliseconds, since the Unix epoch"


def _unit(value: float) -> str | None:
    """In what a time outside of the range is counted; None where that cannot be seen."""
    if _SPREADSHEET[0] <= value <= _SPREADSHEET[1]:
        return "days of a spreadsheet"
    if value < LEAST_TIME:
        return "a date in digits" if _DATE.fullmatch(str(value)) else "seconds"
    for name, first, last in _UNITS:
        if first <= value <= last:
            return name
    return None


def _text_for_a_time(text: str) -> str | None:
    shown, bare = repr(text[:_SHOWN]), text[:64].strip()
    if _ISO.fullmatch(text[:64]):
        return f"{shown} is ISO text, not a number of milliseconds since the Unix epoch"
    if _NUMBER.fullmatch(bare):
        return f"{shown} is a number in quotes"
    if not bare:
        return "it is an empty text"
    return f"{shown} is text, not a number of milliseconds since the Unix epoch"


def _short(value: float) -> str:
    return str(value)[:_SHOWN]
