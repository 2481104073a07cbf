"""An alert about a supplier's line: one obligation, one participation, or, as a *digest*, many of one kind.

It is sent as a JSON object: its field names are part of the contract.
"""

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from vigil.topics.fields import Instant
from vigil.topics.programmes import Participation, ParticipationStatus
from vigil.topics.services import Obligation
from vigil.topics.verdicts import identity

LineKind = Literal["obligation", "participation"]

LineStatus = Literal["at-risk", "breached"] | ParticipationStatus
"""What routes can ask for: the first two of an obligation, the others of a participation."""

LineEnd = Literal["met", "closed-late", "void", "open", "not-covered", "gone", "expired"]
"""What ended the alert of an obligation. `open`: an event came late, and it is not at risk any more. `gone`: it does
not follow from the events any more. `expired`: it has been breached for a week."""

MAX_TASKS: Final = 8
"""Tasks of a participation that an alert names."""
MAX_NAME_CHARS: Final = 128
"""Texts of a line are cut to so many characters: an alert is kept in memory while it is open."""


class LineAlert(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An obligation or a participation as it is by now. Times are event times in ms."""

    id: str
    """A function of the line: the same on every machine and after every restart."""
    kind: LineKind
    name: str
    """The duty or the programme."""
    status: str
    """That of the line (LineStatus, or what ended an obligation); of an end the one that was sent last."""
    at: Instant
    """Since when the status holds; of a digest the latest of them."""
    supplier_id: str = ""
    ref: str = ""
    """Of an obligation its `ref`, of a participation its edition."""
    since: Instant | None = None
    """When it was opened, or claimed; of a digest the earliest `at`."""
    due: Instant | None = None
    """The deadline; of a participation that of its rewards; of a digest the earliest deadline."""
    owed_by: Literal["supplier", "marketplace"] | None = None
    reason: str | None = None
    undone: tuple[str, ...] = ()
    """Of a participation that waits or has failed: its tasks that are not done."""
    place: int | None = None
    compensation_usd: str | None = None
    order_id: str | None = None
    product_id: str | None = None
    buyer_id: str | None = None
    count: int = 0
    """Of a digest: for how many lines it stands; else 0."""
    suppliers: tuple[str, ...] = ()
    """Of a digest: some of their suppliers."""
    resolved_at: Instant | None = None
    why: LineEnd | None = None
    """What ended it; None while it goes on, and of what has no end."""

    @property
    def momentary(self) -> bool:
        """True for what is published once and has no end: all but a single obligation."""
        return self.kind == "participation" or self.count > 0


def of_obligation(obligation: Obligation) -> LineAlert:
    """The alert of an obligation."""
    status = obligation.status
    fields: dict[str, Any] = {}
    if status == "breached" and obligation.done_at is not None:
        fields = {"why": "closed-late", "resolved_at": max(obligation.done_at, obligation.at)}
    elif status not in ("at-risk", "breached"):
        fields = {"why": status, "resolved_at": obligation.at}
    return LineAlert(
        id=obligation.obligation_id,
        kind="obligation",
        name=_cut(obligation.duty),
        status=status,
        at=obligation.at,
        supplier_id=obligation.supplier_id,
        ref=_cut(obligation.ref),
        since=obligation.since,
        due=obligation.due,
        owed_by=obligation.owed_by,
        compensation_usd=_cut_some(obligation.compensation_usd),
        order_id=_cut_some(obligation.order_id),
        product_id=_cut_some(obligation.product_id),
        buyer_id=_cut_some(obligation.buyer_id),
        **fields,
    )


def of_participation(participation: Participation) -> LineAlert:
    """The alert of a participation: it begins and ends with its status."""
    part = participation
    return LineAlert(
        id=identity("participation", part.programme, part.edition, part.supplier_id),
        kind="participation",
        name=_cut(part.programme),
        status=part.status,
        at=part.at,
        supplier_id=part.supplier_id,
        ref=_cut(part.edition),
        since=part.claimed_at,
        due=part.reward_by,
        reason=part.reason,
        undone=tuple(_cut(one.task) for one in part.tasks if one.done_at is None)[:MAX_TASKS],
        place=part.place,
    )


def ended(alert: LineAlert, why: LineEnd, at: int, status: str) -> LineAlert:
    """The alert as of its end; `status`: the one that was sent last."""
    at = max(at, alert.at)
    return msgspec.structs.replace(alert, why=why, resolved_at=at, at=at, status=status)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_NAME_CHARS else text[: MAX_NAME_CHARS - 1] + "…"


def _cut_some(text: str | None) -> str | None:
    return None if text is None else _cut(text)
