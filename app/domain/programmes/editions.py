"""Editions of programmes: their names, their windows, and the rules by which a claim of them is judged."""

from datetime import date
from typing import NamedTuple

from vigil.app.domain.ledger.days import Days, day_of_month
from vigil.app.domain.rulebook.book import DatedSection, EffectiveVersion
from vigil.app.domain.rulebook.programmes import Programme
from vigil.app.domain.suppliers.calendar import month_from_name, month_name


class EditionWindow(NamedTuple):
    """The window of an edition: its first and last ms."""

    opens: int
    closes: int


def edition_at(section: DatedSection[Programme], at: int, days: Days) -> str:
    """The edition to which a claim at a time belongs: that of its month, or the only one."""
    limits = section.at_or_first(at).limits
    return limits.opens if limits.opens is not None else month_name(days.months.month_of(at))


def previous_month(at: int, days: Days) -> str:
    """The edition of the month before the one in which an instant lies."""
    return month_name(days.months.month_of(at) - 1)


def window_of(section: DatedSection[Programme], edition: str, limits: Programme, days: Days) -> EditionWindow | None:
    """The window of an edition; None if it ends before the programme begins. No edition opens before that."""
    if limits.opens is not None and limits.closes is not None:
        first, last = date.fromisoformat(limits.opens), date.fromisoformat(limits.closes)
    else:
        month = month_from_name(edition)
        first, last = day_of_month(month, limits.first_day), day_of_month(month, limits.last_day)
    began = section.versions[0].start
    closes = days.end(last)
    return None if closes < began else EditionWindow(max(days.start(first), began), closes)


def version_for(
    section: DatedSection[Programme], edition: str, claimed_at: int, days: Days
) -> tuple[EffectiveVersion[Programme], EditionWindow] | None:
    """The programme as it was at the window's first instant, or at the claim where that is later, and the window.

    None if the edition ends before the programme begins.
    """
    version = section.at_or_first(claimed_at)
    window = window_of(section, edition, version.limits, days)
    if window is None:
        return None
    version = section.at_or_first(max(window.opens, claimed_at))
    window = window_of(section, edition, version.limits, days)
    return None if window is None else (version, window)


def reward_by(limits: Programme, edition: str, days: Days) -> int | None:
    """Until when the rewards of an edition are to be given; None if it gives none."""
    if limits.reward_by is not None:
        return days.end_of_named(limits.reward_by)
    if limits.reward_by_day is None:
        return None
    month = month_from_name(edition) + 1
    return days.end(day_of_month(month, limits.reward_by_day))
