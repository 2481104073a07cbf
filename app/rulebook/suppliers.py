"""The numbers of the suppliers part of the rulebook, as types."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

SECTIONS: Final[Mapping[str, type[Struct]]] = {}
