"""The lines of one supplier, kept up to date without computing all of them again.

    event ──▶ ledger ──▶ the units that it touches are stale ─┐
    time ──▶ a unit's `until` has come ───────────────────────┼─▶ computed again ──differs from the last?──▶ published
    a fact of the supplier has another answer ─▶ all products ┘

A *unit* is what is computed together: a product, a service request, or the supplier itself (its participations, other
duties and rights). Products ask the supplier's facts (`Facts.answers`) for few answers; only if one of these changes
are all products computed again, some at a time.

What is published is a function of events and rulebook. What is stored of it, the digest of each line and until when it
stands, only spares work: without it every line is computed and published again.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from vigil.app.domain.buyers import rights
from vigil.app.domain.buyers.rights import Quota, rights_of
from vigil.app.domain.ledger.as_of import AsOf
from vigil.app.domain.ledger.facts import Answers, Facts
from vigil.app.domain.ledger.ledger import Ledger
from vigil.app.domain.ledger.records import LineRecord
from vigil.app.domain.ledger.rules import LineRules
from vigil.app.domain.products import standing
from vigil.app.domain.products.standing import standing_of
from vigil.app.domain.programmes import participations
from vigil.app.domain.programmes.participations import is_forgotten, participation_of
from vigil.app.domain.services import obligations
from vigil.app.domain.services.duties import duty_lines
from vigil.app.domain.services.requests import request_lines
from vigil.app.domain.suppliers.profiles import Profiles
from vigil.app.engine.storage.buckets import Buckets
from vigil.app.engine.subject import ChangedChunks, StateChunks
from vigil.app.engine.timers import TimerHeap
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output
from vigil.topics.products import ProductStanding
from vigil.topics.topic import composed_key
from vigil.topics.verdicts import identity

UNITS_AT_ONCE: Final = 200
"""Units that one checkpoint or timer computes: work for some 20 ms. With more, other outputs would wait for longer."""

SUPPLIER: Final = "s"
PRODUCT: Final = "p"
REQUEST: Final = "r"
"""The first letter of a unit's name; the id of the product or request follows."""

GONE: Final = ""
"""What is stored as the unit of a line that was deleted."""

MAIN_CHUNK: Final = b"L"
_LINE_CHUNK: Final = b"Y"
_encode: Final = msgspec.msgpack.Encoder().encode
_plain: Final = msgspec.json.Encoder(order="deterministic").encode


class LinesMainChunk(Struct, array_like=True):
    """What is stored of the lines besides their digests."""

    rulebook: str = ""
    """Digest of the rulebook by which they were computed."""
    answers: Answers = {}
    """What products asked about the supplier, with the answers."""
    behind: str = ""
    """The unit after which some were left for the next checkpoint; empty: none were."""


_MAIN: Final = msgspec.msgpack.Decoder(LinesMainChunk).decode


Place = tuple[str, str]
"""Topic and key of a line."""


class SupplierLine(NamedTuple):
    """A line to be published; no body: it does not follow from the events any more."""

    topic: str
    key: str
    body: Struct | None


class Unit(NamedTuple):
    """A unit as it was computed."""

    lines: list[SupplierLine]
    until: int
    """When it changes if nothing arrives."""


class Computed(NamedTuple):
    """What one checkpoint publishes."""

    units: dict[str, Unit]
    answers: Answers
    """The supplier's answers to the products that were computed."""
    stale: set[str]
    """What is left for the next one."""
    behind: str
    """The unit after which it goes on; empty: nothing is left."""


class SupplierLines:
    """The lines of one supplier."""

    def __init__(
        self, supplier_id: str, rules: LineRules, profiles: Profiles, ledger: Ledger, chunks: StateChunks
    ) -> None:
        self._supplier_id = supplier_id
        self._rules = rules
        self._profiles = profiles
        self._ledger = ledger
        self._buckets: Buckets[LineRecord] = Buckets(_LINE_CHUNK, LineRecord, chunks)
        self._records: dict[str, dict[Place, LineRecord]] = {}
        """By unit, and by topic and key: the lines as they were published last."""
        self._starred: dict[int, int] = {}
        """By number of stars, how many products were published with them."""
        self._gone: list[LineRecord] = []
        """The lines that were deleted last. Their tombstones are sent again after a crash, as lines are."""
        for record in self._buckets:
            if record.unit == GONE:
                self._gone.append(record)
            else:
                self._records.setdefault(record.unit, {})[record.topic, record.key] = record
                self._count_stars(record, 1)
        self._timers: TimerHeap[str] = TimerHeap(
            {unit: min(one.until for one in records.values()) for unit, records in self._records.items()}
        )
        main = _MAIN(chunks[MAIN_CHUNK]) if MAIN_CHUNK in chunks else LinesMainChunk()
        self._answers = main.answers
        self._behind = main.behind
        self._main_changed = False
        self.stale: set[str] = set()
        """Units whose lines may be out of date."""
        if main.behind or (main.rulebook != rules.digest and (self._records or ledger)):
            self.stale_all()
        self._main_changed = main.rulebook != rules.digest

    def __bool__(self) -> bool:
        """True if a line is published."""
        return bool(self._records)

    def use(self, ledger: Ledger) -> None:
        """Compute lines from this ledger from now on."""
        self._ledger = ledger

    # ---- what is stale ----------------------------------------------------------------------------------------

    def stale_all(self) -> None:
        """Mark every unit as stale."""
        self.stale.update(self._records)
        self.stale.update(f"{PRODUCT}{product_id}" for product_id in self._ledger.products)
        self.stale.update(f"{REQUEST}{request_id}" for request_id in self._ledger.requests)
        self.stale.add(SUPPLIER)

    def stale_products(self, product_ids: Iterable[str]) -> None:
        """Mark these products as stale."""
        known = self._ledger.products
        self.stale.update(f"{PRODUCT}{product_id}" for product_id in product_ids if product_id in known)

    def stale_requests(self, request_ids: Iterable[str]) -> None:
        """Mark these requests as stale."""
        self.stale.update(f"{REQUEST}{request_id}" for request_id in request_ids)

    def next_timer(self) -> int:
        """When a line changes next if nothing arrives."""
        return self._timers.next_time()

    def expire(self, at: int) -> None:
        """Note what changes at `at`."""
        while (due := self._timers.pop_due(at + 1)) is not None:
            self.stale.add(due[1])

    # ---- computing --------------------------------------------------------------------------------------------

    def compute(self, now: int, clock: int, quota: Quota | None, limit: int = UNITS_AT_ONCE) -> Computed:
        """Compute stale units, `limit` of them. Does not change the state: `commit` follows if it is published."""
        facts = self._facts(now, clock)
        stale = set(self.stale)
        answers = self._answers
        if stale and any(facts.answer(key) != answer for key, answer in answers.items()):
            stale.update(f"{PRODUCT}{product_id}" for product_id in self._ledger.products)
            answers = {}
        stale.discard(SUPPLIER)
        chosen = _slice(sorted(stale), self._behind, limit)
        units = {unit: self._unit(unit, facts) for unit in chosen}
        left = stale.difference(chosen)
        if not left:
            units[SUPPLIER] = self._supplier_unit(facts, units, quota)
        elif self.stale:
            left.add(SUPPLIER)
        return Computed(units, {**answers, **facts.answers}, left, chosen[-1] if left and chosen else "")

    def compute_all(self, now: int, quota: Quota | None) -> Computed:
        """Compute every unit as of now: the input has ended."""
        facts = self._facts(now, now)
        names = {name for name in self._records if name != SUPPLIER}
        names.update(f"{PRODUCT}{product_id}" for product_id in self._ledger.products)
        names.update(f"{REQUEST}{request_id}" for request_id in self._ledger.requests)
        units = {name: self._unit(name, facts) for name in sorted(names)}
        units[SUPPLIER] = self._supplier_unit(facts, units, quota)
        return Computed(units, facts.answers, set(), "")

    def all_lines(self, computed: Computed) -> list[SupplierLine]:
        """Every line that was computed, with the tombstones that go out, and those that went out last."""
        lines = [line for unit in computed.units.values() for line in unit.lines]
        places = {(line.topic, line.key) for line in lines}
        gone = [(record.topic, record.key) for record in self._gone]
        gone += [(line.topic, line.key) for line in self.changed(computed) if line.body is None]
        return lines + [SupplierLine(*place, None) for place in dict.fromkeys(gone) if place not in places]

    def _facts(self, now: int, clock: int) -> Facts:
        return Facts(self._ledger, self._profiles, self._rules, AsOf(now, clock))

    def _unit(self, name: str, facts: Facts) -> Unit:
        """A product or a request; its own moment learns when it changes."""
        own = facts.with_own_moment()
        id_ = name[1:]
        if name[:1] == PRODUCT:
            body = standing_of(self._supplier_id, id_, own) if self._rules.judges_products else None
            lines = [] if body is None else [SupplierLine(standing.TOPIC, composed_key(self._supplier_id, id_), body)]
            return Unit(lines, own.moment.until)
        request = self._ledger.requests.get(id_)
        bodies = [] if request is None else request_lines(self._supplier_id, request, own)
        return Unit([SupplierLine(obligations.TOPIC, body.obligation_id, body) for body in bodies], own.moment.until)

    def _supplier_unit(self, facts: Facts, units: Mapping[str, Unit], quota: Quota | None) -> Unit:
        """Participations, duties that no request opens, and rights."""
        claims = self._ledger.claims.values()
        parts = [part for claim in claims if (part := participation_of(self._supplier_id, claim, facts)) is not None]
        duties = duty_lines(self._supplier_id, parts, facts)
        parts = [part for part in parts if not is_forgotten(part, facts)]
        lines = [
            SupplierLine(participations.TOPIC, composed_key(part.programme, part.edition, part.supplier_id), part)
            for part in parts
        ]
        lines += [SupplierLine(obligations.TOPIC, body.obligation_id, body) for body in duties]
        if self._rules.judges_rights and (self._ledger or self._profiles.is_active(facts.now)):
            body = rights_of(self._supplier_id, facts, parts, self._stars(units), quota)
            lines.append(SupplierLine(rights.TOPIC, self._supplier_id, body))
        return Unit(lines, facts.moment.until)

    def _stars(self, units: Mapping[str, Unit]) -> dict[int, int]:
        """By number of stars, how many products have them; of those that were not computed, as published last."""
        counts = dict(self._starred)
        for name, unit in units.items():
            if name[:1] != PRODUCT:
                continue
            for record in self._records.get(name, {}).values():
                counts[record.stars] -= 1
            for line in unit.lines:
                stars = _stars_of(line.body)
                counts[stars] = counts.get(stars, 0) + 1
        return counts

    def _count_stars(self, record: LineRecord, by: int) -> None:
        if record.topic == standing.TOPIC:
            self._starred[record.stars] = self._starred.get(record.stars, 0) + by

    # ---- publishing -------------------------------------------------------------------------------------------

    def changed(self, computed: Computed) -> list[SupplierLine]:
        """The lines that differ from those that were published last, with those that do not follow any more."""
        return [line for name, unit in computed.units.items() for line in self._changed_of(name, unit)]

    def _changed_of(self, name: str, unit: Unit) -> Iterator[SupplierLine]:
        known = self._records.get(name, {})
        for line in unit.lines:
            record = known.get((line.topic, line.key))
            if record is None or line.body is None or record.digest != digest_of(line.body):
                yield line
        now = {(line.topic, line.key) for line in unit.lines}
        yield from (SupplierLine(topic, key, None) for topic, key in known if (topic, key) not in now)

    def commit(self, computed: Computed) -> None:
        """Note what goes out with this checkpoint. What went out with the former one has arrived."""
        for record in self._gone:
            self._buckets.remove(record)
        self._gone.clear()
        for name, unit in computed.units.items():
            self._commit_unit(name, unit)
        self.stale = computed.stale
        if (computed.answers, computed.behind) != (self._answers, self._behind):
            self._answers, self._behind = computed.answers, computed.behind
            self._main_changed = True

    def _commit_unit(self, name: str, unit: Unit) -> None:
        known = self._records.setdefault(name, {})
        now = {(line.topic, line.key): line for line in unit.lines}
        for place in [place for place in known if place not in now]:
            record = known.pop(place)
            self._count_stars(record, -1)
            record.unit, record.until = GONE, MAX_TIME
            self._buckets.touch(record)
            self._gone.append(record)
        for place, line in now.items():
            self._note(known, place, line, name, unit.until)
        if not known:
            del self._records[name]
        self._timers.cancel(name)
        if unit.until < MAX_TIME:
            self._timers.schedule(name, unit.until)

    def _note(
        self,
        known: dict[tuple[str, str], LineRecord],
        place: tuple[str, str],
        line: SupplierLine,
        unit: str,
        until: int,
    ) -> None:
        if line.body is None:
            return
        digest, stars = digest_of(line.body), _stars_of(line.body)
        record = known.get(place)
        if record is None:
            known[place] = record = LineRecord(*place, unit, digest, until, stars)
            self._buckets.add(record)
            self._count_stars(record, 1)
        elif (record.digest, record.until) != (digest, until):
            self._count_stars(record, -1)
            record.digest, record.until, record.stars = digest, until, stars
            self._count_stars(record, 1)
            self._buckets.touch(record)

    def dump(self, into: ChangedChunks) -> None:
        """Put the chunks that changed since the last call into `into`."""
        self._buckets.dump(into)
        if self._main_changed:
            self._main_changed = False
            into[MAIN_CHUNK] = _encode(LinesMainChunk(self._rules.digest, self._answers, self._behind))


def _slice(units: list[str], after: str, limit: int) -> list[str]:
    """Some units, the first one after `after`: each has its turn, also if every checkpoint is followed by a crash."""
    start = bisect_right(units, after)
    return [*units[start : start + limit], *units[: max(limit - (len(units) - start), 0)]][:limit]


def _stars_of(body: Struct | None) -> int:
    return (body.stars or 0) if isinstance(body, ProductStanding) else 0


def digest_of(body: Struct) -> int:
    """64 bits that stand for everything in a line but its time."""
    fields = {name: getattr(body, name) for name in body.__struct_fields__ if name != "at"}
    return int.from_bytes(blake2b(_plain(fields), digest_size=8).digest(), "big")


def output_of(line: SupplierLine, now: int) -> Output:
    """The message of a line."""
    content = f"{digest_of(line.body):016x}" if line.body is not None else ""
    at: int = now if line.body is None else line.body.at  # type: ignore[attr-defined]
    return Output(line.topic, line.key.encode(), identity(line.topic, line.key, now, content), at, line.body)
