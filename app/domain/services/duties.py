"""The duties that no request opens: declarations, rewards, places, what follows from another, what is asked for."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from vigil.app.domain.ledger.days import Days
from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.memory import MEMORY
from vigil.app.domain.rulebook.book import DatedSection
from vigil.app.domain.rulebook.services import DutyLimits
from vigil.app.domain.services.obligations import Opened, is_forgotten, obligation_of, status_of
from vigil.app.domain.services.requests import due_after
from vigil.topics.programmes import Participation
from vigil.topics.services import Obligation

_MONTHS: Final = {"month": 1, "half-year": 6, "year": 12}


class Period(NamedTuple):
    """A period for which sales are declared."""

    name: str
    """`2022-07`, `2022-H1`, `2022`."""
    begins_next: int
    """The first ms after it."""


def duty_lines(supplier_id: str, participations: Iterable[Participation], facts: Facts) -> list[Obligation]:
    """The lines of these duties; `participations`: those of the supplier."""
    lines = []
    for opened in _opened(list(participations), facts):
        status = status_of(opened, facts)
        if not is_forgotten(opened.due, status.status, facts):
            lines.append(obligation_of(opened, status, supplier_id, facts))
    return lines


def _opened(participations: list[Participation], facts: Facts) -> Iterator[Opened]:
    for duty, section in facts.rules.dues.items():
        kinds = {version.limits.opened_by for version in section.versions}
        if "period" in kinds:
            yield from _periods(duty, section, facts)
        if "reward" in kinds:
            yield from _rewards(duty, section, participations, facts)
        if "place" in kinds:
            yield from _places(duty, section, participations, facts)
        if "done" in kinds:
            yield from _follows(duty, section, participations, facts)
        if "ask" in kinds:
            yield from _asked(duty, section, facts)


def _make(  # noqa: PLR0913 - a duty and its time
    duty: str, ref: str, section: DatedSection[DutyLimits], since: int, facts: Facts, due: int | None = None
) -> Iterator[Opened]:
    """The duty, if it is in force at `since`, and that is not after now."""
    version = section.at(since)
    if version is None or not facts.moment.reached(since):
        return
    due = due_after(since, version.limits, facts) if due is None else due
    yield Opened(duty, ref, version, since, due, _done(duty, ref, facts))


def _done(duty: str, ref: str, facts: Facts) -> int | None:
    record = facts.ledger.duties.get((duty, ref))
    return None if record is None else record.done


# ---- declarations ----------------------------------------------------------------------------------------------------


def _periods(duty: str, section: DatedSection[DutyLimits], facts: Facts) -> Iterator[Opened]:
    for place in _registered(facts):
        category = facts.rules.epr.get(place.replace("/", "."))
        limits = None if category is None else facts.moment.limits(category)
        if limits is None:
            continue
        for period in _periods_until(facts.now, _MONTHS[limits.declared], facts):
            since = period.begins_next
            if section.at(since) is not None and facts.at(since - 1).certificate("epr", place):
                yield from _make(duty, f"{place}/{period.name}", section, since, facts)


def _registered(facts: Facts) -> list[str]:
    """Each `COUNTRY/CATEGORY` for which a certificate was accepted at some time."""
    certificates = (record for records in facts.ledger.certificates.values() for record in records)
    return sorted({record.place for record in certificates if record.accepted and record.place})


def _periods_until(now: int, months: int, facts: Facts) -> Iterator[Period]:
    """The periods that end by now and are remembered; the one that ends next is noted."""
    calendar: Days = facts.rules.days
    first = calendar.months.month_of(max(now - MEMORY, 0)) - 2
    first -= first % months
    month = first
    while True:
        begins_next = calendar.months.start(month + months)
        if not facts.moment.reached(begins_next):
            return
        yield Period(_period_name(month, months), begins_next)
        month += months


def _period_name(month: int, months: int) -> str:
    year, index = divmod(month, 12)
    if months == _MONTHS["month"]:
        return f"{year:04}-{index + 1:02}"
    return f"{year:04}-H{index // months + 1}" if months == _MONTHS["half-year"] else f"{year:04}"


# ---- programmes ------------------------------------------------------------------------------------------------------


def _rewards(
    duty: str, section: DatedSection[DutyLimits], participations: list[Participation], facts: Facts
) -> Iterator[Opened]:
    for one in participations:
        if one.rewards and one.reward_by is not None:
            yield from _make(duty, f"{one.programme}/{one.edition}", section, one.at, facts, one.reward_by)


def _places(
    duty: str, section: DatedSection[DutyLimits], participations: list[Participation], facts: Facts
) -> Iterator[Opened]:
    for one in participations:
        if one.place is None:
            continue
        version = section.at(one.at)
        if version is not None and version.limits.programme == one.programme and version.limits.ref is not None:
            yield from _make(duty, version.limits.ref, section, one.at, facts)


def _follows(
    duty: str, section: DatedSection[DutyLimits], participations: list[Participation], facts: Facts
) -> Iterator[Opened]:
    for version in section.versions:
        limits = version.limits
        before = facts.rules.dues.get(limits.of or "")
        if before is None or limits.of is None or limits.ref is None:
            continue
        opened = {one.ref for one in _places(limits.of, before, participations, facts)}
        done = _done(limits.of, limits.ref, facts)
        if limits.ref in opened and done is not None and section.at(done) is version:
            yield from _make(duty, limits.ref, section, done, facts)


def _asked(duty: str, section: DatedSection[DutyLimits], facts: Facts) -> Iterator[Opened]:
    for (name, ref), record in facts.ledger.duties.items():
        if name == duty and record.asked is not None:
            yield from _make(duty, ref, section, record.asked, facts)
