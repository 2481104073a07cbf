"""Every Prometheus metric of Vigil, named and explained in one place."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

DELAYS: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60)


class Metrics:
    """The metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
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
        self.outputs = Counter("vigil_outputs", "Messages published.", ["topic"], registry=registry)
        self.judgement_delay = Histogram(
            "vigil_judgement_delay_seconds",
            "From the moment at which a verdict or notice may be judged until the broker has it: Vigil's own delay.",
            buckets=DELAYS,
            registry=registry,
        )
        self.publish_delay = Histogram(
            "vigil_publish_delay_seconds",
            "From the time of a violation until the broker has the verdict: what the rules and lateness demand, too.",
            buckets=DELAYS,
            registry=registry,
        )
        self.reception = Histogram(
            "vigil_reception_seconds",
            "Time from a buyer's entry to the host's reception, as room statuses tell its median.",
            buckets=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
            registry=registry,
        )
        self.rooms_open = Gauge(
            "vigil_rooms_with_open_conditions", "Rooms on air with a condition that runs.", registry=registry
        )
        self.checkpoint = Histogram(
            "vigil_checkpoint_seconds",
            "From a snapshot until its outputs are with the broker.",
            buckets=DELAYS,
            registry=registry,
        )
        self.checkpoint_records = Counter(
            "vigil_checkpoint_records", "Records written to the changelogs.", registry=registry
        )
        self.lag = Gauge(
            "vigil_event_lag", "Messages in a partition that were not read yet.", ["topic", "partition"],
            registry=registry,
        )  # fmt: skip
        self.clock_delay = Gauge(
            "vigil_clock_delay_seconds",
            "How far a shard's clock is behind the wall clock (its lateness included).",
            ["shards", "partition"],
            registry=registry,
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
        self.recovery = Gauge(
            "vigil_recovery_seconds", "How long the last recovery took, until shards were ready.", registry=registry
        )
        self.shards = Gauge("vigil_shards", "Shards that this worker owns.", ["shards"], registry=registry)
        self.ready = Gauge("vigil_ready", "1 while the worker judges, 0 while it recovers.", registry=registry)
        self.rulebook = Gauge(
            "vigil_rulebook_info", "The rulebook in force, by its digest.", ["digest"], registry=registry
        )
        self.loop_gap = Histogram(
            "vigil_loop_gap_seconds",
            "How long the event loop did not come round to the clocks.",
            buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
            registry=registry,
        )
