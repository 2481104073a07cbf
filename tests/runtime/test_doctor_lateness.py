"""Which allowed lateness doctor recommends, and what it has measured it by."""

import asyncio

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from vigil.app.engine.lateness import BOUNDS_MS, LatenessCounts
from vigil.app.kafka.settings import Settings
from vigil.app.observability.counted_histogram import CountedHistogram
from vigil.app.observability.metrics import LATENESS
from vigil.app.runtime.doctor.check import Check
from vigil.app.runtime.doctor.lateness import (
    Lateness,
    MeasuredLateness,
    NeededLateness,
    lateness_checks,
    measure_lateness,
    of_pages,
    worker_url,
)
from vigil.app.runtime.metrics_reporter import worker_metrics

SPEECH = ("comment", "speech")


def page(behind: dict[tuple[str, str], list[int]]) -> str:
    """A worker's metrics after events that were so far behind (ms)."""
    metrics = worker_metrics()
    for key, delays in behind.items():
        counts = LatenessCounts()
        noted = [delay for delay in delays if delay > BOUNDS_MS[0]]
        for delay in noted:
            counts.note(key, delay)
        counts.arrived(key, len(delays))
        metrics.lateness.add(key, counts.by_bucket[key], sum(noted) / 1000)
    return generate_latest(metrics.registry).decode()


def checks(kinds: list[Lateness], **settings: object) -> list[Check]:
    return lateness_checks(MeasuredLateness("by a test", kinds), Settings(**settings))


@pytest.mark.parametrize(
    ("slow", "needed", "usual"), [(0, 0.1, 0.1), (1, 0.1, 0.1), (2, 3, 0.1), (10, 3, 0.1), (11, 3, 3)]
)
def test_the_999th_of_a_thousand_events_decides(slow: int, needed: float, usual: float) -> None:
    (found,) = of_pages([page({SPEECH: [0] * (1000 - slow) + [2800] * slow})])
    assert found == Lateness("comment", "speech", 1000, round(needed * 1000), round(usual * 1000))


def test_the_events_of_several_workers_count_together() -> None:
    fast, slow = page({SPEECH: [0] * 989}), page({SPEECH: [4900] * 11, ("frame-status", ""): [0]})
    assert of_pages([fast, slow, "no metrics {", ""]) == [
        Lateness("comment", "speech", 1000, 5000, 5000),
        Lateness("frame-status", "", 1, 100, 100),
    ]


def test_a_kind_that_needs_more_than_is_allowed_gets_a_recommendation() -> None:
    kinds = [Lateness("comment", "text", 900, 500, 100), Lateness("comment", "speech", 100, 4503, 3000)]
    (check,) = checks(kinds)
    assert check.level == "fail"
    assert check.words == (
        "comment by speech: 99.9 % of 100 events are at most 4.5 s late; allowed are 2.0 s\nby a test"
    )
    assert check.remedy.startswith("allowed_lateness_ms_by_topic: comment = 5000 would do")
    (check,) = checks(kinds, allowed_lateness_ms_by_topic={"comment": 7000})
    assert (check.level, "comment by speech 4.5 s; that is allowed (by a test)" in check.words) == ("ok", True)


@pytest.mark.parametrize(("number", "usual_ms", "level"), [(20, 2001, "fail"), (20, 2000, "warn"), (19, 2001, "warn")])
def test_few_events_or_few_late_ones_are_a_warning(number: int, usual_ms: int, level: str) -> None:
    (check,) = checks([Lateness("comment", "speech", number, 2500, usual_ms)])
    assert check.level == level


def test_old_data_is_no_reason_to_wait() -> None:
    (check,) = checks([Lateness("comment", "text", 100, 60_001, 500)])
    assert "old or replayed data" in check.remedy
    (check,) = checks([Lateness("comment", "text", 100, 90_000_000, 80_000_000)])
    assert check.level == "ok"  # the check `input` speaks of it


def test_the_slowest_kind_decides_for_its_topic() -> None:
    kinds = [Lateness("comment", "text", 900, 500, 100), Lateness("comment", "speech", 100, 4503, 3000)]
    measured = MeasuredLateness("", kinds)
    assert measured.needed("comment", 2000) == NeededLateness(4503, True)
    assert measured.needed("comment", 3000) == NeededLateness(4503, False)
    assert measured.needed("buyer-entry", 2000) == NeededLateness(0, False)


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:6066/metrics"), ("0.0.0.0", "http://127.0.0.1:6066/metrics"),
     ("::1", "http://[::1]:6066/metrics"), ("worker-1", "http://worker-1:6066/metrics")],
)  # fmt: skip
def test_a_worker_is_looked_for_where_the_settings_say(host: str, url: str) -> None:
    assert worker_url(Settings(web_host=host)) == url


async def test_workers_metrics_come_before_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=page({SPEECH: [2800]}))

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    try:
        measured = await measure_lateness(Settings(), {}, ["http://127.0.0.1:1/metrics", url, "nonsense"])
    finally:
        await runner.cleanup()
    assert measured == MeasuredLateness(
        f"by the metrics of {url}, since the start", [Lateness("comment", "speech", 1, 3000, 3000)]
    )


def test_without_workers_the_sample_is_named() -> None:
    measured = asyncio.run(measure_lateness(Settings(), {}, ["http://127.0.0.1:1/metrics"]))
    assert measured.measured_by == (
        "by the last 1,000 messages of each partition: no worker's metrics at http://127.0.0.1:1/metrics"
    )


def test_a_counted_histogram_is_one_to_prometheus() -> None:
    registry = CollectorRegistry()
    histogram = CountedHistogram(LATENESS, "A test.", ("topic",), registry)
    histogram.begin((0.1, 1), [("a",)])
    histogram.add(("a",), (5, 0, 1), 7.5)
    histogram.add(("a",), (1, 1, 0), 0.5)
    lines = generate_latest(registry).decode().splitlines()
    assert "# TYPE vigil_lateness_seconds histogram" in lines
    assert lines[2:] == [
        'vigil_lateness_seconds_bucket{le="0.1",topic="a"} 6.0',
        'vigil_lateness_seconds_bucket{le="1.0",topic="a"} 7.0',
        'vigil_lateness_seconds_bucket{le="+Inf",topic="a"} 8.0',
        'vigil_lateness_seconds_count{topic="a"} 8.0',
        'vigil_lateness_seconds_sum{topic="a"} 8.0',
    ]
