"""Limits in a policy owner's words: numbers with their units, lists a line each, ladders as they are spoken."""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from vigil.app.domain.rulebook.book import plain
from vigil.app.domain.rulebook.hosts import Ladder
from vigil.app.domain.rulebook.units import split_unit

_CLOCK: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_SUFFIX: Final = {"ms": "ms", "min": "min", "h": "h", "days": "d", "months": "months"}


def value_words(name: str, value: Any) -> str:
    """A value of a name that ends with its unit: `lasts_s` 300 is `5 min`, `top_share` 0.1 is `10 %`."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(value_words(name, inner) for inner in value) or "none"
    if isinstance(value, dict):
        if set(value) == {"least", "most"}:
            return f"{value_words(name, value['least'])} to {value_words(name, value['most'])}"
        # What a step begins with goes before what it gives.
        keys = sorted(value, key=lambda key: not key.startswith(("at_least_", "over_")))
        return ", ".join(f"{key} {value_words(key, value[key])}" for key in keys)
    if not isinstance(value, int | float):
        return str(value)
    unit = split_unit(name)[1]
    if unit == "s":
        return _span(value) if isinstance(value, int) else f"{value:g} s"
    if unit == "usd":
        return f"US$ {value:,}"
    if unit == "cents":
        return f"US$ {value / 100:,.2f}"
    if "share" in name.split("_"):
        return f"{value * 100:.4g} %"
    return f"{value:,} {_SUFFIX[unit]}" if unit in _SUFFIX else f"{value:,}"


def _span(seconds: int) -> str:
    """`1 h 30 min`; 90 s and less stay seconds."""
    if seconds <= 90 and seconds != 60:
        return f"{seconds} s"
    parts = []
    for size, name in _CLOCK:
        if part := seconds // size:
            parts.append(f"{part} {name}")
        seconds %= size
    return " ".join(parts)


def lines(limits: Struct) -> Iterator[tuple[str, str]]:
    """Each number by its key in the file; a list of tables gives a line for each of them, a ladder its rungs."""
    if isinstance(limits, Ladder):
        window = limits.window_days
        told = "none, every violation that is remembered counts"
        yield "window_days", told if window is None else value_words("window_days", window)
        for line in limits.words():
            yield "rungs", line
        return
    for key, value in plain(limits).items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for inner in value:
                yield key, value_words(key, inner)
        else:
            yield key, value_words(key, value)


def flat(value: Any, above: str = "") -> dict[str, Any]:
    """Every single value by its path: `{"rungs[1].ban_days": 7}`."""
    if isinstance(value, Struct):
        value = plain(value)
    if isinstance(value, dict):
        inner = {f"{above}.{key}" if above else key: each for key, each in value.items()}
    elif isinstance(value, list):
        inner = {f"{above}[{index}]": each for index, each in enumerate(value)}
    else:
        return {above: value}
    return {path: leaf for key, each in inner.items() for path, leaf in flat(each, key).items()}


def leaf_words(path: str, value: Any) -> str:
    """A value that `flat` gave, in words."""
    return value_words(path.rpartition(".")[2].partition("[")[0], value)
