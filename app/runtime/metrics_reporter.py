"""Turns what the shards count and the checkpoints send into metrics and, where something is wrong, log lines."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog

from vigil.agents.shard_manager import ShardManager
from vigil.agents.shard_runner import ShardRunner
from vigil.agents.steps import STEPS, Step
from vigil.app.domain.registry import DEAD_LETTER, REGISTRY, Registry
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.history import Refusal
from vigil.app.domain.subject import Body, Sample, ShardGauges
from vigil.app.engine.lateness import BOUNDS_MS, LatenessCounts
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.observability.metrics import WorkerMetrics
from vigil.app.runtime.first_rejections import FirstRejections
from vigil.topics.catalog import SubjectName, inputs, written
from vigil.topics.fields import Reason

log: Final = structlog.get_logger("vigil.report")

EVERYWHERE: Final[tuple[Reason, ...]] = ("malformed", "late")
"""The reasons for which a message of any topic can be rejected."""

OF_INPUTS: Final[tuple[Reason, ...]] = ("misrouted", "future")
"""Those for which only a message can be rejected that others wrote."""

Gauges = dict[tuple[str, tuple[str, ...]], float]
"""By metric and labels."""


def worker_metrics(registry: Registry = REGISTRY) -> WorkerMetrics:
    """The metrics of a worker that runs these subjects."""
    subjects = registry.subjects.values()
    rejections = [(topic, reason) for topic in registry.readers for reason in EVERYWHERE]
    rejections += [(topic, reason) for topic in inputs(registry.topics.values()) for reason in OF_INPUTS]
    rejections += [rejection for subject in subjects for rejection in subject.metrics.rejections]
    metrics = WorkerMetrics(
        registry.sources,
        written(registry.topics.values()),
        rejections,
        registry.latency_promised,
        [metric for subject in subjects for metric in subject.metrics.metrics],
    )
    for step in STEPS:
        metrics.steps.labels(step)  # begins at 0
    measured = [key for subject in subjects for key in subject.metrics.lateness]
    metrics.lateness.begin((bound / 1000 for bound in BOUNDS_MS), measured)
    return metrics


@dataclass(frozen=True)
class WorkerView:
    """What the reporter reads of a worker."""

    manager: ShardManager
    not_ready: Callable[[], str | None]
    """Why the worker does not judge; None where it does."""
    standby_lag: Callable[[], Mapping[SubjectName, int]] = dict
    """Changelog records that standbys have not read yet, by subject."""
    ahead_of_broker: Callable[[], int | None] = lambda: None
    """By how much the worker's clock is ahead of the broker's, ms; None: not known."""
    rules_known_until: Callable[[], int] = lambda: 0
    """The event time below which the rulebook in use is known to be right, ms."""


class MetricsReporter:
    """Turns counts and outputs into metrics; it never decides anything."""

    def __init__(
        self,
        metrics: WorkerMetrics,
        worker: WorkerView,
        settings: Settings,
        rulebook: Rulebook,
        registry: Registry = REGISTRY,
    ) -> None:
        self._metrics = metrics
        self._worker = worker
        self._settings = settings
        self._rulebook = rulebook
        self._live = settings.clock == "live"
        self._in_catalogue = TopicNames.of(settings).in_catalogue
        """Metrics and alerts have the topics of the catalogue: they are the same whatever the prefix is."""
        self._registry = registry
        self._refused: Counter[tuple[str, str]] = Counter()
        """In this minute, by topic and reason."""
        self._first = FirstRejections()
        self._gauges: dict[tuple[SubjectName, int], tuple[ShardRunner, ShardGauges]] = {}
        """By shard: what its published states add up to."""
        subjects = registry.subjects.values()
        self._of_outputs = {topic: read for each in subjects for topic, read in each.metrics.of_outputs.items()}
        self._of_counts = {name: read for each in subjects for name, read in each.metrics.of_counts.items()}
        self._gauge_topics = {topic for each in subjects for topic in each.metrics.gauge_topics}
        self._measured = registry.latency_promised
        self._published_at = {topic.name for topic in registry.topics.values() if topic.stamped} & self._measured
        metrics.rulebook.labels(digest=rulebook.digest[:12]).set(1)
        self._begin_series()

    def use(self, rulebook: Rulebook) -> None:
        """Another rulebook is in use."""
        self._rulebook = rulebook
        self._metrics.rulebook.clear()
        self._metrics.rulebook.labels(digest=rulebook.digest[:12]).set(1)
        for _, gauges in self._gauges.values():
            gauges.use(rulebook)
        self._begin_series()

    def published(self, refusal: Refusal | None) -> None:
        """A record of the topic `rulebook` was read; `refusal`: why it does not count."""
        self._metrics.rulebooks_published.labels("accepted" if refusal is None else refusal.reason).inc()

    def _begin_series(self) -> None:
        """Begin the series of names of the rulebook at 0."""
        for subject in self._registry.subjects.values():
            if subject.metrics.series is not None:
                self._add(subject.metrics.series(self._rulebook))

    def written(self, seconds: float, records: int) -> None:
        """A checkpoint of so many records took so many seconds to write."""
        self._metrics.checkpoint.observe(seconds)
        self._metrics.checkpoint_records.inc(records)

    def step(self, step: Step, seconds: float) -> None:
        """A step took so many seconds."""
        self._metrics.observe_step(step, seconds)

    def sent(self, runner: ShardRunner, outputs: Sequence[Any], now: int) -> None:
        """The broker has these outputs."""
        self._counted(runner)
        for topic, number in Counter(output.topic for output in outputs).items():
            self._metrics.outputs.labels(topic).inc(number)
        acked = wall_ms()
        samples: list[Sample] = []
        for output in outputs:
            if output.topic in self._gauge_topics:
                self._shard_gauges(runner).update(output.topic, output.key.decode(), output.payload)
            if output.payload is None:
                continue
            if output.topic == DEAD_LETTER:
                self._first.sent(output.payload)
            if (read := self._of_outputs.get(output.topic)) is not None:
                body: Body = orjson.loads(output.payload)
                samples += read(body)
            if self._live and output.topic in self._measured:
                self._measure(runner, output, acked)
        self._add(samples)

    def _measure(self, runner: ShardRunner, output: Any, acked: int) -> None:
        """How long after its event time, and after the earliest moment at which it could be judged, it came out."""
        # What a former owner left to be sent is measured from the earliest moment: its delay is ours as well.
        earliest = output.triggered_at + self._settings.largest_lateness_ms()
        eligible_at = runner.eligible_at.pop(output.id, earliest)
        if output.topic in self._published_at:
            self._metrics.publish_delay.observe(max(0, acked - output.at) / 1000)
        if output.triggered_at:
            self._metrics.judgement_delay.labels(output.topic).observe(max(0, acked - eligible_at) / 1000)

    def _add(self, samples: Iterable[Sample]) -> None:
        """Add samples; those that are alike together, because a series is looked up slowly."""
        for sample, times in Counter(samples).items():
            self._metrics.add(sample.metric, sample.value, sample.labels, times)

    def _shard_gauges(self, runner: ShardRunner) -> ShardGauges:
        place = (runner.subject, runner.partition)
        known = self._gauges.get(place)
        if known is None or known[0] is not runner:
            new = self._registry.subjects[runner.subject].metrics.gauges
            assert new is not None  # noqa: S101 - a subject with gauge topics has gauges
            known = self._gauges[place] = (runner, new(self._rulebook))
        return known[1]

    def _counted(self, runner: ShardRunner) -> None:
        """Move a shard's own counts over to the metrics."""
        metrics, counts = self._metrics, runner.shard.collector.counts
        by_topic = metrics.counted_by_topic()
        for name, number in counts.items():
            kind, _, rest = name.partition(":")
            if not number:
                continue
            if kind in by_topic:
                by_topic[kind].labels(self._in_catalogue(rest)).inc(number)
            elif kind == "refused":
                topic, _, reason = rest.partition(":")
                metrics.refused.labels(topic, reason).inc(number)
                self._refused[topic, reason] += number
                self._first.count(topic, reason)
            elif kind == "fields_ignored":
                topic, _, field = rest.partition(":")
                metrics.fields_ignored.labels(topic, field).inc(number)
            elif kind == "too_old":
                metrics.too_old.labels(runner.subject).inc(number)
            elif kind in self._of_counts:
                self._add(self._of_counts[kind](rest, number))
        counts.clear()
        self._count_lateness(runner.shard.collector.lateness)

    def _count_lateness(self, counted: LatenessCounts) -> None:
        """Recorded data has no lateness: its events come as they were recorded."""
        if self._live:
            for key, counts in counted.by_bucket.items():
                self._metrics.lateness.add(key, counts, counted.total_ms[key] / 1000)
        counted.clear()

    def refresh(self) -> None:
        """Bring the gauges up to date: called when the metrics are read."""
        metrics, now = self._metrics, wall_ms()
        for gauge in (metrics.lag, metrics.clock_delay, metrics.buffered, metrics.keys, metrics.shards):
            gauge.clear()
        owned: Counter[str] = Counter()
        paused: Counter[str] = Counter()
        for runner in self._worker.manager.shards.values():
            self._counted(runner)
            owned[runner.subject] += 1
            paused[runner.subject] += sum(source.paused for source in runner.sources)
            self._refresh_shard(runner, now)
        standby_lag = self._worker.standby_lag()
        for subject in self._registry.subjects:
            metrics.shards.labels(subject).set(owned[subject])
            metrics.standby_lag.labels(subject).set(standby_lag.get(subject, 0))
            metrics.held_back.labels(subject).set(paused[subject])
        metrics.rulebook_known.set((self._worker.rules_known_until() - now) / 1000)
        metrics.clock_ahead.set((self._worker.ahead_of_broker() or 0) / 1000)
        metrics.ready.set(1 if self._worker.not_ready() is None else 0)
        self._refresh_gauges(now)

    def _refresh_shard(self, runner: ShardRunner, now: int) -> None:
        metrics, shard, partition = self._metrics, runner.shard, str(runner.partition)
        for source in runner.sources:
            metrics.lag.labels(topic=self._in_catalogue(source.tp.topic), partition=partition).set(source.backlog())
        labels = {"shards": runner.subject, "partition": partition}
        if shard.watermark > 0:
            metrics.clock_delay.labels(**labels).set((now - shard.watermark) / 1000)
        metrics.buffered.labels(**labels).set(len(shard.reorder_buffer))
        metrics.keys.labels(**labels).set(len(shard.states))

    def _refresh_gauges(self, now: int) -> None:
        """The subjects' own gauges: sums over the shards of this worker."""
        shards = self._worker.manager.shards
        self._gauges = {place: known for place, known in self._gauges.items() if shards.get(place) is known[0]}
        totals: Gauges = {
            (metric.name, labels): 0
            for subject in self._registry.subjects.values()
            for metric in subject.metrics.metrics
            if metric.kind == "gauge"
            for labels in metric.initial or (() if metric.labels else ((),))
        }
        for runner, gauges in self._gauges.values():
            for sample in gauges.samples(min(now, runner.shard.watermark)):
                place = (sample.metric, sample.labels)
                totals[place] = totals.get(place, 0) + sample.value
        self._metrics.drop_unknown_gauges()
        for (name, labels), value in totals.items():
            self._metrics.set(name, value, labels)

    def minute(self) -> None:
        """Log what was rejected in the last minute."""
        if not self._refused:
            return
        total = sum(self._refused.values())
        by_place = {f"{topic} {reason}": number for (topic, reason), number in sorted(self._refused.items())}
        write = log.error if total >= self._settings.refused_per_minute_alarm else log.warning
        write("messages rejected", messages=total, by=by_place, hint="see the topic dead-letter")
        self._refused.clear()
