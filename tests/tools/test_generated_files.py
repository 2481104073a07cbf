"""Files that are generated from the code are current."""

from tools import dashboards, metrics_page, tables_page


def test_the_page_of_metrics_is_current():
    assert metrics_page.PAGE.read_text() == metrics_page.page(), "run: python -m tools.metrics_page"


def test_the_page_of_exported_tables_is_current():
    assert tables_page.PAGE.read_text() == tables_page.page(), "run: python -m tools.tables_page"


def test_the_dashboards_are_current():
    files = {file.stem: file.read_text() for file in dashboards.FOLDER.glob("*.json")}
    assert files == {name: made.text() for name, made in dashboards.all_dashboards().items()}, (
        "run: python -m tools.dashboards"
    )
