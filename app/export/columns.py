"""The columns of exported tables, derived from the types of the contract: one place for every table.

int that is a time               timestamp, milliseconds, UTC
text or number that is US$       decimal with two places
bool, int, float, str, Literal   as they are; an int of more than 64 bits as null
Struct; list                     struct; list
map of texts and numbers         map of texts
anything else                    JSON
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa
from msgspec import NODEFAULT, UNSET, Struct
from msgspec import inspect as types

from vigil.topics.contracts.words import words_of
from vigil.topics.fields import LAST_TIME
from vigil.topics.suppliers import cents_of

TIME: Final = pa.timestamp("ms", tz="UTC")
MONEY: Final = pa.decimal128(20, 2)
JSON: Final = pa.string()

Convert = Callable[[Any], Any]
"""Makes what Arrow stores of a value that is not null."""


class ArrowForm(NamedTuple):
    """How values of one type are stored."""

    type: pa.DataType
    convert: Convert | None = None
    """None: values are stored as they are."""


class Column(NamedTuple):
    """One column of an exported table."""

    name: str
    form: ArrowForm
    words: str
    """What it means."""
    get: Callable[[Any], Any]
    """Returns its value of a row."""

    def array(self, rows: Iterable[Any]) -> pa.Array:
        """The column of these rows."""
        convert, get = self.form.convert, self.get
        values = [get(row) for row in rows]
        if convert is not None:
            values = [None if value is None or value is UNSET else convert(value) for value in values]
        return pa.array(values, self.form.type)


def columns_of(kind: type[Struct], within: str, leave_out: Iterable[str] = ()) -> tuple[Column, ...]:
    """The columns of a type's fields. `within`: the attribute of a row that has such a struct."""
    fields: tuple[types.Field, ...] = types.type_info(kind).fields  # type: ignore[attr-defined]
    return tuple(
        Column(field.name, _form_of(field), words_of(kind, field.name), attrgetter(f"{within}.{field.name}"))
        for field in fields
        if field.name not in leave_out
    )


def _form_of(field: types.Field) -> ArrowForm:
    form = form_of(field.type)
    may_be_unset = not field.required and field.default is NODEFAULT and field.default_factory is NODEFAULT
    return form._replace(convert=_same) if may_be_unset and form.convert is None else form


def _same(value: Any) -> Any:
    """The value: a field that may be unset is converted, so that it is stored as null then."""
    return value


def form_of(kind: types.Type) -> ArrowForm:
    """How values of a type of the contract are stored; null is stored as null."""
    kind = _bare(kind)
    if isinstance(kind, types.UnionType):
        return _union_form(kind)
    if _is_money(kind):
        return ArrowForm(MONEY, Decimal)
    if isinstance(kind, types.IntType):
        return ArrowForm(TIME) if kind.le == LAST_TIME else ArrowForm(pa.int64(), _fitting)
    scalar = _SCALARS.get(type(kind))
    return scalar or _nested_form(kind)


def _bare(kind: types.Type) -> types.Type:
    """A type without null and without what is around it."""
    while isinstance(kind, types.Metadata):
        kind = kind.type
    if not isinstance(kind, types.UnionType):
        return kind
    others = tuple(one for one in kind.types if not isinstance(one, types.NoneType))
    return _bare(others[0]) if len(others) == 1 else types.UnionType(others)


def _is_money(kind: types.Type) -> bool:
    return isinstance(kind, types.StrType) and (kind.pattern or "").endswith(r"\.[0-9]{2}$")


def _union_form(kind: types.UnionType) -> ArrowForm:
    """Amounts of inputs are written as a text or a number; other unions are stored as JSON."""
    if {type(one) for one in kind.types} == {types.StrType, types.IntType, types.FloatType}:
        return ArrowForm(MONEY, lambda amount: Decimal(cents_of(amount)).scaleb(-2))
    return ArrowForm(JSON, _json)


def _nested_form(kind: types.Type) -> ArrowForm:
    if isinstance(kind, types.StructType):
        return _struct_form(kind)
    if isinstance(kind, types.VarTupleType):
        item = form_of(kind.item_type)
        return ArrowForm(pa.list_(item.type), _list_convert(item.convert))
    if isinstance(kind, types.DictType):
        return ArrowForm(pa.map_(pa.string(), pa.string()), _texts)
    return ArrowForm(JSON, _json)


def _struct_form(kind: types.StructType) -> ArrowForm:
    forms = {field.name: form_of(field.type) for field in kind.fields}

    def convert(value: Struct) -> dict[str, Any]:
        return {name: _converted(getattr(value, name), form.convert) for name, form in forms.items()}

    return ArrowForm(pa.struct([(name, form.type) for name, form in forms.items()]), convert)


def _list_convert(convert: Convert | None) -> Convert:
    return list if convert is None else lambda values: [_converted(value, convert) for value in values]


def _converted(value: Any, convert: Convert | None) -> Any:
    if value is None or value is UNSET:
        return None
    return value if convert is None else convert(value)


def _fitting(number: int) -> int | None:
    """A whole number of 64 bits; a larger one, which the contract does not rule out in frames, is stored as null."""
    return number if -(2**63) <= number < 2**63 else None


def _texts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, value if isinstance(value, str) else str(value)) for name, value in values.items()]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_SCALARS: Final[Mapping[type[types.Type], ArrowForm]] = {
    types.BoolType: ArrowForm(pa.bool_()),
    types.FloatType: ArrowForm(pa.float64()),
    types.StrType: ArrowForm(pa.string()),
    types.LiteralType: ArrowForm(pa.string()),
}


def sql_name(kind: pa.DataType) -> str:
    """What DuckDB calls a type."""
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{field.name} {sql_name(field.type)}' for field in kind)})"
    if pa.types.is_map(kind):
        return f"MAP({sql_name(kind.key_type)}, {sql_name(kind.item_type)})"
    if pa.types.is_list(kind):
        return f"{sql_name(kind.value_type)}[]"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    return _SQL_NAMES[kind]


_SQL_NAMES: Final[Mapping[pa.DataType, str]] = {
    TIME: "TIMESTAMP WITH TIME ZONE",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.string(): "VARCHAR",
}
