"""Limits as people read them: numbers with their units, a line for each table of a list, ladders rung by rung."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from vigil.app.domain.rulebook.book import plain
from vigil.app.domain.rulebook.hosts import Ladder
from vigil.app.domain.rulebook.units import split_unit

_PARTS_OF_A_DAY: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_SUFFIX: Final = {"ms": "ms", "min": "min", "h": "h", "days": "d", "months": "months"}


def format_value(name: str, value: object) -> str:
    """The value of a key whose name ends with its unit: `lasts_s` 300 is `5 min`, `top_share` 0.1 is `10 %`."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(format_value(name, inner) for inner in value) or "none"
    if isinstance(value, dict):
        return _format_table(name, value)
    return _format_number(name, value) if isinstance(value, int | float) else str(value)


def _format_table(name: str, table: Mapping[str, object]) -> str:
    if set(table) == {"least", "most"}:
        return f"{format_value(name, table['least'])} to {format_value(name, table['most'])}"
    # The bound of a step goes before what the step gives.
    keys = sorted(table, key=lambda key: not key.startswith(("at_least_", "over_")))
    return ", ".join(f"{key} {format_value(key, table[key])}" for key in keys)


def _format_number(name: str, value: int | float) -> str:
    unit = split_unit(name)[1]
    if unit == "s":
        return _format_duration(value) if isinstance(value, int) else f"{value:g} s"
    if unit == "usd":
        return f"US$ {value:,}"
    if unit == "cents":
        return f"US$ {value / 100:,.2f}"
    if "share" in name.split("_"):
        return f"{value * 100:.4g} %"
    if unit in _SUFFIX and name.endswith(f"_{unit}"):  # not `first_day`, which is no length
        return f"{value:,} {_SUFFIX[unit]}"
    return f"{int(value):,}" if isinstance(value, float) and value.is_integer() else f"{value:,}"


def _format_duration(seconds: int) -> str:
    """`1 h 30 min`; 90 s and less stay seconds."""
    if seconds <= 90 and seconds != 60:
        return f"{seconds} s"
    parts = []
    for size, name in _PARTS_OF_A_DAY:
        if part := seconds // size:
            parts.append(f"{part} {name}")
        seconds %= size
    return " ".join(parts)


def limit_lines(limits: Struct) -> Iterator[tuple[str, str]]:
    """Key and text of each number; a list of tables gives a line for each table, a ladder one for each rung."""
    if isinstance(limits, Ladder):
        window = limits.window_days
        unlimited = "none, every violation that is remembered counts"
        yield "window_days", unlimited if window is None else format_value("window_days", window)
        for line in limits.words():
            yield "rungs", line
        return
    for key, value in plain(limits).items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for inner in value:
                yield key, format_value(key, inner)
        else:
            yield key, format_value(key, value)


def flatten(limits: Struct) -> dict[str, Any]:
    """Every value of the limits by its path: `{"rungs[1].ban_days": 7}`. A list without tables is one value."""
    return dict(_leaves("", plain(limits)))


def _leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    inner: Sequence[tuple[str, object]]
    if isinstance(value, dict):
        inner = [(f"{path}.{key}" if path else key, each) for key, each in value.items()]
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        inner = [(f"{path}[{index}]", each) for index, each in enumerate(value)]
    else:
        yield path, value
        return
    for below, each in inner:
        yield from _leaves(below, each)


def format_leaf(path: str, value: object) -> str:
    """A value that `flatten` gave, with its unit."""
    return format_value(path.rpartition(".")[2].partition("[")[0], value)
