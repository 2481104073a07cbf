"""The metrics of `vigil notify`, named and explained in one place."""

from collections.abc import Iterable
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from vigil.app.notify.line_alerts import LineKind
from vigil.app.notify.routes import RouteKind
from vigil.app.notify.senders.outcome import OUTCOME_LABELS

DELAY_BUCKETS_S: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


class NotifyMetrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.messages = Counter("vigil_notify_messages", "Messages read.", ["topic"], registry=registry)
        self.refused = Counter(
            "vigil_notify_refused", "Messages that could not be read; they are in notify-dead-letter.", ["topic"],
            registry=registry,
        )  # fmt: skip
        self.changes = Counter("vigil_notify_changes", "Steps delivered, by kind.", ["kind"], registry=registry)
        self.open = Gauge("vigil_notify_open_incidents", "Incidents whose end will be sent.", registry=registry)
        self.remembered = Gauge(
            "vigil_notify_remembered", "Alerts of which a target knows something, ended ones included.",
            registry=registry,
        )  # fmt: skip
        self.open_lines = Gauge(
            "vigil_notify_open_obligations",
            "Obligations at risk or breached whose end will be sent.",
            registry=registry,
        )
        self.held = Gauge(
            "vigil_notify_held", "Violations that a brake holds back; the same on each process.", ["route", "rule"],
            registry=registry,
        )  # fmt: skip
        self.digested = Counter(
            "vigil_notify_digested", "Obligations and participations that were sent as a part of a digest.", ["kind"],
            registry=registry,
        )  # fmt: skip
        self.delivered = Counter("vigil_notify_delivered", "Changes delivered.", ["target"], registry=registry)
        self.tries = Counter(
            "vigil_notify_tries", "Requests made, by outcome.", ["target", "outcome"], registry=registry
        )
        self.dead = Counter(
            "vigil_notify_dead_letters", "Changes given up; they are in notify-dead-letter.", ["target"],
            registry=registry,
        )  # fmt: skip
        self.pending = Gauge(
            "vigil_notify_owed", "Changes that wait for their delivery.", ["target"], registry=registry
        )
        self.late = Gauge(
            "vigil_notify_late_seconds",
            "How long the oldest change that is due has been waiting; quiet hours do not count.",
            ["target"],
            registry=registry,
        )
        self.delay = Histogram(
            "vigil_notify_delivery_seconds", "From the first try of a change until it was delivered.", ["target"],
            buckets=DELAY_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self.resent = Counter(
            "vigil_notify_resent", "Alerts sent again to an Alertmanager so that they stay active.", ["target"],
            registry=registry,
        )  # fmt: skip
        self.resend_refused = Counter(
            "vigil_notify_resend_refused",
            "Open alerts that an Alertmanager refused to take again; each is not sent again until it changes.",
            ["target"], registry=registry,
        )  # fmt: skip
        self.active = Gauge("vigil_notify_active", "1 on a process that owns partitions and delivers.",
                            registry=registry)  # fmt: skip
        self.partitions = Gauge("vigil_notify_partitions", "Partitions that the process owns.", registry=registry)

    def initialize(self, targets: Iterable[str]) -> None:
        """Export the counters of these targets from 0 on.

        Prometheus sees the first event of a counter only where it has seen the value before it.
        """
        for name in targets:
            for counter in (self.delivered, self.dead, self.resent, self.resend_refused):
                counter.labels(name)
            for outcome in OUTCOME_LABELS.values():
                self.tries.labels(name, outcome)
        for kind in get_args(LineKind):
            self.digested.labels(kind)
        for kind in (*get_args(RouteKind), "brake", "resolved"):
            self.changes.labels(kind)
