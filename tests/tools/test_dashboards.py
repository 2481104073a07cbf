"""Dashboards show every metric, also of a subject that nobody made panels for."""

import json

from tests.support.toy_subject import TOY_REGISTRY
from tools.dashboards import all_dashboards


def test_a_subject_whose_metrics_no_panel_shows_gets_a_row() -> None:
    panels = json.loads(all_dashboards(TOY_REGISTRY)["operations"].text())["panels"]
    row, panel = panels[-2:]
    assert (row["type"], row["title"]) == ("row", "Subject: shelves")
    assert panel["targets"][0]["expr"] == "sum (rate(vigil_stock_alerts_total[$__rate_interval]))"


def test_subjects_whose_metrics_have_panels_get_none() -> None:
    panels = json.loads(all_dashboards()["operations"].text())["panels"]
    titles = {panel["title"] for panel in panels if panel["type"] == "row"}
    assert titles.isdisjoint(
        f"Subject: {name}" for name in ("rooms", "hosts", "suppliers", "industries", "rfqs", "incidents")
    )
