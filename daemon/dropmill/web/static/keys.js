// Keys, and the sheet that tells them. A page has one set at a time; an overlay puts its own on top.
import { button, el } from "./dom.js";

const STORE = "dropmill.keys";
const sets = [];
let off = false;
try { off = localStorage.getItem(STORE) === "off"; } catch { /* Storage may be forbidden; the keys then work. */ }

// A set: { title, holder, groups: [[heading, [{ keys: ["j"], say: "next group", run }]]], words: [heading, [[word, meaning]]] }
export function use(set) {
  sets.push(set);
  const help = document.getElementById("help");
  help.hidden = false;
  return () => sets.splice(sets.indexOf(set), 1);
}

const isField = (node) => node.closest("input, select, textarea, [contenteditable]") !== null;
const isNative = (node, key) => (key === "Enter" || key === " ") && node.closest("button, a, summary, label") !== null;

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const set = sets.at(-1);
  const open = [...document.querySelectorAll("dialog[open]")].at(-1) ?? null;
  if (open?.classList.contains("keys") && event.key === "?") return open.close();
  if (!set || open !== (set.holder ?? null)) return;
  if (isField(event.target) || isNative(event.target, event.key)) return;
  if (event.key === "?") {
    event.preventDefault();
    return show();
  }
  // Letters can be switched off for those whom they surprise; arrows, space and Enter act on what has the focus.
  if (off && event.key.length === 1 && event.key !== " ") return;
  for (const [, entries] of set.groups) {
    const entry = entries.find((one) => one.keys.includes(event.key));
    if (!entry) continue;
    event.preventDefault();
    if (!event.repeat || entry.again) entry.run(event);
    return;
  }
});

const NAMES = { " ": "space", "ArrowLeft": "←", "ArrowRight": "→", "ArrowUp": "↑", "ArrowDown": "↓", "Escape": "esc" };

function show() {
  const set = sets.at(-1);
  const rows = ([heading, entries]) => el("section", {}, el("h3", {}, heading), el("dl", {}, entries.map((entry) => el(
    "div", {},
    el("dt", {}, entry.keys.map((key) => el("kbd", {}, NAMES[key] ?? key))),
    el("dd", {}, entry.say),
  ))));
  const told = ([heading, words]) => el("section", { class: "words-used" }, el("h3", {}, heading), el("dl", {}, words.map(([word, say]) => el(
    "div", {}, el("dt", {}, word), el("dd", {}, say)))));
  const toggle = el("input", { type: "checkbox", checked: !off, onchange: () => {
    off = !toggle.checked;
    try { localStorage.setItem(STORE, off ? "off" : "on"); } catch { /* It then lasts as long as the page. */ }
  } });
  const dialog = el("dialog", { class: "sheet keys", "aria-labelledby": "sheet-title" },
    el("h2", { id: "sheet-title" }, set.title),
    el("div", { class: "columns" }, set.groups.map(rows), set.words ? told(set.words) : null),
    el("footer", {}, el("label", {}, toggle, " Letters act"), button("Close", { key: "esc", autofocus: true, onclick: () => dialog.close() })));
  const before = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    before?.focus?.({ preventScroll: true });
  });
  document.body.append(dialog);
  dialog.showModal();
}

document.getElementById("help").addEventListener("click", show);
