"""Takes the screenshots of the documentation from a running demo: `python -m tools.pictures` or `make pictures`.

Needs the system's Chromium and a font with Chinese characters (Debian: `chromium fonts-noto-core fonts-wqy-microhei`).
"""

import asyncio
import contextlib
import io
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright
from rich.console import Console

from vigil.app.demo.run import Demo, DemoOptions
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.observability.logs import configure_logging

FOLDER: Final = Path(__file__).parents[1] / "docs" / "pictures"
MAX_BYTES: Final = 150_000
COLOURS: Final = 192
PERSON: Final = "mei"
"""The moderator in the pictures."""
SETTLE_S: Final = 25.0
"""Time in which the demo judges its backlog."""
WIDE: Final = {"width": 1360, "height": 800}
TELEPHONE: Final = {"width": 390, "height": 700}


async def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("error: there is no Chromium: apt-get install chromium fonts-noto-core fonts-wqy-microhei")
    os.environ["LOGNAME"] = PERSON  # the console's name for the user of this machine
    configure_logging("error", "text")
    FOLDER.mkdir(exist_ok=True)
    async with running_demo() as demo, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        await terminal(browser, demo)
        address = demo.url.rstrip("/")
        async with page_of(browser, WIDE, "light") as page:
            await page.goto(f"{address}/")
            await save(page, "wall")
            room, host, verdict = await most_eventful(page)
            await page.goto(address + room)
            await save(page, "room", whole=True)
            await page.goto(address + verdict)
            await page.get_by_role("radio", name="Overturn").check()
            await page.get_by_role("textbox", name="Reason").fill("The picture was black on the marketplace's side.")
            await save(page, "verdict", whole=True)
            await page.goto(f"{address}/queue")
            await save(page, "queue")
            await page.keyboard.press("n")
            await page.get_by_text("You work on this.").wait_for()
            await page.get_by_role("radio", name="Uphold").check()
            await save(page, "incident", whole=True)
            await page.goto(f"{address}/obligations")
            await save(page, "obligations")
            await page.locator(".due a[href^='/supplier']").first.click()
            await page.locator("[data-part='products'] td a").first.click()
            await save(page, "product", whole=True)
        async with page_of(browser, WIDE, "dark") as page:
            await page.goto(address + host)
            await save(page, "host", whole=True)
            await page.goto(f"{address}/suppliers")
            await page.locator("td:first-child a").nth(3).click()
            await save(page, "supplier")
        async with page_of(browser, TELEPHONE, "dark", "zh-CN") as page:
            await page.goto(f"{address}/")
            await save(page, "telephone")
        await browser.close()


@contextlib.asynccontextmanager
async def running_demo() -> AsyncIterator[Demo]:
    """Yield a demo that has judged its backlog; stop it in any case."""
    options = DemoOptions(rooms=24, suppliers=30, seed=1)
    demo = Demo(Console(file=io.StringIO()), load_rulebook(), options)
    running = asyncio.create_task(demo.run())
    try:
        await asyncio.wait({running}, timeout=SETTLE_S)
        for _ in range(240):
            if running.done() or (demo.url and demo.view.suppliers and demo.view.verdicts):
                break
            await asyncio.sleep(0.25)
        if running.done():
            await running  # raises its error
        yield demo
    finally:
        demo.stop()
        await asyncio.wait_for(running, 30)


@contextlib.asynccontextmanager
async def page_of(browser: Browser, size: Any, scheme: Any, language: str = "en") -> AsyncIterator[Page]:
    context = await browser.new_context(
        viewport=size, color_scheme=scheme, locale=language, reduced_motion="reduce", device_scale_factor=1
    )
    yield await context.new_page()
    await context.close()


async def most_eventful(page: Page) -> tuple[str, str, str]:
    """Return the paths of the room with the most conditions and verdicts, its host and its latest verdict."""
    found: list[str] = await page.evaluate(
        """() => {
            const rows = [...document.querySelectorAll(".rows .row")].filter((row) => row.querySelector(".c-last a"));
            const much = (row) => 2 * row.querySelectorAll(".c-open .chip").length
                + Number((row.querySelector(".c-last").textContent.match(/×(\\d+)/) ?? [0, 1])[1]);
            const row = rows.sort((a, b) => much(b) - much(a))[0];
            return [...row.querySelectorAll(".c-room a, .c-host a, .c-last a")].map((a) => a.getAttribute("href"));
        }"""
    )
    room, host, verdict = found
    return room, host, verdict


async def terminal(browser: Browser, demo: Demo) -> None:
    """Save what `make demo` shows in a terminal of 130 columns."""
    console = Console(file=io.StringIO(), record=True, width=130, height=44, force_terminal=True)
    console.print(demo.picture(console))
    drawn = console.export_svg(title="make demo", font_aspect_ratio=0.6)
    async with page_of(browser, {"width": 1200, "height": 900}, "dark") as page:
        style = "<style>body { margin: 0; background: #0f1317 } svg { display: block; width: 1200px }</style>"
        await page.set_content(style + drawn)
        await save(page, "demo", page.locator("svg").first)


async def save(page: Page, name: str, part: Any = None, *, whole: bool = False) -> None:
    await page.wait_for_timeout(1500)
    shot = await part.screenshot() if part is not None else await page.screenshot(full_page=whole)
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    small = picture.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    path = FOLDER / f"{name}.png"
    small.save(path, optimize=True)
    print(f"{path.relative_to(Path.cwd())}: {path.stat().st_size / 1000:.0f} kB")
    if path.stat().st_size > MAX_BYTES:
        sys.exit(f"error: {path} is larger than {MAX_BYTES / 1000:.0f} kB")


if __name__ == "__main__":
    asyncio.run(main())
