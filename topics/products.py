"""Products, orders and certificates of suppliers, keyed by `supplier_id`; and `product-standing`."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from vigil.topics.decoder import EventDecoder, content_of, nobody
from vigil.topics.diagnosis import unframed
from vigil.topics.fields import At, Id, Instant, InvalidEvent, Number, check_key
from vigil.topics.labels import OnIgnored
from vigil.topics.scores import Amount
from vigil.topics.suppliers import cents_of
from vigil.topics.topic import Example, Topic

Days = Annotated[int, Meta(ge=0, le=10**6)]
Texts = tuple[str, ...]
Service = Literal["none", "remote", "local"]
"""The after-sales service sold with a product: from a distance, or on site as well."""

MAX_LINES: Final = 50
"""Lines of one order."""


class Product(Struct, frozen=True, kw_only=True):
    """The whole state of a product as of `at`."""

    supplier_id: Id
    at: At
    product_id: Id
    industry: Annotated[str, Meta(min_length=1, max_length=128)]
    """The product's industry."""
    model: Literal["rts", "custom"]
    """`rts`: ready to ship; `custom`: made to order."""
    info_score: Annotated[float, Meta(ge=0, le=5)]
    """Quality of its information."""
    abilities: Texts = ()
    """What experts found it to have, such as `serious-certificate` or `overseas-stock`; unknown names are ignored."""
    dispatch_days: Days | None = None
    """Promised days to dispatch; null: nothing is promised."""
    delivery_days: Days | None = None
    """Guaranteed days to arrival; null: nothing is guaranteed."""
    freight_to: Texts = ()
    """Countries (ISO 3166 alpha-2) to which freight is computable."""
    guaranteed_to: Texts = ()
    """Countries to which delivery is guaranteed."""
    markets: Texts = ()
    """Countries in which it is sold."""
    price: Literal["ladder", "sku", "range", "fixed"] | None = None
    """How the FOB price is given."""
    customisable: bool = False
    """True if it can be customised."""
    samples: bool = False
    """True if samples can be ordered."""
    legacy: bool = False
    """Rated by the model before stars."""
    deleted: bool = False
    """True if it is not offered any more."""
    flags: Texts = ()
    """`price-cheating`, `moq-anomaly`, `sku-anomaly`, `bad-refunds`; unknown names are ignored."""
    service: Service = "none"
    """The after-sales service offered with it."""
    traits: Texts = ()
    """What EPR asks about: `circuit`, `battery`, `packaging`, `furniture`, `tyre`, `textile`, `paper`."""


class OrderLine(Struct, frozen=True, kw_only=True):
    """One product of an order."""

    product_id: Id
    amount_usd: str | int | float
    """US dollars, more than 0, at most two decimals."""
    service: Service = "none"
    """The after-sales service sold with it."""


class Order(Struct, frozen=True, kw_only=True):
    """A step of an order; without its `paid` an order counts for nothing."""

    supplier_id: Id
    at: At
    order_id: Id
    """A repeat of `order_id` and `kind` together has no effect."""
    kind: Literal["paid", "dispatched", "refund-requested", "disputed"]
    """`paid` by the buyer, `dispatched` by the supplier; the buyer asked for a refund, or raised a dispute."""
    buyer_id: Id | None = None
    """Required when `kind` is `paid`."""
    dispatch_by: At | None = None
    """The deadline of its dispatch; required when `kind` is `paid`."""
    lines: Annotated[tuple[OrderLine, ...], Meta(max_length=MAX_LINES)] = ()
    """What was ordered, 1 to 50 lines; required when `kind` is `paid`."""


class Certificate(Struct, frozen=True, kw_only=True):
    """What the marketplace's check made of a certificate, a registration or an agreement."""

    supplier_id: Id
    at: At
    certificate_id: Id
    """The certificate; its latest event holds."""
    kind: Annotated[str, Meta(min_length=1, max_length=64)]
    """`epr`, or what a permit of the rulebook asks for: `quality-system`, `warranty-agreement` and others."""
    status: Literal["submitted", "accepted", "rejected", "withdrawn"]
    """What the check came to: only what is `accepted` counts."""
    valid_from: At | None = None
    """From when it is valid; null: from ever."""
    valid_until: At | None = None
    """Until when it is valid (exclusive); null: for ever."""
    country: str | None = None
    """Required when `kind` is `epr`."""
    category: str | None = None
    """Required when `kind` is `epr`: `packaging`, `eee`, `battery` and others of the rulebook."""
    number: Annotated[str, Meta(min_length=1)] | None = None
    """The registration number; required when `kind` is `epr`."""
    holder: Literal["self", "upstream"] | None = "self"
    """Whose number it is."""
    invoice: bool | None = False
    """The purchase invoice that proves an upstream number is there."""


class Missing(Struct, frozen=True, kw_only=True):
    """A registration that a product needs and its supplier has not."""

    category: str
    """The category of EPR."""
    weeks: tuple[Number, Number]
    """How long it takes to get, from and to."""


class EprStanding(Struct, frozen=True, kw_only=True):
    """What a product needs in one country."""

    needs: tuple[str, ...]
    """Categories of EPR."""
    missing: tuple[Missing, ...]
    """The registrations that the supplier has not."""
    blocked: bool
    """True if it may be blocked."""


class NextStars(Struct, frozen=True, kw_only=True):
    """What is missing for one star more."""

    stars: Number
    """How many stars that is."""
    ways: tuple[tuple[str, ...], ...]
    """For each way, the conditions that do not hold."""


class IndustrySelection(Struct, frozen=True, kw_only=True):
    """Whether a product is selected in its industry."""

    grade: Literal["top", "competitive"] | None
    """Null: not selected."""
    has: tuple[str, ...]
    """Abilities of the industry that it has."""
    missing: tuple[str, ...]
    """Abilities of a theme of which it has some."""
    listed_at: Instant | None
    """When it is listed; null: it is not."""


class ProductStanding(Struct, frozen=True, kw_only=True):
    """Stars, selection and EPR of a product at `at`."""

    supplier_id: Id
    product_id: Id
    at: Instant
    """The time as of which it is, ms since the epoch."""
    industry: str
    """The product's industry."""
    stars: Number | None
    """0 to 3; null: its industry has no stars yet."""
    audience: Literal["some", "all"] | None
    """Which buyers see the stars."""
    next: NextStars | None
    """Null: there is no further level."""
    selection: IndustrySelection | None
    """Null: its industry has none."""
    epr: dict[str, EprStanding]
    """By country; countries in which it is not sold are left out."""
    warranty_mark: bool
    """True if it bears the mark of the after-sales warranty."""
    paid_usd_90d: Amount
    """Paid for it in the last 90 days."""
    buyers_90d: Number
    """Buyers who paid for it in the last 90 days."""
    rulebook: str | None
    """The effective date of the rules of the stars; null: before any are in force."""


class _OrderDecoder(EventDecoder[Order]):
    def needed(self, content: object) -> frozenset[str]:
        paid = isinstance(content, dict) and content.get("kind") == "paid"
        return frozenset(OF_PAID) if paid else frozenset()


class _CertificateDecoder(EventDecoder[Certificate]):
    def needed(self, content: object) -> frozenset[str]:
        """A bound that cannot be read is not no bound: what decides whether it is in force is given, or it is not."""
        if not isinstance(content, dict):
            return frozenset()
        given = {name for name in ("valid_from", "valid_until", "holder", "invoice") if content.get(name) is not None}
        return frozenset(given | set(OF_EPR)) if content.get("kind") == "epr" else frozenset(given)


OF_PAID: Final = ("buyer_id", "dispatch_by", "lines")
OF_EPR: Final = ("country", "category", "number")
_PRODUCT: Final = EventDecoder(Product)
_ORDER: Final = _OrderDecoder(Order)
_CERTIFICATE: Final = _CertificateDecoder(Certificate)


def decode_product(key: bytes | None, value: bytes | None, on_ignored: OnIgnored = nobody) -> Product:
    """Decode a message of `product`; raise InvalidEvent if it is malformed or its key is not the `supplier_id`."""
    product = _PRODUCT.decode(value, on_ignored)
    check_key(key, "supplier_id", product.supplier_id)
    return product


def decode_order(key: bytes | None, value: bytes | None, on_ignored: OnIgnored = nobody) -> Order:
    """Decode a message of `order`; raise InvalidEvent if it is malformed or its key is not the `supplier_id`."""
    order = _ORDER.decode(value, on_ignored)
    check_key(key, "supplier_id", order.supplier_id)
    if order.kind != "paid":
        return order
    for field in OF_PAID:
        if not getattr(order, field):
            raise InvalidEvent(f"Object missing required field `{field}`, required when `kind` is `paid`")
    if any(isinstance(line.amount_usd, float) for line in order.lines) and value is not None:
        return _with_exact_amounts(order, content_of(unframed(value)))
    for line in order.lines:
        cents_of(line.amount_usd)
    return order


def _with_exact_amounts(order: Order, content: Any) -> Order:
    """A float has lost what was written beyond its precision: read the amounts as they are written."""
    lines = []
    for line, written in zip(order.lines, content["lines"], strict=True):
        cents = cents_of(written["amount_usd"])
        lines.append(msgspec.structs.replace(line, amount_usd=f"{cents // 100}.{cents % 100:02}"))
    return msgspec.structs.replace(order, lines=tuple(lines))


def decode_certificate(key: bytes | None, value: bytes | None, on_ignored: OnIgnored = nobody) -> Certificate:
    """Decode a message of `certificate`; raise InvalidEvent if it is malformed or its key is not the `supplier_id`.

    Whether a rule asks for its kind, country and category is for the rulebook to say.
    """
    certificate = _CERTIFICATE.decode(value, on_ignored)
    check_key(key, "supplier_id", certificate.supplier_id)
    if certificate.kind == "epr":
        for field in OF_EPR:
            if not getattr(certificate, field):
                raise InvalidEvent(f"Object missing required field `{field}`, required when `kind` is `epr`")
    return certificate


TOPICS: Final = (
    Topic(
        "product",
        "in",
        "supplier_id",
        Product,
        "the whole state of a product",
        decode=lambda key, value, now, on_ignored: decode_product(key, value, on_ignored),
        examples=(
            Example(
                "merchant-7",
                {
                    "supplier_id": "merchant-7",
                    "at": 1662040000000,
                    "product_id": "lamp-3",
                    "industry": "lighting",
                    "model": "rts",
                    "info_score": 4.6,
                    "abilities": ["new"],
                    "dispatch_days": 5,
                    "delivery_days": 12,
                    "freight_to": ["US", "CA", "GB", "AU", "NZ", "FR", "DE", "NL", "IT", "ES"],
                    "guaranteed_to": ["US", "CA", "GB", "AU", "NZ", "FR", "DE", "NL", "IT", "ES"],
                    "markets": ["US", "DE"],
                    "price": "ladder",
                    "customisable": True,
                    "samples": True,
                    "legacy": False,
                    "deleted": False,
                    "flags": [],
                    "service": "remote",
                    "traits": ["circuit", "packaging"],
                },
            ),
        ),
    ),
    Topic(
        "order",
        "in",
        "supplier_id",
        Order,
        "a step of an order",
        decode=lambda key, value, now, on_ignored: decode_order(key, value, on_ignored),
        examples=(
            Example(
                "merchant-7",
                {
                    "supplier_id": "merchant-7",
                    "at": 1662040100000,
                    "order_id": "order-12",
                    "kind": "paid",
                    "buyer_id": "buyer-1",
                    "dispatch_by": 1662472100000,
                    "lines": [{"product_id": "lamp-3", "amount_usd": "1250.00", "service": "remote"}],
                },
            ),
            Example(
                "merchant-7",
                {"supplier_id": "merchant-7", "at": 1662040200000, "order_id": "order-12", "kind": "dispatched"},
            ),
        ),
    ),
    Topic(
        "certificate",
        "in",
        "supplier_id",
        Certificate,
        "what the check of a certificate came to",
        decode=lambda key, value, now, on_ignored: decode_certificate(key, value, on_ignored),
        examples=(
            Example(
                "merchant-7",
                {
                    "supplier_id": "merchant-7",
                    "at": 1662040300000,
                    "certificate_id": "certificate-2",
                    "kind": "epr",
                    "status": "accepted",
                    "valid_from": 1661990400000,
                    "valid_until": None,
                    "country": "DE",
                    "category": "packaging",
                    "number": "DE123456789",
                    "holder": "self",
                    "invoice": False,
                },
            ),
        ),
    ),
)

OUTPUT_TOPICS: Final = (
    Topic(
        "product-standing",
        "out",
        "supplier_id/product_id",
        ProductStanding,
        "stars, selection and EPR of a product",
        compacted=True,
        tombstone="A null value: the product is deleted, or nothing is left of it.",
        examples=(
            Example(
                "merchant-7/lamp-3",
                {
                    "supplier_id": "merchant-7",
                    "product_id": "lamp-3",
                    "at": 1662048021000,
                    "industry": "lighting",
                    "stars": 3,
                    "audience": "some",
                    "next": None,
                    "selection": None,
                    "epr": {
                        "DE": {
                            "needs": ["packaging", "eee"],
                            "missing": [{"category": "eee", "weeks": [2, 15]}],
                            "blocked": True,
                        }
                    },
                    "warranty_mark": False,
                    "paid_usd_90d": "1250.00",
                    "buyers_90d": 1,
                    "rulebook": "2022-09-01",
                },
                id="d92e0b8469a739de7719716d54026bc7",
            ),
        ),
    ),
)
