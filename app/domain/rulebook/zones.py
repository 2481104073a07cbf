"""Names of time zones. Only those of the tzdata package are accepted, so that a rulebook that one machine accepts is
accepted by every other: the database of an operating system has additional names."""

from functools import cache
from importlib import resources

from vigil.app.domain.rulebook.validation import nearest


@cache
def _names() -> frozenset[str]:
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def zone_problem(value: object, example: str) -> str | None:
    """Why a value of a file is not a time zone, and what to write instead; None if it is one."""
    if isinstance(value, str) and value in _names():
        return None
    near = nearest(value, _names(), cutoff=0.8) if isinstance(value, str) else None
    remedy = f"did you mean {near}?" if near else f'write it as "{example}"'
    return f"{value!r} is not a known time zone; {remedy}"
