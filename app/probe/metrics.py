"""The metrics of `vigil probe`, named and explained in one place; docs/metrics.md is made from it."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

DELAYS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10)

LOSSES: Final = ("not-opened", "lost", "stalled")
DROPS: Final = ("outbox-full", "not-sent", "stopped")


class ProbeMetrics:
    """The metrics of one process, in a registry of their own. No label contains a room or an address."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.rooms = Gauge(
            "vigil_probe_rooms", "Rooms by state: waiting (no picture yet), live, disconnected, ended.", ["state"],
            registry=registry,
        )  # fmt: skip
        self.decoded = Gauge(
            "vigil_probe_decoded_rooms",
            "Connected rooms by what is decoded: key (only key pictures), all (key pictures are too rare; dearer).",
            ["pictures"],
            registry=registry,
        )
        self.pictures = Counter("vigil_probe_pictures", "Pictures that detectors looked at.", registry=registry)
        self.skipped = Counter(
            "vigil_probe_pictures_skipped",
            "Pictures that newer ones replaced while they waited for detectors: this process has too many rooms.",
            registry=registry,
        )
        self.unmeasured = Counter(
            "vigil_probe_pictures_unmeasured",
            "Pictures that gave no frame, because face or black could not be measured.",
            registry=registry,
        )
        self.damaged = Counter(
            "vigil_probe_packets_damaged", "Packets of streams that could not be decoded.", registry=registry
        )
        self.delay = Histogram(
            "vigil_probe_delay_seconds",
            "From the moment at which a picture is shown until its frame is ready to be sent.",
            buckets=DELAYS_S,
            registry=registry,
        )
        self.losses = Counter(
            "vigil_probe_losses",
            "Streams that could not be opened (not-opened), whose connection broke (lost), or that were stalled.",
            ["why"],
            registry=registry,
        )
        self.messages = Counter("vigil_probe_messages", "Messages sent.", ["topic"], registry=registry)
        self.dropped = Counter(
            "vigil_probe_messages_dropped",
            "Messages that were not sent: too many waited (outbox-full), the broker did not take them (not-sent), or "
            "they still waited when the probe stopped (stopped).",
            ["why"],
            registry=registry,
        )
        self.list_problems = Counter(
            "vigil_probe_list_problems",
            "Times that a changed list of rooms could not be used; the rooms of before were kept.",
            registry=registry,
        )
        for why in LOSSES:
            self.losses.labels(why)
        for why in DROPS:
            self.dropped.labels(why)
        for topic in ("frame-status", "comment"):
            self.messages.labels(topic)

    def all(self) -> Iterator[MetricWrapperBase]:
        """Every metric, in the order in which the documentation lists them."""
        for value in vars(self).values():
            if isinstance(value, MetricWrapperBase):
                yield value
