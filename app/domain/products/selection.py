"""Whether a product is selected in its industry, and since when it is listed.

A product is selected if it is clean and has one ability of its industry's row; it is a top one if it has all that a
theme asks for. It is listed some days after the first of its states from which on all were selected in this industry.
"""

from typing import Final, Literal

from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.memory import DAY_MS
from vigil.app.domain.ledger.records import ProductRecord, ProductState
from vigil.app.domain.products.conditions import Conditions, holds_by_state, is_clean
from vigil.app.domain.rulebook.products import SelectionTable, StarConditions, Theme
from vigil.topics.products import IndustrySelection

_DAY: Final = DAY_MS


def selection_of(record: ProductRecord, state: ProductState, facts: Facts) -> IndustrySelection | None:
    """The selection of a product as it is now; None where its industry has none, or none yet."""
    rules, moment = facts.rules, facts.moment
    section = rules.selection.get(state.industry)
    table = None if section is None else moment.limits(section)
    limits, listing = moment.limits(rules.star_conditions), moment.limits(rules.listing)
    if table is None or limits is None or listing is None:
        return None
    conditions = Conditions(state, facts, limits)
    has = tuple(name for name in table.abilities if conditions.holds(name))
    themes = [(theme, conditions.failing(theme.needs)) for theme in table.themes]
    since = selected_since(record, state.industry, facts.now, table, limits)
    return IndustrySelection(
        grade=_grade(has, [failing for _, failing in themes]) if is_clean(state, limits) else None,
        has=has,
        missing=next((failing for theme, failing in themes if _is_begun(theme, failing)), ()),
        listed_at=None if since is None else since + listing.after_days * _DAY,
    )


def _grade(has: tuple[str, ...], themes: list[tuple[str, ...]]) -> Literal["top", "competitive"] | None:
    """The grade of a clean product; `themes`: of each, what does not hold."""
    if () in themes:
        return "top"
    return "competitive" if has else None


def _is_begun(theme: Theme, failing: tuple[str, ...]) -> bool:
    return 0 < len(failing) < len(theme.needs)


def selected_since(
    record: ProductRecord, industry: str, now: int, table: SelectionTable, limits: StarConditions
) -> int | None:
    """The time of the first state from which on all were selected in an industry; None if the latest was not.

    A service counts whatever permit is held: when a permit began is not the product's doing.
    """
    since = record.selected_since if record.selected_in == industry else None
    for state in record.states:
        if state.at > now:
            break
        if not is_selected(state, industry, table, limits):
            since = None
        elif since is None:
            since = state.at
    return since


def is_selected(state: ProductState, industry: str, table: SelectionTable, limits: StarConditions) -> bool:
    """True if a state alone makes the product a selected one of an industry."""
    if state.deleted or state.industry != industry or not is_clean(state, limits):
        return False
    themes = any(all(holds_by_state(name, state) for name in theme.needs) for theme in table.themes)
    return themes or any(holds_by_state(name, state) for name in table.abilities)
