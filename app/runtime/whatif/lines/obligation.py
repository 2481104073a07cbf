"""Explains an obligation: who owes what, on which events, until when, what follows and what would close it. Pure."""

from collections.abc import Iterator
from typing import Final, cast

from vigil.app.domain.ledger.memory import MEMORY
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.formatting import format_value
from vigil.app.domain.rulebook.services import DutyLimits
from vigil.app.messages import Message
from vigil.app.messages.names import name_message, text_message
from vigil.app.runtime.whatif.lines.case import CaseEvent, CaseRead, SupplierCase
from vigil.app.runtime.whatif.lines.event_words import event_seen
from vigil.app.runtime.whatif.lines.explanation import LineExplanation, Section, section_of, sections_at
from vigil.app.runtime.whatif.local_time import Clock
from vigil.topics.products import Certificate, Order
from vigil.topics.services import Activity, Obligation, ServiceRequest

_ENDED: Final = ("met", "void", "breached", "not-covered")


def explain_obligation(line: Obligation, rulebook: Rulebook, case: SupplierCase | None) -> LineExplanation:
    """Explain a published obligation; `case`: None where its supplier's events are not known."""
    clock = Clock(rulebook)
    duty = f"due.{line.duty}"
    sections = section_of(rulebook, duty, line.rulebook)
    limits = cast("DutyLimits", sections[0].version.limits) if sections else None
    sections += _further_sections(line, limits, rulebook)
    caveats = [] if limits is not None else [Message("explain.no-section", {"section": duty, "day": line.rulebook})]
    return LineExplanation(
        title=Message(
            "explain.obligation.title",
            {"id": line.obligation_id, "name": name_message("duty", line.duty), "duty": line.duty},
        ),
        happened=list(_happened(line, clock)),
        sections=sections,
        evidence=[] if case is None else [event_seen(read, clock) for read in _evidence(line, limits, case)],
        follows=list(_follows(line, limits, clock)),
        clears=list(_clears(line, limits, clock)),
        caveats=caveats,
        line=line,
    )


def _further_sections(line: Obligation, limits: DutyLimits | None, rulebook: Rulebook) -> list[Section]:
    """What covers a request, and which days are working days."""
    since = line.at if line.since is None else line.since
    if line.order_id is not None:
        return sections_at(rulebook, ["service-cover"], since)
    working_days = limits is not None and limits.working_days is not None
    return sections_at(rulebook, ["working-days"], since) if working_days else []


def _happened(line: Obligation, clock: Clock) -> Iterator[Message]:
    yield Message(f"explain.obligation.owed-by-{line.owed_by}", {"supplier": line.supplier_id, "ref": line.ref})
    if line.order_id is not None:
        params = {"order": line.order_id, "product": line.product_id or "", "buyer": line.buyer_id or ""}
        yield Message("explain.obligation.request", params)
    yield _status(line, clock)


def _status(line: Obligation, clock: Clock) -> Message:
    if line.reason is not None:
        why = Message(f"explain.obligation.{line.reason}", {"order": line.order_id, "product": line.product_id})
        return Message("explain.obligation.not-covered", {"at": clock.full(line.at), "why": why})
    times = {
        "at": clock.full(line.at),
        "since": _time(line.since, clock),
        "due": _time(line.due, clock),
        "warn": _time(line.warn_at, clock),
        "done": _time(line.done_at, clock),
    }
    late = line.status == "breached" and line.done_at is not None
    return Message(f"explain.obligation.{'breached-late' if late else line.status}", times)


def _time(at: int | None, clock: Clock) -> str:
    return "–" if at is None else clock.full(at)


def _follows(line: Obligation, limits: DutyLimits | None, clock: Clock) -> Iterator[Message]:
    if line.compensation_usd is not None and limits is not None:
        most = limits.compensation_most_usd
        params = {
            "amount": line.compensation_usd,
            "buyer": line.buyer_id or "",
            "share": format_value("compensation_share", limits.compensation_share),
        }
        code = "compensation" if most is None else "compensation-most"
        yield Message(f"explain.obligation.{code}", {**params, "most": f"{most or 0:,}"})
    elif line.status in _ENDED:
        yield Message("explain.obligation.nothing")
    if line.status == "open":
        yield Message("explain.obligation.will-be-at-risk", {"warn": _time(line.warn_at, clock)})
    if line.status in ("open", "at-risk"):
        yield Message("explain.obligation.will-be-breached", {"due": _time(line.due, clock)})
    kept = line.due if line.due is not None else line.at
    yield Message("explain.obligation.kept", {"until": clock.full(kept + MEMORY)})


def _clears(line: Obligation, limits: DutyLimits | None, clock: Clock) -> Iterator[Message]:
    if line.reason is not None:
        yield Message(f"explain.obligation.cover.{line.reason}")
    elif line.status in ("open", "at-risk") and limits is not None:
        closing = tuple(text_message(kind) for kind in limits.closed_by)
        params: dict[str, object] = {"closing": closing, "ref": line.ref, "due": _time(line.due, clock)}
        code = "close-request" if limits.opened_by == "request" else "close-done"
        yield Message(f"explain.obligation.{code}", {**params, "duty": line.duty})
    elif line.status == "breached":
        yield Message("explain.obligation.too-late")


def _evidence(line: Obligation, limits: DutyLimits | None, case: SupplierCase) -> Iterator[CaseRead]:
    """The events on which it was judged."""
    until = max(case.until, line.at)
    if line.order_id is not None:
        yield from case.seen("order", lambda event: isinstance(event, Order) and event.order_id == line.order_id, until)
        yield from case.seen(
            "service-request", lambda event: isinstance(event, ServiceRequest) and event.request_id == line.ref, until
        )
        return
    duties = {line.duty, *([] if limits is None or limits.of is None else [limits.of])}
    programme = line.ref.partition("/")[0] if limits is None or limits.programme is None else limits.programme
    country, _, rest = line.ref.partition("/")
    category = rest.partition("/")[0]

    def matters(event: CaseEvent) -> bool:
        if isinstance(event, Activity):
            return event.programme == programme or (event.duty in duties and event.ref == line.ref)
        return isinstance(event, Certificate) and (event.country, event.category) == (country, category)

    yield from case.seen("activity", matters, until)
    yield from case.seen("certificate", matters, until)
