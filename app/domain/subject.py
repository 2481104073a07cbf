"""What a subject is: one kind of thing that Vigil judges by key, such as rooms, hosts or suppliers.

A subject is one declaration: `SUBJECT` in its package's `subject.py`, and a line in `registry.py`. From it everything
derives that handles subjects alike: worker, replay and its files, backtest, metrics, ACLs, topic audit, contract
documents, console ingestion and the comparison of chaos runs.

    sources ──▶ machine ──▶ outputs   event     published once; one line of a replay file each
                                      state     compacted; the last of each key stands at the end
                                      internal  the source of another subject
                                      shadow    what a candidate rulebook says; nothing follows from it
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from vigil.app.domain.rulebook.book import Rulebook
from vigil.app.engine.subject import AnyStateMachine
from vigil.topics.catalog import SubjectName
from vigil.topics.fields import Reason

Body = Mapping[str, object]
"""A message as its JSON says it."""

OutputKind = Literal["event", "state", "internal", "shadow"]

AfterEnd = Literal["up to the end", "all but the time", "nothing"]


def _stable(body: Body) -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True)
class OutputTopic:
    """One topic that a subject writes."""

    topic: str
    kind: OutputKind = "event"
    identity: str = ""
    """The field that identifies a message: two messages with the same identity have the same content. It is a state's
    key, and of an output with `revision` what is revised. Events and states have one."""
    revision: str | None = None
    """The field that counts the revisions of one identity; the highest one is valid."""
    summary: str | None = None
    """What a replay's summary calls the messages; None: by the topic's name."""
    latency_promised: bool = False
    """The latency promise holds for it: the worker measures how long after its earliest moment it is published."""
    in_backtest: bool = True
    """A backtest compares it. Not what only shows how things stand, and follows from nothing else."""
    order_dependent: Callable[[Body], frozenset[str]] = _stable
    """The fields of a message whose values depend on the order in which different topics arrive; a chaos run, whose
    order is another than the replay's, leaves them out. A dot leads to a field of a field."""
    compared_live: AfterEnd | None = None
    """What a chaos run by the wall clock compares, as its clock goes on after the input has ended. None: of events
    those up to the end, of states nothing."""
    sections: tuple[str, ...] | None = None
    """Internal: the rulebook sections that decide its content; a candidate that changes none of them leaves the subject
    that reads it as it is; they may be patterns of names. None: all that decide its own subject."""

    awaited: bool = True
    """Internal: the subject that reads it waits for what it is made from, where the input is recorded. Not where an
    order between them changes nothing; those that read what follows from it wait all the same."""

    @property
    def replayed(self) -> bool:
        """True if a replay writes a file of it."""
        return self.kind in ("event", "state")

    @property
    def at_the_end(self) -> AfterEnd:
        """What a chaos run by the wall clock compares."""
        return self.compared_live or ("up to the end" if self.kind == "event" else "nothing")


# ---- metrics ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Metric:
    """One Prometheus metric of a subject."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Of a histogram: upper bounds."""
    initial: tuple[tuple[str, ...], ...] = ()
    """Label values that are known beforehand: their series begin at 0, so that the first event is seen as a rise."""


class Sample(NamedTuple):
    """One value for a metric: a counter rises by it, a histogram observes it, a gauge is the sum over all shards."""

    metric: str
    value: float = 1
    labels: tuple[str, ...] = ()


class ShardGauges(Protocol):
    """What the published states of one shard add up to."""

    def update(self, topic: str, key: str, payload: bytes | None) -> None:
        """A state was published; None deletes it."""

    def use(self, rulebook: Rulebook) -> None:
        """Judge by another rulebook from now on."""

    def samples(self, now: int) -> Iterable[Sample]:
        """The gauges of the shard at `now`, its watermark or the wall clock, whichever is earlier (ms)."""


@dataclass(frozen=True)
class SubjectMetrics:
    """The metrics that only one subject has, and what they are made of."""

    metrics: tuple[Metric, ...] = ()
    of_outputs: Mapping[str, Callable[[Body], Iterable[Sample]]] = field(default_factory=dict)
    """By topic: the samples of a published message."""
    of_counts: Mapping[str, Callable[[str, int], Iterable[Sample]]] = field(default_factory=dict)
    """By the first part of a count's name (`OutputCollector.count`, separated by colons): the samples of the rest of
    its name and its number."""
    lateness: tuple[tuple[str, str], ...] = ()
    """Topic and kind of the events whose lateness is measured (`StateMachine.kind_of`); those of a machine that drops
    late ones."""
    rejections: tuple[tuple[str, Reason], ...] = ()
    """Topic and reason of what only this subject rejects."""
    gauges: Callable[[Rulebook], ShardGauges] | None = None
    gauge_topics: frozenset[str] = frozenset()
    """The states that the gauges are made of."""
    series: Callable[[Rulebook], Iterable[Sample]] | None = None
    """Samples of 0: series that begin at 0 and whose labels are names of the rulebook."""


# ---- subjects --------------------------------------------------------------------------------------------------------


class MachineContext(NamedTuple):
    """What state machines are made from."""

    rulebook: Rulebook
    review_wait_ms: int | None = None
    """How long a review waits for its verdict, ms; None: until the end of the input."""
    candidate: Rulebook | None = None
    """A rulebook that judges rooms in shadow; nothing follows from what it says."""
    replay: bool = False
    """True for a replay: nothing is stored, and no revision is left out."""

    @property
    def at_the_end(self) -> bool:
        """True if the input is recorded, in a file or in Kafka: what is decided once is decided at its end, when all is
        there that may decide it."""
        return self.review_wait_ms is None


@dataclass(frozen=True)
class Subject:
    """One subject."""

    name: SubjectName
    sources: tuple[str, ...]
    """Topics with the same key and number of partitions, in order of precedence: of events with the same time, those
    of the first topic are judged first."""
    outputs: tuple[OutputTopic, ...]
    machine: Callable[[MachineContext], AnyStateMachine]
    """Its state machine; raise RulebookError where the rulebook cannot be judged by."""
    sections: Mapping[str, type[Struct]]
    """The rulebook sections that decide its judgements, and the types of their limits."""
    optional_sections: Mapping[str, type[Struct]] = field(default_factory=dict)
    """Sections that a rulebook may leave out: what they are about is then not judged. A `*` in a name stands for one
    part of it, which the rulebook chooses: `stars.*` has a section for each industry."""
    always: Callable[[Rulebook], Mapping[str, object]] | None = None
    """What its judgements take from all versions of a section at once, whatever their dates, such as the longest
    memory: by where it stands in the file (`[hosts] remember_days`). It cannot change while the group runs, because a
    worker would judge by it from the moment at which it learns of it."""
    metrics: SubjectMetrics = SubjectMetrics()


def matches(pattern: str, name: str) -> bool:
    """True if a section's name has the form of a pattern: as many parts, and the same but for `*`."""
    wanted, parts = pattern.split("."), name.split(".")
    return len(wanted) == len(parts) and all(want in ("*", part) for want, part in zip(wanted, parts, strict=True))


def sections_of(rulebook: Rulebook, patterns: Iterable[str]) -> list[str]:
    """The sections of a rulebook whose names have the form of any pattern, in its order."""
    patterns = tuple(patterns)
    return [name for name in rulebook.sections if any(matches(pattern, name) for pattern in patterns)]


def starts_of(rulebook: Rulebook, patterns: Iterable[str]) -> list[int]:
    """Every start of a version of these sections, oldest first."""
    return sorted({one.start for name in sections_of(rulebook, patterns) for one in rulebook.versions(name)})
