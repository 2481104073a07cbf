"""What the shards counted and the checkpoints sent, as metrics and, where it is bad, in the log."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_args

import orjson
import structlog

from vigil.agents.shard_manager import ShardManager, ShardRunner
from vigil.app.domain.rooms.live_rooms import LiveRoomGauges
from vigil.app.domain.rulebook import Rulebook
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.observability.metrics import MOST_INDUSTRIES, WorkerMetrics
from vigil.topics.catalog import SubjectName

log: Final = structlog.get_logger("vigil.report")

READ: Final = frozenset({"verdict", "notice", "enforcement", "room-status", "supplier-score", "pin-decision"})
"""Outputs that are looked into."""


class MetricsReporter:
    """Turns counts and outputs into metrics; it never decides anything."""

    def __init__(
        self,
        metrics: WorkerMetrics,
        owner: ShardManager,
        settings: Settings,
        rulebook: Rulebook,
        not_ready: Callable[[], str | None],
        standby_lag: Callable[[], Mapping[SubjectName, int]] = dict,
    ) -> None:
        """`not_ready`: why the worker does not judge; None where it does. `standby_lag`: records by group."""
        self._metrics = metrics
        self._owner = owner
        self._settings = settings
        self._rulebook = rulebook
        self._live = settings.clock == "live"
        self._not_ready = not_ready
        self._standby_lag = standby_lag
        self._refused: Counter[tuple[str, str]] = Counter()
        """In this minute, by topic and reason."""
        self._on_air: dict[tuple[SubjectName, int], tuple[ShardRunner, LiveRoomGauges]] = {}
        """By shard: its rooms on air."""
        self._industries: dict[str, str] = {}
        """The label of each industry that is told apart."""
        metrics.rulebook.labels(digest=rulebook.digest[:12]).set(1)

    def written(self, seconds: float, records: int) -> None:
        """A checkpoint was written in so many seconds."""
        self._metrics.checkpoint.observe(seconds)
        self._metrics.checkpoint_records.inc(records)

    def sent(self, held: ShardRunner, outputs: Sequence[Any], now: int) -> None:
        """The broker has these outputs."""
        self._counted(held)
        for topic, number in Counter(output.topic for output in outputs).items():
            self._metrics.outputs.labels(topic).inc(number)
        acked = wall_ms()
        for output in outputs:
            if output.topic not in READ:
                continue
            if output.topic == "room-status":
                self._rooms(held).told(output.key.decode(), output.payload)
            elif output.payload is not None:
                self._read(held, output, orjson.loads(output.payload), acked)

    def _read(self, held: ShardRunner, output: Any, body: dict[str, Any], acked: int) -> None:
        metrics, topic = self._metrics, output.topic
        if topic == "enforcement":
            metrics.actions.labels(body["family"], body["status"]).inc()
        elif topic == "pin-decision":
            metrics.pins.labels(body["decision"]).inc()
        elif topic == "supplier-score":
            industry = self._industry(body["industry"])
            if body["predicted"] is not None:
                metrics.scores.labels(industry).observe(body["predicted"])
            if body["metrics"]["response_rate"] is not None:
                metrics.response_rates.labels(industry).observe(body["metrics"]["response_rate"])
        else:
            if topic == "verdict":
                metrics.verdicts.labels(body["rule"]).inc()
                if self._live:
                    metrics.publish_delay.observe(max(0, acked - output.at) / 1000)
            else:
                metrics.notices.labels(body["kind"], body["rule"] or "").inc()
            # What a former owner left to be sent is measured from the earliest moment: its delay is ours as well.
            earliest = output.judged + self._settings.allowed_lateness_ms
            permitted = held.permitted.pop(output.id, earliest)
            if self._live and output.judged:
                metrics.judgement_delay.labels(topic).observe(max(0, acked - permitted) / 1000)

    def _industry(self, name: str) -> str:
        """The label of an industry: names come from outside, and their number is not ours to bound."""
        label = self._industries.get(name)
        if label is None:
            if len(self._industries) >= MOST_INDUSTRIES:
                return "other"
            label = self._industries[name] = name[:64]
        return label

    def _rooms(self, held: ShardRunner) -> LiveRoomGauges:
        place = (held.group, held.partition)
        known = self._on_air.get(place)
        if known is None or known[0] is not held:
            known = self._on_air[place] = (held, LiveRoomGauges(self._rulebook))
        return known[1]

    def _counted(self, held: ShardRunner) -> None:
        """Move a shard's own counts over to the metrics."""
        metrics, counts = self._metrics, held.shard.context.counts
        for name, number in counts.items():
            kind, _, rest = name.partition(":")
            if not number:
                continue
            if kind == "events":
                metrics.events.labels(rest).inc(number)
            elif kind == "duplicates":
                metrics.duplicates.labels(rest).inc(number)
            elif kind == "skipped":
                metrics.skipped.labels(rest).inc(number)
            elif kind == "refused":
                topic, _, reason = rest.partition(":")
                metrics.refused.labels(topic, reason).inc(number)
                self._refused[topic, reason] += number
            elif kind == "too_old":
                metrics.too_old.labels(held.group).inc(number)
            elif kind == "shadow":
                rule, _, found_by = rest.partition(":")
                metrics.shadow_verdicts.labels(rule, found_by).inc(number)
            elif kind == "reception":
                for _ in range(number):
                    metrics.reception.observe(int(rest) / 10)
        counts.clear()

    def refresh(self) -> None:
        """Bring the gauges up to date: asked for when the metrics are read."""
        metrics, now = self._metrics, wall_ms()
        for gauge in (metrics.lag, metrics.clock_delay, metrics.buffered, metrics.keys, metrics.shards):
            gauge.clear()
        owned: Counter[str] = Counter()
        held_back: Counter[str] = Counter()
        for held in self._owner.shards.values():
            self._counted(held)
            owned[held.group] += 1
            held_back[held.group] += len(held.held)
            partition = str(held.partition)
            shard = held.shard
            for tp, end, source in zip(held.tps, held.ends, shard.sources, strict=True):
                metrics.lag.labels(topic=tp.topic, partition=partition).set(max(0, end - source.seen))
            labels = {"shards": held.group, "partition": partition}
            if shard.clock > 0:
                metrics.clock_delay.labels(**labels).set((now - shard.clock) / 1000)
            metrics.buffered.labels(**labels).set(len(shard.buffer))
            metrics.keys.labels(**labels).set(len(shard.keys))
        standby_lag = self._standby_lag()
        for group in get_args(SubjectName):
            metrics.shards.labels(group).set(owned[group])
            metrics.standby_lag.labels(group).set(standby_lag.get(group, 0))
            metrics.held_back.labels(group).set(held_back[group])
        metrics.ready.set(1 if self._not_ready() is None else 0)
        self._refresh_rooms(now)

    def _refresh_rooms(self, now: int) -> None:
        metrics = self._metrics
        shards = self._owner.shards
        self._on_air = {place: known for place, known in self._on_air.items() if shards.get(place) is known[0]}
        totals: Counter[str] = Counter()
        at_risk: Counter[str] = Counter()
        for held, on_air in self._on_air.values():
            clock = min(now, held.shard.clock)
            totals.update(on_air.totals())
            at_risk.update(on_air.at_risk(clock))
        metrics.rooms_on_air.set(totals["on_air"])
        metrics.rooms_open.set(totals["open"])
        metrics.buyers_waiting.labels("normal").set(totals["normal"])
        metrics.buyers_waiting.labels("high").set(totals["high"])
        for rule in self._metrics.rules:
            metrics.rooms_at_risk.labels(rule).set(at_risk[rule])

    def minute(self) -> None:
        """Say what was refused in the last minute."""
        if not self._refused:
            return
        total = sum(self._refused.values())
        told = {f"{topic} {reason}": number for (topic, reason), number in sorted(self._refused.items())}
        say = log.error if total >= self._settings.refused_per_minute_alarm else log.warning
        say("refused", messages=total, by=told, hint="see the topic dead-letter")
        self._refused.clear()
