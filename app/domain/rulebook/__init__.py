"""The rulebook: every number by the date from which it holds, read strictly from one data file."""

from vigil.app.domain.rulebook.book import MAX_TIME, EffectiveVersion, Rulebook, RulebookError, midnight
from vigil.app.domain.rulebook.reader import BUILT_IN, SECTIONS, load_rulebook, parse_rulebook

__all__ = [
    "BUILT_IN",
    "MAX_TIME",
    "SECTIONS",
    "EffectiveVersion",
    "Rulebook",
    "RulebookError",
    "load_rulebook",
    "midnight",
    "parse_rulebook",
]
