"""The sections of a rulebook under headings, as `vigil rules` and docs/rulebook.md show them."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from vigil.app.domain.rulebook.book import Rulebook
from vigil.app.domain.rulebook.hosts import FAMILIES
from vigil.app.domain.subject import matches

LADDERS: Final = "ladder.*"


class Group(NamedTuple):
    """Sections that are shown under one heading."""

    title: str
    kind: str
    """What one of them is called."""
    sections: Sequence[str]


_TITLES: Final = (
    ("Ladders: what the nth violation of a family leads to", "ladder", (LADDERS,)),
    ("All rooms and hosts", "section", ("rooms", "hosts")),
    (
        "RFQs: metrics, service score and what it entitles to",
        "section",
        ("suppliers", "service-score", "verified-bonus", "entitlements", "gmv-challenge", "pins"),
    ),
    ("Stars of products", "section", ("star-plan", "star-conditions", "stars.*")),
    ("Industry selection of products", "section", ("selection-listing", "selection.*")),
    ("EPR: what needs a registration number, by country", "section", ("epr-blocking", "epr.*.*")),
    ("Duties: what is due by when", "section", ("due.*", "service-cover", "working-days")),
    ("Growth stages and programmes", "section", ("growth", "programme.*")),
    ("Buyers: labels and activities", "section", ("buyer-labels", "activity.*")),
    ("Permits: what a supplier may do, and what it needs", "permit", ("permit.*",)),
)
"""Title, kind and the patterns of the sections, in the order in which they are shown."""


def groups(book: Rulebook, shown: Sequence[str]) -> Iterator[Group]:
    """The groups of the sections `shown` that have any; each section stands in one of them."""
    rules = [name for name in shown if name in book.families]
    rules.sort(key=lambda name: (FAMILIES.index(book.families[name]), name))
    found = [Group("Room rules", "rule", rules)]
    found += [Group(title, kind, _matching(patterns, shown)) for title, kind, patterns in _TITLES]
    placed = {name for group in found for name in group.sections}
    found.append(Group("Everything else", "section", [name for name in shown if name not in placed]))
    return (group for group in found if group.sections)


def _matching(patterns: Sequence[str], shown: Sequence[str]) -> list[str]:
    return [name for pattern in patterns for name in shown if matches(pattern, name)]
