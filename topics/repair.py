"""Reads an event that does not decode strictly: what can be read is kept, optional fields that cannot be are left out.

Only messages that fail the strict decoder come here, so it may take its time.
"""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct, inspect

from vigil.topics.diagnosis import why_no_time
from vigil.topics.fields import LEAST_TIME, InvalidEvent
from vigil.topics.labels import MAX_LABELS
from vigil.topics.wrapping import wrapping

Ignored = dict[str, int]
"""How many values of each optional field cannot be read."""

NEARLY: Final = 1e-6
"""A share this far outside of its range is a rounding error."""

_MOST_DIGITS: Final = 40
"""A number of more digits is in no range, and is not computed with."""

_LONG: Final = re.compile(rf"\d{{{_MOST_DIGITS + 1}}}", re.ASCII)
"""Numbers that Python may refuse to make an int of."""

_SURROGATE: Final = re.compile(r"\\u[dD][89A-Fa-f]")
_PLACE: Final = re.compile(r"`\$\.(\w+)`")

LONE_SURROGATE: Final = (
    "a lone surrogate (an escape from \\ud800 to \\udfff that is not half of a pair) is no character"
)


class NoJsonError(Exception):
    """A text that is no JSON, and why."""

    def __init__(self, why: str, at: int | None = None) -> None:
        """`at`: the character at which it is none; None where it is for another reason."""
        super().__init__(why)
        self.at = at


class NotANumber:
    """NaN or an infinity, which JSON has not but many libraries write: it fits no type."""

    def __init__(self, name: str) -> None:
        self.name = name
        """`NaN`, `Infinity` or `-Infinity`."""


def parsed(text: str) -> Any:
    """The content of a JSON text; raise NoJsonError.

    Numbers with a fraction or an exponent are exact Decimals; NaN and infinities, which JSON has not, are `NotANumber`.
    """
    try:
        parse_int = _number if _LONG.search(text) else None
        content = json.loads(text, parse_float=_number, parse_int=parse_int, parse_constant=NotANumber)
        if _SURROGATE.search(text):
            json.dumps(content, ensure_ascii=False, default=str).encode()
    except RecursionError as error:
        raise NoJsonError("it is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise NoJsonError(LONE_SURROGATE) from error
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text[error.pos] == "{":
            raise NoJsonError(f"{error}: it is several JSON texts (send one event a message)") from error
        cut_off = error.msg.startswith("Unterminated")
        raise NoJsonError(str(error), len(text) if cut_off else error.pos) from error
    except ValueError as error:
        raise NoJsonError(str(error)) from error
    return content


def _number(written: str) -> int | float | Decimal:
    try:
        return int(written) if len(written) <= _MOST_DIGITS and written.lstrip("-").isdigit() else Decimal(written)
    except InvalidOperation:  # an exponent beyond what a Decimal has
        return float(written)


class _Field(NamedTuple):
    name: str
    type: Any
    required: bool
    read: Callable[[Any, Ignored], Any]
    """Brings a value into the form that the type asks for, as far as the contract allows another one."""

    def fits(self, value: Any) -> bool:
        try:
            msgspec.convert(value, self.type)
        except msgspec.ValidationError:
            return False
        return True


class Repair:
    """Reads the objects of one type."""

    def __init__(self, kind: type[Struct], prefix: str = "") -> None:
        """`prefix`: what stands before the names of its fields where they are reported."""
        self._kind = kind
        self._prefix = prefix
        self._fields = [
            _Field(one.encode_name, one.type, one.required, _reader(inspect.type_info(one.type), one.encode_name))
            for one in msgspec.structs.fields(kind)
        ]
        self._needed = frozenset(one.name for one in self._fields if one.required)
        self._times = {one.name for one in self._fields if _is_time(inspect.type_info(one.type))}

    def event(self, content: Any, ignored: Ignored, needed: frozenset[str] = frozenset()) -> Any:
        """The event in the content of a JSON text; raise InvalidEvent. `needed`: fields that are required here."""
        fields = self.fields(content, ignored, needed) if isinstance(content, dict) else content
        try:
            return msgspec.convert(fields, self._kind)
        except msgspec.ValidationError as error:
            raise InvalidEvent(self._explained(content, str(error))) from error

    def fields(self, content: Mapping[str, Any], ignored: Ignored, needed: frozenset[str] = frozenset()) -> Any:
        """The fields that can be read, and the required ones whatever they are."""
        kept = {}
        for field in self._fields:
            if field.name not in content:
                continue
            value = field.read(content[field.name], ignored)
            if field.required or field.name in needed or field.fits(value):
                kept[field.name] = value
            else:
                _count(ignored, self._prefix + field.name)
        return kept

    def _explained(self, content: Any, fault: str) -> str:
        """The fault that msgspec found, with what the message seems to be."""
        if (constant := _constant_in(content)) is not None:
            fault = f"not valid JSON: {constant} is not JSON; {fault}"
        what = wrapping(content, self._needed) or self._why_no_time(content, fault)
        return fault if what is None else f"{fault}: {what}"

    def _why_no_time(self, content: Any, fault: str) -> str | None:
        place = _PLACE.search(fault)
        if place is None or place[1] not in self._times:
            return None
        return why_no_time(_plain(content.get(place[1])))


def _constant_in(content: Any) -> str | None:
    """The name of a NaN or an infinity somewhere in a content."""
    left = [content]
    while left:
        one = left.pop()
        if isinstance(one, NotANumber):
            return one.name
        if isinstance(one, dict | list):
            left += one.values() if isinstance(one, dict) else one
    return None


def _count(ignored: Ignored, name: str, by: int = 1) -> None:
    ignored[name] = ignored.get(name, 0) + by


# ---- forms of values -------------------------------------------------------------------------------------------------


def _reader(info: inspect.Type, name: str) -> Callable[[Any, Ignored], Any]:
    for one in info.types if isinstance(info, inspect.UnionType) else (info,):
        if isinstance(one, inspect.StructType):
            return _object_reader(Repair(one.cls, f"{name}."))
        if isinstance(one, inspect.VarTupleType) and isinstance(one.item_type, inspect.StructType):
            return _objects_reader(Repair(one.item_type.cls, f"{name}."))
        if isinstance(one, inspect.VarTupleType):
            return _texts_reader(name)
        if isinstance(one, inspect.IntType):
            return _whole
        if isinstance(one, inspect.FloatType):
            return _share_reader(one)
    return lambda value, ignored: _plain(value)


def _object_reader(repair: Repair) -> Callable[[Any, Ignored], Any]:
    return lambda value, ignored: repair.fields(value, ignored) if isinstance(value, dict) else _plain(value)


def _objects_reader(repair: Repair) -> Callable[[Any, Ignored], Any]:
    read = _object_reader(repair)
    return lambda value, ignored: [read(one, ignored) for one in value] if isinstance(value, list) else _plain(value)


def _whole(value: Any, ignored: Ignored) -> Any:
    """12.0 and 1.2e1 are 12."""
    if isinstance(value, Decimal) and value.adjusted() < _MOST_DIGITS and value == value.to_integral_value():
        return int(value)
    return _plain(value)


def _share_reader(info: inspect.FloatType) -> Callable[[Any, Ignored], Any]:
    is_share = (info.ge, info.le) == (0, 1)

    def read(value: Any, ignored: Ignored) -> Any:
        value = _plain(value)
        if is_share and isinstance(value, float) and -NEARLY <= value <= 1 + NEARLY:
            return min(max(value, 0.0), 1.0)
        return value

    return read


def _texts_reader(name: str) -> Callable[[Any, Ignored], Any]:
    def read(value: Any, ignored: Ignored) -> Any:
        """Of a list the elements that are texts; of labels, of the first ones."""
        if not isinstance(value, list):
            return _plain(value)
        texts = [one for one in (value[:MAX_LABELS] if name == "labels" else value) if isinstance(one, str)]
        if len(texts) < len(value):
            _count(ignored, name, len(value) - len(texts))
        return texts

    return read


def _is_time(info: inspect.Type) -> bool:
    kinds = info.types if isinstance(info, inspect.UnionType) else (info,)
    return any(isinstance(one, inspect.IntType) and one.ge == LEAST_TIME for one in kinds)


def _plain(value: Any) -> Any:
    """A number as msgspec knows it."""
    return float(value) if isinstance(value, Decimal) else value
