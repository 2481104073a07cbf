"""A Prometheus histogram of values that were counted by bucket elsewhere, thousands at a time."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class CountedHistogram(Collector):
    """A histogram to which counts of whole buckets are added."""

    def __init__(self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name: Final = name
        self._text: Final = text
        self._labelnames: Final = tuple(labels)
        self._bounds: list[str] = []
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def begin(self, bounds: Iterable[float], series: Iterable[tuple[str, ...]]) -> None:
        """Set the upper bounds of the buckets, without infinity, and let series of these labels begin at 0."""
        self._bounds = [*map(str, map(float, bounds)), "+Inf"]
        for labels in series:
            self.add(labels, (), 0)

    def add(self, labels: tuple[str, ...], counts: Sequence[int], total: float) -> None:
        """Add the number of values in each bucket, of which the last has no upper bound, and their sum."""
        known = self._counts.setdefault(labels, [0] * len(self._bounds))
        for bucket, number in enumerate(counts):
            known[bucket] += number
        self._sums[labels] = self._sums.get(labels, 0) + total

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """The metric without its values."""
        yield HistogramMetricFamily(self._name, self._text, labels=self._labelnames)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The metric with its values."""
        (family,) = self.describe()
        for labels, counts in self._counts.items():
            below = 0
            buckets = []
            for bound, number in zip(self._bounds, counts, strict=True):
                below += number
                buckets.append((bound, below))
            family.add_metric(labels, buckets, self._sums[labels])
        yield family
