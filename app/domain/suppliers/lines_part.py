"""The part of a supplier's state that its lines follow from: its ledger, and its lines.

    product, order, certificate, service-request, activity, profile, gold quote ──▶ ledger ──▶ lines
    claims of programmes with places ──▶ programmes ──▶ the place, back from there

Most suppliers of a marketplace have quotes and payments only: for them nothing is kept here.
"""

from collections.abc import Iterator
from typing import Final

from vigil.app.domain.buyers.referrals import Referrals
from vigil.app.domain.buyers.rights import Quota
from vigil.app.domain.ledger.as_of import AsOf
from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.forget import forget, is_too_old
from vigil.app.domain.ledger.ledger import EMPTY, Ledger
from vigil.app.domain.ledger.lines import Computed, SupplierLines
from vigil.app.domain.ledger.published import output_of
from vigil.app.domain.ledger.records import ClaimRecord
from vigil.app.domain.ledger.rules import LOGIN_DAYS, LineRules
from vigil.app.domain.programmes.editions import edition_at
from vigil.app.domain.programmes.participations import Accepted, completion, judge_claims
from vigil.app.domain.suppliers.profiles import Profiles
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import ChangedChunks, StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output
from vigil.topics.internal import AcceptedClaim, ProgrammeClaim, ProgrammePlace
from vigil.topics.products import Certificate, Order, Product
from vigil.topics.services import Activity, ServiceRequest
from vigil.topics.suppliers import Quote
from vigil.topics.topic import composed_key
from vigil.topics.verdicts import Verdict

LineEvent = Product | Order | Certificate | ServiceRequest | Activity

CLAIM_TOPIC: Final = "programme-claim"


class LinesPart:
    """Ledger and lines of one supplier."""

    def __init__(
        self, supplier_id: str, rules: LineRules, profiles: Profiles, chunks: StateChunks, *, replay: bool = False
    ) -> None:
        """`replay`: lines are computed at the end of the input only."""
        self._replay = replay
        self._supplier_id = supplier_id
        self._rules = rules
        self._profiles = profiles
        self.ledger = Ledger(chunks) if any(name[:1].isupper() for name in chunks) else EMPTY
        self._referrals = Referrals(chunks)
        self._lines = SupplierLines(supplier_id, rules, profiles, self.ledger, chunks)
        self._computed: Computed | None = None
        self._sending: list[ClaimRecord] = []
        """Both from `pending_outputs` to `mark_published`."""
        self._work = 0

    def __bool__(self) -> bool:
        """True if something is remembered, or a line is published."""
        return bool(self.ledger) or bool(self._referrals) or (not self._replay and bool(self._lines))

    # ---- events -----------------------------------------------------------------------------------------------

    def is_duplicate(self, event: Order | ServiceRequest) -> bool:
        """True if an event of the same id and kind was applied before."""
        return self.ledger.is_duplicate(event)

    def apply(self, event: LineEvent, now: int, collector: OutputCollector) -> None:
        """Take an event that is not a duplicate; one that is older than the memory of its kind is counted only."""
        if is_too_old(event, now, self.ledger):
            collector.count("too_old")
            return
        ledger = self._writable()
        if isinstance(event, Product):
            ledger.product(event)
            self._lines.stale_products((event.product_id,))
        elif isinstance(event, Order):
            order = ledger.order(event)
            self._lines.stale_products(line.product_id for line in order.lines)
            self._lines.stale_requests(ledger.requests_of.get(order.order_id, ()))
        elif isinstance(event, Certificate):
            ledger.certificate(event)
        elif isinstance(event, ServiceRequest):
            self._lines.stale_requests((ledger.request(event).request_id,))
        elif event.kind == "measure":
            ledger.measure(event)
        elif event.kind == "claim":
            self._claim(event, now, collector)
        else:
            ledger.duty(event)
        self._lines.stale_supplier()

    def profile_changed(self) -> None:
        """The supplier's profile changed."""
        if self._rules.judges_rights or self.ledger:
            self._lines.stale_supplier()

    def assessed(self) -> None:
        """The supplier's assessed score changed, and with it its quota."""
        self.profile_changed()

    def gold_quote(self, quote: Quote) -> None:
        """Take an event of a quote to a gold RFQ: its submission counts."""
        if quote.kind == "submitted":
            month = self._rules.days.months.month_of(quote.at)
            self._writable().gold_quote(quote.rfq_id, month, quote.at)
            self._lines.stale_supplier()

    def referred(self, verdict: Verdict) -> None:
        """Take a violation that is none if the supplier held the permit."""
        self._referrals.add(verdict)

    def place(self, event: ProgrammePlace) -> None:
        """Take the answer to a claim of a programme with few places. It stands."""
        record = self.ledger.claims.get((event.programme, event.edition))
        if record is not None and record.place is None:
            record.place = event.place
            self.ledger.claim_buckets.touch(record)
            self._lines.stale_supplier()

    def _claim(self, event: Activity, now: int, collector: OutputCollector) -> None:
        programme = event.programme or ""
        collector.count(f"claim:{programme}")
        section = self._rules.programmes[programme]
        edition = edition_at(section, event.at, self._rules.days)
        record = self.ledger.claim(programme, edition, event.at)
        if any(version.limits.places_by == "claim" for version in section.versions):
            # Places go by the order of arrival where claims have one time: send it at once.
            arrived = ProgrammeClaim(
                programme=programme, edition=edition, supplier_id=self._supplier_id, at=event.at, accepted=None
            )
            _send(collector, arrived)
            self._take_part(record, now, collector)

    def _take_part(self, record: ClaimRecord, now: int, collector: OutputCollector) -> None:
        """Send a claim that is accepted at once: a checkpoint may end a long backlog, and knows no order of claims."""
        claim = None if self._replay or record.sent else self._accepted(record, self._facts(now))
        if claim is not None:
            self._send_accepted(record, claim, collector)

    def _writable(self) -> Ledger:
        if self.ledger is EMPTY:
            self.ledger = Ledger({})
            self._lines.use(self.ledger)
        return self.ledger

    def login_days(self, at: int) -> float:
        """The measure of days logged in as of a time; 0 if nothing is known."""
        measures = self.ledger.measures.get(LOGIN_DAYS)
        return next((one.value for one in reversed(measures) if one.at <= at), 0.0) if measures else 0.0

    # ---- time -------------------------------------------------------------------------------------------------

    def next_timer(self) -> int:
        """When a line changes next without further events; MAX_TIME if it does not, and in a replay."""
        return MAX_TIME if self._replay else min(self._lines.next_timer(), self._referrals.next_timer())

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        """Note that lines change at `at`, and judge what was referred up to then."""
        if not self._replay:
            self._lines.expire(at)
            self._referrals.judge(at, self._facts(at), collector)

    def forget(self, now: int) -> None:
        """Delete what is older than its memory."""
        self._referrals.forget(now)
        if self.ledger is not EMPTY:
            forget(self.ledger, self._facts(now))
            self._lines.stale_supplier()

    # ---- what is published ------------------------------------------------------------------------------------

    def pending_outputs(self, now: int, clock: int, quota: Quota | None, *, final: bool) -> list[Output]:
        """The lines that changed, some of them at a time, and the claims that wait for a place; all if `final`."""
        self._computed, self._sending, self._work = None, [], 0
        if final:
            computed = self._lines.compute_all(now, quota)
            self._computed = None if self._replay else computed
            return [output_of(line, now) for line in self._lines.all_lines(computed)]
        if self._replay or not self._lines.stale:
            return []
        self._computed = self._lines.compute(now, clock, quota)
        self._work = len(self._computed.units)
        outputs = [output_of(line, now) for line in self._lines.changed(self._computed)]
        for record, claim in self._claims(now, clock):
            self._sending.append(record)
            outputs.append(_output(claim))
        return outputs

    def unconfirmed_outputs(self, now: int, clock: int, quota: Quota | None) -> list[Output]:
        """The lines that went out with the last checkpoint, as of now, and the claims that no place has answered."""
        self._computed, self._sending = None, []
        lines = [output_of(line, now) for line in self._lines.compute_sent(now, clock, quota)]
        return lines + [_output(claim) for _, claim in self._claims(now, clock, again=True)]

    @property
    def output_work(self) -> int:
        """How many units the last `pending_outputs` computed."""
        return self._work

    def mark_published(self) -> None:
        """Note that what `pending_outputs` has returned goes out."""
        if self._computed is not None:
            self._lines.commit(self._computed)
        else:
            self._lines.commit_nothing()
        for record in self._sending:
            record.sent = True
            self.ledger.claim_buckets.touch(record)
        self._computed, self._sending = None, []

    def has_more_outputs(self) -> bool:
        """True if lines wait for the next checkpoint."""
        return not self._replay and bool(self._lines.stale)

    def end_of_input(self, now: int, collector: OutputCollector) -> None:
        """Claim the places that are not claimed yet, and judge all that was referred."""
        self._referrals.judge(MAX_TIME, self._facts(now), collector)
        for record, claim in list(self._claims(now, now)):
            self._send_accepted(record, claim, collector)

    def _claims(self, now: int, clock: int, *, again: bool = False) -> Iterator[tuple[ClaimRecord, ProgrammeClaim]]:
        """The claims of programmes with few places that are to be sent; `again`: those that were, and wait for a place.

        One that arrives twice changes nothing.
        """
        facts = Facts(self.ledger, self._profiles, self._rules, AsOf(now, clock))
        for record in self.ledger.claims.values():
            if record.place is None and record.sent == again:
                claim = self._accepted(record, facts)
                if claim is not None:
                    yield record, claim

    def _accepted(self, record: ClaimRecord, facts: Facts) -> ProgrammeClaim | None:
        """The claim of a place; None where none is accepted, or places are not few or wait for the window's end."""
        judged = judge_claims(record, facts)
        if not isinstance(judged, Accepted) or judged.version.limits.places is None:
            return None
        limits = judged.version.limits
        by_claim = limits.places_by == "claim"
        at = judged.at if by_claim else completion(record, facts)
        if at is None:
            return None
        decided_at = at if by_claim else judged.window.closes
        return ProgrammeClaim(
            programme=record.programme,
            edition=record.edition,
            supplier_id=self._supplier_id,
            at=at,
            accepted=AcceptedClaim(places=limits.places or 0, decided_at=decided_at, by_id=not by_claim),
        )

    def _send_accepted(self, record: ClaimRecord, claim: ProgrammeClaim, collector: OutputCollector) -> None:
        record.sent = True
        self.ledger.claim_buckets.touch(record)
        _send(collector, claim)

    def _facts(self, now: int) -> Facts:
        return Facts(self.ledger, self._profiles, self._rules, AsOf(now))

    def dump(self, into: ChangedChunks) -> None:
        """Put the chunks that changed since the last call into `into`."""
        if self.ledger is not EMPTY:
            self.ledger.dump(into)
        self._lines.dump(into)
        self._referrals.dump(into)


def _output(claim: ProgrammeClaim) -> Output:
    place = composed_key(claim.programme, claim.edition)
    kind = "arrived" if claim.accepted is None else "accepted"
    return Output(CLAIM_TOPIC, place.encode(), f"{place}/{claim.supplier_id}/{kind}/{claim.at}", claim.at, claim)


def _send(collector: OutputCollector, claim: ProgrammeClaim) -> None:
    output = _output(claim)
    collector.emit(output.topic, composed_key(claim.programme, claim.edition), output.id, output.at, claim)
