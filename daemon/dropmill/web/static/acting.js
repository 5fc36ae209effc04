// Decisions: one group, or all suggestions at once; each answer is a batch that can be taken back.
import { get, post, query } from "./api.js";
import { question, trouble } from "./dialog.js";
import { el, icon, path } from "./dom.js";
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
const NOT_THE_SAME = "No other file has the very bytes of the one to keep, so a link would lose what differs.";
const ACTIONS = { accept: "delete", purge: "delete" };
let latest = null; // The folder that files were to be moved to last: a refused one is there to be mended.
const TOUCHING = new Set(["accept", "move", "delete", "purge", "link"]);
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
  // Of a group that has grown since it was shown, nobody has seen what came to it.
  if (TOUCHING.has(name) && !group.unseen) body.members = group.others.map((member) => member.id);
  if (name === "link") {
    if (!group.linkable) {
      toast("Nothing can be linked here.", { detail: NOT_THE_SAME, bad: true });
      return false;
    }
    // Only what can be linked is asked for, where all files are known here.
    if (!group.unseen && group.twins.length < group.others.length) body.members = group.twins.map((member) => member.id);
  }
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
    if (name === "link" && said.state !== "doing" && said.done.length < group.files) return await partly(said, text, skipped, group, page);
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

// Of a group of which something is left, the rest is shown, and can be decided.
async function partly(said, text, skipped, group, page) {
  const before = group.told.members_count;
  const undoing = async () => {
    try {
      undone(said.batch, await post(`/batches/${said.batch}/undo`));
      follow(group, page, before);
    } catch (error) {
      failed(error);
    }
  };
  const rest = skipped.length ? `${many(skipped.length, "file")} left: ${skipped[0].detail}. ${skipped[0].hint}` : `Batch ${said.batch}. The others are still to be decided.`;
  const fresh = await get(`/groups/${group.id}`).catch(() => null);
  toast(text, { undo: undoing, detail: rest, bad: skipped.length > 0 });
  if (!fresh) {
    group.settle(text, undoing);
    return true;
  }
  page.renewed(group, fresh);
  return false;
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

// Groups are drawn anew after an undo, and this one may get another number where its files are not the same ones any more.
async function follow(group, page, least = 2) {
  for (let turn = 0; turn < LOOKS && !group.settled; turn += 1) {
    const image = await get(`/images/${group.kept.image}`).catch(() => null);
    const id = image?.groups?.includes(group.id) ? group.id : image?.groups?.[0];
    const fresh = id === undefined ? null : await get(`/groups/${id}`).catch(() => null);
    if (fresh && fresh.members_count >= least && !group.settled) return page.renewed(group, fresh);
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
  if (name === "keep" || name === "dismiss") return true;
  const files = name === "link" && !group.unseen ? group.twins.length : group.files;
  if (files <= (await setting("review.confirm_above_files") ?? Infinity)) return true;
  return question({ title: `${many(files, "file")} at once?`, yes: "Go on", sign: "check",
    body: el("p", {}, `${name === "link" ? "" : `${bytes(group.gain)}; `}${WORDS[ACTIONS[name] ?? name]}. It can be undone.`) });
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
  const field = el("input", { type: "text", value: latest ?? wished, spellcheck: "false", list: "roots", placeholder: roots.length ? `${roots[0].replace(/\/$/, "")}/…` : null });
  const wrong = () => (field.value.trim() ? field.value.trim().startsWith("/") ? "" : "Name the whole path, from / on." : "Name the folder that they are to go to.");
  const sure = await question({
    title: `Move ${many(group.files, "file")}`, yes: "Move", sign: "move", wrong, field,
    body: [el("p", {}, el("label", { class: "field" }, "To the folder", field)),
      el("datalist", { id: "roots" }, roots.map((root) => el("option", { value: root }))),
      el("p", { class: "quiet" }, roots.length ? "It has to be below a library root." : "No library root is configured: name folders in library_roots first.")],
  });
  if (!sure) return null;
  latest = field.value.trim();
  return latest;
}

const BULK = {
  delete: { say: "to the trash, from where one undo takes all of them back", yes: "Move to the trash", told: (n) => `${many(n, "file")} to the trash` },
  link: { say: "replaced by hard links to it, where their bytes are the very same", yes: "Replace by hard links", told: (n) => `${many(n, "file")} replaced by a hard link` },
};

// First what it would do, then, if it is wanted, that.
export async function acceptAll(filter, { total, done }) {
  if (!total) return;
  const { sort, ...chosen } = filter;
  const place = el("div", { class: "overview", "aria-live": "polite" });
  let seen = null, action = "delete", turn = 0; // Nothing is done that the overview has not told of: what changes after it is left out.
  const ask = () => ({ groups: null, filter: chosen, action, folder: null });
  const ready = (fine) => place.dispatchEvent(new CustomEvent("ready", { bubbles: true, detail: { fine, yes: BULK[action].yes } }));
  async function look() {
    const mine = ++turn;
    ready(false);
    place.replaceChildren(el("p", { class: "quiet" }, "Adding up …"));
    try {
      const told = await post("/groups/resolve", { ...ask(), dry_run: true });
      if (mine !== turn) return;
      seen = told.as_of;
      place.replaceChildren(overview(told, chosen, action));
      ready(told.members > 0);
    } catch (error) {
      if (mine === turn) place.replaceChildren(trouble(error, look));
    }
  }
  const choice = el("fieldset", { class: "choice" }, el("legend", {}, "The suggested file of each group stays; the others are"),
    Object.entries(BULK).map(([name, { say }]) => el("label", {}, el("input", { type: "radio", name: "action", value: name, checked: name === action,
      onchange: () => { action = name; look(); } }), el("span", {}, say))));
  const sure = question({ title: "Accept all suggestions?", body: [choice, place], yes: BULK.delete.yes, sign: "check", pending: true });
  look();
  if (!await sure) return;
  try {
    const said = await post("/groups/resolve", { ...ask(), dry_run: false, as_of: seen });
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
    await watch(said.batch, BULK[action].told, taking, changed);
    done();
  } catch (error) {
    failed(error);
  }
}

async function watch(batch, worded, undo, changed) {
  for (;;) {
    const told = await get(`/batches/${batch}`);
    if (told.state === "undone" && told.detail) return toast("Nothing was done", { detail: told.detail, bad: true });
    if (told.state !== "doing") {
      const left = told.skipped ? ` ${many(told.skipped, "file")} left: ${told.items.find((one) => one.state === "skipped")?.detail ?? ""}` : "";
      return toast(worded(told.done), { detail: `Batch ${batch}.${left}${changed}`, undo: told.done ? undo : null, bad: told.skipped > 0 || changed !== "" });
    }
    toast(`${count(told.done)} of ${many(told.files, "file")} dealt with`, { detail: told.detail ? `Batch ${batch} is held up and tried again: ${told.detail}` : `Batch ${batch} goes on.`, bad: Boolean(told.detail) });
    await new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
  }
}

function overview(told, chosen, action) {
  const rows = Object.entries(told.by_tier).map(([tier, of]) => el("tr", {}, el("th", { scope: "row" }, TIERS[tier] ?? tier),
    el("td", {}, count(of.groups)), el("td", {}, count(of.members)), el("td", {}, bytes(of.bytes))));
  const { tier, ...others } = chosen;
  const filtered = Object.values(others).filter(Boolean);
  const left = (told.left ?? []).map((one) => el("p", { class: "left" }, icon("stop"), el("span", {}, `${many(one.members, "file")} ${one.members === 1 ? "is" : "are"} left as ${one.members === 1 ? "it is" : "they are"}`,
    one.groups ? `, in ${many(one.groups, "group")} all of them` : "", `: ${one.detail}. To be rid of them, ${one.hint}.`)));
  if (!told.members) return el("div", {}, el("p", {}, el("strong", {}, "Nothing would come of it.")), left);
  return el("div", {},
    el("p", {}, el("strong", {}, `${many(told.members, "file")}, ${bytes(told.bytes)}`), `, of ${many(told.groups, "group")} ${action === "link" ? "become links" : "go to the trash"}.`,
      filtered.length ? ` Only what fits the filters: ${filtered.join(", ")}.` : "",
      tier ? ` Only files that are ${(TIERS[tier] ?? tier).toLowerCase()}, in whatever group: those that are less alike stay.` : "",
      action === "delete" ? " The room is free once the trash is emptied." : ""),
    left,
    el("table", {}, el("thead", {}, el("tr", {}, ["Likeness", "Groups", "Files", "Bytes"].map((word) => el("th", { scope: "col" }, word)))), el("tbody", {}, rows)),
    told.examples.length ? [el("p", { class: "quiet" }, "For example"), el("ul", { class: "paths" }, told.examples.map((one) => el("li", {}, path(one.path))))] : null);
}
