"""Input events of suppliers: `quote`, `payment` and the reference data `supplier-profile`, keyed by `supplier_id`."""

import re
from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from vigil.topics.decoder import FAILURES, EventDecoder, content_of, nobody
from vigil.topics.diagnosis import unframed
from vigil.topics.fields import MAX_MESSAGE_BYTES, At, Id, InvalidEvent, Tier, check_key
from vigil.topics.labels import OnIgnored
from vigil.topics.topic import Example, Topic

MAX_AMOUNT_CENTS = 10**17
"""A larger amount is rejected as a mistake (decided: a quadrillion dollars)."""

_CENT: Final = Decimal("0.01")

_DECIMAL = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?")


class Quote(Struct, frozen=True, kw_only=True, gc=False):
    """A supplier quoted, the buyer replied to or rejected the quote, or the supplier asked for it to be pinned."""

    supplier_id: Id
    at: At
    kind: Literal["submitted", "replied", "rejected", "pinned"]
    """What happened to the quote; `pinned` is the supplier's request that it be pinned."""
    quote_id: Id
    rfq_id: Id
    buyer_id: Id
    rfq_at: At | UnsetType = UNSET
    """When the buyer submitted the RFQ; required when `kind` is `submitted`."""
    buyer_tier: Tier | None = None
    rfq_grade: Literal["gold", "silver"] | None = None
    """The grade of the RFQ; null: none."""


class Payment(Struct, frozen=True, kw_only=True, gc=False):
    """The buyer paid, the money was credited, or money went back."""

    supplier_id: Id
    at: At
    kind: Literal["paid", "settled", "refunded"]
    """`paid` by the buyer, `settled` once credited, `refunded` when money went back."""
    payment_id: Id
    """The payment; a repeat of `payment_id` and `kind` together has no effect."""
    order_id: Id
    """The order that is paid for."""
    buyer_id: Id
    amount_usd: str | int | float
    """US dollars, more than 0, at most two decimals; see `cents_of`."""
    rfq_id: Id | None = None
    """Set where the order is linked to an RFQ."""

    @property
    def cents(self) -> int:
        """The amount in whole US cents."""
        return cents_of(self.amount_usd)


class SupplierProfile(Struct, frozen=True, kw_only=True):
    """What the marketplace knows about a supplier; `verified` is the paid, third-party-verified tier."""

    supplier_id: Id
    industry: Annotated[str, Meta(min_length=1, max_length=128)]
    membership: Literal["verified", "standard"]
    stars: Annotated[int, Meta(ge=0, le=5)]
    at: At
    signed_at: At | None = None
    """When the account was made; null: not known."""
    opened_at: At | None = None
    """When the service was opened; null: not known."""


class ProfileDeleted(Struct, frozen=True, kw_only=True):
    """A tombstone in `supplier-profile`; `at` is the watermark at its arrival, when it takes effect."""

    supplier_id: Id
    at: int


SupplierEvent = Quote | Payment | SupplierProfile | ProfileDeleted

SUPPLIER_TOPICS: Final = ("quote", "payment", "supplier-profile")
"""The supplier topics in the order of their source index."""


class _QuoteDecoder(EventDecoder[Quote]):
    def needed(self, content: object) -> frozenset[str]:
        submitted = isinstance(content, dict) and content.get("kind") == "submitted"
        return frozenset({"rfq_at"}) if submitted else frozenset()


_QUOTE: Final = _QuoteDecoder(Quote)
_PAYMENT: Final = EventDecoder(Payment)
_PROFILE: Final = EventDecoder(SupplierProfile)

_quote_strictly: Final = _QUOTE.strictly
_payment_strictly: Final = _PAYMENT.strictly

_PLAIN: Final = re.compile(r"([0-9]{1,15})\.([0-9]{2})")
"""An amount as most producers write it; always below the largest that is accepted."""


def cents_of(amount: str | int | float | Decimal) -> int:
    """US cents of an amount written as a decimal; raise InvalidEvent unless it is above 0 with at most two decimals."""
    if isinstance(amount, str) and (plain := _PLAIN.fullmatch(amount)) and (whole := int(plain[1] + plain[2])):
        return whole
    if isinstance(amount, str) and not _DECIMAL.fullmatch(amount):
        raise InvalidEvent(f"amount_usd {amount[:64]!r} is not a decimal such as '12.50'")
    dollars = amount if isinstance(amount, Decimal) else Decimal(amount if isinstance(amount, str) else repr(amount))
    if dollars <= 0 or dollars > MAX_AMOUNT_CENTS // 100:
        raise InvalidEvent(f"amount_usd {str(amount)[:64]} must be above 0 and at most {MAX_AMOUNT_CENTS // 100}")
    cents = dollars.quantize(_CENT)  # an amount in range has so few digits that this is exact but for further decimals
    if cents != dollars:
        raise InvalidEvent(f"amount_usd {str(amount)[:64]} has more than two decimals")
    return int(cents * 100)


def decode_quote(key: bytes | None, value: bytes | None, on_ignored: OnIgnored = nobody) -> Quote:
    """Decode a message of `quote`; raise InvalidEvent if it is malformed or its key is not the `supplier_id`.

    Shards call it for each record: nearly all go the first way, without a call that can be done without.
    """
    if value is None or len(value) > MAX_MESSAGE_BYTES:
        return _QUOTE.decode(value, on_ignored)
    try:
        quote = _quote_strictly(value.decode())
    except FAILURES:
        quote = _QUOTE.decode(value, on_ignored)
    if key != quote.supplier_id.encode():
        check_key(key, "supplier_id", quote.supplier_id)
    return _complete_quote(quote, on_ignored) if quote.rfq_at is UNSET else quote


def _complete_quote(quote: Quote, on_ignored: OnIgnored) -> Quote:
    if quote.kind == "submitted" and quote.rfq_at is UNSET:
        raise InvalidEvent("Object missing required field `rfq_at`, required when `kind` is `submitted`")
    return quote


def decode_payment(key: bytes | None, value: bytes | None, on_ignored: OnIgnored = nobody) -> Payment:
    """Decode a message of `payment`; raise InvalidEvent if it is malformed or its key is not the `supplier_id`."""
    if value is None or len(value) > MAX_MESSAGE_BYTES:
        return _PAYMENT.decode(value, on_ignored)
    try:
        payment = _payment_strictly(value.decode())
    except FAILURES:
        payment = _PAYMENT.decode(value, on_ignored)
    if key != payment.supplier_id.encode():
        check_key(key, "supplier_id", payment.supplier_id)
    if isinstance(payment.amount_usd, float):
        # A float has lost what was written beyond its precision.
        cents = cents_of(content_of(unframed(value))["amount_usd"])
        return msgspec.structs.replace(payment, amount_usd=f"{cents // 100}.{cents % 100:02}")
    cents_of(payment.amount_usd)
    return payment


def _complete_payment(payment: Payment, on_ignored: OnIgnored) -> Payment | None:
    if isinstance(payment.amount_usd, float):
        return None
    cents_of(payment.amount_usd)
    return payment


def decode_profile(
    key: bytes | None, value: bytes | None, watermark: int, on_ignored: OnIgnored = nobody
) -> SupplierProfile | ProfileDeleted:
    """Decode a message of `supplier-profile`; a tombstone deletes the profile at the `watermark` of its arrival."""
    if value is None:
        try:
            supplier_id = (key or b"").decode()
        except UnicodeDecodeError as error:
            raise InvalidEvent("the key of a tombstone must be a supplier_id in UTF-8") from error
        if not 1 <= len(supplier_id) <= 128:
            raise InvalidEvent("the key of a tombstone must be a supplier_id of 1 to 128 characters")
        return ProfileDeleted(supplier_id=supplier_id, at=watermark)
    profile = _PROFILE.decode(value, on_ignored)
    if key != profile.supplier_id.encode():
        check_key(key, "supplier_id", profile.supplier_id)
    return profile


TOPICS: Final = (
    Topic(
        "quote",
        "in",
        "supplier_id",
        Quote,
        "a step of a quote",
        decode=lambda key, value, now, on_ignored: decode_quote(key, value, on_ignored),
        complete=_complete_quote,
        examples=(
            Example(
                "merchant-7",
                {
                    "supplier_id": "merchant-7",
                    "at": 1662044400000,
                    "kind": "submitted",
                    "quote_id": "quote-31",
                    "rfq_id": "rfq-9",
                    "buyer_id": "buyer-1",
                    "rfq_at": 1662037200000,
                    "buyer_tier": "L2",
                },
            ),
            Example(
                "merchant-7",
                {
                    "supplier_id": "merchant-7",
                    "at": 1662044500000,
                    "kind": "pinned",
                    "quote_id": "quote-31",
                    "rfq_id": "rfq-9",
                    "buyer_id": "buyer-1",
                },
            ),
        ),
    ),
    Topic(
        "payment",
        "in",
        "supplier_id",
        Payment,
        "a step of a payment",
        decode=lambda key, value, now, on_ignored: decode_payment(key, value, on_ignored),
        complete=_complete_payment,
        examples=(
            Example(
                "merchant-7",
                {
                    "supplier_id": "merchant-7",
                    "at": 1662046200000,
                    "kind": "settled",
                    "payment_id": "payment-5",
                    "order_id": "order-12",
                    "buyer_id": "buyer-1",
                    "amount_usd": "1250.00",
                    "rfq_id": "rfq-9",
                },
            ),
        ),
    ),
    Topic(
        "supplier-profile",
        "in",
        "supplier_id",
        SupplierProfile,
        "reference data",
        compacted=True,
        tombstone="A null value deletes the profile.",
        decode=decode_profile,
        examples=(
            Example(
                "merchant-7",
                {
                    "supplier_id": "merchant-7",
                    "industry": "lighting",
                    "membership": "verified",
                    "stars": 4,
                    "at": 1661961600000,
                },
            ),
        ),
    ),
)
