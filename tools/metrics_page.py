"""Writes the tables of docs/metrics.md from the metrics in the code: `python -m tools.metrics_page`."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from vigil.app.probe.metrics import ProbeMetrics
from vigil.app.runtime.metrics_reporter import worker_metrics

PAGE: Final = Path(__file__).parents[1] / "docs" / "metrics.md"

_TABLE: Final = """## All of them

| metric | type | labels | meaning |
| --- | --- | --- | --- |
"""

_OF_PROBE: Final = """
## Of vigil probe

[`vigil probe`](probe.md) serves these on `--web-port`. No label contains a room or an address.

| metric | type | labels | meaning |
| --- | --- | --- | --- |
"""

_SUFFIX: Final = {"counter": "_total", "histogram": "", "gauge": ""}


def page() -> str:
    """Return the page with current tables; the text before them is written by hand."""
    worker, probe = _rows(worker_metrics().all()), _rows(ProbeMetrics().all())
    return PAGE.read_text().partition(_TABLE)[0] + _TABLE + "".join(worker) + _OF_PROBE + "".join(probe)


def _rows(metrics: Iterable[Any]) -> Iterator[str]:
    """A row of a table for each metric."""
    for metric in metrics:
        (family,) = metric.describe()
        labels = ", ".join(f"`{label}`" for label in metric._labelnames) or "–"
        yield f"| `{family.name}{_SUFFIX[family.type]}` | {family.type} | {labels} | {family.documentation} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
