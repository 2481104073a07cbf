"""The rulebook: every number by the date from which it holds. `reader.py` reads it strictly from one data file.

The reader stands apart, for it knows the sections of all subjects, whose modules import this package.
"""

from vigil.app.domain.rulebook.book import MAX_TIME, EffectiveVersion, Rulebook, RulebookError, midnight

__all__ = ["MAX_TIME", "EffectiveVersion", "Rulebook", "RulebookError", "midnight"]
