"""The names of the time zone database, the same on every machine; a system has others of its own beside them."""

from functools import cache
from importlib import resources
from typing import Any

from vigil.app.domain.rulebook.shape import nearest


@cache
def _names() -> frozenset[str]:
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def no_zone(said: Any, example: str) -> str | None:
    """In words, why a value of a file is no time zone, and what to write; None where it is one."""
    if isinstance(said, str) and said in _names():
        return None
    near = nearest(said, _names(), cutoff=0.8) if isinstance(said, str) else None
    remedy = f"did you mean {near}?" if near else f'write it as "{example}"'
    return f"{said!r} is not a known time zone; {remedy}"
