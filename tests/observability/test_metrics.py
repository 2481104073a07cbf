"""Names of metrics by Prometheus's conventions, and their page in the docs."""

import re
import subprocess

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics import MetricWrapperBase

from tests.support.needs import program
from tools.metrics_page import PAGE, page
from vigil.app.notify.metrics import NotifyMetrics
from vigil.app.observability.metrics import DELAYS, WorkerMetrics
from vigil.app.runtime.metrics_reporter import worker_metrics


def test_the_page_says_what_the_code_says():
    assert PAGE.read_text() == page(), "write it anew: python -m tools.metrics_page"


EVERY = [
    metric
    for metric in (*worker_metrics().all(), *vars(NotifyMetrics()).values())
    if isinstance(metric, MetricWrapperBase)
]


@pytest.mark.parametrize("metric", EVERY, ids=str)
def test_names_labels_and_words_go_by_the_conventions(metric: MetricWrapperBase):
    (family,) = metric.describe()
    assert re.fullmatch(r"vigil_[a-z0-9_]+", family.name)
    assert family.documentation.endswith(".")
    assert not re.search(r"_(ms|millis|minutes|percent|count|sum|bucket)$", family.name)
    assert all(
        re.fullmatch(r"[a-z_]+", label) and label not in ("instance", "job", "le") for label in metric._labelnames
    )


def test_the_promise_is_a_bound_of_its_histogram():
    assert 0.5 in DELAYS


def test_a_fresh_worker_tells_counters_at_0_so_that_the_first_event_is_a_rise():
    registry = worker_metrics().registry
    assert registry.get_sample_value("vigil_verdicts_total", {"rule": "absence"}) == 0
    assert registry.get_sample_value("vigil_refused_total", {"topic": "comment", "reason": "late"}) == 0
    assert registry.get_sample_value("vigil_actions_total", {"family": "obs", "status": "active"}) == 0


def test_a_fresh_vigil_notify_exports_the_counters_of_each_target_at_0():
    metrics = NotifyMetrics()
    metrics.initialize(["ops"])
    for name, labels in (("delivered", {}), ("dead_letters", {}), ("tries", {"outcome": "later"})):
        assert metrics.registry.get_sample_value(f"vigil_notify_{name}_total", {"target": "ops", **labels}) == 0


@pytest.mark.parametrize("metrics", [worker_metrics(), NotifyMetrics()], ids=["worker", "notify"])
def test_promtool_has_no_complaint(metrics: WorkerMetrics | NotifyMetrics):
    promtool = program("PROMETHEUS", "the metrics' form is", "prometheus", "promtool")
    told = subprocess.run(
        [promtool, "check", "metrics"], input=generate_latest(metrics.registry), capture_output=True, check=False
    )
    assert (told.returncode, told.stdout + told.stderr) == (0, b"")
