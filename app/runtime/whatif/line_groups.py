"""Changes of suppliers' lines together: equal ones with examples, in sentences; and how much changes for whom. Pure."""

from collections.abc import Iterable
from typing import Final, NamedTuple, get_args

from vigil.app.runtime.whatif.line_changes import SUPPLIER, Effect, LineChange, Noun
from vigil.topics.programmes import ParticipationStatus
from vigil.topics.services import ObligationStatus


class ChangeGroup(NamedTuple):
    """Equal changes of several lines."""

    what: str
    noun: Noun
    was: str
    now: str
    effect: Effect
    number: int
    suppliers: int
    examples: tuple[str, ...]
    """The first keys."""


MOST_EXAMPLES: Final = 3


def grouped(changes: Iterable[LineChange]) -> list[ChangeGroup]:
    """The changes that are alike, together: gains first, then losses, the largest first."""
    groups: dict[tuple[str, Noun, str, str, Effect], list[LineChange]] = {}
    for change in changes:
        groups.setdefault(change[:5], []).append(change)
    found = [
        ChangeGroup(*same, len(each), len({one.supplier_id for one in each}), tuple(_examples(each)))
        for same, each in groups.items()
    ]
    return sorted(found, key=lambda group: (_EFFECTS.index(group.effect), -group.number, group.what, group.now))


_EFFECTS: Final = ("gain", "loss", "other")


def _examples(changes: list[LineChange]) -> list[str]:
    """The first keys, of different suppliers first."""
    by_supplier = {change.supplier_id: change.key for change in reversed(changes)}
    keys = [*reversed(by_supplier.values()), *(change.key for change in changes)]
    return list(dict.fromkeys(keys))[:MOST_EXAMPLES]


class SupplierEffects(NamedTuple):
    """How much changes for one supplier."""

    supplier_id: str
    gains: int
    losses: int
    others: int


def by_supplier(changes: Iterable[LineChange]) -> list[SupplierEffects]:
    """The suppliers for whom anything would change, the most changed first."""
    counts: dict[str, list[int]] = {}
    for change in changes:
        counts.setdefault(change.supplier_id, [0, 0, 0])[_EFFECTS.index(change.effect)] += 1
    found = [SupplierEffects(supplier_id, *numbers) for supplier_id, numbers in counts.items()]
    return sorted(found, key=lambda one: (-sum(one[1:]), one.supplier_id))


def group_words(group: ChangeGroup) -> str:
    """`5 products of 3 suppliers would have 1 star instead of 0 stars, such as s-1/p, s-2/q`."""
    noun = group.noun
    things = noun.one if group.number == 1 else noun.many
    if noun is not SUPPLIER:
        things += f" of {group.suppliers:,} supplier{'' if group.suppliers == 1 else 's'}"
    such_as = ", such as" if group.number > len(group.examples) else ":"
    return f"{_change_words(group, things)}{such_as} {', '.join(group.examples)}"


def _change_words(group: ChangeGroup, things: str) -> str:
    number = f"{group.number:,}"
    if not group.now:
        return f"{number} fewer {things}, now {group.was}"
    if not group.was and group.now in _STATUSES:
        return f"{number} more {things}, {group.now}"
    instead = f" instead of {group.was}" if group.was else ""
    return f"{number} {things} would {group.noun.verb} {group.now}{instead}"


_STATUSES: Final = frozenset(get_args(ObligationStatus) + get_args(ParticipationStatus))
