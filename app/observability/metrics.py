"""Every Prometheus metric of Vigil, named and explained in one place; docs/metrics.md is made from it.

Names go by Prometheus's conventions: the prefix of the application, base units (seconds), `_total` for what only rises,
`_info` for what is always 1. Counters whose labels are known begin at 0, so that the first event is seen as a rise.
Labels never carry what an event brought in, but for industries, of which only so many are told apart.
"""

from collections.abc import Iterable
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from vigil.app.domain.rulebook.hosts import SECTIONS as LADDERS
from vigil.app.domain.rulebook.reader import RULES
from vigil.topics.catalog import TOPICS, SubjectName
from vigil.topics.fields import Reason
from vigil.topics.verdicts import NoticeKind, Priority

DELAYS: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60)
"""Half a second is the promise: it must stay a bucket's bound."""

SCORES: Final = (0, 10, 20, 30, 40, 50, 59, 69, 79, 89, 100, 120)
"""Bounds just below the whole scores at which entitlements begin."""

RATES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)

MOST_INDUSTRIES: Final = 30
"""Industries that are told apart; those that come later are `other`."""

FOUND_BY: Final = ("both", "only_shadow", "only_in_force")


class WorkerMetrics:
    """The metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.rules = sorted(RULES)

        # ---- what comes in ----
        self.events = Counter("vigil_events", "Messages read, refused ones included.", ["topic"], registry=registry)
        self.refused = Counter(
            "vigil_refused", "Messages refused and sent to dead-letter.", ["topic", "reason"], registry=registry
        )
        self.duplicates = Counter(
            "vigil_duplicates", "Messages that had come before and had no effect.", ["topic"], registry=registry
        )
        self.too_old = Counter(
            "vigil_too_old", "Events older than what is remembered; they had no effect.", ["shards"], registry=registry
        )
        self.skipped = Counter(
            "vigil_skipped",
            "Messages that were gone by retention before they could be read: they were never judged.",
            ["topic"],
            registry=registry,
        )
        self.lag = Gauge(
            "vigil_event_lag", "Messages in a partition that were not read yet.", ["topic", "partition"],
            registry=registry,
        )  # fmt: skip

        # ---- what goes out ----
        self.outputs = Counter("vigil_outputs", "Messages published.", ["topic"], registry=registry)
        self.verdicts = Counter("vigil_verdicts", "Violations published.", ["rule"], registry=registry)
        self.shadow_verdicts = Counter(
            "vigil_shadow_verdicts",
            "Verdicts of the candidate rulebook, by whether the rulebook in force says the same (both, only_shadow) "
            "or says it alone (only_in_force).",
            ["rule", "found_by"],
            registry=registry,
        )
        self.notices = Counter("vigil_notices", "Notices published.", ["kind", "rule"], registry=registry)
        self.actions = Counter(
            "vigil_actions", "Actions and revisions published.", ["family", "status"], registry=registry
        )

        # ---- rooms ----
        self.rooms_on_air = Gauge(
            "vigil_rooms_on_air", "Rooms whose latest published status says live.", registry=registry
        )
        self.rooms_open = Gauge(
            "vigil_rooms_with_open_conditions", "Rooms with a condition that runs.", registry=registry
        )
        self.rooms_at_risk = Gauge(
            "vigil_rooms_at_risk",
            "Rooms in which a condition of a minute or more has passed half of its time and is no violation yet.",
            ["rule"],
            registry=registry,
        )
        self.buyers_waiting = Gauge(
            "vigil_buyers_waiting",
            "Buyers who entered and wait for the host's reception; high are those of tier L1 and above.",
            ["priority"],
            registry=registry,
        )
        self.reception = Histogram(
            "vigil_reception_seconds",
            "Time from a buyer's entry to the host's reception, of entries received in time.",
            buckets=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 30, 60),
            registry=registry,
        )

        # ---- suppliers ----
        self.scores = Histogram(
            "vigil_supplier_score",
            "Predicted service scores as they are published.",
            ["industry"],
            buckets=SCORES,
            registry=registry,
        )
        self.response_rates = Histogram(
            "vigil_supplier_response_ratio",
            "Response rates (0-1) as they are published.",
            ["industry"],
            buckets=RATES,
            registry=registry,
        )
        self.pins = Counter(
            "vigil_pin_decisions", "Requests to pin a quote, by what was decided.", ["decision"], registry=registry
        )

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
        self.clock_delay = Gauge(
            "vigil_clock_delay_seconds",
            "How far a shard's clock is behind the wall clock (the allowed lateness included).",
            ["shards", "partition"],
            registry=registry,
        )
        self.loop_gap = Histogram(
            "vigil_loop_gap_seconds",
            "How long the event loop came round to nothing else: a moment's work, or a process that was stopped.",
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
            "vigil_buffered_events", "Events that wait for their order.", ["shards", "partition"], registry=registry
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
        self._begin_at_0()

    def _begin_at_0(self) -> None:
        rules = self.rules
        read = [topic.name for topic in TOPICS if topic.group is not None]
        written = [topic.name for topic in TOPICS if topic.direction != "in"]
        _begin(self.events, read)
        _begin(self.duplicates, read)
        _begin(self.skipped, read)
        _begin(self.outputs, written)
        _begin(self.refused, read, get_args(Reason)[:2])
        self.refused.labels("review", "unknown-verdict")
        _begin(self.too_old, get_args(SubjectName))
        _begin(self.restored, get_args(SubjectName))
        _begin(self.verdicts, rules)
        _begin(self.shadow_verdicts, rules, FOUND_BY)
        _begin(self.pins, ("granted", "refused"))
        _begin(self.judgement_delay, ("verdict", "notice"))
        _begin(self.rooms_at_risk, rules)
        _begin(self.buyers_waiting, get_args(Priority))
        families = [name.removeprefix("ladder.") for name in LADDERS if name.startswith("ladder.")]
        _begin(self.actions, families, ("active", "withdrawn"))
        for kind in get_args(NoticeKind):
            if kind.startswith("signal"):
                self.notices.labels(kind, "")
            elif kind == "entry-missed":
                self.notices.labels(kind, "greeting-miss")
            else:
                _begin(self.notices, (kind,), rules)


def _begin(metric: Counter | Gauge | Histogram, first: Iterable[str], second: Iterable[str] | None = None) -> None:
    for one in first:
        for labels in [(one,)] if second is None else [(one, other) for other in second]:
            metric.labels(*labels)
