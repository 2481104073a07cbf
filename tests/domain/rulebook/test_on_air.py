"""Rulebooks are taken over at random instants, between batches, crashes and changes of the owner: whatever happens, a
shard publishes what it publishes under the newest rulebook from the beginning.

    events ─▶ a shard that learns of publications late, is killed, and goes to owners that know more ─▶ the same outputs
    events ─▶ a shard that has had the newest rulebook all the time ──────────────────────────────────▶ as this one
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec.structs import replace

from tests.support.harness import recorded
from tests.support.rulebook_files import TEXT, dated, read
from tests.support.stories import RULEBOOK
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.on_air import on_air_change
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shards import make_shard
from vigil.app.engine.watermark import MAX_TIME
from vigil.app.runtime.replay import Replay, internal_message
from vigil.app.simulate import Simulation
from vigil.topics.catalog import SubjectName
from vigil.topics.envelope import Output

START = 1_662_050_000_000
SPAN_S = 900
SEEDS = 3 * int(os.environ.get("VIGIL_EXAMPLES", "1"))
LATENESS_MS = 2000

SLOWER: dict[SubjectName, int] = {"hosts": 1000, "suppliers": 1000}
"""How much longer than in the simulation the time between two events is: windows are days long."""

CHANGED: dict[SubjectName, tuple[tuple[str, dict[str, tuple[int, int]]], ...]] = {
    "rooms": (
        ("absence", {"lasts_s": (30, 300)}),
        ("greeting-miss", {"within_s": (2, 10)}),
        ("layout", {"lasts_s": (2, 12)}),
        ("rooms", {"max_frame_gap_s": (5, 30), "at_risk_from_s": (10, 90), "status_every_s": (1, 5)}),
        ("rights", {"lasts_s": (1, 6)}),
        ("prohibited-goods", {"lasts_s": (1, 6)}),
        ("harassment", {"repeats": (3, 6)}),
        ("minor", {"lasts_s": (1, 6)}),
    ),
    "hosts": tuple((f"ladder.{family}", {"window_days": (1, 5)}) for family in ("reception", "low-quality")),
    "suppliers": (("suppliers", {"response_within_h": (1, 90), "response_days": (1, 9), "reply_days": (1, 9)}),),
    "industries": (("verified-bonus", {"points": (0, 40)}),),
    "rfqs": (("pins", {"places": (1, 5)}),),
    "incidents": (
        ("incidents", {"entry_shown_s": (5, 90), "signal_hold_s": (5, 60), "still_live_s": (5, 90)}),
        ("incidents", {"claim_expires_s": (5, 90)}),
    ),
}

INCIDENTS = """
[incidents]
says = "What the built-in rulebook leaves out."

[incidents.from.1970-01-01]
source = "test"
"""


class Record(NamedTuple):
    """One record of a source."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 0
    headers: tuple[Any, ...] = ()


class Fed(NamedTuple):
    """A record of a source, by its index, with the event time that it brings."""

    source_index: int
    record: Record


@cache
def fed(subject: SubjectName) -> tuple[Fed, ...]:
    """The records of a subject's shard in the order of arrival."""
    simulation = Simulation(
        seed=3,
        rooms=40 if subject == "hosts" else 8,
        suppliers=3,
        rfq_every_s=20.0,
        moderators=4 if subject == "incidents" else 0,
        start_ms=START,
        duration_s=SPAN_S,
        fault_every_s=8.0,
        products=2,
    )
    messages = [(each.topic, each.key, each.value) for each in simulation.messages()]
    topics = REGISTRY.sources[subject]
    if not all(map(REGISTRY.is_input, topics)):
        run = TappedReplay(RULEBOOK)
        run.feed(recorded(simulation.messages()))
        run.end()
        internal = run.internal if subject != "industries" else _ranked(run.internal)
        messages += [(each.topic, each.key, internal_message(each, 0).value) for each in internal]
    offsets = dict.fromkeys(topics, 0)
    found = []
    for topic, key, value in messages:
        if topic in offsets:
            slowed = _slower(value, SLOWER.get(subject, 1))
            found.append(Fed(topics.index(topic), Record(offsets[topic], key, slowed)))
            offsets[topic] += 1
    assert len(found) > 20, subject
    return tuple(found)


class TappedReplay(Replay):
    """A replay that keeps what one shard has sent to another."""

    def __init__(self, rulebook: Rulebook) -> None:
        super().__init__(rulebook)
        self.internal: list[Output] = []

    def _ingest_internal(self, output: Output) -> None:
        self.internal.append(output)
        super()._ingest_internal(output)


def _ranked(entries: Sequence[Output]) -> list[Output]:
    """Suppliers of an industry whose totals change all the time: a replay publishes states at its end only."""
    rng = Random(5)
    first = next(each.body for each in entries if each.topic == "supplier-metrics")
    found = []
    for number in range(150):
        quoted, gmv = rng.randint(0, 30), rng.randint(0, 3_000_000)
        more = {"rfqs_quoted": quoted, "rfqs_in_time": rng.randint(0, quoted), "gmv_90d": gmv, "prior_gmv_90d": 200_000}
        totals = replace(first.totals, **more)
        at, supplier = START + number * SPAN_S * 1000 // 150, f"s-{rng.randint(1, 6)}"
        body = replace(first, supplier_id=supplier, membership="verified", industry="auto", at=at, totals=totals)
        found.append(Output("supplier-metrics", b"auto", "", at, replace(body, month=None, assessed=None)))
    return found


def _slower(value: bytes | None, factor: int) -> bytes | None:
    """The message with its event time moved away from the start."""
    if value is None or factor == 1:
        return value
    body = msgspec.json.decode(value)
    body["at"] = START + (body["at"] - START) * factor
    return msgspec.json.encode(body)


def rulebooks(subject: SubjectName, rng: Random) -> Iterator[Rulebook]:
    """The built-in rulebook, and those that are published one after another, each with a later version of a section."""
    text = TEXT + INCIDENTS if subject == "incidents" else TEXT
    yield read(text)
    span_s = SPAN_S * SLOWER.get(subject, 1)
    for at in sorted(START // 1000 + rng.randint(60, span_s) for _ in range(rng.randint(3, 12))):
        section, numbers = rng.choice(CHANGED[subject])
        values = {key: str(rng.randint(*bounds)) for key, bounds in numbers.items()}
        instant = _iso(at)
        text = text.rstrip("\n") + _version(section, f'"{instant}"', values)
        yield read(text)


def _version(section: str, instant: str, values: dict[str, str]) -> str:
    """One more version of a section: as its last one, with values changed."""
    if section == "incidents":
        numbers = "\n".join(f"{key} = {value}" for key, value in values.items())
        return f'\n\n[incidents.from.{instant}]\nsource = "test"\n{numbers}\n'
    return dated(section, instant, **values)[len(TEXT.rstrip("\n")) :]


def _iso(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat()


class Ownership:
    """A shard that goes from owner to owner; each knows some of the publications and has adopted the last of them."""

    def __init__(self, subject: SubjectName, books: Sequence[Rulebook], known: int) -> None:
        self.subject = subject
        self.books = books
        self.log: list[Any] = []
        self.sent: list[Any] = []
        self.known = known
        self.begins = [on_air_change(*pair).begins for pair in itertools.pairwise(books)]
        self.acquire(known)

    def machine(self) -> Any:
        return REGISTRY.machines(self.books[self.known], 2000)[self.subject]

    def acquire(self, known: int) -> None:
        """Another owner, which restores the shard from its log."""
        self.known = known
        store = ChangelogStore()
        store.read(self.log)
        store.finalize_restore()
        digest = self.books[known].digest
        self.shard: AnyShard = make_shard(self.machine(), LATENESS_MS, store=store, partition=0, rulebook=digest)
        self.write(self.shard.acquire())
        self.positions = [source.committed_offset for source in self.shard.sources]

    def adopt(self, known: int) -> None:
        """Take over a publication, as `RulebookTakeover` does."""
        self.write(self.shard.snapshot())
        self.known = known
        self.shard.adopt(self.machine(), self.books[known].digest)

    def write(self, snapshot: Any) -> None:
        self.log += snapshot.changelog()
        self.shard.confirm(snapshot)
        self.sent += snapshot.outputs

    @property
    def known_until(self) -> int:
        """Before it, the rulebook in use judges as all that are published later."""
        return min(self.begins[self.known :], default=MAX_TIME)


def run(subject: SubjectName, books: Sequence[Rulebook], rng: Random | None) -> tuple[dict[Any, Any], list[Any]]:
    """What the shard publishes: its events by identity, and its final states. Without `rng` nothing happens to it."""
    sources = [
        [one.record for one in fed(subject) if one.source_index == n] for n in range(len(REGISTRY.sources[subject]))
    ]
    owner = Ownership(subject, books, 0)
    while any(position < len(source) for position, source in zip(owner.positions, sources, strict=True)):
        if rng is not None:
            trouble(owner, rng)
        step(owner, sources, rng)
    if owner.known < len(books) - 1:
        owner.adopt(len(books) - 1)
    until = max(source.max_event_time for source in owner.shard.sources)
    owner.shard.known_until = MAX_TIME
    owner.shard.end_of_input(until)
    # What a tombstone takes back was published on the way: the run without checkpoints has none.
    final = [output for output in owner.shard.final_outputs(until) if output.body is not None]
    owner.write(owner.shard.snapshot(final=True))
    # In which order states are published, no consumer sees.
    return events(owner.sent), sorted((one.topic, one.key, one.id, msgspec.json.encode(one.body)) for one in final)


def trouble(owner: Ownership, rng: Random) -> None:
    """Perhaps a checkpoint, a publication that is taken over, or an owner that is killed."""
    chance = rng.random()
    if chance < 0.02:
        owner.acquire(rng.randint(owner.known, len(owner.books) - 1))
    elif chance < 0.03 and owner.known < len(owner.books) - 1:
        owner.adopt(rng.randint(owner.known + 1, len(owner.books) - 1))
    elif chance < 0.3:
        owner.write(owner.shard.snapshot(between=rng.random() < 0.5))
        owner.shard.evict(rng.choice((0, 2, 100)))


def step(owner: Ownership, sources: Sequence[Sequence[Record]], rng: Random | None) -> None:
    """Read a batch of the source that is furthest behind, and judge what may be judged."""
    shard = owner.shard
    if not shard.event_time_order:
        shard.known_until = owner.known_until
    unread = [n for n, source in enumerate(sources) if owner.positions[n] < len(source)]
    source_index = min(unread, key=lambda n: shard.sources[n].max_event_time)
    begin = owner.positions[source_index]
    batch = sources[source_index][begin : begin + (20 if rng is None else rng.randint(1, 60))]
    shard.ingest(source_index, batch)
    owner.positions[source_index] = shard.sources[source_index].read_offset
    unread = [n for n, source in enumerate(sources) if owner.positions[n] < len(source)]
    clocks = [shard.sources[n].max_event_time - LATENESS_MS for n in unread]
    limit = min(clocks, default=shard.watermark)
    shard.advance_watermark(min(limit, owner.known_until))
    waits = owner.positions[source_index] == begin
    if (waits or limit > owner.known_until) and owner.known < len(owner.books) - 1:
        owner.adopt(owner.known + 1)  # a worker that cannot go on has learned of it by then


def events(sent: Sequence[Any]) -> dict[Any, Any]:
    """By topic and identity: the last content of each event that consumers see."""
    found = {}
    for output in sent:
        declared = REGISTRY.outputs.get(output.topic)
        if declared is None or declared not in REGISTRY.replayed or declared.kind == "state":
            continue
        body = msgspec.json.decode(output.payload)
        body.pop("revision", None)
        identity = body[declared.identity]
        if declared.revision is None:
            assert found.setdefault((output.topic, identity), body) == body, "two contents under one identity"
        found[output.topic, identity] = body
    return found


@pytest.mark.parametrize("subject", CHANGED)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_result_depends_on_when_a_publication_is_adopted(subject: SubjectName, seed: int) -> None:
    rng = Random(seed)
    books = list(rulebooks(subject, rng))
    assert run(subject, books, rng) == run(subject, books[-1:], None)


# ---- one at a time ----------------------------------------------------------------------------------------------

HOUR_MS = 3600 * 1000


def later(section: str, at: int, **values: str) -> Rulebook:
    return read(dated(section, f'"{_iso(at // 1000)}"', **values))


def with_a_quote(book: Rulebook) -> Ownership:
    """A supplier with a profile and a quote of a second after the start."""
    owner = Ownership("suppliers", [RULEBOOK, book], 0)
    profile = {"supplier_id": "s", "industry": "auto", "membership": "verified", "stars": 1, "at": START}
    quote = {
        "quote_id": "q", "rfq_id": "r", "supplier_id": "s", "buyer_id": "b", "kind": "submitted",
        "rfq_at": START, "at": START + 1000,
    }  # fmt: skip
    sources = REGISTRY.sources["suppliers"]
    for topic, body in (("supplier-profile", profile), ("quote", quote)):
        owner.shard.ingest(sources.index(topic), [Record(0, b"s", msgspec.json.encode(body))])
    owner.shard.advance_watermark(START + 2000)
    owner.write(owner.shard.snapshot())
    return owner


@pytest.mark.parametrize("how", ["adopted", "restored"])
def test_a_version_that_was_published_later_takes_effect_at_its_instant_without_an_event(how: str) -> None:
    begins = START + 28 * HOUR_MS  # before anything else is due
    owner = with_a_quote(later("suppliers", begins, response_days="1", reply_days="1"))
    owner.adopt(1) if how == "adopted" else owner.acquire(1)
    owner.sent.clear()
    owner.shard.advance_watermark(begins)
    owner.write(owner.shard.snapshot())
    assert [output for output in owner.sent if output.topic == "supplier-metrics"] == []
    owner.shard.advance_watermark(begins + 1)
    owner.write(owner.shard.snapshot())
    (entry,) = (output for output in owner.sent if output.topic == "supplier-metrics")
    totals = msgspec.json.decode(entry.payload)["figures"]
    assert (entry.at, totals["rfqs_quoted_30d"]) == (begins, 0), "the quote is 28 h old, the window a day long"


def test_in_arrival_order_an_event_waits_until_the_rules_of_its_time_are_known() -> None:
    shard = Ownership("hosts", [RULEBOOK], 0).shard
    records = [one.record for one in fed("hosts")[:4]]
    times = [msgspec.json.decode(record.value)["at"] for record in records]
    shard.known_until = times[2]
    shard.ingest(0, records, times[3])
    assert shard.sources[0].read_offset == 2
    shard.known_until = MAX_TIME
    shard.ingest(0, records[2:], times[3])
    assert shard.sources[0].read_offset == 4
    assert len(shard.snapshot().outputs) >= 4


def test_a_shard_with_unsaved_state_refuses_another_rulebook() -> None:
    owner = Ownership("hosts", [RULEBOOK], 0)
    owner.shard.ingest(0, [fed("hosts")[0].record])
    with pytest.raises(RuntimeError, match="unsaved state"):
        owner.shard.adopt(owner.machine(), "other")
