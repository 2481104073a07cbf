"""One reading of a recording for many rulebooks: the base is replayed whole, each candidate only where it differs.

    lines ──▶ base: decode, order, judge ──▶ outputs ──────────────────────────────┐
                 │ rooms: a panel, the rules that differ ──▶ verdicts ┐            ├──▶ an outcome each
                 └ other verdicts and internal messages ──────────────┴▶ branch ───┘
                                                    (ladders and suppliers' shards, only those that differ)

What comes out is what a replay under the candidate gives: tests/runtime/whatif/test_fan.py compares the two.
Left out are room statuses, and how often an action was revised on the way to what stands at the end.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec

from vigil.app.domain.registry import GROUPS, is_input, subjects
from vigil.app.domain.rooms import RoomMachine
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.shard import Shard
from vigil.app.engine.subject import OutputCollector
from vigil.app.engine.watermark import SourcePosition
from vigil.app.runtime.replay import LATENESS_MS, Line, Outputs, Replay, ReplayShard, in_order
from vigil.app.runtime.whatif.candidate_panel import CandidatePanelMachine, Member
from vigil.app.runtime.whatif.replay_plan import ReplayPlan, plan
from vigil.topics.catalog import SubjectName
from vigil.topics.envelope import Output
from vigil.topics.scores import PinDecision, SupplierScore
from vigil.topics.verdicts import Action, Notice, Verdict

_FROM: Final[dict[str, SubjectName]] = {
    "verdict-by-host": "rooms",
    "quote-by-rfq": "suppliers",
    "supplier-metrics": "suppliers",
    "supplier-standing": "industries",
}
"""Which shards write an internal topic."""


class Outcome(NamedTuple):
    """What a rulebook makes of a recording."""

    verdicts: dict[str, Verdict]
    """By identity, in order of time."""
    notices: dict[str, Notice]
    actions: dict[str, Action]
    """By identity: the last revision, which stands at the end, with the revision 0."""
    scores: dict[str, SupplierScore]
    """By supplier, at the end of the input."""
    pins: dict[str, PinDecision]
    until: int
    """The largest event time of the input; 0 where it had none."""
    lines_refused: int
    """Malformed or late; a review of a verdict that this rulebook does not give is not counted here."""


def outcome(outputs: Outputs) -> Outcome:
    """A replay's outcome."""
    return _outcome(
        outputs.verdicts,
        outputs.notices,
        outputs.actions,
        outputs.scores,
        outputs.pins,
        outputs.until,
        outputs.refused,
    )


def _outcome(
    verdicts: Iterable[Output],
    notices: Iterable[Output],
    actions: Iterable[Output],
    scores: Iterable[Output],
    pins: Iterable[Output],
    until: int,
    refused: Iterable[Output],
) -> Outcome:
    standing: dict[str, Action] = {}
    for output in actions:
        action = output.body
        if isinstance(action, Action):
            known = standing.get(action.action_id)
            if known is None or action.revision > known.revision:
                standing[action.action_id] = action
    return Outcome(
        verdicts={output.id: output.body for output in verdicts if isinstance(output.body, Verdict)},
        notices={output.id: output.body for output in notices if isinstance(output.body, Notice)},
        actions={id_: msgspec.structs.replace(action, revision=0) for id_, action in standing.items()},
        scores={output.body.supplier_id: output.body for output in scores if isinstance(output.body, SupplierScore)},
        pins={output.id: output.body for output in pins if isinstance(output.body, PinDecision)},
        until=until,
        lines_refused=sum(getattr(output.body, "reason", None) != "unknown-verdict" for output in refused),
    )


class _Forked:
    """A group's shard under the base, and beside it those of the branches that judge the group anew."""

    def __init__(self, base: ReplayShard, branches: "list[tuple[CandidateRun, Shard]]") -> None:
        self._base = base
        self._branches = branches

    def ingest(self, source_index: int, messages: Iterable[Line]) -> None:
        messages = tuple(messages)
        self._base.ingest(source_index, messages)
        for _, shard in self._branches:
            shard.ingest(source_index, messages)

    def advance_watermark(self, watermark: int) -> None:
        self._base.advance_watermark(watermark)
        for _, shard in self._branches:
            shard.advance_watermark(watermark)

    def end_of_input(self, until: int) -> None:
        self._base.end_of_input(until)
        for _, shard in self._branches:
            shard.end_of_input(until)

    def final_outputs(self, until: int) -> list[Output]:
        for branch, shard in self._branches:
            branch.told += shard.final_outputs(until)
        return self._base.final_outputs(until)


class CandidateRun:
    """One candidate: what it judges anew, and what it hears of the base's own."""

    def __init__(self, candidate: Rulebook, planned: ReplayPlan, lateness: int) -> None:
        self.plan = planned
        self.collector = OutputCollector()
        self.member = Member(candidate, planned.rules, planned.signals, self.collector) if planned.rules else None
        self.shards: dict[SubjectName, Shard] = {}
        self.told: list[Output] = []
        self._route: dict[str, tuple[Shard, int]] = {}
        self._offsets: dict[str, int] = {}
        self._heard: list[Output] = []
        for group, machine in subjects(candidate, review_wait_ms=None).items():
            if group in planned.groups:
                shard = self.shards[group] = Shard(
                    machine,
                    lateness,
                    sources=[SourcePosition() for _ in machine.topics],
                    place=attrgetter("place"),
                    collector=self.collector,
                )
                for source_index, topic in enumerate(machine.topics):
                    if not is_input(topic):
                        self._route[topic] = (shard, source_index)

    def hear(self, outputs: Iterable[Output]) -> None:
        """The base said this: what the candidate would say too goes into its own shards."""
        for output in outputs:
            if output.topic not in self._route or _FROM[output.topic] in self.shards:
                continue
            if output.topic == "verdict-by-host" and output.body.rule in self.plan.rules:  # type: ignore[union-attr]
                continue
            self._heard.append(output)

    def deliver(self) -> None:
        """Hand on what was heard and what was said, until nothing more comes of it."""
        emitted = self.collector.outputs
        while emitted or self._heard:
            # In the order of event time in which one shard would have said them.
            outputs = sorted([*self._heard, *emitted], key=attrgetter("judged"))
            self._heard.clear()
            emitted.clear()
            for output in outputs:
                if output.topic in self._route:
                    shard, source_index = self._route[output.topic]
                    offset = self._offsets.get(output.topic, 0)
                    self._offsets[output.topic] = offset + 1
                    value = None if output.body is None else msgspec.json.encode(output.body)
                    shard.ingest(source_index, (Line(offset, output.key, value, (None, offset)),))
                else:
                    self.told.append(output)

    def outcome(self, base: Outputs) -> Outcome:
        """The candidate's own where it judged anew, the base's elsewhere."""
        told: dict[str, list[Output]] = {}
        for output in self.told:
            told.setdefault(output.topic, []).append(output)
        rules, groups = self.plan.rules, self.plan.groups

        def own(output: Output) -> bool:
            rule: str | None = output.body.rule  # type: ignore[union-attr]
            return self.plan.signals if rule is None else rule in rules

        def merged(topic: str, theirs: list[Output]) -> Iterable[Output]:
            mine = [output for output in told.get(topic, ()) if own(output)]
            rest = [output for output in theirs if not own(output)]
            return sorted([*rest, *mine], key=in_order)

        def either(group: SubjectName, topic: str, theirs: list[Output]) -> Iterable[Output]:
            return sorted(told.get(topic, ()), key=in_order) if group in groups else theirs

        return _outcome(
            merged("verdict", base.verdicts) if rules else base.verdicts,
            merged("notice", base.notices) if rules else base.notices,
            either("hosts", "enforcement", base.actions),
            _last(told.get("supplier-score", ())) if "industries" in groups else base.scores,
            either("rfqs", "pin-decision", base.pins),
            base.until,
            base.refused,
        )


def _last(scores: Iterable[Output]) -> list[Output]:
    """The last score of each supplier that is not deleted, as a replay picks them."""
    last = {output.key: output for output in scores if output.body is not None}
    return sorted(last.values(), key=lambda output: output.key or b"")


class MultiCandidateReplay(Replay):
    """One run over one recording for a base and its candidates; feed it as a replay, then ask for the outcomes."""

    def __init__(self, base: Rulebook, candidates: Sequence[Rulebook], lateness: int = LATENESS_MS) -> None:
        self._branches: list[CandidateRun] = []
        self._apart: list[Replay] = []
        self._each: list[CandidateRun | Replay | None] = []
        """By candidate: what judges it; None: it judges as the base does."""
        for candidate in candidates:
            planned = plan(base, candidate)
            if planned.apart:
                self._apart.append(Replay(candidate, lateness))
                self._each.append(self._apart[-1])
            elif planned.rules or planned.groups:
                self._branches.append(CandidateRun(candidate, planned, lateness))
                self._each.append(self._branches[-1])
            else:
                self._each.append(None)
        machines = subjects(base, review_wait_ms=None)
        members = [branch.member for branch in self._branches if branch.member is not None]
        if members:
            machines["rooms"] = CandidatePanelMachine(RoomMachine(base), members)
        super().__init__(base, lateness, machines)
        for group in GROUPS:
            forks = [(branch, branch.shards[group]) for branch in self._branches if group in branch.shards]
            if forks:
                forked = self._shards[group] = _Forked(self._shards[group], forks)
                for source_index, topic in enumerate(machines[group].topics):
                    if is_input(topic):  # internal messages are handed to each by who says them
                        self._route[topic] = (forked, source_index)

    def feed(self, lines: Iterable[bytes]) -> None:
        """Take lines of the recording in; blank ones are skipped."""
        super().feed(self._shared(lines) if self._apart else lines)

    def outcomes(self) -> list[Outcome]:
        """The input has ended: what came of it, under the base first and then under each candidate."""
        outputs = self.end()
        base = outcome(outputs)
        told = [base]
        for judge in self._each:
            if judge is None:
                told.append(base)
            else:
                told.append(judge.outcome(outputs) if isinstance(judge, CandidateRun) else outcome(judge.end()))
        return told

    def _shared(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            for replay in self._apart:
                replay.feed((line,))
            yield line

    def _hand_on(self, outputs: list[Output]) -> None:
        super()._hand_on(outputs)
        for branch in self._branches:
            branch.hear(outputs)

    def _deliver(self) -> None:
        super()._deliver()
        for branch in self._branches:
            branch.deliver()
