"""The pages of products, obligations and suppliers over HTTP, without a browser and without Kafka."""

import functools
import re
from urllib.parse import quote

import msgspec
import pytest

from tests.console.test_auth import client
from tests.console.test_line_store import NOW, obligation
from tests.console.test_model import verdict
from tests.support.console_stories import HOSTILE, ConsoleStage
from tests.support.line_stories import (
    activity,
    ask,
    certificate,
    claim,
    epr,
    measure,
    member,
    order,
    paid,
    product,
    request,
    step,
)
from tests.support.supplier_stories import DAY, Line, at
from vigil.app.console.settings import ConsoleBounds
from vigil.topics.topic import composed_key

HOUR = 3_600_000


def market(supplier: str = "s", product_id: str = "lamp", order_id: str = "o") -> list[Line]:
    """A supplier with something of everything: stars, registrations, requests, programmes, rights."""
    asked, ordered = NOW - 13 * HOUR, NOW - 10 * DAY
    story = [
        member(at("2022-06-01 10:00"), supplier, opened_at=at("2022-07-25 10:00"), signed_at=at("2022-07-01 10:00")),
        certificate(NOW - 60 * DAY, "warranty-agreement", None, supplier, valid_until=NOW + DAY),
        certificate(NOW - 60 * DAY, "local-service", None, supplier),
        epr(NOW - 60 * DAY, "DE", "packaging", supplier),
        product(
            NOW - 20 * DAY,
            product_id,
            supplier,
            abilities=["new"],
            delivery_days=15,
            markets=["DE", "FR"],
            traits=["packaging", "circuit"],
            service="local",
        ),
        paid(ordered, order_id, (product_id, "900", "local"), by=ordered + 3 * DAY, supplier=supplier),
        order(ordered + DAY, order_id, "dispatched", supplier),
        request(asked, "next", "repair", order_id, product_id, supplier),
        request(NOW - 9 * DAY + HOUR, "lost", "repair", order_id, product_id, supplier),
        request(NOW - 5 * DAY, "kept", "support", order_id, product_id, supplier),
        step(NOW - 5 * DAY + HOUR, "answered", "kept", supplier),
        measure(NOW - 5 * DAY, "videos", 1, supplier),
        claim(at("2022-08-03 10:00"), "check-in", supplier),
        claim(at("2022-08-09 10:00"), "first-order", supplier),
        claim(at("2022-07-10 10:00"), "check-in", supplier),
        ask(NOW - HOUR, "upgrade-contact", "u-1", supplier),
    ]
    return [*story, activity(NOW, "measure", supplier, measure="leads", value=1)]


def page(console: ConsoleStage, path: str, language: str = "en") -> str:
    """The text of a page, without its tags."""
    browser = client(console)
    browser.cookies.set("vigil_lang", language)
    answer = browser.get(path)
    assert answer.status_code == 200, path
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.text.partition("<main")[2]))


@functools.cache
def recorded_market() -> ConsoleStage:
    """A console that shows the story as of its end; for tests that only look."""
    return ConsoleStage().play_lines(*market())


def test_a_products_page_says_stars_selection_registrations_and_the_rules():
    shown = page(recorded_market(), "/product?id=s%2Flamp")
    assert "2 stars Industry Consumer electronics Shown to some buyers Paid in 90 days US$ 900.00 · 1 buyer" in shown
    assert "For 3 stars, any one of these" in shown
    assert "✗ missing: lowest price of 180 days ✓ holds: delivered within 15 days" in shown
    assert "competitive listed since" in shown and "✗ missing: a private mould" in shown
    assert "France may be blocked Packaging missing 1–4 weeks to get" in shown
    assert "Germany may be blocked Packaging registered" in shown
    assert "stars.consumer-electronics Two and three stars of products of the industry consumer-electronics" in shown
    assert "in force since 2022-08-01. Announcement of July 2022" in shown
    assert "judged by the limits in force since 2022-08-01" in shown
    assert "at risk in 11 h 2022-08-21 06:00:00 Answer a service request" in shown


def test_a_suppliers_page_begins_with_what_is_due_next():
    shown = page(recorded_market(), "/supplier?id=s")
    places = [shown.index(words) for words in ("at risk in 11 h", "breached 1 d 23 h ago", "open in 4 d", "Settled: ")]
    assert places == sorted(places)
    assert "breached 1 d 23 h ago 2022-08-18 20:00:00 Come for service on site lost lamp US$ 18.00" in shown
    assert "Contact about the upgrade owed by the marketplace" in shown
    assert "Check-in 2022-08 refused It was claimed while the programme was closed." in shown
    assert "First order 2022-08 completed" in shown
    assert "held: Service on site" in shown
    assert "not held: FDA goods needs a certificate in force: FDA" in shown
    assert "First 30 days" in shown and "✓ holds: Videos 2022-08-15" in shown
    assert "1 in all, those that need work first" in shown and "1 may be blocked" in shown
    assert "Warranty agreement warranty-agreement in force in 1 d" in shown


@pytest.mark.parametrize(
    "path, words",
    [
        ("/product?id=s%2Flamp", ["达到 3 星需满足以下任一条件", "缺少： 180 天最低价", "可能被屏蔽", "15 天内送达"]),
        ("/supplier?id=s", ["有风险", "已违约", "上门服务", "签到", "已拒绝", "已持有", "前 30 天"]),
        ("/obligations", ["有风险的义务", "答复售后请求", "小时后", "供应商"]),
        ("/search?q=lam", ["商品"]),
    ],
)
def test_pages_are_in_chinese_too(path: str, words: list[str]):
    shown = page(recorded_market(), path, "zh")
    assert [word for word in words if word not in shown] == []


def test_an_obligations_page_says_its_times_and_the_rule():
    console = recorded_market()
    held = console.state.model.lines.obligations
    key = next(row.key for row in held.ordered("breached") if row.duty == "service-visit")
    shown = page(console, f"/obligation?id={key}")
    assert "breached owed by the supplier" in shown and "Opened 8 d 23 h ago 2022-08-11 20:00:00" in shown
    assert "Somebody comes within a week of a covered request for service on site." in shown


def test_why_a_request_is_not_covered():
    console = ConsoleStage().play_lines(request(NOW, "q", "repair", "no-order"))
    (key,) = console.state.model.lines.obligations
    assert "not covered owed by the supplier The order is not known" in page(console, f"/obligation?id={key}")


def test_the_list_is_filtered_and_keeps_what_was_asked_for_on_its_next_page():
    console = ConsoleStage()
    for number in range(150):
        one = obligation(f"{number:03}", due=number * HOUR, supplier=f"merchant-{number % 2}")
        console.take("obligation", one, one.obligation_id, tick=False)
    shown = page(console, "/obligations")
    assert "150 obligations" in shown and "page 1 of 2" in shown and "request-099" in shown
    assert "request-100" not in shown
    browser = client(console)
    answer = browser.get("/obligations?duty=service-answer&page=2").text
    assert 'href="/obligations?duty=service-answer"' in answer and "request-100" in answer
    assert 'data-live="/live/obligations?duty=service-answer&amp;page=2"' in answer
    assert "75 obligations" in page(console, "/obligations?supplier=merchant-1")
    assert "No obligation fits." in page(console, "/obligations?supplier=nobody")
    assert "Nothing is at risk." in page(ConsoleStage(), "/obligations")


def test_what_is_dropped_for_room_is_said():
    console = ConsoleStage(bounds=ConsoleBounds(obligations=10))
    for number in range(11):
        console.take("obligation", obligation(str(number)), str(number))
    assert "Beyond MAX_OBLIGATIONS, and not held here any more: 1" in page(console, "/obligations")


def test_products_are_found_and_lead_to_their_page():
    console = recorded_market()
    browser = client(console)
    answer = browser.get("/search", params={"q": "LAM"})
    assert 'href="/product?id=s%2Flamp"' in answer.text
    assert "/product?id=s%2Flamp" in browser.get("/supplier?id=s").text
    assert "/supplier?id=s" in browser.get("/product?id=s%2Flamp").text
    assert "/obligation?id=" in browser.get("/product?id=s%2Flamp").text


def test_what_was_never_read_is_unknown():
    browser = client(recorded_market())
    for path in ("/product?id=s%2Fchair", "/product", "/obligation?id=no", "/obligations?id=x"):
        assert browser.get(path).status_code == 404, path


def test_what_was_sold_without_a_permit_leads_to_the_supplier_and_back():
    console = ConsoleStage().play_lines(member(NOW, "h"))
    for name, subject in (("v1", "restricted:fda"), ("v2", "prohibited:weapon")):
        one = msgspec.structs.replace(verdict("prohibited-goods", name=name), subject=subject)
        console.take("verdict", one)
    browser = client(console)
    shown = browser.get("/supplier?id=h").text
    assert "/verdict?id=v1" in shown and "restricted:fda" in shown and "/verdict?id=v2" not in shown
    assert "/supplier?id=h" in browser.get("/verdict?id=v1").text


def test_a_suppliers_products_are_pages_too():
    console = ConsoleStage().play_lines(*(product(NOW, f"lamp-{number:03}") for number in range(60)))
    assert "60 in all" in page(console, "/supplier?id=s") and "lamp-050" not in page(console, "/supplier?id=s")
    assert "lamp-050" in page(console, "/supplier?id=s&page=2")


def test_names_of_events_are_text_on_every_page_of_lines():
    console = ConsoleStage().play_lines(*market(HOSTILE, HOSTILE, HOSTILE))
    names = dict.fromkeys(("ref", "order_id", "product_id", "buyer_id", "duty", "rulebook"), HOSTILE)
    console.take("obligation", obligation("x", supplier=HOSTILE, **names), "x")
    held = console.state.model.lines.obligations
    paths = [f"/obligation?id={key}" for key in held]
    paths += [f"/product?id={quote(composed_key(HOSTILE, HOSTILE), safe='')}"]
    paths += [f"/supplier?id={quote(HOSTILE)}", f"/search?q={quote(HOSTILE)}", "/obligations"]
    browser = client(console)
    for path in paths:
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert "<img" not in answer.text and "&lt;img src=x onerror=alert(1)&gt;" in answer.text, path
        assert "\u202e" not in re.sub(r"<[^>]*>", "", answer.text), path


def test_a_change_of_a_line_changes_the_pages_that_show_it():
    console = ConsoleStage().play_lines(*market())
    held = console.state.model.lines.obligations
    row = held.ordered("at-risk")[0]
    key, one = row.key, msgspec.structs.replace(row.decoded(), status="met", done_at=NOW)
    console.take("obligation", one, key)
    tick = console.state.tick_number
    for changed in (("obligation", key), ("supplier", "s"), ("obligations", "")):
        assert console.state.changed.get(changed) == tick
