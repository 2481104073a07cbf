"""Whether the logs go on where the stored state has stopped reading, and whether stored state is missing."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from aiokafka.structs import TopicPartition

from vigil.agents.faust.probe import RecordProbe
from vigil.agents.ports import TopicPartition as SourcePartition
from vigil.agents.source_check import SourceCheck, SourceFinding, StoredSource
from vigil.app.engine.source_identity import ChangeKind
from vigil.app.kafka.clients import new_consumer, started
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.cut_logs import CUT_REMEDY, THIN_REMEDY, CutLog, ThinLog, cut_words, thin_words
from vigil.app.runtime.doctor.check import Check, counted, first_few, span
from vigil.app.runtime.doctor.group import Offsets
from vigil.app.runtime.doctor.state import ShardState
from vigil.topics.catalog import SubjectName

LATELY_MS: Final = 24 * 3_600_000
"""How long a change is reported after workers have gone on."""

_REMEDIES: Final = {
    "recreated": "restart the workers: they read the topic from its beginning, and keep all state",
    "truncated": "restart the workers: they go on from where the log was cut; judge what is missing from a recording, "
    "and see why the broker lost it (replicas, unclean leader election)",
    "expired": "raise retention.ms and retention.bytes of the topics; judge what is missing from a recording",
}

_AFTERWARDS: Final[Mapping[ChangeKind, str]] = {
    "recreated": "find out who deleted the topic; what was sent meanwhile is gone: send it again (docs/runbook.md)",
    "truncated": "see why the broker lost it (replicas, unclean leader election); what had been judged stays judged",
    "expired": "raise retention.ms and retention.bytes of the topic; judge what is missing from a recording",
}


async def check_sources(
    settings: Settings,
    states: Collection[ShardState],
    topics: Mapping[SubjectName, Sequence[str]],
    offsets: Mapping[TopicPartition, Offsets],
) -> list[Check]:
    """Compare the sources with what the stored state has read, or else with the offsets that the group has committed.

    `topics`: of each subject, by their names on the cluster.
    """
    stored = stored_sources(states, topics, offsets)
    findings = await _findings(settings, stored, offsets) if stored else []
    rest = {tp: each for tp, each in offsets.items() if SourcePartition(*tp) not in stored}
    return source_checks(findings) + lost(rest) + state_is_lost(states, topics, offsets)


async def _findings(
    settings: Settings, stored: Mapping[SourcePartition, StoredSource], offsets: Mapping[TopicPartition, Offsets]
) -> list[SourceFinding]:
    ends = {tp: offsets[TopicPartition(*tp)].end for tp in stored}
    begins = {tp: offsets[TopicPartition(*tp)].begin for tp in stored}
    async with started(new_consumer(settings, "doctor")) as consumer:
        logs: Any = RecordProbe(consumer)  # ends and beginnings are known already
        return await SourceCheck(logs, stored, ends, begins).findings()


def stored_sources(
    states: Collection[ShardState],
    topics: Mapping[SubjectName, Sequence[str]],
    offsets: Mapping[TopicPartition, Offsets],
) -> dict[SourcePartition, StoredSource]:
    """What the stored state has read of each source that still has its name."""
    stored = {}
    for state in states:
        names = topics[state.subject]
        if state.marker.topics and state.marker.topics != tuple(names):
            continue  # the topics are called otherwise now: they are read from their beginning
        for name, position in zip(names, state.marker.sources, strict=False):
            if TopicPartition(name, state.partition) in offsets:
                stored[SourcePartition(name, state.partition)] = StoredSource(
                    position.committed_offset, position.read_offset, position.max_event_time, position.identities
                )
    return stored


def source_checks(findings: Collection[SourceFinding]) -> list[Check]:
    """A check for each kind of change."""
    checks = []
    for kind, remedy in _REMEDIES.items():
        lines = [finding.words for finding in sorted(findings) if finding.kind == kind]
        if lines:
            checks.append(Check("sources", "fail", first_few(lines), remedy))
    return checks


def lost(offsets: Mapping[TopicPartition, Offsets]) -> list[Check]:
    """Logs that do not go on where the group has committed, where no stored state says more."""
    shorter = [
        f"{tp.topic}, partition {tp.partition}: read to offset {each.committed:,}, the log ends at {each.end:,}"
        for tp, each in sorted(offsets.items())
        if each.committed > each.end
    ]
    deleted = [
        f"{tp.topic}, partition {tp.partition}: {counted(each.begin - each.committed, 'message')}"
        for tp, each in sorted(offsets.items())
        if 0 <= each.committed < each.begin
    ]
    checks = []
    if shorter:
        words = "logs are shorter than what was read of them: the topics were created again or cut short\n"
        checks.append(Check("sources", "fail", words + first_few(shorter), _REMEDIES["recreated"]))
    if deleted:
        words = "Kafka deleted messages before they were read\n"
        checks.append(Check("sources", "fail", words + first_few(deleted), _REMEDIES["expired"]))
    return checks


def changed_lately(
    states: Collection[ShardState], topics: Mapping[SubjectName, Sequence[str]], now: int
) -> list[Check]:
    """What workers have found at a start of the last day, by the stored state; they went on. `now`: ms."""
    changes = sorted(
        (
            (change, SourcePartition(name, state.partition))
            for state in states
            for name, position in zip(topics[state.subject], state.marker.sources, strict=False)
            if (change := position.change) is not None and now - change.at < LATELY_MS
        ),
        key=lambda found: -found[0].at,
    )
    checks = []
    for kind, remedy in _AFTERWARDS.items():
        lines = [
            f"{SourceFinding(tp, kind, change.resume, change.lost).words} ({span(now - change.at)} ago)"
            for change, tp in changes
            if change.kind == kind
        ]
        if lines:
            checks.append(Check("sources", "warn", first_few(lines), remedy))
    return checks


def cut_logs(
    states: Collection[ShardState],
    changelogs: Mapping[SubjectName, str],
    offsets: Mapping[TopicPartition, Offsets],
) -> list[Check]:
    """Stored states whose log has lost its beginning, or is too short for the keys that it had.

    `offsets`: of the changelogs.
    """
    cut, thin = [], []
    for state in states:
        tp = TopicPartition(changelogs[state.subject], state.partition)
        each, marker = offsets[tp], state.marker
        most = max(0, each.end - each.begin - 1)  # beside the marker
        if each.begin > marker.log_begin:
            cut.append(CutLog(SourcePartition(*tp), each.begin, marker.log_begin))
        elif most < marker.keys:
            thin.append(ThinLog(SourcePartition(*tp), most, marker.keys))
    checks = [Check("state", "fail", cut_words(cut), CUT_REMEDY)] if cut else []
    return checks + ([Check("state", "fail", thin_words(thin), THIN_REMEDY)] if thin else [])


def state_is_lost(
    states: Collection[ShardState],
    topics: Mapping[SubjectName, Sequence[str]],
    offsets: Mapping[TopicPartition, Offsets],
) -> list[Check]:
    """Shards without state of whose input the group has committed offsets."""
    there = {(state.subject, state.partition) for state in states}
    subjects = {topic: subject for subject, names in topics.items() for topic in names}
    gone = sorted(
        {
            (subjects[tp.topic], tp.partition)
            for tp, each in offsets.items()
            if each.committed > 0 and (subjects[tp.topic], tp.partition) not in there
        }
    )
    if not gone:
        return []
    lines = [f"{subject}, partition {partition}" for subject, partition in gone]
    return [
        Check(
            "state",
            "fail",
            f"the state of {counted(len(gone), 'shard')} is lost, although the input was judged\n{first_few(lines)}",
            'restore the topic of the state from a backup; docs/operations.md, "Lost state", has the other way',
        )
    ]
