"""Builders for stories of suppliers: events, played through the real shards from quotes to scores and pins."""

import json
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from vigil.app.domain.industries.industry import IndustryMachine
from vigil.app.domain.programmes.places import PlacesMachine
from vigil.app.domain.rfqs.machine import RfqMachine
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.domain.suppliers.machine import SupplierMachine
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.shards import make_shard
from vigil.app.engine.subject import AnyStateMachine
from vigil.app.engine.watermark import MIN_TIME
from vigil.topics.envelope import encode_body

SECOND = 1000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
ZONE = ZoneInfo("America/Los_Angeles")
RULEBOOK = load_rulebook()

_numbers = count(1)


def at(text: str) -> int:
    """The event time of a moment in Los Angeles: `2022-08-10 12:00`, `2022-08-10`, `2022-08-10 12:00:00.001`."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp() * 1000)


class Line(NamedTuple):
    """One message as it arrives."""

    topic: str
    key: str
    value: dict[str, Any] | None

    @property
    def at(self) -> int:
        return -1 if self.value is None else int(self.value["at"])


def quote(
    when: int,
    supplier: str = "s",
    *,
    kind: str = "submitted",
    id_: str | None = None,
    rfq: str | None = None,
    after: int = HOUR,
) -> Line:
    """A quote's event; where it is `submitted`, `after` ms after the RFQ. Without an id it is a quote of its own."""
    number = next(_numbers)
    value: dict[str, Any] = {
        "supplier_id": supplier,
        "at": when,
        "kind": kind,
        "quote_id": id_ or f"q{number}",
        "rfq_id": rfq or f"r-{id_ or number}",
        "buyer_id": "b",
    }
    if kind == "submitted":
        value["rfq_at"] = when - after
    return Line("quote", supplier, value)


def replied(when: int, id_: str, supplier: str = "s") -> Line:
    return quote(when, supplier, kind="replied", id_=id_)


def pinned(when: int, id_: str, rfq: str = "rfq", supplier: str = "s") -> Line:
    return quote(when, supplier, kind="pinned", id_=id_, rfq=rfq)


def rejected(when: int, id_: str, rfq: str = "rfq", supplier: str = "s") -> Line:
    return quote(when, supplier, kind="rejected", id_=id_, rfq=rfq)


def payment(
    when: int, kind: str, usd: str | float, supplier: str = "s", *, id_: str | None = None, rfq: str | None = "r"
) -> Line:
    """A payment's event, linked to an RFQ unless `rfq` is None."""
    value = {
        "supplier_id": supplier,
        "at": when,
        "kind": kind,
        "payment_id": id_ or f"p{next(_numbers)}",
        "order_id": "o",
        "buyer_id": "b",
        "amount_usd": usd,
        "rfq_id": rfq,
    }
    return Line("payment", supplier, value)


def profile(
    when: int, supplier: str = "s", industry: str = "toys", membership: str = "verified", stars: int = 5
) -> Line:
    value = {"supplier_id": supplier, "industry": industry, "membership": membership, "stars": stars, "at": when}
    return Line("supplier-profile", supplier, value)


def deleted(supplier: str = "s") -> Line:
    """A tombstone."""
    return Line("supplier-profile", supplier, None)


def tick(when: int) -> Line:
    """An event elsewhere: it only advances the watermark."""
    return Line("", "", {"at": when})


class Message(NamedTuple):
    """A line as a shard reads it."""

    offset: int
    key: bytes | None
    value: bytes | None


class Ended(NamedTuple):
    """What a story led to."""

    scores: dict[str, Any]
    """The last score of each supplier."""
    pins: list[dict[str, Any]]
    counts: dict[str, int]


class Chain:
    """The shards of suppliers, industries and RFQs, one each, with internal topics between them and one watermark."""

    def __init__(self, rulebook: Rulebook = RULEBOOK, lateness: int = 2 * SECOND) -> None:
        self.collector = OutputCollector()
        self.watermark = MIN_TIME
        self.published: list[tuple[str, bytes, str, Any]] = []
        """Topic, key, identity and body of what went out."""
        self._latest = MIN_TIME
        self._lateness = lateness
        self._machines: list[AnyStateMachine] = [
            SupplierMachine(rulebook),
            IndustryMachine(rulebook),
            RfqMachine(rulebook),
            PlacesMachine(),
        ]
        self.shards = [make_shard(machine, lateness, collector=self.collector) for machine in self._machines]
        self._logs: list[list[Any]] = [[] for _ in self._machines]
        self._messages: dict[str, list[Message]] = {}
        """Every message by topic, as Kafka keeps it."""

    def play(self, *lines: Line) -> "Chain":
        """Lines in the order of their arrival; the watermark follows the largest time."""
        for line in lines:
            if line.topic:
                value = None if line.value is None else json.dumps(line.value).encode()
                self._append(line.topic, line.key.encode(), value)
            self._latest = max(self._latest, line.at)
            self.advance(self._latest - self._lateness)
        return self

    def advance(self, watermark: int) -> "Chain":
        """Advance the watermark."""
        self.watermark = watermark
        for shard in self.shards:
            shard.advance_watermark(watermark)
            self._deliver()
        return self

    def checkpoint(self) -> "Chain":
        """A checkpoint of every shard: what changed is published."""
        for number in range(len(self.shards)):
            self._checkpoint(number)
        return self

    def crash(self, *, sent: bool = True) -> "Chain":
        """Every shard checkpoints, is lost, and is restored from what is stored; its outbox is sent again.

        `sent`: what the checkpoint says went out before the crash.
        """
        for number, machine in enumerate(self._machines):
            self._checkpoint(number, sent=sent)
            store = ChangelogStore()
            store.read(self._logs[number])
            store.finalize_restore()
            shard = self.shards[number] = make_shard(machine, self._lateness, collector=self.collector, store=store)
            self._save(number, shard.acquire())
            for source_index, topic in enumerate(machine.topics):  # what was not dealt with is read again
                shard.ingest(
                    source_index, self._messages.get(topic, [])[shard.sources[source_index].committed_offset :]
                )
            self._deliver()
        return self

    def _checkpoint(self, number: int, *, sent: bool = True) -> None:
        shard = self.shards[number]
        self._deliver()
        self._save(number, shard.snapshot(), sent=sent)

    def _save(self, number: int, snapshot: Any, *, sent: bool = True) -> None:
        self._logs[number] += snapshot.changelog()
        self.shards[number].confirm(snapshot)
        for output in snapshot.outputs if sent else ():
            self._out(output.topic, output.key, output.id, output.payload)

    def end(self) -> Ended:
        """The input has ended."""
        until = self._latest
        self.advance(until + 1)
        for shard in self.shards:
            shard.end_of_input(until)
            self._deliver()
        for shard in self.shards[1:]:
            for output in shard.final_outputs(until):
                self._out(output.topic, output.key, output.id, encode_body(output.body))
        return Ended(self.scores, self.pins, self.collector.counts)

    @property
    def scores(self) -> dict[str, Any]:
        """The last message of `supplier-score` by supplier."""
        last: dict[str, Any] = {}
        for topic, key, _, body in self.published:
            if topic == "supplier-score":
                last.pop(key.decode(), None)
                if body is not None:
                    last[key.decode()] = body
        return dict(sorted(last.items()))

    def states(self, topic: str) -> dict[str, Any]:
        """The last message of a compacted topic by key."""
        last = {key.decode(): body for published, key, _, body in self.published if published == topic}
        return {key: body for key, body in sorted(last.items()) if body is not None}

    @property
    def pins(self) -> list[dict[str, Any]]:
        """The pin decisions by identity, in order of time."""
        by_id = {id_: body for topic, _, id_, body in self.published if topic == "pin-decision"}
        return [by_id[id_] for id_ in sorted(by_id, key=lambda id_: (by_id[id_]["at"], id_))]

    def sent(self, topic: str) -> list[Any]:
        """The bodies that were published to a topic."""
        return [body for published, _, _, body in self.published if published == topic]

    def _deliver(self) -> None:
        emitted = self.collector.outputs
        while emitted:
            outputs = emitted.copy()
            emitted.clear()
            for output in outputs:
                self._out(output.topic, output.key, output.id, encode_body(output.body))

    def _out(self, topic: str, key: bytes | None, id_: str, payload: bytes | None) -> None:
        self.published.append((topic, key or b"", id_, None if payload is None else json.loads(payload)))
        if any(topic in machine.topics for machine in self._machines):
            self._append(topic, key, payload)

    def _append(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        for shard in self.shards:
            if topic in shard.machine.topics:
                messages = self._messages.setdefault(topic, [])
                messages.append(Message(len(messages), key, value))
                shard.ingest(shard.machine.topics.index(topic), messages[-1:])
                self._deliver()


def ended(*lines: Line, rulebook: Rulebook = RULEBOOK) -> Ended:
    """The story played to its end, with a crash after every line."""
    chain = Chain(rulebook)
    for line in lines:
        chain.play(line).crash()
    return chain.end()


def score(*lines: Line, supplier: str = "s", rulebook: Rulebook = RULEBOOK) -> Any:
    """The supplier's last score after the story."""
    return ended(*lines, rulebook=rulebook).scores[supplier]


def metrics(*lines: Line) -> Any:
    """The last metrics of the supplier `s`."""
    return score(*lines)["metrics"]


def points(*lines: Line, supplier: str = "s") -> Any:
    """The last points of the supplier `s`."""
    return score(*lines, supplier=supplier)["points"]
