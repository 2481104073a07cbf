"""The rulebook: every number by the date from which it holds, read strictly from one data file."""

from app.rulebook.book import NEVER, Dated, Rulebook, RulebookError, midnight
from app.rulebook.reader import BUILT_IN, SECTIONS, load_rulebook, parse_rulebook

__all__ = [
    "BUILT_IN",
    "NEVER",
    "SECTIONS",
    "Dated",
    "Rulebook",
    "RulebookError",
    "load_rulebook",
    "midnight",
    "parse_rulebook",
]
