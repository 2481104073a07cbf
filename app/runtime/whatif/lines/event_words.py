"""An event of a supplier in words. Pure."""

from vigil.app.messages import Message
from vigil.app.messages.names import name_message, text_message
from vigil.app.runtime.whatif.lines.case import CaseEvent, CaseRead
from vigil.app.runtime.whatif.lines.explanation import EventSeen
from vigil.app.runtime.whatif.local_time import Clock
from vigil.topics.products import Certificate, Order, Product
from vigil.topics.services import Activity, ServiceRequest
from vigil.topics.suppliers import ProfileDeleted, Quote, SupplierProfile


def event_seen(read: CaseRead, clock: Clock) -> EventSeen:
    """The event as evidence."""
    return EventSeen(read.at, read.topic, event_message(read.event, clock))


def event_message(event: CaseEvent, clock: Clock) -> Message:
    """What an event says."""
    if isinstance(event, Order):
        return _order(event, clock)
    if isinstance(event, ServiceRequest):
        return _request(event)
    if isinstance(event, Activity):
        return _activity(event)
    if isinstance(event, Certificate):
        return _certificate(event, clock)
    if isinstance(event, SupplierProfile):
        params = {"membership": event.membership, "stars": event.stars, "industry": event.industry}
        return Message("explain.event.profile", params)
    if isinstance(event, Product):
        return Message("explain.event.product", {"product": event.product_id})
    return _other(event)


def _other(event: ProfileDeleted | Quote) -> Message:
    if isinstance(event, Quote):
        return Message("explain.event.gold-quote", {"quote": event.quote_id, "rfq": event.rfq_id})
    return Message("explain.event.profile-deleted")


def _order(event: Order, clock: Clock) -> Message:
    if event.kind != "paid":
        return Message(f"explain.event.order-{event.kind}", {"order": event.order_id})
    lines = tuple(
        Message(
            "explain.event.order-line",
            {"product": line.product_id, "amount": str(line.amount_usd), "service": line.service},
        )
        for line in event.lines
    )
    by = "–" if event.dispatch_by is None else clock.full(event.dispatch_by)
    params = {"order": event.order_id, "buyer": event.buyer_id or "–", "lines": lines, "by": by}
    return Message("explain.event.order-paid", params)


def _request(event: ServiceRequest) -> Message:
    if event.kind != "requested":
        return Message(f"explain.event.request-{event.kind}", {"request": event.request_id})
    need = Message(f"explain.need.{event.need}")
    params = {"request": event.request_id, "need": need, "order": event.order_id, "product": event.product_id}
    return Message("explain.event.request-requested", params)


def _activity(event: Activity) -> Message:
    if event.kind == "measure":
        params: dict[str, object] = {
            "measure": name_message("measure", event.measure or ""),
            "value": f"{event.value or 0:g}",
        }
        return Message("explain.event.measure", params)
    if event.kind == "claim":
        return Message("explain.event.claim", {"programme": name_message("programme", event.programme or "")})
    params = {"duty": name_message("duty", event.duty or ""), "ref": event.ref or ""}
    return Message(f"explain.event.{event.kind}", params)


def _certificate(event: Certificate, clock: Clock) -> Message:
    kind = name_message("certificate", event.kind)
    if event.kind == "epr":
        place = Message(
            "explain.event.epr",
            {
                "category": name_message("category", event.category or ""),
                "country": name_message("country", event.country or ""),
            },
        )
    else:
        place = text_message("")
    params = {
        "kind": kind,
        "place": place,
        "certificate": event.certificate_id,
        "status": Message(f"explain.certificate.{event.status}"),
        "valid": _validity(event, clock),
    }
    return Message("explain.event.certificate", params)


def _validity(event: Certificate, clock: Clock) -> Message:
    """From when until when it is valid, and whether it is proved."""
    since = "…" if event.valid_from is None else clock.full(event.valid_from)
    until = "…" if event.valid_until is None else clock.full(event.valid_until)
    if event.holder == "upstream" and not event.invoice:
        return Message("explain.event.no-invoice")
    if event.valid_from is None and event.valid_until is None:
        return Message("explain.event.no-bound")
    return Message("explain.event.valid", {"since": since, "until": until})
