"""Service requests and activities of suppliers, keyed by `supplier_id`; and `obligation`."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from vigil.topics.decoder import EventDecoder, nobody
from vigil.topics.fields import At, Id, Instant, InvalidEvent, check_key
from vigil.topics.labels import OnIgnored
from vigil.topics.scores import Amount
from vigil.topics.topic import Example, Topic

Need = Literal["support", "parts", "installation", "maintenance", "repair"]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class ServiceRequest(Struct, frozen=True, kw_only=True):
    """A buyer asked for service, the supplier did something about it, or the buyer withdrew the request."""

    supplier_id: Id
    at: At
    request_id: Id
    """A repeat of `request_id` and `kind` together has no effect."""
    kind: Literal["requested", "answered", "parts-sent", "visited", "completed", "cancelled"]
    """What happened: the buyer asked, the supplier did something about it, or the buyer withdrew it."""
    order_id: Id | None = None
    """Required when `kind` is `requested`, as are the next three."""
    product_id: Id | None = None
    """The product that needs service; required when `kind` is `requested`."""
    buyer_id: Id | None = None
    """Who asks; required when `kind` is `requested`."""
    need: Need | None = None
    """What is asked for; the last three are on site. Required when `kind` is `requested`."""


class Activity(Struct, frozen=True, kw_only=True):
    """How much there is of something, a claim of a programme, or that a duty is asked for or done."""

    supplier_id: Id
    at: At
    kind: Literal["measure", "claim", "ask", "done"]
    """`measure`: how much there is of something; `claim` of a programme; a duty is asked for, or `done`."""
    measure: Name | None = None
    """Required when `kind` is `measure`: a measure that the rulebook names."""
    value: Annotated[float, Meta(ge=0, le=10**15)] | None = None
    """Required when `kind` is `measure`: how much there is as of `at`."""
    programme: Name | None = None
    """Required when `kind` is `claim`: a programme that the rulebook names."""
    duty: Name | None = None
    """Required when `kind` is `ask` or `done`: a duty that the rulebook names."""
    ref: Id | None = None
    """Required when `kind` is `ask` or `done`: which one."""


ObligationStatus = Literal["open", "at-risk", "met", "void", "breached", "not-covered"]
CoverReason = Literal["unknown-order", "not-dispatched", "no-service", "expired"]


class Obligation(Struct, frozen=True, kw_only=True):
    """One duty of a supplier, or of the marketplace towards it."""

    obligation_id: Id
    """The duty's identity."""
    duty: str
    """Which duty of the rulebook."""
    owed_by: Literal["supplier", "marketplace"]
    """Who owes it."""
    supplier_id: Id
    ref: str
    """Which one of its duty."""
    at: Instant
    """Since when the status holds."""
    status: ObligationStatus
    """`met` if done in time, `void` if the request was cancelled before."""
    reason: CoverReason | None
    """Why the request is not covered; else null."""
    since: Instant | None
    """When it was opened; null: not covered."""
    warn_at: Instant | None
    """When half of its time is over."""
    due: Instant | None
    """The deadline; closing it exactly then is in time."""
    done_at: Instant | None
    """When it was met, also if late; null: not yet."""
    compensation_usd: Amount | None
    """What is owed to the buyer; null: nothing."""
    order_id: str | None
    """Of a request; else null."""
    product_id: str | None
    """Of a request; else null."""
    buyer_id: str | None
    """Of a request; else null."""
    rulebook: str
    """The effective date of the duty."""


OF_KIND: Final[dict[str, tuple[str, ...]]] = {
    "requested": ("order_id", "product_id", "buyer_id", "need"),
    "measure": ("measure", "value"),
    "claim": ("programme",),
    "ask": ("duty", "ref"),
    "done": ("duty", "ref"),
}
"""By kind: the fields that it requires."""


class _KindDecoder(EventDecoder[ServiceRequest]):
    def needed(self, content: object) -> frozenset[str]:
        return _needed(content)


class _ActivityDecoder(EventDecoder[Activity]):
    def needed(self, content: object) -> frozenset[str]:
        return _needed(content)


def _needed(content: object) -> frozenset[str]:
    kind = content.get("kind") if isinstance(content, dict) else None
    return frozenset(OF_KIND.get(kind, ())) if isinstance(kind, str) else frozenset()


def _check(event: ServiceRequest | Activity) -> None:
    for field in OF_KIND.get(event.kind, ()):
        if getattr(event, field) is None:
            raise InvalidEvent(f"Object missing required field `{field}`, required when `kind` is `{event.kind}`")


_REQUEST: Final = _KindDecoder(ServiceRequest)
_ACTIVITY: Final = _ActivityDecoder(Activity)


def decode_request(key: bytes | None, value: bytes | None, on_ignored: OnIgnored = nobody) -> ServiceRequest:
    """Decode a message of `service-request`; raise InvalidEvent if it is malformed or its key is another."""
    request = _REQUEST.decode(value, on_ignored)
    check_key(key, "supplier_id", request.supplier_id)
    _check(request)
    return request


def decode_activity(key: bytes | None, value: bytes | None, on_ignored: OnIgnored = nobody) -> Activity:
    """Decode a message of `activity`; raise InvalidEvent if it is malformed or its key is not the `supplier_id`.

    Whether a rule names its measure, programme or duty is for the rulebook to say.
    """
    activity = _ACTIVITY.decode(value, on_ignored)
    check_key(key, "supplier_id", activity.supplier_id)
    _check(activity)
    return activity


TOPICS: Final = (
    Topic(
        "service-request",
        "in",
        "supplier_id",
        ServiceRequest,
        "a step of a service request",
        decode=lambda key, value, now, on_ignored: decode_request(key, value, on_ignored),
        examples=(
            Example(
                "merchant-7",
                {
                    "supplier_id": "merchant-7",
                    "at": 1662042000000,
                    "request_id": "request-4",
                    "kind": "requested",
                    "order_id": "order-12",
                    "product_id": "lamp-3",
                    "buyer_id": "buyer-1",
                    "need": "parts",
                },
            ),
            Example(
                "merchant-7",
                {"supplier_id": "merchant-7", "at": 1662043000000, "request_id": "request-4", "kind": "answered"},
            ),
        ),
    ),
    Topic(
        "activity",
        "in",
        "supplier_id",
        Activity,
        "a measure, a claim, or a duty asked for or done",
        decode=lambda key, value, now, on_ignored: decode_activity(key, value, on_ignored),
        examples=(
            Example(
                "merchant-7",
                {
                    "supplier_id": "merchant-7",
                    "at": 1662044000000,
                    "kind": "measure",
                    "measure": "videos",
                    "value": 3,
                },
            ),
            Example(
                "merchant-7",
                {"supplier_id": "merchant-7", "at": 1662044500000, "kind": "claim", "programme": "strength-pack"},
            ),
        ),
    ),
)

OUTPUT_TOPICS: Final = (
    Topic(
        "obligation",
        "out",
        "obligation_id",
        Obligation,
        "what is due of a supplier, or to it",
        compacted=True,
        tombstone="A null value: it does not follow from the events any more, or is forgotten.",
        examples=(
            Example(
                "3261ca9590abdf156d180adaffa0576e",
                {
                    "obligation_id": "3261ca9590abdf156d180adaffa0576e",
                    "duty": "service-parts",
                    "owed_by": "supplier",
                    "supplier_id": "merchant-7",
                    "ref": "request-4",
                    "at": 1662042000000,
                    "status": "open",
                    "reason": None,
                    "since": 1662042000000,
                    "warn_at": 1662128400000,
                    "due": 1662214800000,
                    "done_at": None,
                    "compensation_usd": None,
                    "order_id": "order-12",
                    "product_id": "lamp-3",
                    "buyer_id": "buyer-1",
                    "rulebook": "2022-07-01",
                },
                id="53df570d9c3fb439f5e076710c41df23",
            ),
        ),
    ),
)
