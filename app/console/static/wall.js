// The wall: the browser has every row and draws those in view, sorted by urgency. The order is not changed while the
// pointer is over the list or somebody holds it: no row moves away from the pointer.

import { ago, clock, left, listen, now, onKey, say } from "./common.js";

const HEIGHT = 31, BEYOND = 6, STILL_MS = 2000, SORT_MS = 250;
const LEVELS = ["critical", "violated", "at-risk", "watch", "calm"];

const grid = document.getElementById("grid");
const body = document.getElementById("rows");
const empty = document.getElementById("empty");
const hold = document.getElementById("hold");
const search = document.getElementById("search");
const latest = document.getElementById("latest");

const rows = new Map();
let order = [], selected = null, band = "", wanted = "", held = false, moved = -STILL_MS, sorted = 0, pending = true;

const byUrgency = (a, b) => a.b - b.b || a.k - b.k || (a.r < b.r ? -1 : 1);
const fits = (row) => (band === "" || row.b === band) &&
  (!wanted || row.r.toLowerCase().includes(wanted) || row.h.toLowerCase().includes(wanted) || row.o.some((one) => say("rule." + one[0]).toLowerCase().includes(wanted)));

function sort(force) {
  const time = performance.now();
  if (!force && (!pending || held || time - moved < STILL_MS || time - sorted < SORT_MS)) {
    if (pending) order = order.filter((row) => rows.has(row.r)).map((row) => rows.get(row.r));
    return;
  }
  sorted = time;
  pending = false;
  order = [...rows.values()].filter(fits).sort(byUrgency);
  grid.setAttribute("aria-rowcount", order.length + 1);
  empty.hidden = order.length > 0;
  empty.textContent = say(rows.size ? "wall.none-here" : "wall.none");
}

// ---- drawing

function element(kind, name, text) {
  const one = document.createElement(kind);
  if (name) one.className = name;
  if (text !== undefined) one.textContent = text;
  return one;
}

function make() {
  const row = element("div", "row");
  row.setAttribute("role", "row");
  const cells = {};
  for (const name of ["room", "host", "stream", "open", "wait", "num", "missed", "last"]) {
    const cell = element("span", "c-" + (name === "missed" ? "num" : name));
    cell.setAttribute("role", "gridcell");
    row.append(cells[name] = cell);
  }
  return { row, cells, shown: null, clocks: [] };
}

function link(kind, id, text) {
  const one = element("a", "id");
  one.href = `/${kind}?id=${encodeURIComponent(id)}`;
  one.tabIndex = -1;
  one.title = id;
  one.append(element("bdi", "", text ?? id));
  return one;
}

function chip(level, text, due, since) {
  const one = element("span", "chip " + level);
  one.append(element("span", "what", text));
  if (due) {
    const clock = element("b", "left");
    one.append(" ", clock); // a space, for screen readers
    const bar = since ? element("i", "gone") : null;
    if (bar) one.append(bar);
    return [one, { clock, bar, due, since }];
  }
  return [one, null];
}

function continuing(rule, violated) {
  const [one] = chip("violated", `${say("rule." + rule)}: ${say("continuing")}`);
  one.title = `${say("rule." + rule)}: ${say("continuing.since").replace("{time}", clock(violated))}`;
  one.append(" ", element("b", "left", clock(violated)));
  return one;
}

function fill(slot, row) {
  const { cells } = slot;
  slot.shown = row;
  slot.clocks = [];
  slot.row.className = `row ${LEVELS[row.b]}`;
  cells.room.replaceChildren(link("room", row.r));
  cells.host.replaceChildren(link("host", row.h));
  const stream = row.l ? "lost" : row.s;
  cells.stream.replaceChildren(...(stream && stream !== "live" ? [element("span", stream === "ended" ? "badge" : "badge bad", say("stream." + stream))] : [element("span", "badge ok", stream ? say("stream.live") : "–")]));
  const add = (cell, [one, clock]) => { cell.append(one); if (clock) slot.clocks.push(clock); };
  cells.open.replaceChildren();
  const most = row.o.length <= room ? row.o.length : Math.max(1, room - 1);
  for (const [rule, since, due, level, violated] of row.o.slice(0, most)) {
    if (violated) add(cells.open, [continuing(rule, violated), null]);
    else add(cells.open, chip(LEVELS[level], say("rule." + rule), due, rule === "greeting-miss" ? null : since));
  }
  if (most < row.o.length) cells.open.append(element("small", "more", "+" + (row.o.length - most)));
  cells.wait.replaceChildren();
  for (const [due, tier] of row.w) add(cells.wait, chip("tier", tier, due));
  cells.num.textContent = row.n[0];
  cells.missed.textContent = row.n[2] || "";
  cells.last.replaceChildren();
  if (row.v) {
    const [rule, at, id] = row.v;
    cells.last.append(link("verdict", id, say("rule." + rule)), element("small", "ago", ""));
    slot.ago = at;
    if (row.n[3] > 1) cells.last.append(element("small", "", "×" + row.n[3]));
  } else slot.ago = null;
}

const slots = [];
let room = 2; // how many conditions fit side by side
function draw() {
  sort(false);
  const head = grid.firstElementChild.offsetHeight;
  const first = Math.max(0, Math.floor(grid.scrollTop / HEIGHT) - BEYOND);
  const last = Math.min(order.length, Math.ceil((grid.scrollTop + grid.clientHeight - head) / HEIGHT) + BEYOND);
  while (slots.length < last - first) {
    slots.push(make());
    body.append(slots.at(-1).row);
  }
  body.style.paddingTop = `${first * HEIGHT}px`;
  body.style.paddingBottom = `${Math.max(0, order.length - last) * HEIGHT}px`;
  const wide = Math.max(1, Math.floor((grid.querySelector(".head .c-open").clientWidth - 20) / 110));
  if (wide !== room) {
    room = wide;
    for (const slot of slots) slot.shown = null;
  }
  let active = "";
  slots.forEach((slot, index) => {
    const row = order[first + index];
    slot.row.hidden = first + index >= last;
    if (slot.row.hidden) return;
    if (slot.shown !== row) fill(slot, row);
    slot.row.id = `row-${first + index}`;
    slot.row.setAttribute("aria-rowindex", first + index + 2);
    const chosen = row.r === selected;
    slot.row.setAttribute("aria-selected", chosen);
    if (chosen) active = slot.row.id;
    for (const { clock, bar, due, since } of slot.clocks) {
      const text = left(due);
      if (clock.textContent !== text) clock.textContent = text;
      if (bar) bar.style.width = `${Math.min(100, Math.max(0, ((now() - since) / (due - since)) * 100))}%`;
    }
    if (slot.ago) slot.cells.last.querySelector(".ago").textContent = ago(slot.ago);
  });
  if (active) grid.setAttribute("aria-activedescendant", active);
  else grid.removeAttribute("aria-activedescendant");
}

// ---- the latest verdicts

const news = new Map();
let newsChanged = false;
function drawLatest() {
  if (newsChanged && !latest.matches(":hover")) {
    newsChanged = false;
    const focused = document.activeElement?.closest?.("#latest li")?.dataset.id;
    latest.replaceChildren(...[...news.values()].sort((a, b) => b.a - a.a).slice(0, 60).map(item));
    if (focused) latest.querySelector(`[data-id="${CSS.escape(focused)}"] a`)?.focus({ preventScroll: true });
    if (!news.size) latest.append(element("li", "none", say("verdicts.none")));
  }
  for (const one of latest.querySelectorAll("small[data-at]")) one.textContent = ago(Number(one.dataset.at));
}

function item(one) {
  const entry = element("li", one.x ? "withdrawn" : "");
  entry.dataset.id = one.i;
  const what = link("verdict", one.i, say("rule." + one.u));
  what.className = "rule";
  what.tabIndex = 0;
  const when = element("small", "ago");
  when.dataset.at = one.a;
  const where = element("span", "where");
  const room = link("room", one.r);
  room.tabIndex = 0;
  where.append(room);
  const steps = element("span", "steps", one.t.map((step) => (one.q.includes(step) ? one.q : [step]).map((each) => say("step." + each)).join(say("or"))).join(say("comma")) + (one.c > 1 ? ` (${one.c})` : ""));
  entry.append(what, when, where, steps);
  if (one.j && one.j !== one.u) entry.insertBefore(element("bdi", "label", say("label." + one.j)), when);
  if (one.d) entry.append(element("span", "reviewed " + one.d, say("reviewed." + one.d)));
  return entry;
}

// ---- events from the server

listen("/live/wall", "wall", (message) => {
  if (message.whole) { rows.clear(); news.clear(); newsChanged = true; }
  for (const row of message.rows) {
    if (typeof row === "string") rows.delete(row);
    else rows.set(row.r, row);
  }
  for (const one of message.verdicts) {
    newsChanged = true;
    if (typeof one === "string") news.delete(one);
    else news.set(one.i, one);
  }
  pending ||= message.whole || message.rows.length > 0;
  let all = 0;
  LEVELS.forEach((level, index) => {
    document.getElementById("count-" + index).textContent = message.counts[level];
    all += message.counts[level];
  });
  document.getElementById("count-all").textContent = all;
  grid.dataset.ready = "1";
  if (message.whole) sort(true);
  draw();
  drawLatest();
});
setInterval(() => { draw(); drawLatest(); }, 250);
grid.addEventListener("scroll", draw, { passive: true });
addEventListener("resize", draw);

// ---- pointer and keyboard

for (const [kind, when] of [["pointermove", true], ["pointerleave", false]]) {
  grid.addEventListener(kind, () => { moved = when ? performance.now() : -STILL_MS; });
}
function setHold(on) {
  held = on;
  hold.setAttribute("aria-pressed", on);
  pending = true;
}
hold.addEventListener("click", () => setHold(!held));
onKey("p", () => setHold(!held));

const bands = [...document.querySelectorAll("[data-band]")];
function show(chosen) {
  band = chosen === "" ? "" : Number(chosen);
  for (const button of bands) button.setAttribute("aria-pressed", button.dataset.band === String(chosen));
  grid.scrollTop = 0;
  sort(true);
  draw();
}
for (const button of bands) button.addEventListener("click", () => show(button.dataset.band));
onKey("0", () => show(""));
for (const index of LEVELS.keys()) onKey(String(index + 1), () => show(String(index)));

search.addEventListener("input", () => {
  wanted = search.value.trim().toLowerCase();
  grid.scrollTop = 0;
  sort(true);
  draw();
});

function select(index) {
  if (!order.length) return;
  index = Math.min(Math.max(index, 0), order.length - 1);
  selected = order[index].r;
  moved = performance.now();
  const head = grid.firstElementChild.offsetHeight, top = index * HEIGHT;
  if (top < grid.scrollTop) grid.scrollTop = top;
  else if (top + HEIGHT + head > grid.scrollTop + grid.clientHeight) grid.scrollTop = top + HEIGHT + head - grid.clientHeight;
  draw();
}
const at = () => order.findIndex((row) => row.r === selected);
const page = () => Math.max(1, Math.floor(grid.clientHeight / HEIGHT) - 2);
const elsewhere = () => latest.contains(document.activeElement);
const moves = {
  j: () => select(at() + 1), ArrowDown: () => select(at() + 1),
  k: () => select(Math.max(at(), 1) - 1), ArrowUp: () => select(Math.max(at(), 1) - 1),
  PageDown: () => select(at() + page()), PageUp: () => select(at() - page()),
  Home: () => select(0), End: () => select(order.length - 1),
};
for (const [key, move] of Object.entries(moves)) {
  onKey(key, () => {
    if (elsewhere()) return false;
    grid.focus({ preventScroll: true });
    move();
  });
}
onKey("Enter", (event) => {
  if (event.target.closest("a, button") || !selected) return false;
  location.assign(`/room?id=${encodeURIComponent(selected)}`);
});
grid.addEventListener("click", (event) => {
  const row = event.target.closest(".rows .row");
  if (!row) return;
  select(slots.findIndex((slot) => slot.row === row) + Math.max(0, Math.floor(grid.scrollTop / HEIGHT) - BEYOND));
});
grid.addEventListener("dblclick", () => selected && location.assign(`/room?id=${encodeURIComponent(selected)}`));
