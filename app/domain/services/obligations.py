"""The line of a duty: `obligation`, and what its status is as of a moment.

    since ──────── warn_at ──────── due ───────▶
      open          at-risk          breached        closed at or before due: met; cancelled before that: void

Time alone makes a duty at risk or breached: that waits for the clock. Source: announcement of July 2022; half of the
time for `at-risk` decided by Vigil.
"""

from typing import Final, NamedTuple

from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.memory import MEMORY
from vigil.app.domain.rulebook.book import EffectiveVersion
from vigil.app.domain.rulebook.services import DutyLimits
from vigil.topics.services import CoverReason, Obligation, ObligationStatus
from vigil.topics.verdicts import identity

TOPIC: Final = "obligation"


class Opened(NamedTuple):
    """A duty that was opened."""

    duty: str
    ref: str
    version: EffectiveVersion[DutyLimits]
    """The duty as it was in force when it was opened."""
    since: int
    due: int
    closed: int | None
    """When the first closing event came."""
    cancelled: int | None = None
    order_id: str | None = None
    product_id: str | None = None
    buyer_id: str | None = None

    @property
    def warn_at(self) -> int:
        return self.since + (self.due - self.since) // 2


class Status(NamedTuple):
    """A status, and since when it holds."""

    status: ObligationStatus
    at: int


def status_of(opened: Opened, facts: Facts) -> Status:
    """The status of a duty as of now."""
    since, due, moment = opened.since, opened.due, facts.moment
    closed, cancelled = _seen(opened.closed, facts), _seen(opened.cancelled, facts)
    if closed is not None and closed <= due and (cancelled is None or closed <= cancelled):
        return Status("met", max(closed, since))
    if cancelled is not None and cancelled <= due:
        return Status("void", max(cancelled, since))
    if moment.passed(due):
        return Status("breached", due)
    return Status("at-risk", opened.warn_at) if moment.passed(opened.warn_at) else Status("open", since)


def _seen(at: int | None, facts: Facts) -> int | None:
    return at if at is not None and facts.moment.reached(at) else None


def is_forgotten(due: int, status: ObligationStatus, facts: Facts) -> bool:
    """True if a duty that is over is not remembered any more."""
    return status in ("met", "void", "breached") and facts.moment.reached(due + MEMORY)


def obligation_id(duty: str, supplier_id: str, ref: str) -> str:
    """The identity of a duty."""
    return identity(duty, supplier_id, ref)


def obligation_of(
    opened: Opened, status: Status, supplier_id: str, facts: Facts, compensation_cents: int | None = None
) -> Obligation:
    """The line of a duty with its status."""
    limits = opened.version.limits
    return Obligation(
        obligation_id=obligation_id(opened.duty, supplier_id, opened.ref),
        duty=opened.duty,
        owed_by=limits.owed_by,
        supplier_id=supplier_id,
        ref=opened.ref,
        at=status.at,
        status=status.status,
        reason=None,
        since=opened.since,
        warn_at=opened.warn_at,
        due=opened.due,
        done_at=_seen(opened.closed, facts),
        compensation_usd=None if compensation_cents is None else _dollars(compensation_cents),
        order_id=opened.order_id,
        product_id=opened.product_id,
        buyer_id=opened.buyer_id,
        rulebook=opened.version.effective_date,
    )


def not_covered(  # noqa: PLR0913 - all that its line says
    duty: str,
    version: EffectiveVersion[DutyLimits],
    supplier_id: str,
    ref: str,
    at: int,
    reason: CoverReason,
    of_request: tuple[str, str, str],
) -> Obligation:
    """The one line of a request that is not covered; `of_request`: its order, product and buyer."""
    return Obligation(
        obligation_id=obligation_id(duty, supplier_id, ref),
        duty=duty,
        owed_by=version.limits.owed_by,
        supplier_id=supplier_id,
        ref=ref,
        at=at,
        status="not-covered",
        reason=reason,
        since=None,
        warn_at=None,
        due=None,
        done_at=None,
        compensation_usd=None,
        order_id=of_request[0],
        product_id=of_request[1],
        buyer_id=of_request[2],
        rulebook=version.effective_date,
    )


def _dollars(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
