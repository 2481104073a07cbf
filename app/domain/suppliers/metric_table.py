"""What is counted of a supplier, one row a total, and what is published of it, one row a metric.

A total is a sum. Something is added to it at one time and taken away from it when it leaves the total's window:

    submitted ──┬─ quotes_month ───────── until the month's end          (once for each RFQ and month)
                ├─ rfqs_quoted, in_time ─ until 30 days after            (the supplier's first quote to the RFQ)
                ├─ rfqs_quoted_30d ────── until 30 days after            (its latest quote to the RFQ)
                └─ quotes_submitted_month until the month's end
    replied ────── rfqs_replied_30d ───── until 30 days after the RFQ's latest quote with a reply was submitted
    settled, refunded ── gmv_90d ± ────── until 90 days after
    paid ─────────────── gmv_month ────── until the month's end

Both tables are read once, when the module is loaded, into the tuples below them, by which metrics.py and
running_totals.py count.

A new total is a row at the end of TOTALS and a field of SupplierTotals; a new metric is a row of METRICS and a field of
Metrics. docs/architecture.md has the whole list of what to edit.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter, itemgetter
from typing import Any, Final, Literal, NamedTuple, get_args

from vigil.app.domain.suppliers.rolling_sums import Amounts
from vigil.topics.internal import SupplierTotals
from vigil.topics.scores import Counts, Metrics

QuoteKind = Literal["submitted", "replied", "rejected", "pinned"]
PaymentKind = Literal["paid", "settled", "refunded"]

MONTH: Final = None
"""The window of a total that counts from the beginning of the calendar month."""


class RfqTotal(NamedTuple):
    """Counts the RFQs that the supplier quoted on, by its first quote to each; by month, by its first in the month."""

    name: str
    """The field of SupplierTotals."""
    window: str | None
    """The key of [suppliers] that has the days of the rolling window, or MONTH."""
    in_time: bool = False
    """Counts only those that were quoted within `response_within_h`. Not by month."""


class LatestRfqTotal(NamedTuple):
    """Counts the RFQs that the supplier quoted on, by its latest quote to each."""

    name: str
    window: str
    replied: bool = False
    """Counts by the latest quote to which the buyer replied."""


class QuoteTotal(NamedTuple):
    """Counts the quotes with an event of a kind, by the time of their submission."""

    name: str
    window: str | None
    kind: QuoteKind


class PaymentTotal(NamedTuple):
    """Adds up the amounts (cents) of payments that are linked to an RFQ, each kind of event with its sign."""

    name: str
    window: str | None
    signs: Mapping[PaymentKind, int]


TOTALS: Final[tuple[RfqTotal | LatestRfqTotal | QuoteTotal | PaymentTotal, ...]] = (
    RfqTotal("quotes_month", MONTH),
    RfqTotal("rfqs_quoted", "response_days"),
    RfqTotal("rfqs_in_time", "response_days", in_time=True),
    LatestRfqTotal("rfqs_quoted_30d", "reply_days"),
    LatestRfqTotal("rfqs_replied_30d", "reply_days", replied=True),
    PaymentTotal("gmv_90d", "gmv_days", {"settled": 1, "refunded": -1}),
    PaymentTotal("gmv_month", MONTH, {"paid": 1}),
    QuoteTotal("quotes_submitted_month", MONTH, "submitted"),
)
"""The totals as of the end of each month are stored by position, in this order: a new row goes to the end. Those stored
before the row existed are read with 0 for it."""


# ---- for counting ------------------------------------------------------------------------------------------------


class WindowAmounts(NamedTuple):
    """What an event adds to the totals with one rolling window."""

    window: int
    amounts: Amounts


class PaymentEffect(NamedTuple):
    """What the event of a payment adds to one total."""

    total: int
    window: int | None
    """None: the calendar month."""
    sign: int


WINDOWS: Final = tuple(sorted({row.window for row in TOTALS if row.window is not None}))
"""The keys of all rolling windows. A window is known by its place here, a total by its place in TOTALS."""

ZERO: Final = (0,) * len(TOTALS)

MONTHLY: Final = tuple(number for number, row in enumerate(TOTALS) if row.window is MONTH)
"""The totals that begin again with every calendar month."""

MONTHLY_RFQS: Final = tuple(number for number in MONTHLY if isinstance(TOTALS[number], RfqTotal))


def _window_amounts(totals: Iterable[int]) -> tuple[WindowAmounts, ...]:
    """What an event adds that counts as 1 in each of these totals; those by month are left out."""
    rolling = [(TOTALS[total].window, total) for total in totals]
    by_window = ((place, [n for window, n in rolling if window == name]) for place, name in enumerate(WINDOWS))
    return tuple(WindowAmounts(place, tuple((n, 1) for n in counted)) for place, counted in by_window if counted)


RFQ_IN_TIME: Final = _window_amounts(n for n, row in enumerate(TOTALS) if isinstance(row, RfqTotal))
"""What an RFQ adds that was quoted in time."""

RFQ_LATE: Final = _window_amounts(n for n, row in enumerate(TOTALS) if isinstance(row, RfqTotal) and not row.in_time)
"""What another RFQ adds."""

RFQ_LATEST: Final = _window_amounts(
    n for n, row in enumerate(TOTALS) if isinstance(row, LatestRfqTotal) and not row.replied
)
"""What an RFQ adds by its latest quote."""

RFQ_REPLIED: Final = _window_amounts(
    n for n, row in enumerate(TOTALS) if isinstance(row, LatestRfqTotal) and row.replied
)
"""What an RFQ adds by its latest quote with a reply."""

QUOTE_AMOUNTS: Final[Mapping[QuoteKind, tuple[WindowAmounts, ...]]] = {
    kind: _window_amounts(n for n, row in enumerate(TOTALS) if isinstance(row, QuoteTotal) and row.kind == kind)
    for kind in get_args(QuoteKind)
}
"""By the kind of event that counts a quote."""

MONTHLY_QUOTES: Final[Mapping[QuoteKind, tuple[int, ...]]] = {
    kind: tuple(n for n in MONTHLY if isinstance(row := TOTALS[n], QuoteTotal) and row.kind == kind)
    for kind in get_args(QuoteKind)
}
"""By the kind of event: the totals by month, that of the submission, in which it counts a quote."""

COUNTED_KINDS: Final = tuple(kind for kind in get_args(QuoteKind) if QUOTE_AMOUNTS[kind] or MONTHLY_QUOTES[kind])
"""The kinds of event that count quotes."""

REACTIONS: Final = ("replied", *(kind for kind in COUNTED_KINDS if kind not in ("submitted", "replied")))
"""The kinds of event that may come before the submission of their quote and then count from the submission on."""

PAYMENT_EFFECTS: Final[Mapping[PaymentKind, tuple[PaymentEffect, ...]]] = {
    kind: tuple(
        PaymentEffect(number, None if row.window is None else WINDOWS.index(row.window), row.signs[kind])
        for number, row in sorted(enumerate(TOTALS), key=lambda item: item[1].window is not MONTH)
        if isinstance(row, PaymentTotal) and kind in row.signs
    )
    for kind in get_args(PaymentKind)
}
"""By the kind of event. Effects on months come first: stored month ends are in the order in which they are made."""

_NAMES: Final = (*(row.name for row in TOTALS), "prior_gmv_90d", "login_days")

IN_ORDER_OF_FIELDS: Final = itemgetter(*(_NAMES.index(name) for name in SupplierTotals.__struct_fields__))
"""Sorts the totals, followed by `prior_gmv_90d` and `login_days`, into the order of the fields of SupplierTotals."""

AMOUNTS: Final = (*(n for n, row in enumerate(TOTALS) if isinstance(row, PaymentTotal)), len(TOTALS))
"""Amounts of money among the totals, `prior_gmv_90d` included: they are published within bounds."""

GMV_90D: Final = _NAMES.index("gmv_90d")


# ---- for publishing ----------------------------------------------------------------------------------------------

CENTS: Final = 100
"""Cents of a US dollar."""


def _rate(part: str, whole: str) -> Callable[[SupplierTotals], float | None]:
    """The quotient of two totals, rounded to 6 places; None if the whole is 0."""
    part_and_whole = attrgetter(part, whole)

    def rate(totals: SupplierTotals) -> float | None:
        counted, of = part_and_whole(totals)
        return round(counted / of, 6) if of else None

    return rate


def _amount(name: str) -> Callable[[SupplierTotals], str]:
    """A total of cents as US dollars with two decimals."""
    cents_of = attrgetter(name)

    def amount(totals: SupplierTotals) -> str:
        cents = cents_of(totals)
        return f"{cents // CENTS}.{cents % CENTS:02}"

    return amount


METRICS: Final[Mapping[str, Callable[[SupplierTotals], object]]] = {
    "quotes_month": attrgetter("quotes_month"),
    "response_rate": _rate("rfqs_in_time", "rfqs_quoted"),
    "reply_rate": _rate("rfqs_replied_30d", "rfqs_quoted_30d"),
    "gmv_90d": _amount("gmv_90d"),
    "gmv_month": _amount("gmv_month"),
}
"""How each field of the published Metrics is computed from the totals."""

_METRICS: Final[tuple[Callable[[SupplierTotals], Any], ...]] = tuple(
    METRICS[name] for name in Metrics.__struct_fields__
)
_COUNTS: Final = attrgetter(*Counts.__struct_fields__)


def published_metrics(totals: SupplierTotals) -> Metrics:
    """The `metrics` of a `supplier-score`."""
    return Metrics(*[compute(totals) for compute in _METRICS])


def published_counts(totals: SupplierTotals) -> Counts:
    """The `counts` of a `supplier-score`: totals of the same names."""
    return Counts(*_COUNTS(totals))
