// A page about one room, host, supplier or verdict. Its parts arrive as HTML when they change; the focus stays.

import { left, listen } from "./common.js";

const parts = new Map([...document.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));

listen(document.body.dataset.live, "page", (message) => {
  for (const [name, html] of Object.entries(message.parts)) {
    const part = parts.get(name);
    if (!part) continue;
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const key = focused?.dataset.key, scroller = focused?.classList.contains("drawing");
    const scrolled = part.querySelector(".drawing")?.scrollLeft;
    part.innerHTML = html; // made by the server's templates, which escape whatever came from events
    const drawing = part.querySelector(".drawing");
    if (drawing && scrolled) drawing.scrollLeft = scrolled;
    if (scroller) drawing?.focus({ preventScroll: true });
    else if (key) part.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  }
  tick();
});

function tick() {
  for (const one of document.querySelectorAll("[data-due]")) {
    const text = left(Number(one.dataset.due));
    if (one.textContent !== text) one.textContent = text;
  }
}
setInterval(tick, 250);
