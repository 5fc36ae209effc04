// The review page: groups in pages, filters, and the keys that go through them.
import { get, query } from "./api.js";
import { acceptAll, act, name as nameKeeper, setting, undo } from "./acting.js";
import { compare } from "./compare.js";
import { trouble } from "./dialog.js";
import { base, button, el, icon } from "./dom.js";
import { DISTANCES, Group } from "./group.js";
import { use } from "./keys.js";
import { listen } from "./live.js";
import { back } from "./toast.js";
import { bytes, many } from "./words.js";

const FIRST_PAGE = 24, NEXT_PAGE = 48, AHEAD = 6;
const root = document.getElementById("review"), list = document.getElementById("groups");
const form = document.getElementById("filters"), total = document.getElementById("total"), end = document.getElementById("end");
const only = root.dataset.group;
const groups = new Map();
let next = null, loading = null, turn = 0, open = 0, gain = 0, coming = null, onward = false;

// ---- What is asked for

function filters() {
  const told = Object.fromEntries(new FormData(form));
  if (told.sort === "reclaimable") told.sort = "";
  return Object.fromEntries(Object.entries(told).map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
}

function fromAddress() {
  for (const [name, value] of new URLSearchParams(location.search)) {
    const field = form.elements[name];
    if (!field) continue;
    if (field.tagName === "SELECT" && ![...field.options].some((one) => one.value === value)) field.append(el("option", { value }, value));
    field.value = value;
  }
}

async function load() {
  const mine = ++turn;
  loading?.abort();
  loading = new AbortController();
  list.setAttribute("aria-busy", "true");
  try {
    const page = only ? await one(only) : await get(`/groups${query({ ...filters(), limit: FIRST_PAGE })}`, loading.signal);
    if (mine !== turn) return;
    groups.clear();
    list.replaceChildren();
    ({ total: open, reclaimable_bytes: gain } = page);
    add(page);
    if (!groups.size) list.replaceChildren(nothing());
  } catch (error) {
    if (error.name === "AbortError" || mine !== turn) return;
    list.replaceChildren(trouble(error, load));
    total.textContent = "";
    document.getElementById("accept-all").disabled = true;
  }
  list.setAttribute("aria-busy", "false");
  loading = null;
  performance.mark("review-ready");
}

async function one(id) {
  const group = await get(`/groups/${id}`);
  return { groups: [group], next: null, total: 1, reclaimable_bytes: group.reclaimable_bytes };
}

function add(page) {
  next = page.next;
  // Who has come to the end sees groups in its place; it is there again below them, and was not moved there.
  end.hidden = true;
  requestAnimationFrame(() => { end.hidden = false; });
  for (const told of page.groups) {
    if (groups.has(told.id)) continue;
    const group = new Group(told);
    groups.set(told.id, group);
    list.append(group.node);
  }
  if (!list.querySelector("[tabindex='0']")) list.querySelector(".group:not(.settled) .member")?.setAttribute("tabindex", "0");
  count();
  end.replaceChildren(next ? el("p", { class: "quiet" }, "More groups are on their way …") : "");
}

// The next page: what is under way is not asked for twice.
function more() {
  if (next && !loading) coming = page();
  return coming;
}

async function page() {
  const mine = turn;
  loading = new AbortController();
  try {
    const page = await get(`/groups${query({ ...filters(), cursor: next, limit: NEXT_PAGE })}`, loading.signal);
    if (mine === turn) add(page);
  } catch (error) {
    if (error.name !== "AbortError" && mine === turn) end.replaceChildren(trouble(error, more));
  } finally {
    if (mine === turn) loading = null;
  }
  if (mine === turn && near()) more();
}

const near = () => list.getBoundingClientRect().bottom < innerHeight * 3;

function count() {
  total.textContent = open > 0 ? `${many(open, "group")}, ${bytes(Math.max(0, gain))} to gain` : "";
  document.getElementById("accept-all").disabled = open < 1;
}

function nothing() {
  const filtered = Object.keys(filters()).some((name) => name !== "sort");
  return el("div", { class: "empty" }, icon("check"), el("h2", {}, filtered ? "No group is like that" : "Nothing to review"),
    el("p", {}, filtered ? "Others may be, without these filters." : "Pictures that resemble one another appear here as they arrive."),
    filtered ? button("Show all groups", { onclick: () => { form.reset(); changed(); } })
      : el("p", {}, "To find them in folders that you have already, ", el("a", { href: `${base}/scan` }, "scan a library"), "."));
}

// ---- Where the keys are

const current = () => groups.get(Number(document.activeElement?.closest?.(".group")?.dataset.id)) ?? null;
const waiting = () => [...groups.values()].filter((group) => !group.settled);

function enter(card, group) {
  if (!card) return;
  list.querySelectorAll(".member[tabindex='0']").forEach((other) => { other.tabIndex = -1; });
  card.tabIndex = 0;
  card.focus({ preventScroll: true });
  const box = group.node.getBoundingClientRect(), top = document.getElementById("bar").offsetHeight + 16;
  const mine = card.getBoundingClientRect();
  if (box.top < top || box.bottom > innerHeight) {
    const whole = box.height < innerHeight - top;
    if (whole || mine.top < top || mine.bottom > innerHeight) scrollBy({ top: (whole ? box.top : mine.top) - top - 8 });
  }
}

async function go(step) {
  const all = [...groups.values()];
  const here = current();
  let at = here ? all.indexOf(here) + step : step > 0 ? 0 : all.length - 1;
  while (all[at]?.settled) at += step;
  if (all[at]) {
    if (at + AHEAD > all.length) more();
    return enter(all[at].cards()[0], all[at]);
  }
  // At the end of what is there: on, once the next page is.
  if (step < 0 || !next || onward) return;
  onward = true;
  await more();
  onward = false;
  if (groups.size > all.length) go(step);
}

function along(step) {
  const group = current();
  if (!group) return go(1);
  const cards = group.cards();
  const at = cards.indexOf(document.activeElement.closest(".member"));
  enter(cards[Math.min(Math.max(at + step, 0), cards.length - 1)], group);
}

// ---- What is done

function focused() {
  const group = current();
  return group && !group.settled ? { group, member: group.member(document.activeElement) ?? group.kept } : null;
}

// After something was done by keys the next group has the focus, wherever it is; under a pointer nothing moves.
async function perform(name, group, member, pointed = false) {
  if (!group || group.settled) return;
  if (name === "keeper") return void mark(group, member);
  if (name === "leave") return void leave(group, member);
  if (name === "whole") {
    group.whole = true;
    return group.draw();
  }
  if (name === "compare" || name === "look") return look(group, member);
  const before = group.gain;
  const had = group.node.contains(document.activeElement);
  if (!await act(name, group, { restored, renewed })) return;
  open -= 1;
  gain -= before;
  count();
  if (pointed) group.node.querySelector(".done button")?.focus({ preventScroll: true });
  else if (had || document.activeElement === document.body) step(group);
}

function restored(group) {
  group.settled = false;
  open += 1;
  gain += group.gain;
  count();
  group.draw();
}

function renewed(group, fresh) {
  groups.delete(group.id);
  const order = [...list.querySelectorAll(".group")].map((node) => Number(node.dataset.id));
  gain -= group.gain;
  group.tell(fresh);
  gain += group.gain;
  count();
  const all = new Map([...groups, [group.id, group]]);
  groups.clear();
  for (const id of order) {
    const one = all.get(id) ?? group;
    groups.set(one.id, one);
  }
}

function step(group) {
  const all = [...groups.values()], at = all.indexOf(group);
  const other = all.slice(at + 1).find((one) => !one.settled) ?? all.slice(0, at).reverse().find((one) => !one.settled);
  if (at + AHEAD > all.length) more();
  if (other) return enter(other.cards()[0], other);
  if (!next) {
    list.append(nothing());
    document.getElementById("main").focus({ preventScroll: true });
  }
}

async function mark(group, member) {
  if (!member || member.id === group.keeper) return;
  const before = group.keeper;
  const unnamed = (keeper) => {
    group.keeper = keeper;
    group.draw();
  };
  group.keeper = member.id;
  group.left.delete(member.id);
  group.draw();
  await nameKeeper(group, before, unnamed);
}

function leave(group, member) {
  if (!member || member.id === group.keeper) return;
  if (!group.left.delete(member.id)) group.left.add(member.id);
  group.draw();
}

function look(group, member) {
  compare(group, member && member.id !== group.keeper ? member : group.others[0] ?? group.members[1], {
    perform: async (name, one) => {
      await perform(name, group, one);
      return group.settled ? waiting()[0] ?? null : group;
    },
    neighbour: (from, way) => {
      const all = waiting();
      return all[Math.max(0, all.indexOf(from)) + way] ?? null;
    },
    enter: (one) => enter(one.cards()[0], one),
    leave: () => (group.settled ? step(group) : enter(group.cards()[0], group)),
  });
}

const run = (name) => () => {
  const at = focused();
  if (at) perform(name, at.group, at.member);
};

use({
  title: "Keys of the review page",
  groups: [
    ["Go", [
      { keys: ["j"], say: "next group", again: true, run: () => go(1) },
      { keys: ["k"], say: "group before", again: true, run: () => go(-1) },
      { keys: ["ArrowRight", "ArrowDown"], say: "next file of the group", again: true, run: () => along(1) },
      { keys: ["ArrowLeft", "ArrowUp"], say: "file before", again: true, run: () => along(-1) },
      { keys: ["c"], say: "compare with the file to keep", run: run("compare") },
      { keys: ["/"], say: "to the filters", run: () => form.elements.tier.focus() },
    ]],
    ["Choose", [
      { keys: [" "], say: "keep this file", run: run("keeper") },
      { keys: ["x"], say: "leave this file as it is, or not", run: run("leave") },
    ]],
    ["Decide", [
      { keys: ["Enter"], say: "accept: keep one, the others to the trash", run: run("accept") },
      { keys: ["d"], say: "the others to the trash", run: run("delete") },
      { keys: ["m"], say: "move the others to a folder", run: run("move") },
      { keys: ["l"], say: "replace the others by hard links", run: run("link") },
      { keys: ["n"], say: "not duplicates", run: run("dismiss") },
      { keys: ["b"], say: "keep both, or all of them", run: run("keep") },
      { keys: ["D"], say: "delete the others for good, after a question", run: run("purge") },
      { keys: ["u"], say: "undo what was done last", run: () => back() || undo(load) },
      { keys: ["a"], say: "accept all suggestions, after an overview", run: () => bulk() },
    ]],
  ],
  words: ["Figures of a file, as in phash 3/64: so many bits of its hash differ from the file to keep", DISTANCES.map(([name, , , say]) => [name, say])],
});

const bulk = () => acceptAll(filters(), { total: open, done: load });

list.addEventListener("click", (event) => {
  const node = event.target.closest("[data-act]");
  const group = groups.get(Number(event.target.closest(".group")?.dataset.id));
  if (!node || !group) return;
  perform(node.dataset.act, group, group.member(node), event.detail > 0);
});
list.addEventListener("focusin", (event) => {
  const group = event.target.closest(".group");
  if (list.querySelector(".group.current") === group) return;
  list.querySelector(".group.current")?.classList.remove("current");
  group?.classList.add("current");
});
document.getElementById("accept-all").addEventListener("click", bulk);

let typing = 0;
function changed() {
  history.replaceState(null, "", location.pathname + query(filters()));
  load();
}
form.addEventListener("change", changed);
form.addEventListener("submit", (event) => event.preventDefault());
form.elements.folder.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(changed, 300);
});
form.addEventListener("keydown", (event) => { if (event.key === "Escape") go(1); });

new IntersectionObserver((seen) => { if (seen.some((entry) => entry.isIntersecting)) more(); }, { rootMargin: "200% 0px" }).observe(end);

// ---- What others do meanwhile

function news(told) {
  if (typeof told.open === "number" && !Object.keys(filters()).length && !only) open = told.open;
  if (groups.size === 0 && list.querySelector(".empty")) load();
  else if (open) count();
}

if (only) form.hidden = true;
setting("review.allow_permanent").then((allowed) => list.classList.toggle("no-purge", allowed === false));
fromAddress();
load();
listen({ groups: news });
get("/status").then((status) => {
  const field = form.elements.inbox, chosen = field.value;
  const names = status.inboxes.map((inbox) => inbox.name).filter((name) => ![...field.options].some((one) => one.value === name));
  field.append(...names.map((name) => el("option", { value: name }, name)));
  field.value = chosen;
}).catch(() => {}); // The filter then offers no inbox; the groups themselves say what is wrong.
