"""Units of the rulebook's numbers. A key's name ends with its unit, so that no number can be read in the wrong one."""

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
"""The suffix of a key's name, and the unit in words."""

_ALTERNATIVES: Final = {
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
"""How people write a unit by mistake: for the hint in a problem, such as `within_m` for `within_s`."""

_SPELLINGS: Final = {spelling: unit for unit, also in _ALTERNATIVES.items() for spelling in (unit, *also.split())}


def split_unit(name: str) -> tuple[str, str | None]:
    """The name without its unit, and the unit as in NAMES: `within_m` gives (`within`, `min`)."""
    stem, _, suffix = name.rpartition("_")
    unit = _SPELLINGS.get(suffix)
    return (stem, unit) if stem and unit else (name, None)
