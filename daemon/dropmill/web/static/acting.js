// Decisions: one group, or all suggestions at once; each answer is a batch that can be taken back.
import { get, post, query } from "./api.js";
import { question, trouble } from "./dialog.js";
import { el, path } from "./dom.js";
import { failed, toast } from "./toast.js";
import { TIERS, bytes, count, leaf, many, when } from "./words.js";

const DONE = {
  accept: (n) => `${many(n, "file")} to the trash`,
  delete: (n) => `${many(n, "file")} to the trash`,
  purge: (n) => `${many(n, "file")} deleted for good`,
  move: (n) => `${many(n, "file")} moved`,
  link: (n) => `${many(n, "file")} replaced by a hard link`,
  dismiss: () => "Not duplicates",
  keep: () => "All are kept",
};
const WORDS = { keep: "kept", dismiss: "not duplicates", delete: "to the trash", link: "hard links", move: "moved", forget: "forgotten" };
const ACTIONS = { accept: "delete", purge: "delete" };
const LOOK_MS = 400, LOOKS = 25;
let settings = null;

// A value that is in force: as it was changed while the daemon runs, else as configured.
export async function setting(name) {
  settings ??= await get("/settings").catch(() => null);
  const changed = [settings?.preferences ?? []].flat().find((one) => one.name === name);
  return (changed ?? settings?.settings.find((one) => one.key === name))?.value;
}

// True once the group is settled. ``page``: { restored(group), renewed(group, told) }, once that was taken back.
export async function act(name, group, page) {
  const body = { action: ACTIONS[name] ?? name, keeper: group.keeper, members: group.chosen, permanent: name === "purge" };
  if (name === "move") {
    body.folder = await folder(group);
    if (body.folder === null) return false;
  }
  if (name === "purge" ? !await forGood(group) : !await meant(name, group)) return false;
  try {
    const said = await post(`/groups/${group.id}/resolve`, body);
    const skipped = said.skipped ?? [];
    if (skipped.length && !said.done.length) {
      toast(`Nothing was done: ${skipped[0].detail}`, { detail: skipped[0].hint, bad: true });
      return false;
    }
    const text = said.state === "doing" ? `${many(group.files, "file")} on their way` : DONE[name](said.done.length);
    const undoing = name === "purge" ? null : () => takeBack(said.batch, group, page);
    const rest = skipped.length ? `${many(skipped.length, "file")} left: ${skipped[0].detail}. ${skipped[0].hint}` : `Batch ${said.batch}.`;
    group.settle(text, undoing);
    toast(text, { undo: undoing, detail: rest, bad: skipped.length > 0 });
    return true;
  } catch (error) {
    failed(error);
    return false;
  }
}

// Who is kept is told at once, so that accepting all suggestions goes by it, too.
export async function name(group, before, restored) {
  try {
    const said = await post(`/groups/${group.id}/resolve`, { action: "keep", keeper: group.keeper, members: [] });
    const undo = said.batch ? async () => {
      try {
        await post(`/batches/${said.batch}/undo`);
        restored(before);
        toast("The keeper is as it was");
      } catch (error) {
        failed(error);
      }
    } : null;
    toast(`You keep ${leaf(group.kept.path)}`, { undo });
  } catch (error) {
    restored(before);
    failed(error);
  }
}

async function takeBack(batch, group, page) {
  try {
    const told = await post(`/batches/${batch}/undo`);
    page.restored(group);
    group.cards()[0]?.focus({ preventScroll: true });
    undone(batch, told);
    follow(group, page);
  } catch (error) {
    failed(error);
  }
}

// Groups are drawn anew after an undo, and this one may get another number.
async function follow(group, page) {
  for (let turn = 0; turn < LOOKS && !group.settled; turn += 1) {
    const image = await get(`/images/${group.kept.image}`).catch(() => null);
    const id = image?.groups?.includes(group.id) ? group.id : image?.groups?.[0];
    const fresh = id === undefined ? null : await get(`/groups/${id}`).catch(() => null);
    if (fresh && !group.settled) return page.renewed(group, fresh);
    await new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
  }
}

function undone(batch, told) {
  const refused = told.refused ?? [];
  if (refused.length) toast(`${many(refused.length, "file")} of batch ${batch} could not be put back: ${refused[0].detail}`, { detail: refused[0].hint, bad: true });
  else toast(`Batch ${batch} is undone`);
}

// The latest batch of anybody, where this page has done nothing yet.
export async function undo(done) {
  try {
    const last = (await get(`/batches${query({ limit: 20 })}`)).find((batch) => batch.undoable);
    if (!last) return toast("There is nothing to undo");
    const sure = await question({ title: "Undo what was done last?", yes: "Undo", sign: "undo",
      body: el("p", {}, `Batch ${last.id} of ${when(last.created_at)}: ${WORDS[last.action] ?? last.action}, ${many(last.groups, "group")}, ${many(last.done, "file")}.`) });
    if (!sure) return;
    undone(last.id, await post(`/batches/${last.id}/undo`));
    done();
  } catch (error) {
    failed(error);
  }
}

// From so many files on somebody is asked, whatever is to be done to them.
async function meant(name, group) {
  if (name === "keep" || name === "dismiss" || group.files <= (await setting("review.confirm_above_files") ?? Infinity)) return true;
  return question({ title: `${many(group.files, "file")} at once?`, yes: "Go on", sign: "check",
    body: el("p", {}, `${bytes(group.gain)}; ${WORDS[ACTIONS[name] ?? name]}. It can be undone.`) });
}

async function forGood(group) {
  const typed = await setting("review.confirm_permanent") === false ? "" : "delete";
  return question({
    title: `Delete ${many(group.files, "file")} for good?`, yes: "Delete for good", sign: "trash", typed,
    body: [el("p", {}, `${bytes(group.gain)} are freed at once. This cannot be undone.`),
      el("ul", { class: "paths" }, group.others.slice(0, 8).map((member) => el("li", {}, path(member.path)))),
      group.files > 8 ? el("p", { class: "quiet" }, `and ${many(group.files - 8, "file")} more`) : null],
  });
}

async function folder(group) {
  const wished = await setting("review.default_move") ?? "";
  const roots = settings?.settings.find((one) => one.key === "library_roots")?.value ?? [];
  const field = el("input", { type: "text", value: wished, spellcheck: "false", list: "roots" });
  const sure = await question({
    title: `Move ${many(group.files, "file")}`, yes: "Move", sign: "move",
    body: [el("p", {}, el("label", {}, "To the folder ", field)),
      el("datalist", { id: "roots" }, roots.map((root) => el("option", { value: root }))),
      el("p", { class: "quiet" }, roots.length ? "It has to be below a library root." : "No library root is configured: name folders in library_roots first.")],
  });
  return sure && field.value.trim() ? field.value.trim() : null;
}

// First what it would do, then, if it is wanted, that.
export async function acceptAll(filter, { total, done }) {
  if (!total) return;
  const { sort, ...chosen } = filter;
  const body = el("div", { class: "overview", "aria-live": "polite" }, el("p", { class: "quiet" }, "Adding up …"));
  const ask = { groups: null, filter: chosen, action: "delete", folder: null };
  let seen = null; // Nothing is done that the overview has not told of: what changes after it is left out.
  const ready = post("/groups/resolve", { ...ask, dry_run: true }).then((told) => {
    body.replaceChildren(overview(told, chosen));
    seen = told.as_of;
    return told.members > 0;
  }).catch((error) => {
    body.replaceChildren(trouble(error));
    return false;
  });
  if (!await question({ title: "Accept all suggestions?", body, yes: "Move to the trash", sign: "trash", ready })) return;
  try {
    const said = await post("/groups/resolve", { ...ask, dry_run: false, as_of: seen });
    const taking = async () => {
      try {
        undone(said.batch, await post(`/batches/${said.batch}/undo`));
      } catch (error) {
        failed(error);
      }
      done();
    };
    const changed = said.skipped ? ` ${many(said.skipped, "group")} changed meanwhile and ${said.skipped === 1 ? "is" : "are"} left: look again.` : "";
    toast("All suggestions are being accepted", { detail: `Batch ${said.batch}.${changed}`, undo: taking });
    await watch(said.batch, taking, changed);
    done();
  } catch (error) {
    failed(error);
  }
}

async function watch(batch, undo, changed) {
  for (;;) {
    const told = await get(`/batches/${batch}`);
    if (told.state === "undone" && told.detail) return toast("Nothing was done", { detail: told.detail, bad: true });
    if (told.state !== "doing") {
      const left = told.skipped ? ` ${many(told.skipped, "file")} left: ${told.items.find((one) => one.state === "skipped")?.detail ?? ""}` : "";
      return toast(`${many(told.done, "file")} to the trash`, { detail: `Batch ${batch}.${left}${changed}`, undo: told.done ? undo : null, bad: told.skipped > 0 || changed !== "" });
    }
    toast(`${count(told.done)} of ${many(told.files, "file")} to the trash`, { detail: told.detail ? `Batch ${batch} is held up and tried again: ${told.detail}` : `Batch ${batch} goes on.`, bad: Boolean(told.detail) });
    await new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
  }
}

function overview(told, chosen) {
  const rows = Object.entries(told.by_tier).map(([tier, of]) => el("tr", {}, el("th", { scope: "row" }, TIERS[tier] ?? tier),
    el("td", {}, count(of.groups)), el("td", {}, count(of.members)), el("td", {}, bytes(of.bytes))));
  const filtered = Object.values(chosen).filter(Boolean);
  return el("div", {},
    el("p", {}, `Of ${many(told.groups, "group")} the suggested file stays; `, el("strong", {}, `${many(told.members, "file")}, ${bytes(told.bytes)}`), ", go to the trash, from where one undo takes all of them back.",
      filtered.length ? ` Only what fits the filters: ${filtered.join(", ")}.` : ""),
    el("table", {}, el("thead", {}, el("tr", {}, ["Likeness", "Groups", "Files", "Bytes"].map((word) => el("th", { scope: "col" }, word)))), el("tbody", {}, rows)),
    told.examples.length ? [el("p", { class: "quiet" }, "For example go"), el("ul", { class: "paths" }, told.examples.map((one) => el("li", {}, path(one.path))))] : null);
}
