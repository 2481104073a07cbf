"""The lines of one supplier, kept up to date without computing all of them again.

    event ──▶ ledger ──▶ the units that it touches are stale ─┐
    time ──▶ a unit's `until` has come ───────────────────────┼─▶ computed again ──differs from the last?──▶ published
    a fact of the supplier has another answer ─▶ all products ┘

A *unit* is what is computed together: a product, a service request, or the supplier itself (its participations, other
duties and rights). Products ask the supplier's facts (`Facts.answers`) for few answers; only if one of these changes
are all products computed again, some at a time.

What is published is a function of events and rulebook. What is stored of it (published.py, and what is stale) only
spares work: without it every line is computed and published again.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from vigil.app.domain.buyers import rights
from vigil.app.domain.buyers.rights import Quota, rights_of
from vigil.app.domain.ledger.as_of import AsOf
from vigil.app.domain.ledger.facts import Answers, Facts
from vigil.app.domain.ledger.ledger import Ledger
from vigil.app.domain.ledger.published import PublishedLines, SupplierLine, Unit, line_of
from vigil.app.domain.ledger.rules import LineRules
from vigil.app.domain.products import standing
from vigil.app.domain.products.standing import standing_of
from vigil.app.domain.programmes import participations
from vigil.app.domain.programmes.participations import is_forgotten, participation_of
from vigil.app.domain.services import obligations
from vigil.app.domain.services.duties import duty_lines
from vigil.app.domain.services.requests import request_lines
from vigil.app.domain.suppliers.profiles import Profiles
from vigil.app.engine.subject import ChangedChunks, StateChunks
from vigil.app.engine.timers import TimerHeap
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.topic import composed_key

UNITS_AT_ONCE: Final = 80
"""Units that one checkpoint computes of one supplier: work for some 10 ms. With more, other outputs would wait for
longer."""

UNITS_STORED: Final = 200
"""Stale units that are stored by name. Where there are more, all are computed again after a crash."""

SUPPLIER: Final = "s"
PRODUCT: Final = "p"
REQUEST: Final = "r"
"""The first letter of a unit's name; the id of the product or request follows."""

MAIN_CHUNK: Final = b"L"
_encode: Final = msgspec.msgpack.Encoder().encode


class LinesMainChunk(Struct, array_like=True):
    """What is stored of the lines besides their digests. By position: new fields go to the end, with a default."""

    rulebook: str = ""
    """Digest of the rulebook by which they were computed."""
    answers: Answers = {}
    """What products asked about the supplier, with the answers."""
    behind: str = ""
    """Of too many stale units to store them by name, the first: all are computed again, it first. Else empty."""
    sent: dict[str, list[str]] = {}
    """By unit, the keys of the lines that went out with the last checkpoint: after a crash they are sent again."""
    waiting: list[str] = []
    """Stale units that wait for a later checkpoint."""
    silent: dict[str, int] = {}
    """The units that have no line, and when each of them changes if nothing arrives."""


_MAIN: Final = msgspec.msgpack.Decoder(LinesMainChunk).decode


class Computed(NamedTuple):
    """What one checkpoint publishes."""

    units: dict[str, Unit]
    answers: Answers
    """The supplier's answers to the products that were computed."""
    all_products: bool
    """True if the answers to the others have changed: they are stale, too."""

    @property
    def lines(self) -> list[SupplierLine]:
        return [line for unit in self.units.values() for line in unit.lines]


class SupplierLines:
    """The lines of one supplier."""

    def __init__(self, supplier_id: str, rules: LineRules, profiles: Profiles, ledger: Ledger) -> None:
        self._supplier_id = supplier_id
        self._rules = rules
        self._profiles = profiles
        self._ledger = ledger
        self._published = PublishedLines()
        self._main = LinesMainChunk()
        self._main_changed = True
        self._timers: TimerHeap[str] = TimerHeap()
        self.stale: dict[str, None] = {}
        """Units whose lines may be out of date, in the order in which they are computed."""

    def load(self, chunks: StateChunks) -> Iterator[None]:
        """Load what is stored, once the ledger is loaded, some of it in each step; call it once."""
        if MAIN_CHUNK in chunks:
            self._main = _MAIN(chunks[MAIN_CHUNK])
        main, ledger, times = self._main, self._ledger, dict[str, int]()
        self._main_changed = main.rulebook != self._rules.digest
        yield from self._published.load(chunks, times)
        self._timers = TimerHeap({**times, **main.silent})
        self.stale.update(dict.fromkeys(main.waiting))
        if main.behind or (self._main_changed and (self._published or ledger)):
            self._stale_all(main.behind)

    def __bool__(self) -> bool:
        """True if a line is published."""
        return bool(self._published)

    def use(self, ledger: Ledger) -> None:
        """Compute lines from this ledger from now on."""
        self._ledger = ledger

    # ---- what is stale ----------------------------------------------------------------------------------------

    def _stale_all(self, first: str) -> None:
        """Mark every unit as stale, `first` first: each has its turn if crash follows upon crash."""
        units = {*self._published.units(), SUPPLIER, *self._products()}
        units.update(f"{REQUEST}{request_id}" for request_id in self._ledger.requests)
        self.stale.update(dict.fromkeys(sorted(units, key=lambda unit: (unit < first, unit))))

    def stale_supplier(self) -> None:
        """Mark what concerns the supplier itself as stale."""
        self.stale[SUPPLIER] = None

    def stale_products(self, product_ids: Iterable[str]) -> None:
        """Mark these products as stale."""
        known = self._ledger.products
        self.stale.update({f"{PRODUCT}{product_id}": None for product_id in product_ids if product_id in known})

    def stale_requests(self, request_ids: Iterable[str]) -> None:
        """Mark these requests as stale."""
        self.stale.update({f"{REQUEST}{request_id}": None for request_id in request_ids})

    def next_timer(self) -> int:
        """When a line changes next if nothing arrives."""
        return self._timers.next_time()

    def expire(self, at: int) -> None:
        """Note what changes at `at`."""
        while (due := self._timers.pop_due(at + 1)) is not None:
            self.stale[due[1]] = None

    def _products(self) -> list[str]:
        return [f"{PRODUCT}{product_id}" for product_id in self._ledger.products]

    # ---- computing --------------------------------------------------------------------------------------------

    def compute(self, now: int, clock: int, quota: Quota | None) -> Computed:
        """Compute UNITS_AT_ONCE stale units; the supplier comes last, with the products that were published by then.

        Does not change the state: `commit` follows if it is published.
        """
        facts = self._facts(now, clock)
        answers = self._main.answers
        all_products = any(facts.answer(key) != answer for key, answer in answers.items())
        waiting = {**self.stale, **dict.fromkeys(self._products())} if all_products else self.stale
        chosen = list(islice((unit for unit in waiting if unit != SUPPLIER), UNITS_AT_ONCE + 1))
        units = {unit: self._unit(unit, facts) for unit in chosen[:UNITS_AT_ONCE]}
        if len(chosen) <= UNITS_AT_ONCE and SUPPLIER in waiting:
            units[SUPPLIER] = self._supplier_unit(facts, units, quota)
        return Computed(units, {**({} if all_products else answers), **facts.answers}, all_products)

    def compute_all(self, now: int, quota: Quota | None) -> Computed:
        """Compute every unit as of now: the input has ended."""
        facts = self._facts(now, now)
        names = {name for name in self._published.units() if name != SUPPLIER}
        names.update(self._products())
        names.update(f"{REQUEST}{request_id}" for request_id in self._ledger.requests)
        units = {name: self._unit(name, facts) for name in sorted(names)}
        units[SUPPLIER] = self._supplier_unit(facts, units, quota)
        return Computed(units, facts.answers, all_products=False)

    def compute_sent(self, now: int, clock: int, quota: Quota | None) -> list[SupplierLine]:
        """The lines that went out with the last checkpoint, as of now, with its tombstones."""
        facts = self._facts(now, clock)
        sent = {}
        for name, keys in self._main.sent.items():
            unit = self._supplier_unit(facts, {}, quota) if name == SUPPLIER else self._unit(name, facts)
            sent[name] = Unit([line for line in unit.lines if line.key in keys], unit.until)
        return self._with_tombstones([line for unit in sent.values() for line in unit.lines], ())

    def all_lines(self, computed: Computed) -> list[SupplierLine]:
        """Every line that was computed, with the tombstones that go out, and those that went out last."""
        return self._with_tombstones(computed.lines, self.changed(computed))

    def _with_tombstones(self, lines: list[SupplierLine], changed: Iterable[SupplierLine]) -> list[SupplierLine]:
        places = {(line.topic, line.key) for line in lines}
        gone = {(one.topic, one.key): one for one in (*self._published.gone(), *changed) if one.body is None}
        return lines + [line for place, line in gone.items() if place not in places]

    def _facts(self, now: int, clock: int) -> Facts:
        return Facts(self._ledger, self._profiles, self._rules, AsOf(now, clock))

    def _unit(self, name: str, facts: Facts) -> Unit:
        """A product or a request; its own moment learns when it changes."""
        own = facts.with_own_moment()
        id_ = name[1:]
        if name[:1] == PRODUCT:
            body = standing_of(self._supplier_id, id_, own) if self._rules.judges_products else None
            lines = [] if body is None else [line_of(standing.TOPIC, composed_key(self._supplier_id, id_), body)]
            return Unit(lines, own.moment.until)
        request = self._ledger.requests.get(id_)
        bodies = [] if request is None else request_lines(self._supplier_id, request, own)
        return Unit([line_of(obligations.TOPIC, body.obligation_id, body) for body in bodies], own.moment.until)

    def _supplier_unit(self, facts: Facts, units: Mapping[str, Unit], quota: Quota | None) -> Unit:
        """Participations, duties that no request opens, and rights."""
        claims = self._ledger.claims.values()
        parts = [part for claim in claims if (part := participation_of(self._supplier_id, claim, facts)) is not None]
        duties = duty_lines(self._supplier_id, parts, facts)
        parts = [part for part in parts if not is_forgotten(part, facts)]
        lines = [
            line_of(participations.TOPIC, composed_key(part.programme, part.edition, part.supplier_id), part)
            for part in parts
        ]
        lines += [line_of(obligations.TOPIC, body.obligation_id, body) for body in duties]
        if self._rules.judges_rights and (self._ledger or self._profiles.is_active(facts.now)):
            stars = self._published.stars_with(units)
            body = rights_of(self._supplier_id, facts, parts, stars, quota)
            lines.append(line_of(rights.TOPIC, self._supplier_id, body))
        return Unit(lines, facts.moment.until)

    # ---- publishing -------------------------------------------------------------------------------------------

    def changed(self, computed: Computed) -> list[SupplierLine]:
        """The lines that differ from those that were published last, with those that do not follow any more."""
        return [line for name, unit in computed.units.items() for line in self._published.changed(name, unit)]

    def commit(self, computed: Computed) -> None:
        """Note what goes out with this checkpoint, and what is left for the next one."""
        main, sent = self._main, self._sent(computed)
        self._main_changed |= (sent, computed.answers) != (main.sent, main.answers)
        main.sent, main.answers = sent, computed.answers
        self._published.note(computed.units)
        if computed.all_products:
            self.stale.update(dict.fromkeys(self._products()))
        for name, unit in computed.units.items():
            self.stale.pop(name, None)
            self._set_timer(name, unit)

    def commit_nothing(self) -> None:
        """Note that this checkpoint publishes no line."""
        if self._main.sent:
            self._main.sent, self._main_changed = {}, True

    def _sent(self, computed: Computed) -> dict[str, list[str]]:
        sent = {}
        for name, unit in computed.units.items():
            keys = [line.key for line in self._published.changed(name, unit) if line.body is not None]
            if keys:
                sent[name] = keys
        return sent

    def _set_timer(self, name: str, unit: Unit) -> None:
        self._timers.cancel(name)
        if unit.until < MAX_TIME:
            self._timers.schedule(name, unit.until)
        silent, until = self._main.silent, MAX_TIME if unit.lines else unit.until
        if silent.get(name, MAX_TIME) != until:
            self._main_changed = True
            silent[name] = until
            if until == MAX_TIME:
                del silent[name]

    def dump(self, into: ChangedChunks) -> None:
        """Put the chunks that changed since the last call into `into`."""
        self._published.dump(into)
        main, stale = self._main, list(self.stale)
        waiting, behind = (stale, "") if len(stale) <= UNITS_STORED else ([], stale[0])
        if self._main_changed or (main.waiting, main.behind) != (waiting, behind):
            self._main_changed = False
            main.rulebook, main.waiting, main.behind = self._rules.digest, waiting, behind
            into[MAIN_CHUNK] = _encode(main)
