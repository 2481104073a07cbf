"""Every check in turn; each that is not ok names a remedy.

rulebook ─▶ broker ─▶ topics ─▶ names ─▶ group ─▶ workers ─▶ transactions ─▶ state and clocks ─▶ broker clock ─▶ input
─▶ outputs ─▶ lateness ─▶ rejected messages
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.dead_letters import TOPIC as DEAD_LETTER
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_audit import Finding, Found, judge, survey
from vigil.app.runtime.doctor.broker_clock import check_broker_clock
from vigil.app.runtime.doctor.check import Check, counted
from vigil.app.runtime.doctor.group import check_group, check_transactions, read_offsets, with_last_records
from vigil.app.runtime.doctor.input import check_input, newest_events
from vigil.app.runtime.doctor.lateness import MeasuredLateness, lateness_checks, measure_lateness, worker_url
from vigil.app.runtime.doctor.outputs import check_outputs
from vigil.app.runtime.doctor.ownership import check_names
from vigil.app.runtime.doctor.refused import check_refused
from vigil.app.runtime.doctor.sources import changed_lately, check_sources, cut_logs
from vigil.app.runtime.doctor.state import ShardState, SourcesView, check_clocks, check_state, read_states
from vigil.app.runtime.doctor.workers import check_workers
from vigil.app.runtime.rulebooks.log import read_history
from vigil.topics.catalog import TOPICS, SubjectName

TIMEOUT_S: Final = 60
"""How long one check may take."""

Sources = Mapping[SubjectName, tuple[str, ...]]


async def examine(
    settings: Settings, now: Callable[[], float] = time.time, metrics: Sequence[str] = ()
) -> AsyncIterator[Check]:
    """Every check in turn; if the broker cannot be reached, those that need it are left out.

    `now`: in seconds; `metrics`: addresses of workers' metrics, beside which their health is; none: those of a
    worker with these settings.
    """
    book: Rulebook | None = None
    for check, loaded in _rulebooks(settings):
        book = book or loaded
        yield check
    sources = REGISTRY.sources
    began = time.monotonic()
    try:
        found, brokers = await survey(settings, sources)
    except SettingsError as error:
        yield Check(
            "broker",
            "fail",
            str(error).removeprefix("broker: "),
            "is it running, and do host, port, TLS and password fit? VIGIL_BROKER",
        )
        return
    yield _broker(settings, brokers, took_ms=(time.monotonic() - began) * 1000)
    for check in _topics(found, settings, sources):
        yield check

    def clock() -> int:
        return round(now() * 1000)

    urls = metrics or [worker_url(settings)]
    cluster = _Cluster(settings, found, urls)
    looks: list[tuple[str, Callable[[], Coroutine[Any, Any, list[Check]]]]] = [
        ("names", lambda: check_names(settings)),
        ("group", lambda: check_group(settings, cluster.source_partitions)),
        ("workers", lambda: check_workers(urls)),
        ("transactions", lambda: check_transactions(settings, cluster.source_partitions, clock())),
        ("state", lambda: cluster.state(book, clock)),
        ("broker clock", lambda: check_broker_clock(settings, cluster.changelog_partitions)),
        ("input", lambda: check_input(settings, cluster.inputs, clock)),
        ("outputs", lambda: check_outputs(settings, cluster.outputs)),
        ("lateness", cluster.check_lateness),
    ]
    if cluster.has(DEAD_LETTER):
        looks.append(("refused", lambda: check_refused(settings, clock(), cluster.lateness)))
    for name, look in looks:
        for check in await _guarded(name, look()):
            yield check


class _Cluster:
    """What exists of Vigil's topics, by the names that each check uses."""

    def __init__(self, settings: Settings, found: Mapping[str, Found], metrics: Sequence[str]) -> None:
        self._settings = settings
        self._metrics = metrics
        self.lateness = MeasuredLateness("not measured", ())
        """How late events come; `check_lateness` measures it."""
        self._names = names = TopicNames.of(settings)
        self._found = found
        self._sources = {subject: tuple(map(names.on_cluster, topics)) for subject, topics in REGISTRY.sources.items()}
        """Of each subject, the names of its sources on the cluster."""
        changelogs = {subject: names.changelog(subject) for subject in REGISTRY.sources}
        self._changelogs = {subject: name for subject, name in changelogs.items() if name in found}
        """Those that exist, by subject."""
        inputs = {names.in_catalogue(name): each.partitions for name, each in found.items()}
        self.inputs = {topic: count for topic, count in inputs.items() if REGISTRY.is_input(topic)}
        """The partitions of each input that exists, by its name in the catalogue."""

    def has(self, topic: str) -> bool:
        """Whether a topic of the catalogue exists."""
        return self._names.on_cluster(topic) in self._found

    @property
    def outputs(self) -> list[str]:
        """The outputs that exist, by their names in the catalogue."""
        return [topic.name for topic in TOPICS if topic.direction == "out" and self.has(topic.name)]

    @property
    def source_partitions(self) -> list[TopicPartition]:
        """All partitions of all sources that exist, by their names on the cluster."""
        return self._partitions({name for topics in self._sources.values() for name in topics})

    @property
    def changelog_partitions(self) -> list[TopicPartition]:
        """All partitions of the changelogs."""
        return self._partitions(self._changelogs.values())

    def _partitions(self, names: Iterable[str]) -> list[TopicPartition]:
        there = sorted(name for name in names if name in self._found)
        return [TopicPartition(name, number) for name in there for number in range(self._found[name].partitions)]

    async def state(self, book: Rulebook | None, clock: Callable[[], int]) -> list[Check]:
        """The checks of the stored state. `clock`: in ms."""
        history = await read_history(self._settings)
        states: list[ShardState] = []
        for subject, changelog in self._changelogs.items():
            read = await read_states(self._settings, subject, changelog)
            if isinstance(read, Check):
                return [read]
            states += read
        shards = sum(self._found[changelog].partitions for changelog in self._changelogs.values())
        checks = [check_state(self._settings, shards, states, book, history.digests)]
        logs = await read_offsets(self._settings, self.changelog_partitions)
        checks += cut_logs(states, self._changelogs, logs)
        read_to = {
            TopicPartition(topic, state.partition): position.read_offset
            for state in states
            for topic, position in zip(self._sources[state.subject], state.marker.sources, strict=False)
        }
        offsets = await read_offsets(self._settings, self.source_partitions)
        offsets = await with_last_records(self._settings, offsets, read_to)
        checks += await check_sources(self._settings, states, self._sources, offsets)
        checks += changed_lately(states, self._sources, clock())
        if states and self._settings.clock == "live":
            sources = SourcesView(self._sources, offsets, await self._newest())
            checks += check_clocks(states, sources, clock(), self._settings.max_ahead_ms)
        return checks

    async def check_lateness(self) -> list[Check]:
        """Check how late room events come."""
        self.lateness = await measure_lateness(self._settings, self.inputs, self._metrics)
        return lateness_checks(self.lateness, self._settings) if self._settings.clock == "live" else []

    async def _newest(self) -> dict[TopicPartition, int]:
        """The time of the last event of each input's partitions, by their names on the cluster."""
        newest = await newest_events(self._settings, self.inputs)
        return {TopicPartition(self._names.on_cluster(tp.topic), tp.partition): at for tp, at in newest.items()}


def _broker(settings: Settings, brokers: int, took_ms: float) -> Check:
    words = f"{settings.broker} answers in {took_ms:.0f} ms; {counted(brokers, 'broker')}"
    if brokers >= settings.replication:
        return Check("broker", "ok", words)
    return Check(
        "broker",
        "fail",
        f"{words}, fewer than the setting replication ({settings.replication})",
        "lower `replication`, or bring the other brokers up: topics cannot be created",
    )


async def _guarded(name: str, check: Coroutine[Any, Any, list[Check]]) -> list[Check]:
    try:
        return await asyncio.wait_for(check, TIMEOUT_S)
    except (KafkaError, OSError, SettingsError) as error:
        words = f"cannot be looked at: {error or type(error).__name__}"
        return [Check(name, "fail", words, "a right may be missing: docs/security.md has the list of what is needed")]


def _rulebooks(settings: Settings) -> list[tuple[Check, Rulebook | None]]:
    checks: list[tuple[Check, Rulebook | None]] = []
    for name, file in (("rulebook", settings.rulebook), ("shadow rulebook", settings.shadow_rulebook)):
        if file is None and name != "rulebook":
            continue
        try:
            book = load_rulebook(Path(file)) if file else load_rulebook()
            words = f"{file or 'built in'}, digest {book.digest[:12]}"
            checks.append((Check(name, "ok", words), book if name == "rulebook" else None))
        except RulebookError as error:
            checks.append((Check(name, "fail", str(error), f"vigil rules check {file}"), None))
    if settings.rulebook_changed:
        words = "rulebook_changed is set: workers take over the state of any other rulebook"
        checks.append((Check("rulebook", "warn", words, "take it out once all workers have started"), None))
    return checks


def _topics(found: Mapping[str, Found], settings: Settings, sources: Sources) -> list[Check]:
    lines = judge(found, settings, sources)
    topics = {finding: line.topic for line in reversed(lines) for finding in line.findings}
    checks = [check for finding, topic in topics.items() if (check := _misfit(finding, topic)) is not None]
    missing = [line.topic for line in lines if line.level == "missing"]
    if missing:
        some = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        words = f"{len(missing)} of {len(lines)} are missing: {some}"
        checks.append(Check("topics", "warn", words, "vigil topics --create, or let a worker create them"))
    return checks or [Check("topics", "ok", f"all {len(lines)} exist and fit")]


def _misfit(finding: Finding, topic: str) -> Check | None:
    if finding.level not in ("warn", "fail"):
        return None
    where = "" if finding.words.startswith("the topics of") else f"{topic}: "
    return Check("topics", "fail" if finding.level == "fail" else "warn", where + finding.words, finding.remedy)
