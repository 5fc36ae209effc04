// Jobs, newest first, and what was given up with its remedy.
import { get, post, query } from "./api.js";
import { question, trouble } from "./dialog.js";
import { base, breakable, button, el, icon } from "./dom.js";
import { listen } from "./live.js";
import { failed, toast } from "./toast.js";
import { bytes, many, when } from "./words.js";

const PAGE = 60;
const WORDS = {
  published: ["check", "Published"], duplicate: ["same", "Duplicate"], unchanged: ["same", "Unchanged"], moved: ["arrow", "Moved"],
  superseded: ["arrow", "Superseded"], discarded: ["cross", "Discarded"], cancelled: ["stop", "Cancelled"],
  available: ["pause", "Waiting"], executing: ["play", "In work"], scheduled: ["again", "To be retried"], completed: ["check", "Done"],
};
const list = document.getElementById("jobs"), form = document.getElementById("filters");
const total = document.getElementById("total"), end = document.getElementById("end"), all = document.getElementById("retry-all");
const shown = new Map();
let last = null, busy = false, turn = 0, status = null;

const filters = () => Object.fromEntries(Object.entries(Object.fromEntries(new FormData(form))).filter(([, value]) => value));

function fromAddress() {
  for (const [name, value] of new URLSearchParams(location.search)) {
    const field = form.elements[name];
    if (!field) continue;
    if (![...field.options].some((one) => one.value === value)) field.append(el("option", { value }, value));
    field.value = value;
  }
}

function thumb(job) {
  const bySize = [...job.renditions].sort((a, b) => a.width * a.height - b.width * b.height);
  const one = bySize.find((each) => Math.max(each.width, each.height) >= 128) ?? bySize.at(-1);
  return one ? el("img", { class: "thumb", src: `${base}/api/v1/renditions/${one.id}`, width: 64, height: 48, alt: "", loading: "lazy" })
    : el("span", { class: "thumb none" });
}

function row(job) {
  const [sign, word] = WORDS[job.outcome ?? job.state] ?? WORDS[job.state];
  const at = job.finished_at ?? job.scheduled_at ?? job.enqueued_at;
  const twin = job.duplicate_of?.source;
  const act = job.state === "discarded" ? button("Retry", { sign: "again", say: `Retry ${job.source}`, onclick: () => retry(job) })
    : ["available", "scheduled", "executing"].includes(job.state) ? button("Cancel", { say: `Cancel ${job.source}`, onclick: () => cancel(job) }) : null;
  return el("li", { class: `job ${job.state}`, id: `job-${job.id}`, tabindex: "-1" }, thumb(job), el("div", {},
    el("p", { class: "path" }, breakable(job.source)),
    el("p", { class: "facts" }, el("span", { class: "word" }, icon(sign), word), el("span", {}, job.inbox),
      at ? el("time", { datetime: at }, when(at)) : null, job.size_bytes ? el("span", {}, bytes(job.size_bytes)) : null,
      el("span", {}, many(job.attempts, "attempt")), el("span", {}, `job ${job.id}`)),
    job.reason ? el("p", { class: "cause" }, el("strong", {}, job.reason), job.detail ? `: ${job.detail}` : "") : null,
    twin ? el("p", { class: "cause" }, "of ", el("span", { class: "path" }, breakable(twin))) : null,
    job.remedy ? el("p", { class: "cause remedy" }, job.remedy) : null), act);
}

function put(job) {
  const node = row(job), old = shown.get(job.id);
  shown.set(job.id, node);
  if (old) {
    const had = old.contains(document.activeElement);
    old.replaceWith(node);
    if (had) (node.querySelector("button") ?? node).focus({ preventScroll: true });
  }
  return node;
}

async function load() {
  const mine = ++turn;
  busy = true;
  list.setAttribute("aria-busy", "true");
  try {
    const jobs = await get(`/jobs${query({ ...filters(), limit: PAGE })}`);
    if (mine !== turn) return;
    shown.clear();
    list.replaceChildren(...jobs.map(put));
    last = jobs.length === PAGE ? jobs.at(-1).id : null;
    if (!jobs.length) list.append(nothing());
    end.replaceChildren();
  } catch (error) {
    if (mine === turn) list.replaceChildren(el("li", {}, trouble(error, load)));
  }
  if (mine === turn) busy = false;
  list.setAttribute("aria-busy", "false");
}

async function more() {
  if (!last || busy) return;
  const mine = turn;
  busy = true;
  try {
    const jobs = await get(`/jobs${query({ ...filters(), limit: PAGE, before: last })}`);
    if (mine !== turn) return;
    last = jobs.length === PAGE ? jobs.at(-1).id : null;
    list.append(...jobs.filter((job) => !shown.has(job.id)).map(put));
  } catch (error) {
    if (mine === turn) end.replaceChildren(trouble(error, () => { end.replaceChildren(); more(); }));
  } finally {
    if (mine === turn) busy = false;
  }
}

function nothing() {
  const some = Object.keys(filters()).length > 0;
  return el("li", { class: "empty" }, icon("check"), el("h2", {}, some ? "No job is like that" : "No jobs yet"),
    el("p", {}, some ? "Others may be, without these filters." : "Each picture that is dropped into an inbox becomes one."));
}

async function retry(job) {
  try {
    put(await post(`/jobs/${job.id}/retry`));
    toast("It is tried again", { detail: job.source });
  } catch (error) {
    failed(error);
  }
}

async function cancel(job) {
  try {
    put(await post(`/jobs/${job.id}/cancel`));
    toast("Cancelled", { detail: job.source });
  } catch (error) {
    failed(error);
  }
}

all.addEventListener("click", async () => {
  const number = status?.queue.discarded ?? 0;
  if (!await question({ title: `Retry ${many(number, "discarded job")}?`, yes: "Retry all", sign: "again",
    body: el("p", {}, "Each gets its original back from quarantine and starts anew.") })) return;
  try {
    const said = await post("/jobs/retry");
    toast(`${many(said.retried.length, "job")} tried again`, { detail: said.skipped.length ? `${said.skipped.length} could not be: ${said.skipped[0].detail}` : "" });
  } catch (error) {
    failed(error);
  }
  load();
  count();
});

async function count() {
  try {
    status = await get("/status");
  } catch {
    return; // The list itself says that nobody answers.
  }
  const { queue } = status;
  const done = Object.values(queue.completed).reduce((sum, one) => sum + one, 0);
  total.textContent = `${many(queue.available + queue.scheduled, "job")} waiting, ${queue.executing} in work, ${done} done, ${queue.discarded} discarded`;
  all.disabled = queue.discarded < 1;
  const field = form.elements.inbox;
  for (const { name } of [...status.inboxes, ...status.dropfiles]) {
    if (![...field.options].some((one) => one.value === name)) field.append(el("option", { value: name }, name));
  }
}

// What comes while somebody reads further down changes the rows that are there, and adds none above them.
let soon = 0;
function heard(told) {
  clearTimeout(soon);
  soon = setTimeout(() => {
    count();
    if (scrollY < 80 && !list.contains(document.activeElement)) load();
  }, 700);
  if (shown.has(told.id)) get(`/jobs/${told.id}`).then(put).catch(() => {}); // The next look at the list tells.
}

form.addEventListener("change", () => {
  history.replaceState(null, "", location.pathname + query(filters()));
  load();
});
form.addEventListener("submit", (event) => event.preventDefault());
new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) more(); }, { rootMargin: "100% 0px" }).observe(end);
fromAddress();
load();
count();
listen({ job: heard, queue: heard });
