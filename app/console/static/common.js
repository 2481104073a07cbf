// What every page has: the server's time, the state of the connection, and the keyboard.

export const words = JSON.parse(document.getElementById("words").textContent);
export const say = (key) => words[key] ?? key.slice(key.indexOf(".") + 1);

const server = { now: Number(document.body.dataset.now), here: performance.now(), frozen: !!document.body.dataset.frozen };

/** The server's time in ms; it does not advance where recorded data is shown. */
export function now() {
  return server.frozen ? server.now : server.now + performance.now() - server.here;
}

export function heard(message) {
  server.now = message.now;
  server.here = performance.now();
  server.frozen = message.frozen;
  show(message.state);
}

// ---- the time zone: the browser's own, until somebody chooses another

export const zone = document.body.dataset.zone;
const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
const choice = document.getElementById("zone-here");
if (here && choice) {
  const set = new URL(choice.href);
  set.searchParams.set("zone", here);
  choice.href = set;
  choice.append(` (${here})`);
  choice.parentElement.hidden = false;
  // Once for each browser; where cookies are refused, the page stays as it is.
  if (here !== zone && !document.body.dataset.zoneChosen && !sessionStorage.getItem("vigil-zone")) {
    sessionStorage.setItem("vigil-zone", here);
    location.replace(set);
  }
}

const state = document.getElementById("state");
function show({ level, text }) {
  if (state && state.textContent !== text) state.textContent = text;
  if (state) state.dataset.level = level;
}

const timeOfDay = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit", second: "2-digit" });
/** The time of day of an event time, in the page's time zone. */
export const clock = (at) => timeOfDay.format(at);

/** Minutes and seconds left. */
export function left(due) {
  const seconds = Math.max(0, Math.ceil((due - now()) / 1000));
  const hours = Math.floor(seconds / 3600);
  const rest = `${String(Math.floor(seconds / 60) % 60).padStart(hours ? 2 : 1, "0")}:${String(seconds % 60).padStart(2, "0")}`;
  return hours ? `${hours}:${rest}` : rest;
}

/** How long ago an event time is, by its largest unit. */
export function ago(at) {
  const seconds = Math.max(0, Math.floor((now() - at) / 1000));
  const [unit, length] = seconds < 60 ? ["second", 1] : seconds < 3600 ? ["minute", 60] : seconds < 172800 ? ["hour", 3600] : ["day", 86400];
  return say("ago." + unit).replace("{n}", Math.floor(seconds / length));
}

/** Listen to changes. A connection that is silent for 12 seconds counts as lost, and is opened again. */
export function listen(address, event, take) {
  let source, last;
  const connect = () => {
    source = new EventSource(address);
    last = performance.now();
    source.addEventListener(event, (message) => {
      last = performance.now();
      const data = JSON.parse(message.data);
      heard(data);
      take(data);
    });
    source.onerror = () => {
      show({ level: "bad", text: say("live.off") });
      if (source.readyState === EventSource.CLOSED) check();
    };
  };
  let checking = false;
  const check = async () => {
    if (checking) return;
    checking = true;
    source.close();
    try {
      const answer = await fetch("/live/check", { cache: "no-store" });
      if (answer.status === 401) return location.assign("/sign-in?back=" + encodeURIComponent(location.pathname + location.search));
    } catch { /* the server cannot be reached yet */ }
    await new Promise((done) => setTimeout(done, 1500));
    checking = false;
    connect();
  };
  setInterval(() => {
    if (!checking && performance.now() - last > 12000) {
      show({ level: "bad", text: say("live.off") });
      check();
    }
  }, 1000);
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (shown) => shown.persisted && connect());
  connect();
}

// ---- keyboard

const dialog = document.getElementById("keys");
const opener = document.getElementById("keys-open");
const switched = document.getElementById("keys-on");
const stored = (() => { try { return localStorage; } catch { return {}; } })();
switched.checked = stored["vigil-keys"] !== "off";
switched.addEventListener("change", () => { stored["vigil-keys"] = switched.checked ? "on" : "off"; });
opener.hidden = false;
opener.addEventListener("click", () => dialog.showModal());

const keys = new Map();
/** Call `act` when a single key is pressed, but not while somebody types. */
export function onKey(key, act) {
  keys.set(key, act);
}
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=radio]):not([type=checkbox]), textarea, select, dialog");
  if (event.key === "Escape" && typing && !dialog.open) return typing.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !switched.checked) return;
  const act = keys.get(event.key);
  if (act && act(event) !== false) event.preventDefault();
});

onKey("/", () => document.getElementById("search")?.select());
onKey("?", () => dialog.showModal());
onKey("u", () => location.assign("/"));
onKey("o", () => location.assign("/obligations"));
onKey("q", () => location.assign("/queue"));
onKey("h", () => location.assign("/handover"));

// Lists of links: j and k go from one to the next.
function step(by) {
  const items = [...document.querySelectorAll("[data-item]")];
  if (!items.length) return false;
  const at = items.indexOf(document.activeElement);
  items[at < 0 ? (by > 0 ? 0 : items.length - 1) : Math.min(Math.max(at + by, 0), items.length - 1)].focus();
}
onKey("j", () => step(1));
onKey("k", () => step(-1));
