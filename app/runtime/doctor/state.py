"""The stored state: can it be read, was it judged by this rulebook, and where do the shards' clocks stand."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from aiokafka.structs import ConsumerRecord, TopicPartition

from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.agreement import disagreement
from vigil.app.engine.changelog import CheckpointMarker, StoredStateError
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.topic_reader import records
from vigil.app.runtime.doctor.check import Check, first_few, span
from vigil.app.runtime.doctor.group import Offsets
from vigil.topics.catalog import SubjectName
from vigil.topics.fields import MAX_AHEAD_MS

CLOCK_BEHIND_MS: Final = 120_000
"""By how much a shard's clock may be behind its newest event: slow partitions are waited for up to a minute."""

_TAILS: Final = (200, 20_000)
"""Numbers of records at the end of a changelog partition among which its last marker is searched: those of a usual
checkpoint first, then those of one with many keys."""


class ShardState(NamedTuple):
    """What the last checkpoint of one shard says."""

    subject: SubjectName
    partition: int
    marker: CheckpointMarker


class SourceClock(NamedTuple):
    """The largest event time that a shard has read from one of its sources."""

    topic: str
    at: int


def check_state(
    settings: Settings,
    shards: int,
    states: Sequence[ShardState],
    book: Rulebook | None,
    published: Collection[str] = (),
) -> Check:
    """Check that the stored state was judged by this rulebook or a published one. `shards`: how many there are;
    `published`: the digests of the topic `rulebook`."""
    if not states:
        return Check("state", "ok", "none yet")
    differing = _other_rulebook(settings, book, {state.marker.rulebook for state in states}.difference(published))
    return differing or Check("state", "ok", f"{len(states)} of {shards} shards have one")


def _other_rulebook(settings: Settings, book: Rulebook | None, digests: Iterable[str]) -> Check | None:
    """The first of the stored rulebooks that differs from this one."""
    for digest in sorted(digests):
        differs = disagreement(book, digest) if book is not None else None
        if differs is not None:
            words, _, remedy = differs.words.partition(" Remedy: ")
            return Check("state", "warn" if settings.rulebook_changed else "fail", words, remedy)
    return None


class SourcesView(NamedTuple):
    """What is known of the sources, by their names on the cluster."""

    topics: Mapping[SubjectName, Sequence[str]]
    """Those of each subject."""
    offsets: Mapping[TopicPartition, Offsets]
    """Of the group."""
    newest: Mapping[TopicPartition, int]
    """The time of the last event of each partition, ms."""


def check_clocks(
    states: Sequence[ShardState], sources: SourcesView, now: int, max_ahead_ms: int = MAX_AHEAD_MS
) -> list[Check]:
    """Check that no shard's clock is far from the wall clock, or from the events that it has.

    `now`: ms; `max_ahead_ms`: by how much a clock may be ahead: a worker with such a one does not start.
    """
    started = [state for state in states if state.marker.watermark > 0]
    if not started:
        return [Check("clocks", "ok", "no shard has judged anything yet")]
    ahead = [state for state in started if state.marker.watermark - now > max_ahead_ms]
    behind = [
        state
        for state in started
        if _behind(state, sources, now + max_ahead_ms) > CLOCK_BEHIND_MS + state.marker.lateness
    ]
    checks = []
    if ahead:
        lines = [
            f"{_name(state)} by {span(state.marker.watermark - now)}"
            for state in sorted(ahead, key=lambda state: -state.marker.watermark)
        ]
        checks.append(
            Check(
                "clocks",
                "fail",
                f"{_shards(ahead)} ahead of this machine's clock: every event is late until that time\n"
                f"{first_few(lines)}",
                "if this machine's clock is right: stop all workers, correct the clock that was wrong, and run "
                "`vigil repair clock`",
            )
        )
    waiting = {id(state) for state in behind if _waits(state, sources)}
    stuck = [state for state in behind if id(state) not in waiting]
    if stuck:
        checks.append(_stuck(stuck, sources.topics, now))
    if waiting:
        words = f"{_shards([state for state in behind if id(state) in waiting])} behind, and messages wait: catching up"
        checks.append(Check("clocks", "warn", words, "see lag; with enough workers it ends by itself"))
    slowest = min(state.marker.watermark for state in started)
    return checks or [Check("clocks", "ok", f"the slowest of {len(started)} shards stands {span(now - slowest)} back")]


def _behind(state: ShardState, sources: SourcesView, latest: int) -> int:
    """By how much the clock is behind the newest event that could be judged: a quiet shard's may be old.

    Events after `latest` are rejected.
    """
    topics = sources.topics[state.subject]
    times = [sources.newest.get(TopicPartition(topic, state.partition), 0) for topic in topics]
    times += [position.read_max_event_time for position in state.marker.sources]
    return max((at for at in times if at <= latest), default=0) - state.marker.watermark


def _waits(state: ShardState, sources: SourcesView) -> bool:
    """True if messages of the shard's partitions were not read yet."""
    for topic, position in zip(sources.topics[state.subject], state.marker.sources, strict=False):
        each = sources.offsets.get(TopicPartition(topic, state.partition))
        if each is not None and each.end > max(each.committed, each.begin, position.read_offset):
            return True
    return False


def _stuck(stuck: Sequence[ShardState], sources: Mapping[SubjectName, Sequence[str]], now: int) -> Check:
    lines = [
        f"{_name(state)} by {span(now - state.marker.watermark)}{_held_by(state, sources, now)}"
        for state in sorted(stuck, key=lambda state: state.marker.watermark)
    ]
    return Check(
        "clocks",
        "fail",
        f"{_shards(stuck)} behind although everything is read: what is newer is not judged\n{first_few(lines)}",
        "correct the clock of the producer that is named, or stop it; where none is named, a worker's own clock was "
        "wrong (see broker clock): correct it (NTP) and restart the worker",
    )


def _held_by(state: ShardState, sources: Mapping[SubjectName, Sequence[str]], now: int) -> str:
    """The source whose events are the oldest, where another one has newer events than the clock."""
    clocks = [
        SourceClock(topic, position.read_max_event_time)
        for topic, position in zip(sources[state.subject], state.marker.sources, strict=False)
        if position.read_max_event_time > 0
    ]
    if len(clocks) < 2:
        return ""
    oldest, newest = min(clocks, key=lambda each: each.at), max(clocks, key=lambda each: each.at)
    if newest.at - oldest.at < CLOCK_BEHIND_MS:
        return ""
    return (
        f": the newest event of {oldest.topic}, partition {state.partition}, is {span(now - oldest.at)} old, that of "
        f"{newest.topic} {span(now - newest.at)}"
    )


def _name(state: ShardState) -> str:
    return f"{state.subject}, partition {state.partition}"


def _shards(states: Sequence[ShardState]) -> str:
    return f"the clocks of {len(states)} shards stand" if len(states) > 1 else "the clock of 1 shard stands"


async def read_states(settings: Settings, subject: SubjectName, changelog: str) -> list[ShardState] | Check:
    """The last checkpoint of each of a subject's shards that has one, or what keeps them from being read."""
    states: list[ShardState] = []
    for tail in _TAILS:
        tails = await _tails(settings, changelog, tail)
        for partition, each in sorted(tails.items()):
            if each.error is not None:
                words = f"{changelog}, partition {partition}: {each.error}"
                return Check("state", "fail", words, "see docs/operations.md")
        states = [
            ShardState(subject, partition, each.store.marker)
            for partition, each in sorted(tails.items())
            if each.store.marker is not None
        ]
        if len(states) == len(tails):
            break
    return states


class _Tail:
    """The last records of one partition of a changelog."""

    def __init__(self) -> None:
        self.store = ChangelogStore()
        self.error: str | None = None

    def read(self, record: ConsumerRecord) -> None:
        try:
            self.store.read([record])
        except StoredStateError as error:
            self.error = str(error)


async def _tails(settings: Settings, changelog: str, last: int) -> dict[int, _Tail]:
    tails: dict[int, _Tail] = defaultdict(_Tail)
    async for record in records(settings, changelog, last):
        if tails[record.partition].error is None:
            tails[record.partition].read(record)
    return tails
