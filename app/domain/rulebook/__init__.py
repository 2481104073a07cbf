"""The rulebook: every number of every rule by the date from which it is effective. `reader.py` reads the data file.

The reader is not imported here: it needs the sections of all subjects, whose modules import this package.
"""

from vigil.app.domain.rulebook.book import DatedSection, EffectiveVersion, Rulebook, RulebookError, midnight

__all__ = ["DatedSection", "EffectiveVersion", "Rulebook", "RulebookError", "midnight"]
