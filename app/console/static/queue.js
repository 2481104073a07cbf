// Keys of the queue: what is pressed acts on the incident that has the focus, or on the one that the page is about.

import { onKey } from "./common.js";

const row = () => document.activeElement?.closest?.("[data-row]");
const press = (what) => () => {
  const one = (row() ?? document.querySelector("[data-work]"))?.querySelector(`[data-do="${what}"]`);
  if (!one) return false;
  one.click();
};
onKey("c", press("claim"));
onKey("r", press("release"));
for (const [key, what] of [["n", "next"], ["x", "looked"]]) {
  onKey(key, () => {
    const one = document.querySelector(`[data-do="${what}"]`);
    if (!one) return false;
    one.click();
  });
}
for (const [key, what] of [["d", "decision"], ["s", "snooze"], ["w", "note"]]) {
  onKey(key, () => {
    const one = document.querySelector(`[data-focus="${what}"]`);
    if (!one || one.closest("[hidden]")) return false;
    one.focus();
  });
}
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.form?.requestSubmit();
});

// One command at a time: a second press of a button would send it again.
addEventListener("submit", (event) => {
  if (event.target.dataset.sent) return event.preventDefault();
  event.target.dataset.sent = "1";
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

// Forms that belong to who works on the incident follow the answer of Vigil.
function follow() {
  const work = document.querySelector("[data-work]")?.dataset.work;
  if (!work) return;
  for (const one of document.querySelectorAll("[data-when]")) {
    const hidden = !one.dataset.when.split(" ").includes(work);
    if (one.hidden !== hidden && !(hidden && one.contains(document.activeElement))) one.hidden = hidden;
  }
}
const part = document.querySelector('[data-part="work"]');
if (part) new MutationObserver(follow).observe(part, { childList: true });
