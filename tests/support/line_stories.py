"""Builders for stories of products, orders, certificates, requests and activities, and what a replay makes of them."""

import json
from collections.abc import Sequence
from itertools import count
from typing import Any

from tests.support.supplier_stories import DAY, RULEBOOK, Line, at
from vigil.app.domain.rulebook import Rulebook
from vigil.app.runtime.replay import json_line, replay

CORE = ["US", "CA", "GB", "AU", "NZ", "FR", "DE", "NL", "IT", "ES"]
LINE_TOPICS = ("product-standing", "obligation", "participation", "supplier-rights")
NOW = at("2022-08-20 12:00")

_numbers = count(1)


def product(when: int, id_: str = "p", supplier: str = "s", **more: Any) -> Line:
    """A product that is ready to ship, with all that one star asks for."""
    value = {
        "supplier_id": supplier,
        "at": when,
        "product_id": id_,
        "industry": "consumer-electronics",
        "model": "rts",
        "info_score": 4.2,
        "freight_to": CORE,
        "guaranteed_to": CORE,
        "customisable": True,
    }
    return Line("product", supplier, value | more)


def custom(when: int, id_: str = "p", supplier: str = "s", **more: Any) -> Line:
    """A product that is made to order, with all that one star asks for."""
    value = {
        "supplier_id": supplier,
        "at": when,
        "product_id": id_,
        "industry": "consumer-electronics",
        "model": "custom",
        "info_score": 4.2,
        "price": "ladder",
        "customisable": True,
        "samples": True,
    }
    return Line("product", supplier, value | more)


def paid(
    when: int,
    id_: str | None = None,
    *lines: tuple[str, str] | tuple[str, str, str],
    buyer: str = "b",
    by: int | None = None,
    supplier: str = "s",
) -> Line:
    """A paid order; `lines`: product, amount and service of each. `by`: the deadline of its dispatch."""
    value = {
        "supplier_id": supplier,
        "at": when,
        "order_id": id_ or f"o{next(_numbers)}",
        "kind": "paid",
        "buyer_id": buyer,
        "dispatch_by": when + 10 * DAY if by is None else by,
        "lines": [
            dict(zip(("product_id", "amount_usd", "service"), line, strict=False)) for line in lines or [("p", "100")]
        ],
    }
    return Line("order", supplier, value)


def order(when: int, id_: str, kind: str, supplier: str = "s") -> Line:
    """A further step of an order."""
    return Line("order", supplier, {"supplier_id": supplier, "at": when, "order_id": id_, "kind": kind})


def certificate(when: int, kind: str, id_: str | None = None, supplier: str = "s", **more: Any) -> Line:
    """An accepted certificate."""
    value = {"supplier_id": supplier, "at": when, "certificate_id": id_ or kind, "kind": kind, "status": "accepted"}
    return Line("certificate", supplier, value | more)


def epr(when: int, country: str, category: str, supplier: str = "s", **more: Any) -> Line:
    """An accepted registration."""
    value = {"country": country, "category": category, "number": "1", "certificate_id": f"{country}-{category}"}
    return certificate(when, "epr", None, supplier, **(value | more))


def request(
    when: int, id_: str = "q", need: str = "repair", order_: str = "o", product_: str = "p", supplier: str = "s"
) -> Line:
    """A service request."""
    value = {
        "supplier_id": supplier,
        "at": when,
        "request_id": id_,
        "kind": "requested",
        "order_id": order_,
        "product_id": product_,
        "buyer_id": "b",
        "need": need,
    }
    return Line("service-request", supplier, value)


def step(when: int, kind: str, id_: str = "q", supplier: str = "s") -> Line:
    """A further step of a service request."""
    return Line("service-request", supplier, {"supplier_id": supplier, "at": when, "request_id": id_, "kind": kind})


def activity(when: int, kind: str, supplier: str = "s", **more: Any) -> Line:
    return Line("activity", supplier, {"supplier_id": supplier, "at": when, "kind": kind, **more})


def measure(when: int, name: str, value: float, supplier: str = "s") -> Line:
    return activity(when, "measure", supplier, measure=name, value=value)


def claim(when: int, programme: str, supplier: str = "s") -> Line:
    return activity(when, "claim", supplier, programme=programme)


def done(when: int, duty: str, ref: str, supplier: str = "s") -> Line:
    return activity(when, "done", supplier, duty=duty, ref=ref)


def ask(when: int, duty: str, ref: str, supplier: str = "s") -> Line:
    return activity(when, "ask", supplier, duty=duty, ref=ref)


def member(when: int, supplier: str = "s", membership: str = "verified", stars: int = 1, **more: Any) -> Line:
    """A profile; `more`: `signed_at`, `opened_at`, `industry`."""
    value = {"supplier_id": supplier, "industry": "toys", "membership": membership, "stars": stars, "at": when}
    return Line("supplier-profile", supplier, value | more)


def recorded(lines: Sequence[Line]) -> list[bytes]:
    """The lines of a recording; a line without a topic becomes an event of another supplier."""
    messages = []
    for line in lines:
        if line.topic:
            messages.append({"topic": line.topic, "key": line.key, "value": line.value})
        else:
            value = {"supplier_id": "clock", "at": line.at, "kind": "measure", "measure": "leads", "value": 0}
            messages.append({"topic": "activity", "key": "clock", "value": value})
    return [json.dumps(message).encode() for message in messages]


def lines_of(*story: Line, rulebook: Rulebook = RULEBOOK) -> dict[str, list[dict[str, Any]]]:
    """What a replay says at its end, by topic; lines of the supplier `clock` are left out."""
    outputs = replay(recorded(story), rulebook)
    said = {topic: [json.loads(json_line(output)) for output in outputs[topic]] for topic in LINE_TOPICS}
    return {topic: [line for line in lines if line["supplier_id"] != "clock"] for topic, lines in said.items()}


def standing(*story: Line, id_: str = "p", rulebook: Rulebook = RULEBOOK) -> Any:
    """The line of a product at the end; None if it has none."""
    lines = lines_of(*story, rulebook=rulebook)["product-standing"]
    return next((line for line in lines if line["product_id"] == id_), None)


def obligation(*story: Line, duty: str, ref: str | None = None, rulebook: Rulebook = RULEBOOK) -> Any:
    """The line of a duty at the end; None if it has none."""
    lines = lines_of(*story, rulebook=rulebook)["obligation"]
    return next((line for line in lines if line["duty"] == duty and ref in (None, line["ref"])), None)


def participation(*story: Line, programme: str, edition: str | None = None, rulebook: Rulebook = RULEBOOK) -> Any:
    """The line of a programme at the end; None if it has none."""
    lines = lines_of(*story, rulebook=rulebook)["participation"]
    return next((line for line in lines if line["programme"] == programme and edition in (None, line["edition"])), None)


def rights(*story: Line, supplier: str = "s", rulebook: Rulebook = RULEBOOK) -> Any:
    """The line of a supplier at the end; None if it has none."""
    lines = lines_of(*story, rulebook=rulebook)["supplier-rights"]
    return next((line for line in lines if line["supplier_id"] == supplier), None)
