"""What was sent becomes metrics, without a label that an event could multiply."""

from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.changelog import OutboxMessage
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.kafka.settings import Settings
from vigil.app.observability.metrics import MAX_LABEL_VALUES
from vigil.app.runtime import metrics_reporter as module
from vigil.app.runtime.metrics_reporter import MetricsReporter, WorkerView, worker_metrics
from vigil.topics.catalog import SubjectName

T = 1_700_000_000_000


class World:
    """A report beside one shard of rooms."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        monkeypatch.setattr(module, "wall_ms", lambda: self.now)
        self.now = T
        self.why: str | None = None
        self.standby_lag: dict[SubjectName, int] = {}
        self.metrics = worker_metrics()
        shard = SimpleNamespace(collector=OutputCollector(), watermark=T, reorder_buffer=[], states={})
        self.runner: Any = SimpleNamespace(subject="rooms", partition=0, shard=shard, eligible_at={}, sources=[])
        self.manager: Any = SimpleNamespace(shards={("rooms", 0): self.runner})
        self.report = MetricsReporter(
            self.metrics,
            WorkerView(self.manager, lambda: self.why, lambda: self.standby_lag),
            Settings(**settings),
            load_rulebook(),
        )

    def sent(self, topic: str, body: str, *, at: int = T, triggered_at: int = T) -> None:
        self.report.sent(self.runner, [OutboxMessage(topic, b"r", "id", at, body.encode(), triggered_at)], self.now)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_the_delay_of_a_verdict_does_not_include_what_the_rules_demand(world: World):
    world.runner.eligible_at["id"] = T + 2150
    world.now = T + 2200
    world.sent("verdict", '{"rule":"absence"}')
    assert world.value("vigil_judgement_delay_seconds_sum", topic="verdict") == 0.05
    assert world.value("vigil_publish_delay_seconds_sum") == 2.2
    assert world.value("vigil_verdicts_total", rule="absence") == 1
    assert world.runner.eligible_at == {}


def test_what_a_former_owner_left_is_measured_from_when_the_lateness_had_passed(world: World):
    world.now = T + 12_000
    world.sent("verdict", '{"rule":"absence"}')
    assert world.value("vigil_judgement_delay_seconds_sum", topic="verdict") == 10


def test_recorded_data_has_no_delay(monkeypatch: pytest.MonkeyPatch):
    world = World(monkeypatch, clock="recorded")
    world.sent("verdict", '{"rule":"absence"}')
    assert world.value("vigil_judgement_delay_seconds_count", topic="verdict") == 0
    assert world.value("vigil_verdicts_total", rule="absence") == 1


def test_outputs_that_are_alike_are_counted_each(world: World):
    bodies = ('{"rule":"absence"}', '{"rule":"sleeping"}', '{"rule":"absence"}')
    outputs = [OutboxMessage("verdict", b"r", f"{number}", T, body.encode(), T) for number, body in enumerate(bodies)]
    world.report.sent(world.runner, outputs, world.now)
    assert [world.value("vigil_verdicts_total", rule=rule) for rule in ("absence", "sleeping")] == [2, 1]
    score = b'{"industry":"toys","predicted":61,"metrics":{"response_rate":null}}'
    scores = [OutboxMessage("supplier-score", b"s", f"{number}", T, score, T) for number in range(3)]
    world.report.sent(world.runner, scores, world.now)
    assert world.value("vigil_supplier_score_count", industry="toys") == 3
    assert world.value("vigil_supplier_score_sum", industry="toys") == 183


def test_industries_beyond_the_bound_are_other(world: World):
    body = '{"industry":"%s","predicted":61,"metrics":{"response_rate":%s}}'
    for number in range(MAX_LABEL_VALUES + 20):
        world.sent("supplier-score", body % (f"industry {number}", "0.5" if number % 2 else "null"))
    assert world.value("vigil_supplier_score_count", industry="industry 0") == 1
    assert world.value("vigil_supplier_score_count", industry="other") == 20
    assert world.value("vigil_supplier_response_ratio_count", industry="other") == 10
    assert world.value("vigil_supplier_score_count", industry=f"industry {MAX_LABEL_VALUES}") is None


def test_messages_that_retention_took_first_are_counted(world: World):
    world.runner.shard.collector.counts["skipped:comment"] = 7
    world.report.refresh()
    assert world.value("vigil_skipped_total", topic="comment") == 7


def test_optional_fields_that_were_left_out_are_counted(world: World):
    world.runner.shard.collector.counts["fields_ignored:frame-status:layout.videos"] = 3
    world.report.refresh()
    assert world.value("vigil_fields_ignored_total", topic="frame-status", field="layout.videos") == 3


def rejected(world: World, topic: str, reason: str, offset: int, detail: str = "wrong") -> None:
    """A message that was rejected, and its dead letter sent."""
    world.runner.shard.collector.count(f"refused:{topic}:{reason}")
    letter = {"topic": topic, "partition": 3, "offset": offset, "reason": reason, "detail": detail, "at": T}
    world.sent("dead-letter", orjson.dumps(letter).decode())


def test_the_first_message_that_is_rejected_of_a_topic_and_reason_is_logged_at_once(world: World):
    with capture_logs() as logged:
        for offset in range(3):
            rejected(world, "comment", "malformed", offset, "key '\x1b[2J\u202e' " + "x" * 1000)
        rejected(world, "comment", "late", 7)
        rejected(world, "frame-status", "malformed", 8)
    assert [(line["event"], line["topic"], line["reason"], line["partition"], line["offset"]) for line in logged] == [
        ("first message rejected", "comment", "malformed", 3, 0),
        ("first message rejected", "comment", "late", 3, 7),
        ("first message rejected", "frame-status", "malformed", 3, 8),
    ]
    assert logged[0]["detail"].startswith(r"key '\x1b[2J\u202e' xxx")
    assert len(logged[0]["detail"]) == 300
    with capture_logs() as logged:
        world.report.minute()
        world.report.minute()
    assert [(line["event"], line["messages"]) for line in logged] == [("messages rejected", 5)]


def test_a_rejection_that_is_counted_before_its_dead_letter_is_sent_is_logged_then(world: World):
    world.runner.shard.collector.count("refused:comment:late")
    with capture_logs() as logged:
        world.report.refresh()
        world.sent("verdict", '{"rule":"absence"}')
        assert logged == []
        letter = {"topic": "comment", "partition": None, "offset": 5, "reason": "late", "detail": "late", "at": T}
        world.sent("dead-letter", orjson.dumps(letter).decode())
    assert [line["offset"] for line in logged] == [5]


def test_receptions_are_counted_by_tenths_of_seconds(world: World):
    world.runner.shard.collector.counts |= {"reception:31": 2, "reception:100": 1}
    world.report.refresh()
    assert world.value("vigil_reception_seconds_bucket", le="3.0") == 0
    assert world.value("vigil_reception_seconds_bucket", le="4.0") == 2
    assert world.value("vigil_reception_seconds_bucket", le="10.0") == 3


def test_rooms_of_a_shard_that_went_away_are_forgotten(world: World):
    world.sent("room-status", '{"stream":"live","open":[],"waiting":[]}')
    world.report.refresh()
    assert world.value("vigil_rooms_on_air") == 1
    world.manager.shards.clear()
    world.report.refresh()
    assert world.value("vigil_rooms_on_air") == 0
    assert world.report._gauges == {}


def test_a_worker_without_shards_is_ready_and_one_that_recovers_is_not(world: World):
    world.manager.shards.clear()
    world.report.refresh()
    assert world.value("vigil_ready") == 1
    assert world.value("vigil_shards", shards="rooms") == 0
    world.why = "recovering"
    world.report.refresh()
    assert world.value("vigil_ready") == 0


def test_what_standbys_have_to_read_is_reported_and_goes_with_them(world: World):
    world.standby_lag = {"rooms": 7}
    world.report.refresh()
    assert world.value("vigil_standby_lag", shards="rooms") == 7
    assert world.value("vigil_standby_lag", shards="hosts") == 0
    world.standby_lag = {}
    world.report.refresh()
    assert world.value("vigil_standby_lag", shards="rooms") == 0


def test_how_late_events_come_is_a_histogram_that_begins_at_0(world: World):
    assert world.value("vigil_lateness_seconds_count", topic="comment", via="speech") == 0
    counts = world.runner.shard.collector.lateness
    counts.note(("comment", "speech"), 2900)
    counts.note(("comment", "speech"), 70_000)
    counts.arrived(("comment", "speech"), 12)
    world.report.refresh()
    world.report.refresh()
    found = {
        bound: world.value("vigil_lateness_seconds_bucket", topic="comment", via="speech", le=bound)
        for bound in ("0.1", "2.5", "3.0", "60.0", "+Inf")
    }
    assert found == {"0.1": 10, "2.5": 10, "3.0": 11, "60.0": 11, "+Inf": 12}
    assert world.value("vigil_lateness_seconds_sum", topic="comment", via="speech") == 72.9


def test_recorded_events_are_not_late(monkeypatch: pytest.MonkeyPatch):
    world = World(monkeypatch, clock="recorded")
    world.runner.shard.collector.lateness.note(("comment", "text"), 2900)
    world.report.refresh()
    assert world.value("vigil_lateness_seconds_count", topic="comment", via="text") == 0
