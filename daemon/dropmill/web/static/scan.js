// Cataloguing folders that are there already: which ones, with how many workers, and how far it is.
import { get, post, query } from "./api.js";
import { trouble } from "./dialog.js";
import { button, breakable, el, icon } from "./dom.js";
import { listen } from "./live.js";
import { failed, toast } from "./toast.js";
import { bytes, count, lasting, many, when } from "./words.js";

const LOOK_MS = 1000, REFUSED = 50;
const STATES = { running: ["play", "Running"], done: ["check", "Done"], cancelled: ["stop", "Cancelled"], failed: ["cross", "Failed"] };
const begin = document.getElementById("begin"), runs = document.getElementById("runs");
const refused = document.getElementById("refused");
const known = new Map();

async function offer() {
  try {
    const told = await get("/settings");
    const roots = told.settings.find((one) => one.key === "library_roots")?.value ?? [];
    begin.replaceChildren(roots.length ? form(roots) : none(told.file));
  } catch (error) {
    begin.replaceChildren(trouble(error, offer));
  }
  begin.setAttribute("aria-busy", "false");
  document.getElementById("all-runs").hidden = false;
}

function none(file) {
  return el("div", { class: "problem" }, icon("warn"), el("div", {},
    el("p", {}, el("strong", {}, "No folder may be scanned yet.")),
    el("p", {}, "Name the folders in ", el("code", {}, file ?? "the configuration file"), ", as in ", el("code", {}, 'library_roots = ["/srv/photos"]'), ", then ", el("code", {}, "dropmill reload"), ".")));
}

function form(roots) {
  const boxes = roots.map((root, at) => el("input", { type: "checkbox", name: "root", value: root, checked: roots.length === 1, id: `root-${at}` }));
  const under = el("input", { type: "text", name: "folder", spellcheck: "false", placeholder: `${roots[0].replace(/\/$/, "")}/…`, list: "roots" });
  const workers = el("input", { type: "number", name: "workers", min: 1, max: 64, placeholder: "auto" });
  const anew = el("input", { type: "checkbox", name: "rehash" });
  const made = el("form", { "aria-label": "Begin a scan", autocomplete: "off", onsubmit: (event) => { event.preventDefault(); start(); } },
    el("fieldset", {}, el("legend", {}, "Folders"), boxes.map((box, at) => el("label", {}, box, el("span", { class: "path" }, breakable(roots[at]))))),
    el("label", { class: "under" }, "or a folder below one of them", under), el("datalist", { id: "roots" }, roots.map((root) => el("option", { value: root }))),
    el("div", { class: "row" }, el("label", {}, "Workers ", workers), el("label", {}, anew, " measure what older versions measured anew")),
    el("div", { class: "row" }, button("Scan", { sign: "play", class: "strong", type: "submit" })));
  async function start() {
    const folders = [...boxes.filter((box) => box.checked).map((box) => box.value), under.value.trim()].filter(Boolean);
    if (!folders.length && !anew.checked) return toast("No folder is chosen", { bad: true, detail: "Check one, or name one below it." });
    try {
      const { id } = await post("/index", { folders, workers: workers.value ? Number(workers.value) : null, rehash: anew.checked });
      toast("The scan has begun", { detail: folders.join(", ") });
      put(await get(`/index/${id}`));
      follow();
    } catch (error) {
      failed(error);
    }
  }
  return made;
}

function row(scan) {
  const [sign, word] = STATES[scan.state];
  const running = scan.state === "running", counted = scan.total_files > 0;
  const share = counted ? Math.min(100, (100 * scan.files) / scan.total_files) : null;
  const facts = [
    counted ? `${count(scan.files)} of ${many(scan.total_files, "file")}` : running ? `${many(scan.files, "file")} so far, still counting` : many(scan.files, "file"),
    `${count(scan.indexed)} catalogued`, `${count(scan.unchanged)} unchanged`, scan.refused ? el("a", { href: "#refused" }, `${count(scan.refused)} refused`) : "",
    scan.total_bytes ? `${bytes(scan.read_bytes)} of ${bytes(scan.total_bytes)} read` : `${bytes(scan.read_bytes)} read`,
    running && scan.files_per_second ? `${scan.files_per_second.toFixed(scan.files_per_second < 10 ? 1 : 0)} files a second` : "",
    running && scan.eta_seconds ? `about ${lasting(scan.eta_seconds)} left` : "", scan.detail,
    running ? `since ${when(scan.started_at)}` : `${when(scan.started_at)} to ${when(scan.ended_at)}`,
  ].filter(Boolean);
  return el("li", { class: `run ${scan.state}`, id: `scan-${scan.id}`, data: { state: scan.state } },
    el("p", {}, el("span", { class: "word" }, icon(sign), el("strong", {}, word)), " ", scan.folders.map((folder) => el("span", { class: "path" }, breakable(folder), " "))),
    running ? button("Cancel", { say: `Cancel the scan of ${scan.folders.join(", ")}`, onclick: () => cancel(scan.id) }) : null,
    running ? el("progress", { max: 100, value: share, "aria-label": `Scan of ${scan.folders.join(", ")}` }) : null,
    el("p", { class: "facts" }, facts.map((fact) => el("span", {}, fact))));
}

// Its button keeps the focus while the numbers beside it change.
function put(scan) {
  const node = row(scan), old = known.get(scan.id);
  known.set(scan.id, node);
  runs.querySelector(".empty")?.remove();
  if (!old) return runs.prepend(node);
  const had = old.contains(document.activeElement);
  if (old.dataset.state === scan.state) {
    old.querySelector(".facts").replaceWith(node.querySelector(".facts"));
    const bar = old.querySelector("progress"), fresh = node.querySelector("progress");
    if (bar && fresh?.hasAttribute("value")) bar.value = fresh.value;
    known.set(scan.id, old);
    return;
  }
  old.replaceWith(node);
  if (had) document.getElementById("main").focus({ preventScroll: true });
  if (scan.refused || !refused.hidden) refusals();
  if (old.dataset.state === "running") toast(`Scan ${STATES[scan.state][1].toLowerCase()}`, { bad: scan.state === "failed", detail: scan.detail || `${many(scan.indexed, "picture")} catalogued.` });
}

// What should be pictures and is not catalogued, as it was when each was looked at last.
async function refusals(cursor = null) {
  const more = document.getElementById("refused-more"), files = document.getElementById("refused-files");
  try {
    const told = await get(`/refused${query({ cursor, limit: REFUSED })}`);
    refused.hidden = told.total === 0;
    document.getElementById("refused-total").textContent = `${many(told.total, "file")} could not be catalogued. Once the cause is gone, the next scan takes them in.`;
    const rows = told.files.map(refusal);
    if (cursor) files.append(...rows);
    else files.replaceChildren(...rows);
    more.replaceChildren(told.next ? button(`Show more, ${count(told.total - files.childElementCount)} left`, { onclick: () => refusals(told.next) }) : "");
    if (cursor) rows[0]?.focus({ preventScroll: true });
  } catch (error) {
    refused.hidden = false;
    more.replaceChildren(trouble(error, () => refusals(cursor)));
  }
}

function refusal(file) {
  return el("li", { class: "refusal", tabindex: "-1" }, el("p", { class: "path" }, breakable(file.path)),
    el("p", { class: "cause" }, el("strong", {}, file.reason), file.detail ? `: ${file.detail}` : ""),
    file.remedy ? el("p", { class: "cause remedy" }, file.remedy) : null,
    el("p", { class: "facts" }, el("span", {}, bytes(file.size_bytes)), el("span", {}, `looked at ${when(file.seen_at)}`)));
}

async function cancel(id) {
  try {
    put(await post(`/index/${id}/cancel`));
  } catch (error) {
    failed(error);
  }
}

async function list() {
  try {
    const scans = await get("/index");
    for (const scan of [...scans].reverse()) put(scan);
    if (!scans.length) runs.replaceChildren(el("li", { class: "empty" }, el("h2", {}, "Nothing was scanned yet"), el("p", {}, "Pictures that arrive in an inbox are catalogued by themselves.")));
    follow();
  } catch (error) {
    runs.replaceChildren(el("li", {}, trouble(error, list)));
  }
}

let timer = 0;
async function look() {
  timer = 0;
  for (const [id, node] of known) {
    if (node.dataset.state === "running") await get(`/index/${id}`).then(put).catch(() => {}); // The next look is in a second.
  }
  follow();
}
function follow() {
  if (!timer && !document.hidden && [...known.values()].some((node) => node.dataset.state === "running")) timer = setTimeout(look, LOOK_MS);
}
document.addEventListener("visibilitychange", follow);

offer();
list();
refusals();
listen({ scan: (told) => (told.folders && told.started_at ? put(told) : told.id && get(`/index/${told.id}`).then(put).then(follow, () => {})) });
