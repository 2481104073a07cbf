"""The duties that a service request opens."""

from collections.abc import Iterator
from typing import Final, cast

from vigil.app.domain.industries.score import exact_share
from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.memory import DAY_MS, MEMORY
from vigil.app.domain.ledger.records import RequestRecord
from vigil.app.domain.rulebook.book import EffectiveVersion
from vigil.app.domain.rulebook.services import DutyLimits
from vigil.app.domain.services.coverage import cover_of
from vigil.app.domain.services.obligations import Opened, Status, is_forgotten, not_covered, obligation_of, status_of
from vigil.app.domain.suppliers.metric_table import CENTS
from vigil.topics.services import CoverReason, Obligation

HOUR_MS: Final = 3_600_000


def request_lines(supplier_id: str, request: RequestRecord, facts: Facts) -> list[Obligation]:
    """The lines of a request: its duties, or the one line that says why it is not covered."""
    requested = request.requested
    if requested is None or not facts.moment.reached(requested):
        return []
    cover = cover_of(request, requested, facts)
    opened = list(_opened(request, requested, facts))
    if cover.reason:
        return _uncovered(supplier_id, request, requested, cast("CoverReason", cover.reason), facts)
    lines, compensated = [], False
    for duty in sorted(opened, key=lambda duty: duty.due):
        status = status_of(duty, facts)
        owed = None
        if not compensated:
            owed = _compensation(duty, status, cover.cents)
            compensated = owed is not None
        if not is_forgotten(duty.due, status.status, facts):
            lines.append(obligation_of(duty, status, supplier_id, facts, owed))
    return lines


def _duties(need: str, requested: int, facts: Facts) -> Iterator[tuple[str, EffectiveVersion[DutyLimits]]]:
    """The duties that a request of some need opens, as they were in force then."""
    for duty, section in facts.rules.dues.items():
        version = section.at(requested)
        if version is None or version.limits.opened_by != "request":
            continue
        if not version.limits.needs or need in version.limits.needs:
            yield duty, version


def _opened(request: RequestRecord, requested: int, facts: Facts) -> Iterator[Opened]:
    for duty, version in _duties(request.need, requested, facts):
        times = [getattr(request, kind.replace("-", "_")) for kind in version.limits.closed_by]
        yield Opened(
            duty,
            request.request_id,
            version,
            requested,
            due_after(requested, version.limits, facts),
            min((at for at in times if at is not None), default=None),
            request.cancelled,
            request.order_id,
            request.product_id,
            request.buyer_id,
        )


def due_after(since: int, limits: DutyLimits, facts: Facts) -> int:
    """When a duty that was opened at `since` is due; a reward's time is the programme's."""
    if limits.within_h is not None:
        return since + limits.within_h * HOUR_MS
    if limits.within_days is not None:
        return since + limits.within_days * DAY_MS
    if limits.working_days is not None:
        calendar = facts.rules.working_days.limits_at(since)
        holidays = frozenset(() if calendar is None else calendar.holidays)
        return facts.rules.days.end_after_working_days(since, limits.working_days, holidays)
    return facts.rules.days.end_of_month_after(since, limits.months_end or 0)


def _uncovered(
    supplier_id: str, request: RequestRecord, requested: int, reason: CoverReason, facts: Facts
) -> list[Obligation]:
    """One line, of the duty that every request opens."""
    every = ((duty, version) for duty, version in _duties(request.need, requested, facts) if not version.limits.needs)
    found = next(every, None)
    if found is None or facts.moment.reached(requested + MEMORY):
        return []
    of_request = (request.order_id, request.product_id, request.buyer_id)
    return [not_covered(*found, supplier_id, request.request_id, requested, reason, of_request)]


def _compensation(duty: Opened, status: Status, cents: int) -> int | None:
    """What is owed to the buyer, in cents: half a cent counts as one."""
    limits = duty.version.limits
    if status.status != "breached" or limits.compensation_share is None:
        return None
    numerator, denominator = exact_share(limits.compensation_share)
    owed = (2 * cents * numerator + denominator) // (2 * denominator)
    return owed if limits.compensation_most_usd is None else min(owed, limits.compensation_most_usd * CENTS)
