"""Units of the rulebook's numbers: a field's name ends with its unit."""

from typing import Final

NAMES: Final = {
    "ms": "milliseconds",
    "s": "seconds",
    "min": "minutes",
    "h": "hours",
    "days": "days",
    "months": "months",
    "usd": "US dollars",
    "cents": "US cents",
    "share": "shares of the whole (0–1)",
}
"""The unit that stands at the end of a name, and its word."""

_ALSO: Final = {
    "ms": "millis milliseconds msec",
    "s": "sec secs second seconds",
    "min": "m mins minute minutes",
    "h": "hr hrs hour hours",
    "days": "d day",
    "months": "month",
    "usd": "dollars",
    "cents": "cent",
    "share": "percent pct ratio",
}
_SPELLINGS: Final = {spelling: unit for unit, also in _ALSO.items() for spelling in (unit, *also.split())}


def split_unit(name: str) -> tuple[str, str | None]:
    """A name without its unit, and the unit as NAMES knows it: `within_m` gives (`within`, `min`)."""
    stem, _, suffix = name.rpartition("_")
    unit = _SPELLINGS.get(suffix)
    return (stem, unit) if stem and unit else (name, None)
