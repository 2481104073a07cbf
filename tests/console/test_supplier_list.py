"""The list of suppliers in the order that a reader chooses, over HTTP."""

import re

import msgspec
import pytest

from tests.console.test_auth import client
from tests.console.test_views import score
from tests.support.console_stories import ConsoleStage
from tests.support.line_stories import measure, paid, request
from tests.support.line_stories import order as step_of_order
from tests.support.supplier_stories import DAY, at

NOW = at("2022-08-20 12:00")
HOUR = 3_600_000
ORDERS = ("score", "response", "at-risk", "next-due")


def sold(supplier: str, *asked: int) -> list[object]:
    """A supplier that has not answered requests of these times."""
    ordered = NOW - 10 * DAY
    story = [
        paid(ordered, f"o-{supplier}", ("lamp", "900", "local"), supplier=supplier),
        step_of_order(ordered + DAY, f"o-{supplier}", "dispatched", supplier),
    ]
    story += [request(when, f"q{n}", "support", f"o-{supplier}", "lamp", supplier) for n, when in enumerate(asked)]
    return story  # type: ignore[return-value]


@pytest.fixture(scope="module")
def console() -> ConsoleStage:
    """Two are at risk of `many`, one of `next`, which is due first; `good` has the best score, `mute` answers least.

    Of `quiet` nothing is known but a score without a rate.
    """
    story = [
        *sold("many", NOW - 14 * HOUR, NOW - 13 * HOUR),
        *sold("next", NOW - 23 * HOUR),
        *sold("later", NOW - HOUR),
    ]
    stage = ConsoleStage().play_lines(*story, measure(NOW, "leads", 0, "clock"))  # type: ignore[arg-type]
    for supplier, predicted, rate in (("good", 90, 0.9), ("mute", 20, 0.1), ("many", 50, 0.5), ("quiet", 5, None)):
        one = score(supplier_id=supplier, predicted=predicted)
        metrics = msgspec.structs.replace(one.metrics, response_rate=rate)
        stage.take("supplier-score", msgspec.structs.replace(one, metrics=metrics))
    return stage


def shown(console: ConsoleStage, path: str, language: str = "en") -> tuple[list[str], str]:
    """The suppliers of a page in its order, and its text."""
    browser = client(console)
    browser.cookies.set("vigil_lang", language)
    answer = browser.get(path)
    assert answer.status_code == 200
    main = answer.text.partition("<main")[2]
    return re.findall(r'data-key="s-([^"]+)"', main), re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", main))


@pytest.mark.parametrize(
    ("by", "suppliers"),
    [
        ("score", ["good", "many", "mute", "quiet"]),
        ("response", ["mute", "many", "good"]),
        ("at-risk", ["many", "next"]),
        ("next-due", ["next", "many", "later"]),
    ],
)
def test_the_reader_chooses_the_order(console: ConsoleStage, by: str, suppliers: list[str]) -> None:
    assert shown(console, f"/suppliers?by={by}")[0] == suppliers


def test_without_a_choice_or_with_an_unknown_one_it_is_by_score(console: ConsoleStage) -> None:
    for path in ("/suppliers", "/suppliers?by=%3Cscript%3E"):
        assert shown(console, path) == shown(console, "/suppliers?by=score")


def test_each_row_says_what_the_other_orders_go_by(console: ConsoleStage) -> None:
    text = shown(console, "/suppliers?by=at-risk")[1]
    many = r"many Toys 50 50\.0 % 25\.0 % 480\.50 2 .* 2022-08-21 05:00:00"
    assert re.search(f"{many} next – – – – – 1 .* 2022-08-20 20:00:00", text), text


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("by", ORDERS)
def test_an_empty_list_says_what_there_is_none_of(by: str, language: str) -> None:
    suppliers, text = shown(ConsoleStage(), f"/suppliers?by={by}", language)
    assert suppliers == []
    assert re.search("No |Nothing|没有|尚未", text)
