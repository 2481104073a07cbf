"""How late room events come, and the allowed lateness that follows: their 99.9th percentile, by topic and `via`.

a worker's metrics   all its events since it started, behind the clock of their partition
else a sample        the last messages of each partition, also against the time of writing
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from vigil.app.kafka.settings import Settings
from vigil.app.observability.metrics import LATENESS
from vigil.app.runtime.doctor.check import Check, counted, span
from vigil.app.runtime.doctor.producers.grades import (
    AHEAD_REMEDY,
    BEHIND_MS,
    BEHIND_REMEDY,
    allowance,
    clocks_ahead,
    rooms_behind,
)
from vigil.app.runtime.doctor.producers.sample import measure
from vigil.app.runtime.doctor.producers.stamps import FEW
from vigil.app.runtime.doctor.producers.timing import Timing
from vigil.topics.rooms import ROOM_TOPICS

LAST: Final = 1_000
"""Messages of each partition that are read where no worker's metrics can be."""

TIMEOUT_S: Final = 2
"""How long a worker may take to answer."""

MOST_SUGGESTED_MS: Final = 60_000
"""Verdicts wait for the allowed lateness: more than this is no setting for rules of seconds. What is later than this is
old data, for example a recording or a backfill that was sent into a live topic."""

LEAST_SUGGESTED_MS: Final = Settings().allowed_lateness_ms
"""Events that need no more than the default are not late in any usual deployment."""


class Lateness(NamedTuple):
    """How late the events of one topic come, or of one `via` of comments."""

    topic: str
    via: str
    """Empty for other topics."""
    number: int
    """Of events."""
    needed_ms: int
    """What 99.9 % of them need; above MOST_SUGGESTED_MS it may be any time."""
    usual_ms: int
    """What 99 % of them need."""

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.topic} by {self.via}" if self.via else self.topic


class NeededLateness(NamedTuple):
    """What a topic needs; of comments, the slowest `via` decides."""

    ms: int
    """What 99.9 % of its events need."""
    usual: bool
    """True if more than one in a hundred of some `via` needs more than is allowed."""
    ahead: str = ""
    """The clocks that are ahead, and make others late, for people."""
    behind: str = ""
    """The rooms that are late themselves while others are not, for people."""


UNKNOWN_LATENESS: Final = NeededLateness(0, False)


class MeasuredLateness(NamedTuple):
    """How late events come, and by what that was measured."""

    measured_by: str
    kinds: Sequence[Lateness]
    ahead: Mapping[str, str] = MappingProxyType({})
    """By topic: the rooms whose clocks are ahead, and make others late, for people."""
    behind: Mapping[str, str] = MappingProxyType({})
    """By topic: the rooms that are late themselves while others are not, for people."""

    def needed(self, topic: str, allowed_ms: int) -> NeededLateness:
        """What a topic needs."""
        kinds = [kind for kind in self.kinds if kind.topic == topic]
        return NeededLateness(
            max((kind.needed_ms for kind in kinds), default=0),
            any(kind.usual_ms > allowed_ms for kind in kinds),
            self.ahead.get(topic, ""),
            self.behind.get(topic, ""),
        )


def worker_url(settings: Settings) -> str:
    """Where a worker with these settings has its metrics, if it runs on this machine."""
    host = settings.web_host if settings.web_host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - compared
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.web_port}/metrics"


async def measure_lateness(settings: Settings, topics: Mapping[str, int], urls: Sequence[str]) -> MeasuredLateness:
    """Measure how late room events come, by workers' metrics at `urls` where one of them has any events.

    `topics`: the input topics that exist with their partitions. Raise SettingsError where a topic cannot be read.
    """
    pages = {url: page for url in urls if (page := await _page(url))}
    if kinds := of_pages(pages.values()):
        late = {kind.topic for kind in kinds if kind.needed_ms > settings.lateness_ms(kind.topic)}
        samples = await _sampled(settings, topics, late)
        by = f"by the metrics of {', '.join(pages)}, since the start"
        return MeasuredLateness(by, kinds, _ahead(samples), _behind(samples))
    samples = await _sampled(settings, topics, ROOM_TOPICS)
    kinds = [
        Lateness(topic, via, len(times.needed), times.lateness(999), times.lateness(990))
        for topic, sample in samples.items()
        for via, times in sorted(sample.times.items())
    ]
    by = f"by the last {LAST:,} messages of each partition: no worker's metrics at {', '.join(urls)}"
    return MeasuredLateness(by, kinds, _ahead(samples), _behind(samples))


async def _sampled(settings: Settings, topics: Mapping[str, int], names: Collection[str]) -> dict[str, Timing]:
    """What the last messages of those topics say that exist."""
    return {
        topic: (await measure(settings, topic, topics[topic], LAST)).timing()
        for topic in ROOM_TOPICS
        if topic in names and topic in topics
    }


def _ahead(samples: Mapping[str, Timing]) -> dict[str, str]:
    """The rooms whose clocks are ahead, for people, by topic."""
    return {topic: clocks_ahead(sample.ahead) for topic, sample in samples.items() if sample.ahead}


def _behind(samples: Mapping[str, Timing]) -> dict[str, str]:
    """The rooms that are late themselves, for people, by topic."""
    return {topic: rooms_behind(sample.behind) for topic, sample in samples.items() if sample.behind}


async def _page(url: str) -> str:
    """A worker's metrics; empty where there are none."""
    try:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            return await response.text() if response.ok else ""
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return ""


def of_pages(pages: Iterable[str]) -> list[Lateness]:
    """How late the events of several workers came together, by the text of their metrics."""
    below: dict[tuple[str, str], dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for page in pages:
        for name, labels, value in _samples(page):
            if name == f"{LATENESS}_bucket":
                below[labels["topic"], labels["via"]][float(labels["le"])] += value
    return [
        Lateness(topic, via, int(buckets[float("inf")]), _bound(buckets, 0.999), _bound(buckets, 0.99))
        for (topic, via), buckets in sorted(below.items())
        if buckets[float("inf")]
    ]


def _samples(page: str) -> list[tuple[str, Mapping[str, str], float]]:
    """The samples of a page of metrics; none where another program answers."""
    try:
        families = list(text_string_to_metric_families(page))
    except ValueError:
        return []
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def _bound(below: Mapping[float, float], share: float) -> int:
    """The upper bound (ms) of the bucket in which a share of the events is reached."""
    least = share * below[float("inf")]
    bound = min(bound for bound, number in below.items() if number >= least)
    return round(bound * 1000) if bound < float("inf") else MOST_SUGGESTED_MS + 1


def lateness_checks(measured: MeasuredLateness, settings: Settings) -> list[Check]:
    """Grade how late events come against what is allowed, and the clocks that are ahead."""
    clocks = [
        Check("clock", "warn", f"{topic}: {ahead}; other rooms of the partition are late by as much", AHEAD_REMEDY)
        for topic, ahead in measured.ahead.items()
    ]
    clocks += [Check("clock", "fail", f"{topic}: {rooms}", BEHIND_REMEDY) for topic, rooms in measured.behind.items()]
    return clocks + _lateness_checks(measured, settings)


def _lateness_checks(measured: MeasuredLateness, settings: Settings) -> list[Check]:
    live = [kind for kind in measured.kinds if kind.usual_ms <= BEHIND_MS]  # what is older is no live input
    over = [kind for kind in live if kind.needed_ms > settings.lateness_ms(kind.topic)]
    if over:
        return [_over(kind, settings.lateness_ms(kind.topic), measured) for kind in over]
    listed = ", ".join(f"{kind.name} {span(kind.needed_ms)}" for kind in live if kind.needed_ms)
    needs = f"99.9 % of the room events need at most {listed}; that is allowed" if listed else "no room event was late"
    return [Check("lateness", "ok", f"{needs} ({measured.measured_by})")]


def _over(kind: Lateness, allowed_ms: int, measured: MeasuredLateness) -> Check:
    late = f"at most {span(kind.needed_ms)}" if kind.needed_ms <= MOST_SUGGESTED_MS else "some more than 60 s"
    words = (
        f"{kind.name}: 99.9 % of {counted(kind.number, 'event')} are {late} late; allowed are {span(allowed_ms)}\n"
        f"{measured.measured_by}"
    )
    often = kind.number >= FEW and kind.usual_ms > allowed_ms
    ahead, behind = measured.ahead.get(kind.topic, ""), measured.behind.get(kind.topic, "")
    remedy = lateness_remedy(kind.topic, NeededLateness(kind.needed_ms, often, ahead, behind))
    return Check("lateness", "fail" if often else "warn", words, remedy)


def lateness_remedy(topic: str, lateness: NeededLateness) -> str:
    """Return what to do about late events of a topic."""
    if lateness.ahead:
        return f"{lateness.ahead}; {AHEAD_REMEDY}"
    if lateness.behind:
        return f"{lateness.behind}; {BEHIND_REMEDY}"
    if lateness.ms > MOST_SUGGESTED_MS:
        return (
            f"its events are up to {lateness.ms // 1000} s late or more: old or replayed data, or a producer with a "
            "slow clock; correct the clock, and judge recordings with vigil replay or an application with clock = "
            "recorded"
        )
    if lateness.ms <= LEAST_SUGGESTED_MS:
        return "its last events would not be late: see vigil dead-letter list --reason late for those that were"
    setting = allowance(topic, lateness.ms)
    return f"{setting} would do for 99.9 % of its events; or have its producer send earlier"
