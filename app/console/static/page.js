// A page about one room, host, supplier or verdict. Its parts arrive as HTML when they change; the focus stays.

import { ago, left, listen } from "./common.js";

const parts = new Map([...document.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));

// A timeline that is wider than the screen opens at its newest end, and stays there while it grows.
const isAtEnd = (drawing) => drawing.scrollLeft + drawing.clientWidth >= drawing.scrollWidth - 2;
for (const drawing of document.querySelectorAll(".drawing")) drawing.scrollLeft = drawing.scrollWidth;

// A list whose order changes waits while the pointer moves over it: no line moves away from the pointer.
const STILL_MS = 2000, waiting = new Map();
const moved = new Map();
for (const part of document.querySelectorAll("[data-hold]")) part.addEventListener("pointermove", () => moved.set(part, performance.now()));
const isStill = (part) => performance.now() - (moved.get(part) ?? -STILL_MS) >= STILL_MS;

function update(part, html) {
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.dataset.key, place = focused ? [...part.querySelectorAll("[data-item]")].indexOf(focused) : -1;
  const scroller = focused?.classList.contains("drawing");
  const before = part.querySelector(".drawing"), scrolled = before?.scrollLeft, atEnd = before && isAtEnd(before);
  part.innerHTML = html; // made by the server's templates, which escape whatever came from events
  const drawing = part.querySelector(".drawing");
  if (drawing) drawing.scrollLeft = atEnd ? drawing.scrollWidth : scrolled ?? 0;
  if (scroller) drawing?.focus({ preventScroll: true });
  else if (key) {
    // A line that is gone leaves the focus to the one in its place, so that j and k go on from there.
    const items = part.querySelectorAll("[data-item]");
    const instead = place < 0 ? null : items[Math.min(place, items.length - 1)];
    (part.querySelector(`[data-key="${CSS.escape(key)}"]`) ?? instead)?.focus({ preventScroll: true });
  }
}

listen(document.body.dataset.live, "page", (message) => {
  for (const [name, html] of Object.entries(message.parts)) if (parts.has(name)) waiting.set(parts.get(name), html);
  settle();
});

function settle() {
  for (const [part, html] of waiting) {
    if (!isStill(part)) continue;
    waiting.delete(part);
    update(part, html);
  }
  tick();
}

function tick() {
  for (const one of document.querySelectorAll("[data-due]")) {
    const text = left(Number(one.dataset.due));
    if (one.textContent !== text) one.textContent = text;
  }
  for (const one of document.querySelectorAll("[data-ago]")) {
    const text = ago(Number(one.dataset.ago));
    if (one.textContent !== text) one.textContent = text;
  }
}
setInterval(settle, 250);
