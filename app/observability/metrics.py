"""Every Prometheus metric of a worker, named and explained in one place; docs/metrics.md is made from it.

Metrics that only one subject has are declared by the subject, and come in by argument.

Names follow Prometheus's conventions: the prefix of the application, base units (seconds), `_total` for what only
rises, `_info` for what is always 1. Counters whose labels are known begin at 0, so that the first event is a rise.
Labels never carry what an event brought in, but for a bounded number of values, such as the names of industries.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

from vigil.app.observability.counted_histogram import CountedHistogram

DELAYS: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60)
"""Upper bounds in seconds. The latency promise is half a second: it must stay the bound of a bucket."""

STEP_TIMES: Final = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.5, 1, 5,
)  # fmt: skip
"""Upper bounds in seconds for the steps of the delay."""

LATENESS: Final = "vigil_lateness_seconds"
"""The metric from which `vigil doctor` recommends an allowed lateness."""

MAX_LABEL_VALUES: Final = 50
"""Values of a label that come from events: further ones are `other`, so that events cannot multiply series."""

MAX_LABEL_LENGTH: Final = 64


class DeclaredMetric(Protocol):
    """One metric that a subject declares; see `vigil.app.domain.subject.Metric`."""

    @property
    def kind(self) -> Literal["counter", "gauge", "histogram"]: ...
    @property
    def name(self) -> str: ...
    @property
    def help(self) -> str: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def buckets(self) -> tuple[float, ...]: ...
    @property
    def initial(self) -> tuple[tuple[str, ...], ...]: ...


class WorkerMetrics:
    """The metrics of one worker, in a registry of their own."""

    def __init__(
        self,
        sources: Mapping[str, Sequence[str]],
        written: Sequence[str],
        rejections: Iterable[tuple[str, str]],
        measured: Iterable[str],
        declared: Sequence[DeclaredMetric],
    ) -> None:
        """`sources`: the topics that each subject reads; `written`: the topics that Vigil writes.

        `rejections`: topic and reason of what can be rejected; `measured`: the topics with a latency promise;
        `declared`: the subjects' own metrics.
        """
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        # ---- what comes in ----
        self.events = Counter("vigil_events", "Messages read, rejected ones included.", ["topic"], registry=registry)
        self.refused = Counter(
            "vigil_refused", "Messages rejected and sent to dead-letter.", ["topic", "reason"], registry=registry
        )
        self.fields_ignored = Counter(
            "vigil_fields_ignored",
            "Optional fields, and labels, that could not be read: the event was judged without them.",
            ["topic", "field"],
            registry=registry,
        )
        self.duplicates = Counter(
            "vigil_duplicates", "Messages that came before and had no effect.", ["topic"], registry=registry
        )
        self.too_old = Counter(
            "vigil_too_old", "Events older than what is remembered; they had no effect.", ["shards"], registry=registry
        )
        self.skipped = Counter(
            "vigil_skipped",
            "Messages that retention deleted before they could be read: they were never judged.",
            ["topic"],
            registry=registry,
        )
        self.lost = Counter(
            "vigil_source_lost",
            "Messages that were read and that the broker has lost since: those that still waited were never judged.",
            ["topic"],
            registry=registry,
        )
        self.recreated = Counter(
            "vigil_source_recreated",
            "Partitions that were read from their beginning because their topic was deleted and created again.",
            ["topic"],
            registry=registry,
        )
        self.lag = Gauge(
            "vigil_event_lag", "Messages in a partition that were not read yet.", ["topic", "partition"],
            registry=registry,
        )  # fmt: skip

        # ---- what goes out ----
        self.outputs = Counter("vigil_outputs", "Messages published.", ["topic"], registry=registry)

        # ---- of single subjects ----
        self.declared = {metric.name: _new(metric, registry) for metric in declared}

        # ---- time ----
        self.judgement_delay = Histogram(
            "vigil_judgement_delay_seconds",
            "From the moment at which the specification permits a verdict or notice to be judged until the broker has "
            "it: the delay that Vigil adds, and what the latency promise is about.",
            ["topic"],
            buckets=DELAYS,
            registry=registry,
        )
        self.publish_delay = Histogram(
            "vigil_publish_delay_seconds",
            "From the time of a violation until the broker has the verdict: what the rules, the allowed lateness and "
            "silent partitions demand, and what Vigil adds.",
            buckets=DELAYS,
            registry=registry,
        )
        self.steps = Histogram(
            "vigil_step_seconds",
            "How long each step takes on the way of verdicts and notices: fetch (a batch's first record from its "
            "timestamp to the shard), watermark (from the judged time plus the allowed lateness until the shard's "
            "clock has passed it), judge, wait (for a checkpoint), checkpoint (state and outbox), send (the outputs).",
            ["step"],
            buckets=STEP_TIMES,
            registry=registry,
        )
        self.lateness = CountedHistogram(
            LATENESS,
            "How far room events come behind the clock of their partition, the allowed lateness not subtracted: what "
            "it must cover. Of comments by via; the share of each via among those in order is an estimate.",
            ("topic", "via"),
            registry,
        )
        self.clock_delay = Gauge(
            "vigil_clock_delay_seconds",
            "How far a shard's clock is behind the wall clock (the allowed lateness included).",
            ["shards", "partition"],
            registry=registry,
        )
        self.clock_ahead = Gauge(
            "vigil_clock_ahead_seconds",
            "How far the worker's clock is ahead of the broker's (below 0: behind), at least. Beyond 5 s the worker "
            "judges nothing.",
            registry=registry,
        )
        self.loop_gap = Histogram(
            "vigil_loop_gap_seconds",
            "How long the event loop was busy with one thing: a time slice of work, or a process that was stopped.",
            buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
            registry=registry,
        )

        # ---- state ----
        self.checkpoint = Histogram(
            "vigil_checkpoint_seconds",
            "From a snapshot until its outputs are with the broker.",
            buckets=DELAYS,
            registry=registry,
        )
        self.checkpoint_records = Counter(
            "vigil_checkpoint_records", "Records written to the changelogs.", registry=registry
        )
        self.buffered = Gauge(
            "vigil_buffered_events", "Events in the reorder buffers.", ["shards", "partition"], registry=registry
        )
        self.held_back = Gauge(
            "vigil_held_back_partitions",
            "Source partitions that are not fetched because they run ahead.",
            ["shards"],
            registry=registry,
        )
        self.keys = Gauge(
            "vigil_keys", "Rooms, hosts, suppliers … that are remembered.", ["shards", "partition"], registry=registry
        )

        # ---- the worker ----
        self.ready = Gauge("vigil_ready", "1 while the worker judges, 0 while it recovers.", registry=registry)
        self.shards = Gauge("vigil_shards", "Shards that this worker owns.", ["shards"], registry=registry)
        self.recovery = Gauge(
            "vigil_recovery_seconds", "How long the last recovery took, until shards were ready.", registry=registry
        )
        self.standby_lag = Gauge(
            "vigil_standby_lag",
            "Changelog records that this worker stands by for and has not taken in yet.",
            ["shards"],
            registry=registry,
        )
        self.restored = Counter(
            "vigil_restored_records",
            "Changelog records read: in recoveries, and all the time for the shards that this worker stands by for.",
            ["shards"],
            registry=registry,
        )
        self.rulebook = Gauge(
            "vigil_rulebook_info", "The rulebook in force, by its digest.", ["digest"], registry=registry
        )
        self.rulebooks_published = Counter(
            "vigil_rulebook_publications",
            "Publications in the topic rulebook that this process has read: accepted, or why they do not count.",
            ["outcome"],
            registry=registry,
        )
        self.rulebook_known = Gauge(
            "vigil_rulebook_known_seconds",
            "For how long event times are covered by the last look at the topic rulebook; at 0 nothing is judged.",
            registry=registry,
        )
        self._label_values: dict[str, dict[str, str]] = {}
        """By label whose values come from events: the values that are shown, cut to length."""
        self._unknown_labels = {
            metric.name: metric.labels for metric in declared if metric.labels and not metric.initial
        }
        self._begin_at_0(sources, written, rejections, measured)
        for metric in declared:
            _begin(self.declared[metric.name], metric.initial)

    def counted_by_topic(self) -> dict[str, Counter]:
        """The counters of each source, by the name under which shards count."""
        return {
            "events": self.events,
            "duplicates": self.duplicates,
            "skipped": self.skipped,
            "lost": self.lost,
            "recreated": self.recreated,
        }

    def all(self) -> Iterator[MetricWrapperBase | CountedHistogram]:
        """Every metric, in the order in which the documentation lists them."""
        for value in vars(self).values():
            if isinstance(value, MetricWrapperBase | CountedHistogram):
                yield value
            elif value is self.declared:
                yield from self.declared.values()

    def observe_step(self, step: str, seconds: float) -> None:
        """Note how long a step took."""
        self.steps.labels(step).observe(seconds)

    def add(self, name: str, value: float, labels: Sequence[str], times: int = 1) -> None:
        """Add a value to a subject's counter, or observe it in its histogram, so many times."""
        metric = self._child(name, labels)
        if isinstance(metric, Histogram):
            for _ in range(times):
                metric.observe(value)
        elif isinstance(metric, Counter):
            metric.inc(value * times)

    def set(self, name: str, value: float, labels: Sequence[str]) -> None:
        """Set a subject's gauge."""
        metric = self._child(name, labels)
        if isinstance(metric, Gauge):
            metric.set(value)

    def drop_unknown_gauges(self) -> None:
        """Drop the series of gauges whose labels are not known beforehand: those that still hold are set again."""
        for name in self._unknown_labels:
            metric = self.declared[name]
            if isinstance(metric, Gauge):
                metric.clear()

    def _child(self, name: str, labels: Sequence[str]) -> MetricWrapperBase:
        metric = self.declared[name]
        if not labels:
            return metric
        if unknown := self._unknown_labels.get(name):
            labels = [self._bounded(label, value) for label, value in zip(unknown, labels, strict=True)]
        return metric.labels(*labels)

    def _bounded(self, label: str, value: str) -> str:
        values = self._label_values.setdefault(label, {})
        shown = values.get(value)
        if shown is None:
            if len(values) >= MAX_LABEL_VALUES:
                return "other"
            shown = values[value] = value[:MAX_LABEL_LENGTH]
        return shown

    def _begin_at_0(
        self,
        sources: Mapping[str, Sequence[str]],
        written: Sequence[str],
        rejections: Iterable[tuple[str, str]],
        measured: Iterable[str],
    ) -> None:
        read = [(topic,) for topics in sources.values() for topic in topics]
        for by_topic in self.counted_by_topic().values():
            _begin(by_topic, read)
        _begin(self.outputs, ((topic,) for topic in written))
        _begin(self.refused, rejections)
        for by_subject in (self.too_old, self.restored):
            _begin(by_subject, ((subject,) for subject in sources))
        _begin(self.judgement_delay, ((topic,) for topic in measured))


def _new(metric: DeclaredMetric, registry: CollectorRegistry) -> MetricWrapperBase:
    if metric.kind == "histogram":
        return Histogram(metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=registry)
    kind = Counter if metric.kind == "counter" else Gauge
    return kind(metric.name, metric.help, metric.labels, registry=registry)


def _begin(metric: MetricWrapperBase, labels: Iterable[tuple[str, ...]]) -> None:
    for values in labels:
        metric.labels(*values)
