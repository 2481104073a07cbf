"""What another rulebook changes for suppliers: stars, selection, EPR, obligations, participations and rights. Pure.

    messages that differ ──▶ changes: what, was → is, gain or loss ──▶ groups with examples ──▶ sentences, tables

A change is a gain or a loss from the supplier's point of view: a duty that it owes and does not breach any more is a
gain, and so is one that the marketplace owes to it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, NamedTuple, TypeVar, cast

import msgspec
from msgspec import Struct

from vigil.app.runtime.whatif.compare import OtherChanges
from vigil.topics.products import ProductStanding
from vigil.topics.programmes import Participation, SupplierRights
from vigil.topics.services import Obligation
from vigil.topics.topic import composed_key

Effect = Literal["gain", "loss", "other"]

DETAILS: Final = "other details"
"""What a line would have that differs in what is neither better nor worse, such as the conditions of the next star."""

NO_LINE: Final = ""
"""What a line was or is where there is none, or it does not matter."""

S = TypeVar("S", bound=Struct)


class Noun(NamedTuple):
    """What changes, for sentences."""

    one: str
    many: str
    verb: str
    """`be` or `have`, before what it would be."""


PRODUCT: Final = Noun("product", "products", "have")
SUPPLIER: Final = Noun("supplier", "suppliers", "have")


class LineChange(NamedTuple):
    """One thing that would be another for one supplier."""

    what: str
    """`stars`, `due.service-visit`, `permit.medical-3` …: where the rulebook has a section, its name."""
    noun: Noun
    was: str
    now: str
    effect: Effect
    supplier_id: str
    key: str
    """What shows it: the key of the line."""


def line_changes(others: Mapping[str, OtherChanges]) -> list[LineChange]:
    """Every change of the lines of suppliers, in the order of topics and keys."""
    return [
        change
        for topic, changes_of in _BY_TOPIC.items()
        for was, now in _pairs(others.get(topic))
        for change in list(changes_of(was, now)) or _details(was, now)
    ]


def _details(was: Struct | None, now: Struct | None) -> Iterator[LineChange]:
    """The change of a line that differs in nothing that is named."""
    if isinstance(was, ProductStanding) and isinstance(now, ProductStanding):
        key = composed_key(now.supplier_id, now.product_id)
        yield LineChange("product", PRODUCT, NO_LINE, DETAILS, "other", now.supplier_id, key)
    if isinstance(was, SupplierRights) and isinstance(now, SupplierRights) and _own(was) != _own(now):
        yield LineChange(
            "rights", SUPPLIER, NO_LINE, f"rights with {DETAILS}", "other", now.supplier_id, now.supplier_id
        )


def _own(line: SupplierRights) -> SupplierRights:
    """The line without its date, and without what products and participations change and show."""
    return msgspec.structs.replace(line, rulebook=None, starred_products=None, rewards=())


def _pairs(changes: OtherChanges | None) -> Iterator[tuple[Struct | None, Struct | None]]:
    if changes is None:
        return
    yield from ((None, body) for body in changes.added)
    yield from ((body, None) for body in changes.gone)
    for was, now in changes.changed:
        if _without_dates(was) != _without_dates(now):
            yield was, now


def _without_dates(line: Struct) -> Struct:
    """The line without the date of the rulebook, which another one may have for the same outcome."""
    return msgspec.structs.replace(line, rulebook=None)


def _effect(was: float, now: float) -> Effect:
    return "gain" if now > was else "loss" if now < was else "other"


# ---- products -----------------------------------------------------------------------------------------------------


def _product(was: Struct | None, now: Struct | None) -> Iterator[LineChange]:
    before, after = cast("ProductStanding | None", was), cast("ProductStanding | None", now)
    line = cast("ProductStanding", after or before)
    key = composed_key(line.supplier_id, line.product_id)

    def change(what: str, was_: str, now_: str, effect: Effect) -> LineChange:
        return LineChange(what, PRODUCT, was_, now_, effect, line.supplier_id, key)

    stars = _stars(before), _stars(after)
    if stars[0] != stars[1]:
        yield change("stars", _star_words(stars[0]), _star_words(stars[1]), _effect(stars[0], stars[1]))
    grades = _grade(before), _grade(after)
    if grades[0] != grades[1]:
        effect = _effect(_GRADES.index(grades[0]), _GRADES.index(grades[1]))
        yield change("selection", _GRADE_WORDS[grades[0]], _GRADE_WORDS[grades[1]], effect)
    for country in sorted({*_blocked(before), *_blocked(after)}):
        blocked = country in _blocked(before), country in _blocked(after)
        if blocked[0] != blocked[1]:
            open_, closed = f"free trade in {country}", f"trade blocked in {country}"
            words = (closed, open_) if blocked[0] else (open_, closed)
            yield change(f"epr.{country}", *words, "gain" if blocked[0] else "loss")


_GRADES: Final = (None, "competitive", "top")
_GRADE_WORDS: Final = {None: "no selection", "competitive": "the grade competitive", "top": "the grade top"}


def _stars(line: ProductStanding | None) -> int:
    """The stars of a product; −1 for none yet."""
    return -1 if line is None or line.stars is None else line.stars


def _star_words(stars: int) -> str:
    return "no stars yet" if stars < 0 else f"{stars} star{'' if stars == 1 else 's'}"


def _grade(line: ProductStanding | None) -> Literal["top", "competitive"] | None:
    return None if line is None or line.selection is None else line.selection.grade


def _blocked(line: ProductStanding | None) -> set[str]:
    return set() if line is None else {country for country, epr in line.epr.items() if epr.blocked}


# ---- obligations --------------------------------------------------------------------------------------------------


def _obligation(was: Struct | None, now: Struct | None) -> Iterator[LineChange]:
    before, after = cast("Obligation | None", was), cast("Obligation | None", now)
    line = cast("Obligation", after or before)
    noun = Noun(f"obligation {line.duty}", f"obligations {line.duty}", "be")

    def change(was_: str, now_: str, effect: Effect) -> LineChange:
        return LineChange(f"due.{line.duty}", noun, was_, now_, effect, line.supplier_id, line.obligation_id)

    statuses = _status(before), _status(after)
    if statuses[0] != statuses[1]:
        yield change(*statuses, _effect(_duty_worth(before), _duty_worth(after)))
        return
    dues = [one.due for one in (before, after) if one is not None and one.due is not None]
    if len(set(dues)) > 1:
        longer = dues[1] > dues[0]
        yield change(NO_LINE, "due later" if longer else "due earlier", _of_owner(line, longer))
    else:
        yield change(NO_LINE, "with other details", "other")


def _of_owner(line: Obligation, longer: bool) -> Effect:
    """More time is a gain of a supplier that owes, and a loss of one to which something is owed."""
    return "gain" if longer == (line.owed_by == "supplier") else "loss"


def _status(line: Obligation | Participation | None) -> str:
    return NO_LINE if line is None else line.status


def _duty_worth(line: Obligation | None) -> int:
    """How good a duty is for the supplier: one that it owes is a burden, one that it breaches a worse one."""
    if line is None or line.status in ("not-covered", "void"):
        return 0
    if line.owed_by == "marketplace":
        return 0 if line.status == "breached" else 1
    return {"met": 0, "breached": -2}.get(line.status, -1)


# ---- participations -----------------------------------------------------------------------------------------------

_WORTH: Final = {"claimed": 1, "completed": 2}


def _participation(was: Struct | None, now: Struct | None) -> Iterator[LineChange]:
    before, after = cast("Participation | None", was), cast("Participation | None", now)
    line = cast("Participation", after or before)
    noun = Noun(f"participation in {line.programme}", f"participations in {line.programme}", "be")
    key = composed_key(line.programme, line.edition, line.supplier_id)
    statuses = _status(before), _status(after)
    if statuses[0] != statuses[1]:
        effect = _effect(_WORTH.get(statuses[0], 0), _WORTH.get(statuses[1], 0))
        yield LineChange(f"programme.{line.programme}", noun, *statuses, effect, line.supplier_id, key)
    elif before is not None and after is not None:
        rewards = len(before.rewards), len(after.rewards)
        words = {"gain": "rewarded more", "loss": "rewarded less", "other": "with other details"}[_effect(*rewards)]
        yield LineChange(f"programme.{line.programme}", noun, NO_LINE, words, _effect(*rewards), line.supplier_id, key)


# ---- rights -------------------------------------------------------------------------------------------------------


def _rights(was: Struct | None, now: Struct | None) -> Iterator[LineChange]:
    before, after = cast("SupplierRights | None", was), cast("SupplierRights | None", now)
    line = cast("SupplierRights", after or before)
    id_ = line.supplier_id
    for kind, names_of in (("permit", _permits), ("activity", _activities)):
        held, holds = names_of(before), names_of(after)
        for name in sorted(held ^ holds):
            words = (f"no {kind} {name}", f"the {kind} {name}")
            gained = name in holds
            change = words if gained else words[::-1]
            yield LineChange(f"{kind}.{name}", SUPPLIER, *change, "gain" if gained else "loss", id_, id_)
    for what, value_of in (("labels", _labels), ("gold-rfqs", _gold), ("growth", _growth)):
        values = value_of(before), value_of(after)
        if values[0] != values[1]:
            effect = _effect(values[0][1], values[1][1])
            yield LineChange(what, SUPPLIER, values[0][0], values[1][0], effect, id_, id_)


def _permits(line: SupplierRights | None) -> set[str]:
    return set() if line is None else set(line.permits)


def _activities(line: SupplierRights | None) -> set[str]:
    return set() if line is None else {one.activity for one in line.activities}


def _labels(line: SupplierRights | None) -> tuple[str, float]:
    """The labels in words, and how many tiers have one, those of their own twice."""
    labels = None if line is None else line.labels
    if not any((labels or {}).values()) or labels is None:
        return "no labels", 0
    shown = [f"{tier} as {label}" for tier, label in labels.items() if label is not None]
    return f"the labels {', '.join(shown)}", sum(
        (label is not None) + (label == tier) for tier, label in labels.items()
    )


def _gold(line: SupplierRights | None) -> tuple[str, float]:
    gold = None if line is None else line.gold_rfqs
    if gold is None:
        return "no quota of gold RFQs", -1
    if gold.total is None:
        return "unlimited gold RFQs", float("inf")
    return f"a quota of {gold.total} gold RFQs", gold.total


def _growth(line: SupplierRights | None) -> tuple[str, float]:
    growth = None if line is None else line.growth
    return ("no growth stage" if growth is None else f"the growth stage {growth.stage}"), 0


_BY_TOPIC: Final[Mapping[str, Callable[[Struct | None, Struct | None], Iterator[LineChange]]]] = {
    "product-standing": _product,
    "obligation": _obligation,
    "participation": _participation,
    "supplier-rights": _rights,
}

LINE_TOPICS: Final = frozenset(_BY_TOPIC)
