"""The part of a supplier's state that its lines follow from: its ledger, and its lines.

    product, order, certificate, service-request, activity, profile, gold quote ──▶ ledger ──▶ lines
    claims of programmes with places ──▶ programmes ──▶ the place, back from there

A place is asked for once a claim is accepted. Events that arrive later may say otherwise: as long as there is no
answer, it says so to the programme. What was referred from rooms is judged once.

Most suppliers of a marketplace have quotes and payments only: for them nothing is kept here.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from vigil.app.domain.buyers.referrals import Referrals
from vigil.app.domain.buyers.rights import Quota
from vigil.app.domain.ledger.as_of import AsOf
from vigil.app.domain.ledger.bounds import MOST_STATES, check_bounds
from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.forget import forget, forget_oldest_state, is_too_old
from vigil.app.domain.ledger.ledger import EMPTY, Ledger
from vigil.app.domain.ledger.lines import Computed, SupplierLines
from vigil.app.domain.ledger.published import output_of
from vigil.app.domain.ledger.records import ClaimRecord
from vigil.app.domain.ledger.rules import LOGIN_DAYS, LineRules
from vigil.app.domain.programmes.editions import edition_at
from vigil.app.domain.programmes.participations import asks_for
from vigil.app.domain.suppliers.profiles import Profiles
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import ChangedChunks, StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output
from vigil.topics.internal import ProgrammeClaim, ProgrammePlace
from vigil.topics.products import Certificate, Order, Product
from vigil.topics.services import Activity, ServiceRequest
from vigil.topics.suppliers import Quote
from vigil.topics.topic import composed_key
from vigil.topics.verdicts import Verdict

LineEvent = Product | Order | Certificate | ServiceRequest | Activity

CLAIM_TOPIC: Final = "programme-claim"


class AtTheEnd(NamedTuple):
    """What waits for the end of the input."""

    lines: bool = False
    """Lines are computed then: a replay shows only how things stand at its end."""
    judgements: bool = False
    """What is judged once is judged then, when all is there that may decide it: the input is recorded."""


REPLAY: Final = AtTheEnd(lines=True, judgements=True)


class LinesPart:
    """Ledger and lines of one supplier."""

    def __init__(
        self,
        supplier_id: str,
        rules: LineRules,
        profiles: Profiles,
        at_the_end: AtTheEnd = AtTheEnd(),  # noqa: B008 - a value
    ) -> None:
        self._replay = at_the_end.lines
        self._judges_at_the_end = at_the_end.judgements
        self._supplier_id = supplier_id
        self._rules = rules
        self._profiles = profiles
        self.ledger = EMPTY
        self._referrals = Referrals({})
        self._lines = SupplierLines(supplier_id, rules, profiles, self.ledger)
        self._computed: Computed | None = None
        self._sending: list[tuple[ClaimRecord, ProgrammeClaim]] = []
        """Both from `pending_outputs` to `mark_published`."""
        self._work = 0

    def load(self, chunks: StateChunks) -> Iterator[None]:
        """Load what is stored, some of it in each step; call it once."""
        self._referrals = Referrals(chunks)
        if any(name[:1].isupper() for name in chunks):
            yield from self._writable().load(chunks)
        yield from self._lines.load(chunks)

    def __bool__(self) -> bool:
        """True if something is remembered, or a line is published."""
        return bool(self.ledger) or bool(self._referrals) or (not self._replay and bool(self._lines))

    # ---- events -----------------------------------------------------------------------------------------------

    def is_duplicate(self, event: Order | ServiceRequest) -> bool:
        """True if an event of the same id and kind was applied before."""
        return self.ledger.is_duplicate(event)

    def check_bounds(self, event: LineEvent) -> None:
        """Raise InvalidEvent if the supplier has as many of its kind as are remembered."""
        edition = ""
        if isinstance(event, Activity) and event.kind == "claim":
            edition = edition_at(self._rules.programmes[event.programme or ""], event.at, self._rules.days)
        check_bounds(event, edition, self.ledger)

    def apply(self, event: LineEvent, now: int, collector: OutputCollector) -> None:
        """Take an event that is not a duplicate; one that is older than the memory of its kind is counted only."""
        if is_too_old(event, now, self.ledger):
            collector.count("too_old")
            return
        ledger = self._writable()
        if isinstance(event, Product):
            if ledger.product(event) > MOST_STATES:
                forget_oldest_state(ledger, event.product_id, self._facts(now))
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
        """The supplier's profile changed, or its assessed score and with it its quota."""
        if self._rules.judges_rights or self.ledger:
            self._lines.stale_supplier()

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
        edition = edition_at(self._rules.programmes[programme], event.at, self._rules.days)
        record = self.ledger.claim(programme, edition, event.at)
        if self._rules.has_places(programme):
            # Places go by the order of arrival where claims have one time: send it at once.
            arrived = ProgrammeClaim(
                programme=programme, edition=edition, supplier_id=self._supplier_id, at=event.at, accepted=None
            )
            _send(collector, arrived)
            self._ask_at_once(record, now, collector)

    def _ask_at_once(self, record: ClaimRecord, now: int, collector: OutputCollector) -> None:
        """Ask for the place of a claim that is accepted: a checkpoint may end a long backlog, and knows no order."""
        claim = None if self._replay else self._request_of(record, self._facts(now), again=False)
        if claim is not None:
            self._note_asked(record, claim)
            _send(collector, claim)

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
        if self._replay:
            return MAX_TIME
        changes = self._lines.next_timer()
        return changes if self._judges_at_the_end else min(changes, self._referrals.next_timer())

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        """Note that lines change at `at`, and judge what was referred up to then."""
        if not self._replay:
            self._lines.expire(at)
        if not self._judges_at_the_end:
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
        self._sending = list(self._claims(now, clock))
        return outputs + [_output(claim) for _, claim in self._sending]

    def unconfirmed_outputs(self, now: int, clock: int, quota: Quota | None) -> list[Output]:
        """The lines that went out with the last checkpoint, as of now, and every request for a place that waits."""
        self._computed, self._sending = None, list(self._claims(now, clock, again=True))
        lines = [output_of(line, now) for line in self._lines.compute_sent(now, clock, quota)]
        return lines + [_output(claim) for _, claim in self._sending]

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
        for record, claim in self._sending:
            self._note_asked(record, claim)
        self._computed, self._sending = None, []

    def has_more_outputs(self) -> bool:
        """True if lines wait for the next checkpoint."""
        return not self._replay and bool(self._lines.stale)

    def end_of_input(self, now: int, collector: OutputCollector) -> None:
        """Ask for the places of the claims that are accepted, and judge all that was referred."""
        self._referrals.judge(MAX_TIME, self._facts(now), collector)
        for record, claim in list(self._claims(now, now)):
            self._note_asked(record, claim)
            _send(collector, claim)

    def _note_asked(self, record: ClaimRecord, claim: ProgrammeClaim) -> None:
        record.sent, record.asked_at, record.asks = claim.accepted is not None, claim.at, claim.number
        self.ledger.claim_buckets.touch(record)

    def _claims(self, now: int, clock: int, *, again: bool = False) -> Iterator[tuple[ClaimRecord, ProgrammeClaim]]:
        """The messages about the acceptance of claims that wait for a place; with `again`, also those sent before."""
        facts = Facts(self.ledger, self._profiles, self._rules, AsOf(now, clock))
        for record in self.ledger.claims.values():
            claim = self._request_of(record, facts, again)
            if claim is not None:
                yield record, claim

    def _request_of(self, record: ClaimRecord, facts: Facts, again: bool) -> ProgrammeClaim | None:
        """The message about the acceptance of a claim; None if it has not changed."""
        if record.place is not None:
            return None
        at, accepted = asks_for(record, facts)
        changed = at != (record.asked_at if record.sent else None)
        if not changed and not (again and record.asks):
            return None
        return ProgrammeClaim(
            programme=record.programme,
            edition=record.edition,
            supplier_id=self._supplier_id,
            at=record.asked_at if at is None else at,
            accepted=accepted,
            number=record.asks + changed,
        )

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
    says = f"{claim.number}" if claim.number else f"arrived/{claim.at}"
    return Output(CLAIM_TOPIC, place.encode(), f"{place}/{claim.supplier_id}/{says}", claim.at, claim)


def _send(collector: OutputCollector, claim: ProgrammeClaim) -> None:
    output = _output(claim)
    collector.emit(output.topic, composed_key(claim.programme, claim.edition), output.id, output.at, claim)
