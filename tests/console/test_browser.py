"""The console in a real browser: it updates without reload, by keyboard, in light and dark, and is accessible (axe).

Needs the system's Chromium (Debian: `apt-get install chromium`). VIGIL_REQUIRE_CHROMIUM=1 fails where it is missing.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from urllib.parse import quote

import msgspec
import pytest
import uvicorn
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.console.test_auth import LINE, TOKEN
from tests.console.test_line_pages import market
from tests.console.test_line_store import obligation
from tests.console.test_model import risk, verdict
from tests.console.test_server import hostile
from tests.console.test_wall import S, status
from tests.support.console_stories import HOSTILE, ConsoleStage, simulated
from tests.support.needs import program
from vigil.app.console.auth.host_links import HostLinks
from vigil.app.console.http.server import WebServer
from vigil.app.console.ingest.topic_ingest import wall_ms
from vigil.topics.verdicts import RoomStatus

pytestmark = [pytest.mark.ci, pytest.mark.timeout(180)]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = program("CHROMIUM", "the console in a browser is", "chromium", *names)
    async with async_playwright() as playwright:
        # As root (in containers) Chromium has no sandbox.
        shown = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield shown
        await shown.close()


@contextlib.asynccontextmanager
async def served(console: ConsoleStage) -> AsyncIterator[str]:
    """The console on a port, its ticks going on; raises at the end where a page met an error."""
    listener = socket.create_server(("127.0.0.1", 0))
    web = WebServer(uvicorn.Config(console.app, log_config=None, lifespan="off", timeout_graceful_shutdown=2))
    serving = asyncio.create_task(web.serve(sockets=[listener]))
    run_ticks = asyncio.create_task(console.state.run_ticks())
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        console.state.stopping.set()
        web.should_exit = True
        run_ticks.cancel()
        await asyncio.gather(serving, run_ticks, return_exceptions=True)
        listener.close()


@contextlib.asynccontextmanager
async def page_of(browser: Browser, **options: object) -> AsyncIterator[Page]:
    """A page that fails the test when its scripts raise or violate the security policy."""
    context = await browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})  # type: ignore[arg-type]
    page = await context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    yield page
    await context.close()
    assert wrong == []


def live(room_id: str, opened: tuple[tuple[str, int, int], ...] = (), **fields: object) -> RoomStatus:
    """The status of a room now; times are relative to now."""
    body = status(room_id=room_id, **fields)  # type: ignore[arg-type]
    now = wall_ms()
    conditions = [{"rule": rule, "since": now + since, "due": now + due} for rule, since, due in opened]
    figures = msgspec.to_builtins(body) | {"at": now, "open": conditions}
    return msgspec.convert(figures, RoomStatus)


async def test_the_wall_changes_without_reload_within_a_second(browser: Browser):
    console = ConsoleStage()
    for number in range(30):
        console.take("room-status", live(f"room-{number:02}"))
    async with served(console) as address, page_of(browser) as page:
        await page.goto(address)
        await expect(page.locator(".rows .row:visible").first).to_contain_text("room-00")
        await page.evaluate("window.unbroken = 1")
        first = page.locator(".rows .row").first
        seconds = []
        for room_id, left in (("room-27", 40), ("room-28", 30), ("room-29", 20)):
            began = time.monotonic()
            console.take("room-status", live(room_id, (("absence", -280 * S, left * S),)), tick=False)
            seen = f"document.querySelector('.rows .row').textContent.includes('{room_id}')"
            while not await page.evaluate(seen):  # not wait_for_function: the page's policy forbids its eval
                assert time.monotonic() - began < 10
                await asyncio.sleep(0.02)
            seconds.append(time.monotonic() - began)
        assert min(seconds) < 1  # the best of three: the machine may have other work
        await expect(first).to_contain_text("Absence 0:")
        await expect(page.locator("#count-0")).to_have_text("3")
        one = verdict(room_id="room-29")
        console.take("verdict", type(one)(**{n: getattr(one, n) for n in one.__struct_fields__} | {"at": wall_ms()}))
        await expect(page.locator("#latest")).to_contain_text("room-29", timeout=2000)
        assert await page.evaluate("window.unbroken") == 1


async def test_a_thousand_rooms_are_a_few_rows_and_changes_are_few_bytes(browser: Browser):
    console = ConsoleStage()
    for number in range(1000):
        opened = (("absence", -number * S // 4, 300 * S - number * S // 4),) if number % 3 == 0 else ()
        console.take("room-status", live(f"room-{number:04}", opened), tick=False)
    async with served(console) as address, page_of(browser) as page:
        await page.goto(address)
        await expect(page.locator("#count-all")).to_have_text("1000")
        assert await page.locator(".rows .row").count() < 60
        await expect(page.locator("#grid")).to_have_attribute("aria-rowcount", "1001")
        version = console.state.wall.rows.version
        for number in range(1000):  # a second's figures of every room: nothing new on the wall but one
            console.take("room-status", live(f"room-{number:04}", buyers=5 + number // 999), tick=False)
        await asyncio.sleep(1)
        changed = console.state.wall.rows.since(version)
        assert 0 < len(changed) <= 335  # those whose condition is over; the others are not sent again
        await page.locator("#grid").evaluate("grid => { grid.scrollTop = 500 * 31 }")
        await expect(page.locator(".rows .row[aria-rowindex='510']")).to_be_visible()


async def test_everything_by_keyboard(browser: Browser):
    console = ConsoleStage()
    for number in range(5):
        console.take("room-status", live(f"room-{number}"))
    async with served(console) as address, page_of(browser) as page:
        await page.goto(address)
        await expect(page.locator(".rows .row").first).to_contain_text("room-0")
        for key in ("j", "j", "ArrowDown", "k"):
            await page.keyboard.press(key)
        chosen = page.locator(".row[aria-selected='true']")
        await expect(chosen).to_contain_text("room-1")
        grid = page.locator("#grid")
        await expect(grid).to_have_attribute("aria-activedescendant", str(await chosen.get_attribute("id")))
        await page.keyboard.press("p")
        await expect(page.locator("#hold")).to_have_attribute("aria-pressed", "true")
        await page.keyboard.press("5")
        await expect(page.locator("[data-band='4']")).to_have_attribute("aria-pressed", "true")
        await page.keyboard.press("?")
        await expect(page.locator("#keys")).to_be_visible()
        await page.keyboard.press("Escape")
        await page.keyboard.press("/")
        await page.keyboard.type("room-3")
        await expect(page.locator(".rows .row:visible")).to_have_count(1)
        await page.keyboard.press("Escape")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_contain_text("room-")
        await page.keyboard.press("u")
        await expect(page.locator("h1")).to_contain_text("Live rooms")


async def test_a_telephone_shows_what_is_urgent_without_scrolling_sideways(browser: Browser):
    console = ConsoleStage().play(*simulated())
    console.take("room-status", live("room-a", (("absence", -280 * S, 60 * S),), waiting=(("L4", 9 * S),)))
    one = console.state.model.verdicts_of(console.state.model.verdicts)[0]
    paths = ["/", "/suppliers", f"/room?id={one.room_id}", f"/host?id={one.host_id}", f"/verdict?id={one.verdict_id}"]
    paths += ["/supplier?id=merchant-00001", "/supplier?id=s", "/obligations", "/product?id=s%2Flamp"]
    console.play_lines(*market())
    async with served(console) as address, page_of(browser, viewport={"width": 390, "height": 800}) as page:
        for path in paths:
            await page.goto(address + path)
            await asyncio.sleep(0.3)
            assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path
            narrow = (
                "[...document.querySelectorAll('.panel')].filter(one => one.getBoundingClientRect().width < 300).length"
            )
            assert await page.evaluate(narrow) == 0, path
        assert await serious(page) == []
        await page.goto(address + f"/room?id={one.room_id}")
        await page.wait_for_function("document.querySelector('.drawing').scrollLeft > 100")  # its script has run
        assert await page.locator(".drawing").evaluate(
            "one => one.scrollLeft + one.clientWidth >= one.scrollWidth - 2"
        ), "not at its end"
        await page.goto(address + "/suppliers")
        cells = "[...document.querySelectorAll('td, th')]"
        narrow = f"{cells}.filter(one => one.textContent.trim().length > 3 && one.clientWidth < 30).length"
        assert await page.evaluate(narrow) == 0, "a column is too narrow for its words"
        await page.goto(address)
        await expect(page.locator("#latest li").first).to_be_in_viewport()
        await expect(page.locator(".zone summary")).to_have_text("UTC")
        await expect(page.locator(".rows .row:visible").first.locator(".c-open .chip")).to_be_in_viewport(ratio=1)
        console.state.ingest.trouble = "no broker " * 20
        await expect(page.locator("#state")).to_contain_text("no broker", timeout=3000)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_what_is_due_overlaps_nothing_on_a_telephone(browser: Browser):
    console = ConsoleStage().play_lines(*market())
    over = """() => [...document.querySelectorAll(".due tr")].filter((row) => {
        const boxes = [...row.querySelectorAll("td > *")].map((one) => one.getBoundingClientRect());
        return boxes.some((a, i) => boxes.slice(i + 1).some((b) =>
            a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4));
    }).map((row) => row.textContent)"""
    async with served(console) as address:
        for width in (400, 1000):
            async with page_of(browser, viewport={"width": width, "height": 800}) as page:
                for path in ("/obligations", "/supplier?id=s"):
                    await page.goto(address + path)
                    assert await page.locator(".due tbody tr").count() > 0
                    assert (width, path, await page.evaluate(over)) == (width, path, [])


async def test_a_telephone_shows_the_state_of_the_connection_and_whole_headings(browser: Browser):
    console = ConsoleStage().take("room-status", live("r"))
    async with served(console) as address, page_of(browser, viewport={"width": 400, "height": 800}) as page:
        await page.goto(address)
        await expect(page.locator("#state")).to_have_text("Live")
        for one in ("#state", ".head .c-open", ".head .c-room"):
            assert await page.locator(one).evaluate("one => one.scrollWidth <= one.clientWidth"), one


async def test_each_browser_shows_its_own_time_zone_until_its_person_chooses_another(browser: Browser):
    console = ConsoleStage().take("room-status", live("r")).take("verdict", verdict())
    async with served(console) as address, page_of(browser, timezone_id="Asia/Shanghai") as page:
        await page.goto(f"{address}/verdict?id=v1")
        await expect(page.locator(".zone summary")).to_have_text("Asia/Shanghai UTC+08:00")
        await expect(page.locator(".facts")).to_contain_text("2022-09-02 00:05:00")
        await page.locator(".zone summary").click()
        await page.get_by_role("link", name="UTC", exact=True).click()
        await expect(page.locator(".zone summary")).to_have_text("UTC")
        await expect(page.locator(".facts")).to_contain_text("2022-09-01 16:05:00")
        await page.goto(f"{address}/")
        await expect(page.locator(".zone summary")).to_have_text("UTC")
        await page.locator(".zone summary").click()
        await page.get_by_role("link", name="This browser's (Asia/Shanghai)").click()
        await expect(page.locator(".zone summary")).to_contain_text("UTC+08:00")


async def test_at_a_thousand_pixels_the_latest_verdicts_and_the_time_zone_are_shown(browser: Browser):
    console = ConsoleStage().take("room-status", live("r")).take("verdict", verdict())
    async with served(console) as address, page_of(browser, viewport={"width": 1000, "height": 700}) as page:
        await page.goto(address)
        await expect(page.locator("#latest li a.rule")).to_be_in_viewport()
        await expect(page.locator(".zone summary")).to_have_text("UTC")


async def test_a_rooms_page_follows_and_keeps_what_is_focused(browser: Browser):
    console = ConsoleStage().take("room-status", live("r")).take("verdict", verdict())
    async with served(console) as address, page_of(browser) as page:
        await page.goto(f"{address}/room?id=r")
        await page.locator("a[data-item]").focus()
        console.take("room-status", live("r", (("black-screen", -90 * S, 30 * S),)))
        await expect(page.locator("[data-part='status']")).to_contain_text("Black screen", timeout=2500)
        console.take("verdict", verdict("black-screen", name="v2"))
        await expect(page.locator(".card")).to_have_count(2, timeout=2500)
        assert await page.evaluate("document.activeElement.dataset.key") == "review-v1"
        left = page.locator("[data-due]").first
        before = await left.text_content()
        await expect(left).not_to_have_text(str(before), timeout=2500)


async def test_the_list_of_obligations_follows_but_not_under_the_pointer(browser: Browser):
    console = ConsoleStage()
    now = wall_ms()
    for number in range(3):
        one = msgspec.structs.replace(obligation(str(number)), due=now + (number + 1) * 3_600_000)
        console.take("obligation", one, one.obligation_id)
    async with served(console) as address, page_of(browser) as page:
        await page.goto(address)
        await page.keyboard.press("o")
        first = page.locator(".due tbody tr").first
        await expect(first).to_contain_text("request-0")
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        assert await page.evaluate("document.activeElement.dataset.key") == "o-1"
        console.take("obligation", msgspec.structs.replace(obligation("9"), due=now + 60_000), "9")
        await expect(first).to_contain_text("request-9", timeout=2500)
        assert await page.evaluate("document.activeElement.dataset.key") == "o-1"
        await first.hover()
        await page.mouse.move(300, 300)
        console.take("obligation", msgspec.structs.replace(obligation("8"), due=now + 30_000), "8")
        await asyncio.sleep(1.2)
        await expect(first).to_contain_text("request-9")
        await expect(first).to_contain_text("request-8", timeout=4000)
        await page.get_by_label("Duty").select_option("service-parts")
        await page.get_by_role("button", name="Filter").click()
        await expect(page.locator("#main")).to_contain_text("No obligation fits.")


async def test_a_moderator_signs_in_and_overturns(browser: Browser):
    console = ConsoleStage(tokens=LINE).take("room-status", live("r")).take("verdict", verdict())
    async with served(console) as address, page_of(browser) as page:
        await page.goto(f"{address}/verdict?id=v1")
        await page.get_by_label("Your token").fill(TOKEN)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator("h1")).to_contain_text("Absence")
        await page.get_by_role("radio", name="Overturn").check()
        await page.get_by_role("textbox", name="Reason").fill("the host was in the picture")
        await page.get_by_role("button", name="Send review").click()
        await expect(page.locator(".note")).to_contain_text("was sent")
        (review,) = console.sent
        assert (review.by, review.decision, review.reason) == ("mei", "overturned", "the host was in the picture")
        console.take("review", review)
        await expect(page.locator("[data-part='reviews']")).to_contain_text("overturned by mei", timeout=2500)


async def test_hostile_names_run_nothing_and_stay_in_their_place(browser: Browser):
    console = hostile()
    console.take("room-status", live(HOSTILE))
    async with served(console) as address, page_of(browser) as page:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        for path in ("/", "/room", "/host", "/verdict", "/supplier", "/search"):
            await page.goto(f"{address}{path}?id={quote(HOSTILE)}&q={quote(HOSTILE)}")
            await expect(page.locator("#main")).to_contain_text("<img src=x", timeout=3000)
            await asyncio.sleep(0.8)
            assert await page.locator("img").count() == 0


async def serious(page: Page) -> list[tuple[str, str, str]]:
    """What axe finds wrong with a page: the rule, where, and how to mend it."""
    found = (await Axe().run(page)).response["violations"]
    bad = [each for each in found if each["impact"] in ("serious", "critical")]
    return [(each["id"], one["html"][:200], one["failureSummary"][:300]) for each in bad for one in each["nodes"][:1]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_serious_violation_of_accessibility(browser: Browser, scheme: str):
    console = ConsoleStage().play(*simulated())
    console.take("room-status", live("room-a", (("absence", -280 * S, 60_000 * S), ("dead-air", 0, 90_000 * S))))
    console.take("room-status", live("room-b", waiting=(("L4", 9 * S),)))
    model = console.state.model
    one = model.verdicts_of(model.verdicts)[0]
    paths = ["/", "/suppliers", "/rules", "/search?q=merchant", f"/room?id={one.room_id}", f"/host?id={one.host_id}"]
    paths += [f"/verdict?id={one.verdict_id}", "/supplier?id=merchant-00001"]
    console.play_lines(*market())
    lines = console.state.model.lines
    paths += [
        "/supplier?id=s",
        "/product?id=s%2Flamp",
        "/obligations",
        f"/obligation?id={next(iter(lines.obligations))}",
    ]
    async with served(console) as address, page_of(browser, color_scheme=scheme, reduced_motion="reduce") as page:
        for path in paths:
            answer = await page.goto(address + path)
            assert answer is not None and answer.ok
            await asyncio.sleep(0.7)
            assert (path, await serious(page)) == (path, [])


def host_record() -> tuple[ConsoleStage, str]:
    """A console that has read a simulation, and a link to the page of a host with verdicts and a warning."""
    console = ConsoleStage(host_link_keys="k" * 64).play(*simulated())
    model = console.state.model
    host, room = next((one.host_id, one.room_id) for _, one in model.verdicts.items() if model.action(one.verdict_id))
    warned = msgspec.structs.replace(risk(0, "black-screen", due=900 * S), host_id=host, room_id=room)
    console.take("incident", warned)
    token = HostLinks(("k" * 64,)).token(host, int(time.time()) + 600)
    return console, f"/for-host?token={token}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_a_hosts_page_is_accessible_on_a_screen_and_on_a_phone(browser: Browser, scheme: str, language: str):
    console, path = host_record()
    async with served(console) as address:
        for width in (1200, 380):
            options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
            async with page_of(browser, **options) as page:
                await page.goto(f"{address}{path}&lang={language}")
                await expect(page.locator("article.risk")).to_be_visible()
                left = "one => one.getBoundingClientRect().left"
                heads = [await page.locator(one).evaluate(left) for one in ("h1", ".title h2", "#verdicts-title")]
                assert max(heads) - min(heads) < 1, "the headings stand in one line"
                for summary in await page.locator("summary").all():
                    await summary.click()
                assert await serious(page) == []
                wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
                assert not await page.evaluate(wide)


async def test_a_host_appeals_by_keyboard_and_without_scripts(browser: Browser):
    console, path = host_record()
    async with served(console) as address, page_of(browser, java_script_enabled=False) as page:
        await page.goto(address + path)
        article = page.locator("article.verdict").first
        await article.locator("summary").focus()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.type("The camera was on; see the recording.")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_have_text("Your appeal was sent.")
        await expect(article.locator("textarea")).to_have_count(0)
        await expect(article.locator(".note")).to_contain_text("A moderator will look at it again.")
        (review,) = console.sent
        assert (review.decision, review.reason) == ("appealed", "The camera was on; see the recording.")
        await page.get_by_role("link", name="中文").click()
        await expect(page.locator("html")).to_have_attribute("lang", "zh")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_theme_switch_overrides_the_systems_colours(browser: Browser, theme: str):
    other = "dark" if theme == "light" else "light"
    async with served(ConsoleStage()) as address, page_of(browser, color_scheme=other) as page:
        await page.goto(address)
        colour = "getComputedStyle(document.body).backgroundColor"
        before = await page.evaluate(colour)
        await page.get_by_label(f"Theme: {theme.capitalize()}").click()
        await expect(page.locator("html")).to_have_attribute("data-theme", theme)
        assert await page.evaluate(colour) != before


async def test_a_lost_connection_is_shown(browser: Browser):
    console = ConsoleStage().take("room-status", live("r"))
    async with page_of_lost(browser) as page, served(console) as address:
        await page.goto(address)
        await expect(page.locator(".rows .row:visible")).to_have_count(1)
        await page.context.set_offline(True)
        console.state.stopping.set()
        await expect(page.locator("#state")).to_contain_text("Connection lost", timeout=5000)


@contextlib.asynccontextmanager
async def page_of_lost(browser: Browser) -> AsyncIterator[Page]:
    """A page whose network errors are expected."""
    context = await browser.new_context()
    yield await context.new_page()
    await context.close()
