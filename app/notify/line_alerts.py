"""An alert about a supplier's line, and its changes: what is stored, and what targets receive.

A line alert is about one obligation, one participation, or, as a *digest*, about many of one kind that came together.
Both structs are stored and sent as JSON objects: their field names are part of the contract.
"""

from typing import ClassVar, Final, Literal

from msgspec import Struct

from vigil.app.notify.changes import key_of
from vigil.topics.fields import Instant
from vigil.topics.programmes import Participation, ParticipationStatus
from vigil.topics.services import Obligation
from vigil.topics.topic import composed_key

LineKind = Literal["obligation", "participation"]

LineStatus = Literal["at-risk", "breached"] | ParticipationStatus
"""What routes can ask for: the first two of an obligation, the others of a participation."""

LineEvent = Literal["opened", "breached", "resolved", "noted", "digest"]
"""`noted`: a participation, which has no end. `digest`: many lines at once, which are not sent one by one."""

LineEnd = Literal["met", "closed-late", "void", "open", "not-covered", "gone", "expired", "evicted"]
"""What ended the alert of an obligation. `open`: an event came late, and it is not at risk any more. `gone`: it does
not follow from the events any more. `expired`: it has been breached for a week."""

MAX_TASKS: Final = 8
"""Tasks of a participation that an alert names."""
MAX_NAME_CHARS: Final = 128
"""Texts of a line are cut to so many characters: an alert is stored, and repeated with each of its changes."""


class LineAlert(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An obligation or a participation as it is by now. Times are event times in ms, but for `heard`."""

    id: str
    """A function of the line: the same on every machine and after every restart."""
    kind: LineKind
    name: str
    """The duty or the programme."""
    status: LineStatus
    at: Instant
    """Since when the status holds; of a digest the latest of them."""
    heard: Instant
    """Wall-clock time at which the latest message about it was read."""
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
    opened_at: Instant | None = None
    resolved_at: Instant | None = None
    why: LineEnd | None = None
    end_targets: tuple[str, ...] = ()
    """Names of the targets that must be notified of its end."""

    @property
    def open(self) -> bool:
        """True until it is resolved."""
        return self.resolved_at is None

    @property
    def momentary(self) -> bool:
        """True for what is published once and has no end: all but a single obligation."""
        return self.kind == "participation" or self.count > 0


class LineAlertChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of a line alert, with the alert as it is after that step."""

    stored_under: ClassVar[str] = "d:"
    """Begins the keys of records of the state that hold such a change."""

    id: str
    """The idempotency key: the same for every delivery of the same step."""
    event: LineEvent
    at: Instant
    """Event time of the step in ms."""
    line: LineAlert

    @property
    def kind(self) -> str:
        """What metrics count: the kind of line, or `resolved`."""
        return "resolved" if self.event == "resolved" else self.line.kind

    @property
    def alert(self) -> LineAlert:
        """The alert that it is a step of."""
        return self.line

    @property
    def letter_key(self) -> str:
        """The key of its dead letter."""
        return self.line.supplier_id


def change_of(line: LineAlert, event: LineEvent, before: str = "") -> LineAlertChange:
    """Return a step of a line alert: each status of a line at its time is one.

    `before`: what was sent of it last. A status that comes back with the time that it had before is another step.
    """
    id_ = key_of(line.id, event, line.status, line.at, line.count, line.why, before)
    return LineAlertChange(id=id_, event=event, at=line.at, line=line)


def participation_id(key: str) -> str:
    """Return the id of a participation by the key of its messages."""
    return key_of("participation", key)


def of_obligation(obligation: Obligation, status: LineStatus, now: int) -> LineAlert:
    """The alert of an obligation that is at risk or breached."""
    return LineAlert(
        id=obligation.obligation_id,
        kind="obligation",
        name=_cut(obligation.duty),
        status=status,
        at=obligation.at,
        heard=now,
        supplier_id=obligation.supplier_id,
        ref=_cut(obligation.ref),
        since=obligation.since,
        due=obligation.due,
        owed_by=obligation.owed_by,
        compensation_usd=_cut_some(obligation.compensation_usd),
        order_id=_cut_some(obligation.order_id),
        product_id=_cut_some(obligation.product_id),
        buyer_id=_cut_some(obligation.buyer_id),
        opened_at=obligation.at,
    )


def of_participation(participation: Participation, now: int) -> LineAlert:
    """The alert of a participation: it begins and ends with its status."""
    part = participation
    return LineAlert(
        id=participation_id(composed_key(part.programme, part.edition, part.supplier_id)),
        kind="participation",
        name=_cut(part.programme),
        status=part.status,
        at=part.at,
        heard=now,
        supplier_id=part.supplier_id,
        ref=_cut(part.edition),
        since=part.claimed_at,
        due=part.reward_by,
        reason=part.reason,
        undone=tuple(_cut(one.task) for one in part.tasks if one.done_at is None)[:MAX_TASKS],
        place=part.place,
        opened_at=part.at,
        resolved_at=part.at,
    )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_NAME_CHARS else text[: MAX_NAME_CHARS - 1] + "…"


def _cut_some(text: str | None) -> str | None:
    return None if text is None else _cut(text)
