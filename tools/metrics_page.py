"""Writes the table of docs/metrics.md from the metrics in the code: `python -m tools.metrics_page`."""

from pathlib import Path
from typing import Final

from vigil.app.runtime.metrics_reporter import worker_metrics

PAGE: Final = Path(__file__).parents[1] / "docs" / "metrics.md"

_TABLE: Final = """## All of them

| metric | type | labels | meaning |
| --- | --- | --- | --- |
"""

_SUFFIX: Final = {"counter": "_total", "histogram": "", "gauge": ""}


def page() -> str:
    """Return the page with a current table; the text before the table is written by hand."""
    rows = []
    for metric in worker_metrics().all():
        (family,) = metric.describe()
        labels = ", ".join(f"`{label}`" for label in metric._labelnames) or "–"
        rows.append(f"| `{family.name}{_SUFFIX[family.type]}` | {family.type} | {labels} | {family.documentation} |\n")
    return PAGE.read_text().partition(_TABLE)[0] + _TABLE + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page())
