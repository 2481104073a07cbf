"""Facts about one supplier as of a moment: the only code that lines are made of besides the rulebook's data.

    latest    profile, measure, certificate in force, product state
    count     gold RFQs of a month
    sum       paid for a product in 90 days
    share     orders on time, refunded, disputed in 90 days
    in force  permits, enrolments

Each fact asks the moment about every time at which it changes by itself. A fact as of an earlier time is the same fact
of another moment: `at`.

Shares are exact: a part and a whole, compared by cross multiplication.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from vigil.app.domain.industries.score import exact_share
from vigil.app.domain.ledger import order_shares
from vigil.app.domain.ledger.as_of import AsOf
from vigil.app.domain.ledger.ledger import Ledger, holding
from vigil.app.domain.ledger.product_sales import PaidFor
from vigil.app.domain.ledger.records import CertificateRecord, ProductState
from vigil.app.domain.ledger.rules import LineRules
from vigil.app.domain.rulebook.buyers import Permit
from vigil.app.domain.suppliers.profiles import Profile, Profiles


class Share(NamedTuple):
    """A part of a whole; nothing can be said where the whole is 0."""

    part: int
    whole: int

    def compared(self, with_: float) -> int | None:
        """−1, 0 or 1 as the share is below, equal to or above a number of the rulebook; None if nothing can be said."""
        if not self.whole:
            return None
        numerator, denominator = exact_share(with_)
        difference = self.part * denominator - numerator * self.whole
        return (difference > 0) - (difference < 0)

    def rounded(self) -> float | None:
        """The share to six places; None if nothing can be said."""
        return round(self.part / self.whole, 6) if self.whole else None


Answers = dict[str, int]
"""By question, a fact and what it was asked about on lines of their own: what products asked about their supplier."""

UNKNOWN: Final = 2
"""The answer to a comparison of which nothing can be said; the others are −1, 0 and 1."""


class Facts:
    """What is known of one supplier as of a moment. Events after the moment do not count."""

    def __init__(
        self, ledger: Ledger, profiles: Profiles, rules: LineRules, moment: AsOf, supplier: "Facts | None" = None
    ) -> None:
        """`supplier`: the facts that answer questions about the supplier as a whole, once for all products."""
        self.ledger = ledger
        self.profiles = profiles
        self.rules = rules
        self.moment = moment
        self._supplier = supplier  # never itself: a cycle would keep the ledger until the garbage collector comes
        self.answers: Answers = {}
        """What was asked of these facts about the supplier as a whole."""

    @property
    def supplier(self) -> "Facts":
        """The facts that answer questions about the supplier as a whole."""
        return self._supplier or self

    @property
    def now(self) -> int:
        return self.moment.now

    def at(self, at: int) -> "Facts":
        """The facts as of another time, which does not move."""
        return Facts(self.ledger, self.profiles, self.rules, AsOf(at))

    def with_own_moment(self) -> "Facts":
        """The same facts for one product: its moment learns of its own changes only."""
        return Facts(self.ledger, self.profiles, self.rules, AsOf(self.now, self.moment.clock), self.supplier)

    # ---- answers to products ----------------------------------------------------------------------------------

    def on_time_is(self, than: float) -> int:
        """−1, 0 or 1 as the share of orders on time is below, at or above a number; UNKNOWN without orders."""
        return self.supplier.answer(f"on-time\n{than!r}")

    def refunds_are(self, than: float) -> int:
        """−1, 0 or 1 as the share of refunds is below, at or above a number; UNKNOWN without orders."""
        return self.supplier.answer(f"refunds\n{than!r}")

    def holds_permit(self, name: str) -> bool:
        """True if the supplier holds a permit."""
        return bool(self.supplier.answer(f"permit\n{name}"))

    def is_registered(self, place: str) -> bool:
        """True if the supplier has an EPR certificate for `COUNTRY/CATEGORY` in force."""
        return bool(self.supplier.answer(f"epr\n{place}"))

    def measure_is(self, name: str, than: float) -> int:
        """−1, 0 or 1 as a measure is below, at or above a number; UNKNOWN if nothing is known."""
        return self.supplier.answer(f"measure\n{name}\n{than!r}")

    def answer(self, question: str) -> int:
        """The answer to a question about the supplier; each is answered once."""
        known = self.answers.get(question)
        if known is None:
            fact, *about = question.split("\n")
            known = self.answers[question] = _ANSWERS[fact](self, *about)
        return known

    # ---- latest -----------------------------------------------------------------------------------------------

    def profile(self) -> Profile:
        """The profile that holds; the default one if there is none."""
        for version in self.profiles.versions:
            if not self.moment.reached(version.at):
                break
        return self.profiles.at(self.now)

    def is_verified(self) -> bool:
        """True if the supplier is of the verified membership."""
        return self.profile().membership == "verified"

    def measure(self, name: str) -> float | None:
        """How much there is of something; None if nothing is known."""
        found = None
        for record in self.ledger.measures.get(name, ()):
            if not self.moment.reached(record.at):
                break
            found = record.value
        return found

    def product_state(self, product_id: str) -> ProductState | None:
        """The state of a product; None before its first."""
        record = self.ledger.products.get(product_id)
        found = None
        for state in record.states if record is not None else ():
            if not self.moment.reached(state.at):
                break
            found = state
        return found

    # ---- in force ---------------------------------------------------------------------------------------------

    def certificate(self, kind: str, place: str = "") -> bool:
        """True if a certificate of a kind is in force; `place`: `COUNTRY/CATEGORY` of an EPR certificate."""
        # No `any`: each answer may be the next to change.
        return sum(self._in_force(record) for record in self._certificates(kind, place)) > 0

    def _certificates(self, kind: str, place: str) -> Iterator[CertificateRecord]:
        for records in self.ledger.certificates.values():
            record = holding(records, self.now)
            if record is not None and record.kind == kind and record.place == place:
                yield record

    def _in_force(self, record: CertificateRecord) -> bool:
        if not record.accepted:
            return False
        if record.valid_from is not None and not self.moment.reached(record.valid_from):
            return False
        return record.valid_until is None or not self.moment.reached(record.valid_until)

    def permit(self, name: str) -> bool:
        """True if the supplier holds a permit; one that the rulebook does not name is never held."""
        section = self.rules.permits.get(name)
        limits = None if section is None else self.moment.limits(section)
        if limits is None:
            return False
        if not self._stands(limits) or not self._shares_hold(limits.on_time_over_share, limits.disputes_below_share):
            return False
        return all(self.certificate(kind) for kind in limits.certificates) and all(map(self.permit, limits.permits))

    def _stands(self, limits: Permit) -> bool:
        """True if membership and stars are good enough."""
        profile = self.profile()
        verified = profile.membership == "verified"
        ways = [one for one in limits.any_of if profile.stars >= one.least_stars and (verified or not one.verified)]
        return (verified or not limits.verified) and (bool(ways) or not limits.any_of)

    def _shares_hold(self, on_time_over: float | None, disputes_below: float | None) -> bool:
        """True if both shares are known to be good enough, as far as they are asked for."""
        if on_time_over is not None and self.on_time().compared(on_time_over) != 1:
            return False
        return disputes_below is None or self.disputes().compared(disputes_below) == -1

    # ---- shares and sums --------------------------------------------------------------------------------------

    def on_time(self) -> Share:
        """Of the orders that were to be dispatched in the last 90 days, those that were in time.

        Orders without a dispatch whose refund was requested in time are left out.
        """
        return self._share(order_shares.ON_TIME, order_shares.DUE)

    def refunds(self) -> Share:
        """Of the orders paid in the last 90 days, those with a refund requested."""
        return self._share(order_shares.REFUNDED, order_shares.PAID)

    def disputes(self) -> Share:
        """Of the orders paid in the last 90 days, those that were disputed."""
        return self._share(order_shares.DISPUTED, order_shares.PAID)

    def _share(self, part: int, whole: int) -> Share:
        return Share(self._count(part), self._count(whole))

    def _count(self, which: int) -> int:
        shares = self.ledger.shares
        self.moment.reached(shares.next_change(which, self.now))
        return shares.count(which, self.now)

    def paid_for(self, product_id: str) -> PaidFor:
        """What was paid for a product in the last 90 days."""
        sales = self.ledger.sales.get(product_id)
        if sales is None:
            return PaidFor(0, 0)
        paid = sales.as_of(self.now)
        self.moment.reached(sales.next_change())
        return paid

    # ---- counts -----------------------------------------------------------------------------------------------

    def gold_rfqs(self, month: int) -> list[int]:
        """When the supplier first quoted on each gold RFQ of a month, in order of time."""
        return sorted(gold.at for gold in self.ledger.gold.values() if gold.month == month and gold.at <= self.now)


def _compared(share: Share, than: str) -> int:
    compared = share.compared(float(than))
    return UNKNOWN if compared is None else compared


def _measure(facts: Facts, name: str, than: str) -> int:
    value = facts.measure(name)
    return UNKNOWN if value is None else (value > float(than)) - (value < float(than))


_ANSWERS: Final[Mapping[str, Callable[..., int]]] = {
    "on-time": lambda facts, than: _compared(facts.on_time(), than),
    "refunds": lambda facts, than: _compared(facts.refunds(), than),
    "permit": lambda facts, name: int(facts.permit(name)),
    "epr": lambda facts, place: int(facts.certificate("epr", place)),
    "measure": _measure,
}
