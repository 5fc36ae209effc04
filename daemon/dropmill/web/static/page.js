// Keeps the page fresh: asks for the same HTML that the server renders, and exchanges only what differs.
import { draw } from "./charts.js";
import { listen } from "./live.js";

const live = document.getElementById("live");
const EVERY_MS = 2000, CHARTS_MS = 20000, SOON_MS = 500;
let failures = 0, heard = 0, looked = 0, waiting = 0;

function localTimes(root) {
  for (const time of root.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    time.textContent = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    time.title = at.toLocaleString();
  }
}

// Children with ids are kept where nothing about them changed, so that pictures neither flicker nor load again.
function exchange(before, after) {
  const kept = new Map([...before.children].filter((child) => child.id).map((child) => [child.id, child]));
  const wanted = [...after.children].map((child) => {
    const old = kept.get(child.id);
    if (!old) return child;
    if (child.hasAttribute("data-keep") || old.isEqualNode(child)) return old;
    if (old.tagName === child.tagName && child.querySelector(":scope > ul") && old.querySelector(":scope > ul")) {
      exchange(old.querySelector(":scope > ul"), child.querySelector(":scope > ul"));
      const head = old.querySelector(":scope > .heading"), newHead = child.querySelector(":scope > .heading");
      if (head && newHead && !head.isEqualNode(newHead)) head.replaceWith(newHead);
      old.querySelector(":scope > .quiet")?.remove();
      return old;
    }
    return child;
  });
  // What goes is taken out first: then nothing that stays has to be moved, which would scroll it back.
  const staying = new Set(wanted);
  for (const child of [...before.children]) if (!staying.has(child)) child.remove();
  wanted.forEach((child, at) => {
    if (before.children[at] !== child) before.insertBefore(child, before.children[at] ?? null);
  });
}

function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const fresh = page.getElementById("live") ?? page.body;
  localTimes(fresh);
  const focused = document.activeElement?.id;
  exchange(live, fresh);
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

async function refresh() {
  looked = Date.now();
  try {
    const answer = await fetch(live.dataset.fragment, { cache: "no-store" });
    if (answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.text());
    failures = 0;
  } catch {
    failures += 1;
    if (failures > 1) live.querySelector(".state [role=status]").textContent = "No answer from the daemon";
  }
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.action.endsWith("/logout")) return;
  event.preventDefault();
  const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) }).catch(() => null);
  if (!answer || answer.status === 401) return location.reload();
  show(await answer.text());
});

function charts() {
  const place = document.getElementById("charts");
  if (place && !document.hidden) draw(place).catch(() => {}); // The rest of the page tells when nobody answers.
}

// Events say when to look; without them the page looks by itself.
function happened() {
  heard = Date.now();
  if (!waiting && !document.hidden) waiting = setTimeout(() => { waiting = 0; refresh(); }, SOON_MS);
}

localTimes(live);
charts();
listen({ groups: happened, scan: happened, queue: happened, job: happened, downloads: happened, health: happened, configuration: happened });
setInterval(() => {
  const often = Date.now() - heard > 30000;
  if (!document.hidden && Date.now() - looked > (often ? EVERY_MS - 100 : 10000)) refresh();
}, EVERY_MS);
setInterval(charts, CHARTS_MS);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  refresh();
  charts();
});
