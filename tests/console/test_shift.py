"""A whole shift in a real browser, by keyboard only; a worker answers what is sent. Needs Chromium."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.console.test_auth import form_token, signed_in
from tests.console.test_browser import browser, page_of, serious, served
from tests.console.test_cases import LINES, PEOPLE
from tests.support.console_stories import ConsoleStage
from tests.support.live_worker import LiveWorker, Market, label_frames
from vigil.app.kafka.wall_clock import wall_ms
from vigil.topics.incidents import Case
from vigil.topics.reviews import Review

pytestmark = pytest.mark.timeout(180)

__all__ = ["browser"]

LABELS = ("minor", "theme-mismatch", "minor", "minor")


@contextlib.asynccontextmanager
async def market(**options: str) -> AsyncIterator[tuple[ConsoleStage, str]]:
    """A console with four violations that nobody has decided, and a worker that answers."""
    stage = Market((), LiveWorker())
    console = stage.show(**options)
    since = wall_ms() - 400_000
    rooms = [
        label_frames(
            label, since + number * 1000, 330 if label == "theme-mismatch" else 15, f"room-{number}", f"host-{number}"
        )
        for number, label in enumerate(LABELS)
    ]
    stage.take(frame for frames in rooms for frame in frames)
    stage.advance(wall_ms())

    async def answer() -> None:
        while True:
            stage.advance(wall_ms())
            await asyncio.sleep(0.1)

    answering = asyncio.create_task(answer())
    try:
        async with served(console) as address:
            yield console, address
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


async def press(page: Page, *keys: str) -> None:
    for key in keys:
        await page.keyboard.press(key)


async def take_next(page: Page, rule: str) -> None:
    await press(page, "n")
    await expect(page.locator("h1")).to_contain_text(rule)
    await expect(page.locator("[data-part='work']")).to_contain_text("You work on this.", timeout=4000)


async def tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(60):
        if await page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        await press(page, "Tab")
    raise AssertionError(f"Tab does not reach {selector}")


async def look_and_overturn(page: Page) -> None:
    """Open the second line, claim it, note something, overturn it: the claim ends with the decision."""
    work, happened = page.locator("[data-part='work']"), page.locator("[data-part='happened']")
    await press(page, "j", "j", "Enter")
    await expect(page.locator("h1")).to_contain_text("Minor")
    await expect(page.locator("#review")).to_be_hidden()
    await press(page, "c")
    await expect(work).to_contain_text("You work on this.", timeout=4000)
    await expect(page.locator("#review")).to_be_visible()
    await press(page, "w")
    await page.keyboard.type("Called the host.")
    await press(page, "Control+Enter")
    await expect(happened).to_contain_text("Called the host.", timeout=4000)
    await press(page, "d", "ArrowRight")
    await tab_to(page, "[name='reason']")
    await page.keyboard.type("An adult who looks young.")
    await press(page, "Control+Enter")
    await expect(work).to_contain_text("Done: your decision to overturn.", timeout=4000)
    await expect(happened).to_contain_text("An adult who looks young.")
    await expect(work).not_to_contain_text("You work on this.", timeout=4000)


async def uphold_with_days(page: Page, console: ConsoleStage) -> None:
    await take_next(page, "Minor")
    await press(page, "d", "Space")
    await tab_to(page, "[name='freeze_days']")
    await press(page, "Control+a")
    await page.keyboard.type("45")
    await press(page, "Control+Enter")
    await expect(page.locator("[data-part='work']")).to_contain_text("Done: your decision to uphold.", timeout=4000)
    model = console.state.model
    chosen = [a for v in model.verdicts if (a := model.action(v)) is not None and a.freeze_days == 45]
    assert [action.past_days for action in chosen] == [30]


async def snooze_and_release(page: Page) -> None:
    await take_next(page, "Minor")
    await press(page, "s")
    await page.keyboard.type("1 h")
    await press(page, "Control+Enter")
    await expect(page.locator("[data-part='facts']")).to_contain_text("snoozed until", timeout=4000)
    await press(page, "r")
    await expect(page.locator("[data-part='happened']")).to_contain_text("released", timeout=4000)


async def uphold_with_the_other_step(page: Page) -> None:
    await take_next(page, "Theme mismatch")
    await press(page, "d", "Space")
    await tab_to(page, "[name='step']")
    await press(page, "ArrowRight", "Control+Enter")
    await expect(page.locator("[data-part='follows'] .big")).to_have_text("close", timeout=4000)


async def see_what_has_changed(page: Page) -> None:
    await press(page, "q")
    await expect(page.locator("h1")).to_have_text("Queue")
    await tab_to(page, "[data-key='view-changed']")
    await press(page, "Enter")
    await expect(page.locator("tr[data-row]")).to_have_count(4)
    await press(page, "x")
    await page.wait_for_url("**/queue")
    await expect(page.locator("[data-key='view-changed'] b")).to_have_text("0")


async def hand_over(page: Page) -> None:
    await press(page, "n")
    await expect(page.locator("[data-part='work']")).to_contain_text("You work on this.", timeout=4000)
    await press(page, "h")
    await expect(page.locator("[data-part='held']")).to_contain_text("You hold 1 incident.")
    await tab_to(page, "[name='note-1']")
    await page.keyboard.type("The signal comes and goes.")
    await press(page, "Enter")
    await expect(page.locator("[data-part='held']")).to_contain_text("You hold nothing", timeout=4000)


async def test_a_whole_shift_by_keyboard(browser: Browser):
    async with market() as (console, address), page_of(browser) as page:
        await page.goto(address)
        await press(page, "q")
        await expect(page.locator("h1")).to_have_text("Queue")
        await look_and_overturn(page)
        await uphold_with_days(page, console)
        await snooze_and_release(page)
        await uphold_with_the_other_step(page)
        await see_what_has_changed(page)
        await hand_over(page)
        decisions = [(each.decision, each.reason) for each in console.sent if isinstance(each, Review)]
        assert decisions == [("overturned", "An adult who looks young."), ("upheld", ""), ("upheld", "")]
        texts = [each.text for each in console.sent if isinstance(each, Case) and each.kind == "note"]
        assert texts == ["Called the host.", "The signal comes and goes."]


@pytest.mark.ci
async def test_of_two_moderators_one_works_on_it_and_both_see_who(browser: Browser):
    async with market(tokens=LINES) as (console, address), page_of(browser) as page:
        one = next(iter(console.state.model.incidents.on("to-do")))
        await page.goto(f"{address}/incident?id={one.incident_id}")
        await page.get_by_label("Your token").fill(PEOPLE["lin"][0])
        await press(page, "Enter")
        await expect(page.locator("[data-part='work']")).to_contain_text("Nobody works on this yet.")
        other = signed_in(console, PEOPLE["mei"][0])
        form = {"form_token": form_token(other.get("/queue").text), "claim": one.incident_id}
        await asyncio.to_thread(other.post, "/case", data=form)
        await expect(page.locator("[data-part='work']")).to_contain_text("mei works on this.", timeout=4000)
        await expect(page.locator("[data-do='claim']")).to_have_count(0)
        await expect(page.locator("#review")).to_be_hidden()
        await press(page, "c")
        await page.goto(f"{address}/queue?view=others")
        await expect(page.locator("tr[data-row]")).to_contain_text("mei")
        assert [each.by for each in console.sent] == ["mei"]


@pytest.mark.ci
async def test_a_line_that_is_gone_leaves_the_focus_in_its_place(browser: Browser):
    async with market() as (console, address), page_of(browser) as page:
        ids = [one.incident_id for one in console.state.model.incidents.on("to-do")]
        await page.goto(f"{address}/queue")
        await press(page, "j", "j")
        focused = "document.activeElement.dataset.key"
        assert await page.evaluate(focused) == f"i-{ids[1]}"
        one = console.state.model.incidents.get(ids[1])
        assert one is not None
        about = {"incident_id": ids[1], "room_id": one.room_id, "by": "lin", "at": wall_ms()}
        await console.state.ingest.send(Case(**about, kind="claim"))
        await expect(page.locator(f"[data-key='i-{ids[1]}']")).to_have_count(0, timeout=4000)
        assert await page.evaluate(focused) == f"i-{ids[2]}"


@pytest.mark.ci
async def test_what_is_typed_stays_while_the_page_follows(browser: Browser):
    async with market() as (console, address), page_of(browser) as page:
        one = next(iter(console.state.model.incidents.on("to-do")))
        await page.goto(f"{address}/incident?id={one.incident_id}")
        await press(page, "c")
        await expect(page.locator("[data-part='work']")).to_contain_text("You work on this.", timeout=4000)
        await press(page, "d", "ArrowRight")
        await page.get_by_role("textbox", name="Reason").fill("half a sentence")
        await page.locator("[name='freeze_days']").fill("60")
        about = {"incident_id": one.incident_id, "room_id": one.room_id, "by": "lin", "at": wall_ms()}
        await console.state.ingest.send(Case(**about, kind="note", text="I know that host."))
        await expect(page.locator("[data-part='happened']")).to_contain_text("I know that host.", timeout=4000)
        await expect(page.get_by_role("textbox", name="Reason")).to_have_value("half a sentence")
        await expect(page.locator("[name='freeze_days']")).to_have_value("60")
        await expect(page.get_by_role("radio", name="Overturn")).to_be_checked()


@pytest.mark.ci
@pytest.mark.parametrize("scheme, width", [("light", 1360), ("dark", 390)])
async def test_the_pages_of_the_queue_are_accessible_and_fit(browser: Browser, scheme: str, width: int):
    async with (
        market() as (console, address),
        page_of(browser, color_scheme=scheme, viewport={"width": width, "height": 800}) as page,
    ):
        incidents = console.state.model.incidents
        mine = list(incidents.on("to-do"))[:2]
        for one in mine:
            await page.goto(f"{address}/incident?id={one.incident_id}")
            await press(page, "c")
            await expect(page.locator("[data-part='work']")).to_contain_text("You work on this.", timeout=4000)
        paths = ["/handover", f"/incident?id={mine[0].incident_id}", f"/verdict?id={mine[0].verdict_id}"]
        paths += [f"/queue?view={view}" for view in ("to-do", "mine", "others", "snoozed", "changed", "decided")]
        for path in paths:
            await page.goto(address + path)
            await asyncio.sleep(0.5)
            assert (path, await serious(page)) == (path, [])
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
