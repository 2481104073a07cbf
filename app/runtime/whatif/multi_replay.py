"""One reading of a recording for many rulebooks: the base is replayed whole, each candidate only where it differs.

    lines ──▶ base: decode, order, judge ──▶ outputs ──────────────────────────────┐
                 │ rooms: a panel, the rules that differ ──▶ verdicts ┐            ├──▶ an outcome each
                 └ other verdicts and internal messages ──────────────┴▶ candidate ┘
                                                    (the shards of the subjects that differ)

The result is what a replay under the candidate gives: tests/runtime/whatif/test_multi_replay.py compares the two.
Left out are room statuses, and how often an action was revised on the way to its last revision.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from vigil.app.domain.registry import DEAD_LETTER, REGISTRY, Registry
from vigil.app.domain.rooms import RoomMachine
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.subject import OutputTopic
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shards import make_shard
from vigil.app.engine.subject import AnyStateMachine
from vigil.app.engine.watermark import SourcePosition
from vigil.app.runtime.jobs.group import JobGroup
from vigil.app.runtime.jobs.pool import Jobs
from vigil.app.runtime.jobs.recipe import RulebookRecipe
from vigil.app.runtime.recorded_events import Read, readers
from vigil.app.runtime.replay import (
    BATCH,
    Outputs,
    Replay,
    in_order,
    internal_message,
    last_states,
)
from vigil.app.runtime.replay_clocks import AllowedLateness, PlacedRecord
from vigil.app.runtime.replay_schedule import ReplayShard
from vigil.app.runtime.whatif.candidate_panel import CandidatePanelMachine, Member
from vigil.app.runtime.whatif.outcome import Outcome, outcome, outcome_of
from vigil.app.runtime.whatif.replay_plan import ReplayPlan, plan
from vigil.topics.catalog import SubjectName
from vigil.topics.envelope import Output

ROOMS: SubjectName = "rooms"
"""The subject that a panel judges by single rules; every other one is judged by a candidate as a whole."""


class ForkedShard:
    """A subject's shard under the base, together with those of the candidates that judge the subject themselves."""

    def __init__(self, base: ReplayShard, candidates: "list[tuple[CandidateRun, AnyShard]]") -> None:
        self._base = base
        self._candidates = candidates

    def ingest(self, source_index: int, records: Sequence[PlacedRecord]) -> None:
        self._base.ingest(source_index, records)
        for _, shard in self._candidates:
            shard.ingest(source_index, records)

    def advance_watermark(self, watermark: int) -> None:
        self._base.advance_watermark(watermark)
        for _, shard in self._candidates:
            shard.advance_watermark(watermark)

    def end_of_input(self, until: int) -> None:
        self._base.end_of_input(until)
        for _, shard in self._candidates:
            shard.end_of_input(until)

    def final_outputs(self, until: int) -> list[Output]:
        for candidate, shard in self._candidates:
            candidate.published += shard.final_outputs(until)
        return self._base.final_outputs(until)


class CandidateRun:
    """One candidate: what it judges itself, and what it takes from the base's internal messages."""

    def __init__(self, candidate: Rulebook, planned: ReplayPlan, lateness: AllowedLateness, registry: Registry) -> None:
        self.candidate = candidate
        self.plan = planned
        self.collector = OutputCollector()
        self.member = Member(candidate, planned.rules, planned.signals, self.collector) if planned.rules else None
        self.shards: dict[SubjectName, AnyShard] = {}
        self.published: list[Output] = []
        self._registry = registry
        self._route: dict[str, tuple[AnyShard, int]] = {}
        self._offsets: dict[str, int] = {}
        self._from_base: list[Output] = []
        for subject, machine in registry.machines(candidate, replay=True).items():
            if subject in planned.subjects:
                shard = self.shards[subject] = make_shard(
                    machine,
                    lateness.default,
                    sources=[SourcePosition() for _ in machine.topics],
                    origin_of=attrgetter("place"),
                    collector=self.collector,
                    readers=readers(machine, registry.topics),
                )
                for source_index, topic in enumerate(machine.topics):
                    if not registry.is_input(topic):
                        self._route[topic] = (shard, source_index)

    def take_from_base(self, outputs: Iterable[Output]) -> None:
        """The base published this: keep for this candidate's shards what it would publish, too."""
        for output in outputs:
            topic = output.topic
            if topic not in self._route or self._registry.writers[topic] in self.shards or self._judges(topic, output):
                continue
            self._from_base.append(output)

    def deliver(self) -> None:
        """Deliver the base's messages and this candidate's own, until nothing more comes of them."""
        emitted = self.collector.outputs
        while emitted or self._from_base:
            # In the order of event time in which one shard would have published them.
            outputs = sorted([*self._from_base, *emitted], key=attrgetter("triggered_at"))
            self._from_base.clear()
            emitted.clear()
            for output in outputs:
                if output.topic in self._route:
                    shard, source_index = self._route[output.topic]
                    offset = self._offsets.get(output.topic, 0)
                    self._offsets[output.topic] = offset + 1
                    shard.ingest(source_index, (internal_message(output, offset),))
                else:
                    self.published.append(output)

    def outcome(self, base: Outputs) -> Outcome:
        """The candidate's own messages where it judges itself, the base's elsewhere."""
        own: dict[str, list[Output]] = {}
        for output in self.published:
            own.setdefault(output.topic, []).append(output)
        by_topic = {
            topic.topic: self._merged(topic, own.get(topic.topic, []), base[topic.topic])
            for topic in self._registry.replayed
        }
        return outcome_of({**by_topic, DEAD_LETTER: base.rejected}, base.until, self._registry)

    def _merged(self, topic: OutputTopic, own: list[Output], base: list[Output]) -> list[Output]:
        writer = self._registry.writers[topic.topic]
        if writer == ROOMS and self.plan.rules and topic.in_backtest:
            mine = [output for output in own if self._judges(topic.topic, output)]
            others = [output for output in base if not self._judges(topic.topic, output)]
            return in_order(topic, [*others, *mine])
        if writer not in self.plan.subjects:
            return base
        return last_states(own) if topic.kind == "state" else in_order(topic, own)

    def _judges(self, topic: str, output: Output) -> bool:
        """True if a message of rooms is of a rule that this candidate judges itself."""
        if self._registry.writers[topic] != ROOMS:
            return False
        rule: str | None = getattr(output.body, "rule", None)
        return self.plan.signals if rule is None else rule in self.plan.rules


class PanelRecipe(NamedTuple):
    """The machines of a base whose rooms are judged by candidates, too."""

    base: Rulebook
    members: tuple[tuple[Rulebook, frozenset[str], bool], ...]
    """Of each member: its rulebook, the rules that it judges, and if it judges signals."""

    def machines(self, collector: Callable[[], OutputCollector]) -> dict[SubjectName, AnyStateMachine]:
        machines = REGISTRY.machines(self.base, replay=True)
        if self.members:
            members = [Member(candidate, rules, signals, collector()) for candidate, rules, signals in self.members]
            machines[ROOMS] = CandidatePanelMachine(RoomMachine(self.base), members)
        return machines


class MultiCandidateReplay(Replay):
    """One run over one recording for a base and its candidates; feed it as a replay, then get the outcomes."""

    def __init__(
        self,
        base: Rulebook,
        candidates: Sequence[Rulebook],
        lateness: AllowedLateness = AllowedLateness(),  # noqa: B008 - a value
        registry: Registry = REGISTRY,
        jobs: Jobs | None = None,
    ) -> None:
        """`jobs`: they judge the base's rooms and suppliers, and the candidates' with them."""
        self._shared: list[CandidateRun] = []
        self._apart: list[Replay] = []
        self._by_candidate: list[CandidateRun | Replay | None] = []
        """None: the candidate judges as the base does."""
        for candidate in candidates:
            self._by_candidate.append(self._run_of(base, candidate, lateness, registry, jobs))
        machines = registry.machines(base, replay=True)
        self._panel = [run for run in self._shared if run.member is not None]
        if self._panel:
            members = [run.member for run in self._panel if run.member is not None]
            machines[ROOMS] = CandidatePanelMachine(RoomMachine(base), members)
        group = None
        if jobs is not None:
            judged = tuple((run.candidate, run.plan.rules, run.plan.signals) for run in self._panel)
            group = JobGroup(jobs, PanelRecipe(base, judged), lateness)
        super().__init__(base, lateness, machines, registry, group)
        for subject, machine in machines.items():
            self._fork(subject, machine.topics)

    def _fork(self, subject: str, topics: Sequence[str]) -> None:
        """Hand the inputs of a subject to the candidates that judge it themselves, too."""
        forks = [(run, run.shards[subject]) for run in self._shared if subject in run.shards]
        if not forks:
            return
        forked = self._shards[subject] = ForkedShard(self._shards[subject], forks)
        for source_index, topic in enumerate(topics):
            if self._registry.is_input(topic):  # internal messages are delivered to each by who publishes them
                self._route[topic] = (forked, source_index)
                self._clocked.pop(topic, None)

    def _run_of(
        self, base: Rulebook, candidate: Rulebook, lateness: AllowedLateness, registry: Registry, jobs: Jobs | None
    ) -> CandidateRun | Replay | None:
        planned = plan(base, candidate, registry)
        if planned.apart:
            group = None if jobs is None else JobGroup(jobs, RulebookRecipe(candidate), lateness)
            self._apart.append(Replay(candidate, lateness, registry=registry, jobs=group))
            return self._apart[-1]
        if planned.rules or planned.subjects:
            self._shared.append(CandidateRun(candidate, planned, lateness, registry))
            return self._shared[-1]
        return None

    def take(self, lines: Iterator[Read]) -> None:
        """Take further lines as they were read: once for all candidates."""
        if not self._apart:
            super().take(lines)
            return
        while batch := list(islice(lines, BATCH)):
            for replay in self._apart:
                replay.take(iter(batch))
            super().take(iter(batch))

    def outcomes(self) -> list[Outcome]:
        """The input has ended: the outcome under the base first, and then under each candidate."""
        outputs = self.end()
        base = outcome(outputs, self._registry)
        outcomes = [base]
        for run in self._by_candidate:
            if run is None:
                outcomes.append(base)
            elif isinstance(run, CandidateRun):
                outcomes.append(run.outcome(outputs))
            else:
                outcomes.append(outcome(run.end(), self._registry))
        return outcomes

    def _deliver_all(self, outputs: list[Output]) -> None:
        super()._deliver_all(outputs)
        for run in self._shared:
            run.take_from_base(outputs)

    def _gather(self) -> None:
        if self._jobs is not None:
            self._jobs.gather((self._collector, *(run.collector for run in self._panel)))

    def _deliver(self) -> None:
        super()._deliver()
        for run in self._shared:
            run.deliver()
