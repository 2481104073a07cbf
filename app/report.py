"""What the shards counted and the checkpoints sent, as metrics and, where it is bad, in the log."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import orjson
import structlog

from agents.owner import Held, Owner, wall_ms
from app.metrics import Metrics
from app.rulebook import Rulebook
from app.settings import Settings

log: Final = structlog.get_logger("vigil.report")


class Report:
    """Turns counts and outputs into metrics; it never decides anything."""

    def __init__(self, metrics: Metrics, owner: Owner, settings: Settings, rulebook: Rulebook) -> None:
        self._metrics = metrics
        self._owner = owner
        self._settings = settings
        self._refused: Counter[tuple[str, str]] = Counter()
        """In this minute, by topic and reason."""
        metrics.rulebook.labels(digest=rulebook.digest[:12]).set(1)

    def written(self, seconds: float, records: int) -> None:
        """A checkpoint was written in so many seconds."""
        self._metrics.checkpoint.observe(seconds)
        self._metrics.checkpoint_records.inc(records)

    def sent(self, held: Held, outputs: Sequence[Any], now: int) -> None:
        """The broker has these outputs."""
        metrics = self._metrics
        self._counted(held)
        live = self._settings.clock == "live"
        for topic, number in Counter(output.topic for output in outputs).items():
            metrics.outputs.labels(topic=topic).inc(number)
        acked = wall_ms()
        for output in outputs:
            if output.payload is None or output.topic not in ("verdict", "notice", "enforcement"):
                continue
            body = orjson.loads(output.payload)
            if output.topic == "enforcement":
                metrics.actions.labels(family=body["family"], status=body["status"]).inc()
                continue
            if output.topic == "verdict":
                metrics.verdicts.labels(rule=body["rule"]).inc()
                if live:
                    metrics.publish_delay.observe(max(0, acked - output.at) / 1000)
            else:
                metrics.notices.labels(kind=body["kind"], rule=body["rule"] or "").inc()
            if live and output.judged:
                permitted = output.judged + self._settings.allowed_lateness_ms
                metrics.judgement_delay.observe(max(0, acked - permitted) / 1000)

    def _counted(self, held: Held) -> None:
        """Move a shard's own counts over to the metrics."""
        metrics, counts = self._metrics, held.shard.context.counts
        for name, number in counts.items():
            kind, _, rest = name.partition(":")
            if not number:
                continue
            if kind == "events":
                metrics.events.labels(topic=rest).inc(number)
            elif kind == "duplicates":
                metrics.duplicates.labels(topic=rest).inc(number)
            elif kind == "refused":
                topic, _, reason = rest.partition(":")
                metrics.refused.labels(topic=topic, reason=reason).inc(number)
                self._refused[topic, reason] += number
            elif kind == "too_old":
                metrics.too_old.labels(shards=held.group).inc(number)
        counts.clear()

    def refresh(self) -> None:
        """Bring the gauges up to date: asked for when the metrics are read."""
        metrics, now = self._metrics, wall_ms()
        for gauge in (metrics.lag, metrics.clock_delay, metrics.buffered, metrics.held_back, metrics.keys):
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
        for group, number in owned.items():
            metrics.shards.labels(shards=group).set(number)
            metrics.held_back.labels(shards=group).set(held_back[group])
        metrics.ready.set(1 if owned else 0)

    def minute(self) -> None:
        """Say what was refused in the last minute."""
        if not self._refused:
            return
        total = sum(self._refused.values())
        told = {f"{topic} {reason}": number for (topic, reason), number in sorted(self._refused.items())}
        say = log.error if total >= self._settings.refused_per_minute_alarm else log.warning
        say("refused", messages=total, by=told, hint="see the topic dead-letter")
        self._refused.clear()
