"""Metrics follow the conventions of Prometheus."""

import re
import subprocess

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics import MetricWrapperBase

from tests.support.needs import program
from vigil.app.console.console_metrics import ConsoleMetrics
from vigil.app.notify.metrics import NotifyMetrics
from vigil.app.observability.counted_histogram import CountedHistogram
from vigil.app.observability.metrics import DELAYS, WorkerMetrics
from vigil.app.runtime.metrics_reporter import worker_metrics

EVERY = [
    metric
    for metric in (*worker_metrics().all(), *vars(NotifyMetrics()).values(), *vars(ConsoleMetrics()).values())
    if isinstance(metric, MetricWrapperBase | CountedHistogram)
]


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric._name)
def test_names_labels_and_help_follow_the_conventions(metric: MetricWrapperBase | CountedHistogram):
    (family,) = metric.describe()
    assert re.fullmatch(r"vigil_[a-z0-9_]+", family.name)
    assert family.documentation.endswith(".")
    assert not re.search(r"_(ms|millis|minutes|percent|count|sum|bucket)$", family.name)
    assert all(
        re.fullmatch(r"[a-z_]+", label) and label not in ("instance", "job", "le") for label in metric._labelnames
    )


def test_the_promised_delay_is_a_bucket_of_its_histogram():
    assert 0.5 in DELAYS


def test_a_new_worker_exports_counters_at_0_so_that_the_first_event_is_an_increase():
    registry = worker_metrics().registry
    assert registry.get_sample_value("vigil_verdicts_total", {"rule": "absence"}) == 0
    assert registry.get_sample_value("vigil_refused_total", {"topic": "comment", "reason": "late"}) == 0
    assert registry.get_sample_value("vigil_actions_total", {"family": "obs", "status": "active"}) == 0


def test_a_new_vigil_notify_exports_the_counters_of_each_target_at_0():
    metrics = NotifyMetrics()
    metrics.initialize(["ops"])
    for name, labels in (("delivered", {}), ("dead_letters", {}), ("tries", {"outcome": "later"})):
        assert metrics.registry.get_sample_value(f"vigil_notify_{name}_total", {"target": "ops", **labels}) == 0


@pytest.mark.parametrize(
    "metrics", [worker_metrics(), NotifyMetrics(), ConsoleMetrics()], ids=["worker", "notify", "console"]
)
def test_promtool_accepts_the_metrics(metrics: WorkerMetrics | NotifyMetrics | ConsoleMetrics):
    promtool = program("PROMETHEUS", "the metrics' form is", "prometheus", "promtool")
    result = subprocess.run(
        [promtool, "check", "metrics"], input=generate_latest(metrics.registry), capture_output=True, check=False
    )
    assert (result.returncode, result.stdout + result.stderr) == (0, b"")
