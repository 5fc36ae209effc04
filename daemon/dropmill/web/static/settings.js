// What is in force, where it came from, and the few values that can be changed while it runs, with what that would do.
import { get, post, put } from "./api.js";
import { trouble } from "./dialog.js";
import { button, el } from "./dom.js";
import { keeperRules } from "./keeper.js";
import { failed, toast } from "./toast.js";
import { TIERS, count, many, when } from "./words.js";

const place = document.getElementById("preferences"), values = document.getElementById("values"), find = document.getElementById("find");
let rows = [];

const listed = (told) => (Array.isArray(told) ? told : told?.preferences ?? Object.values(told ?? {}));

async function load() {
  try {
    const told = await get("/settings");
    document.getElementById("file").textContent = `${told.file ? `From ${told.file}` : "Without a configuration file"}, in force since ${when(told.applied_at)}.`;
    place.replaceChildren(changeable(listed(told.preferences)));
    suggestions(told);
    values.replaceChildren(table(told.settings));
    document.getElementById("all-values").hidden = false;
    narrow();
  } catch (error) {
    place.replaceChildren(trouble(error, load));
    values.replaceChildren();
  }
  for (const node of [place, values]) node.setAttribute("aria-busy", "false");
}

function suggestions(told) {
  const known = Object.fromEntries(["order", "prefer_folders", "prefer_formats"].map((name) => [name, told.settings.find((one) => one.key === `keeper.${name}`)?.value]));
  const section = document.getElementById("suggested");
  section.hidden = !known.order;
  if (known.order) document.getElementById("keeper").replaceChildren(keeperRules(known, told.file));
}

function input(one, id) {
  const kind = typeof (one.configured ?? one.value);
  if (kind === "boolean") return el("input", { type: "checkbox", id, checked: one.value });
  if (kind === "number") return el("input", { type: "number", id, value: one.value, min: one.least ?? one.minimum ?? 0, max: one.most ?? one.maximum, step: Number.isInteger(one.configured ?? one.value) ? 1 : "any" });
  return el("input", { type: "text", id, value: Array.isArray(one.value) ? one.value.join(", ") : one.value ?? "", spellcheck: "false" });
}

function read(one, field) {
  if (field.type === "checkbox") return field.checked;
  if (field.type === "number") return Number(field.value);
  const text = field.value.trim();
  return Array.isArray(one.configured ?? one.value) ? text.split(",").map((part) => part.trim()).filter(Boolean) : text;
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const worded = (value) => (value === "" ? "empty" : typeof value === "boolean" ? (value ? "yes" : "no") : Array.isArray(value) ? value.join(", ") || "empty" : String(value));

function changeable(preferences) {
  if (!preferences.length) return el("p", { class: "quiet" }, "Nothing can be changed while it runs.");
  const fields = new Map();
  const said = el("p", { role: "status" }, "A change is told here before it is made.");
  const apply = button("Apply", { sign: "check", class: "strong", type: "submit", disabled: true });
  const back = button("Leave as it is", { onclick: load, disabled: true });
  const changes = () => Object.fromEntries(preferences.filter((one) => !same(read(one, fields.get(one.name)), one.value))
    .map((one) => [one.name, read(one, fields.get(one.name))]));
  let turn = 0, timer = 0;

  async function preview() {
    const mine = ++turn, wanted = changes(), none = !Object.keys(wanted).length;
    apply.disabled = back.disabled = none;
    if (none) {
      said.textContent = "A change is told here before it is made.";
      return;
    }
    said.textContent = "Looking what that would change …";
    try {
      const told = await post("/settings/preview", { preferences: wanted });
      if (mine === turn) said.textContent = effect(told);
    } catch (error) {
      if (mine !== turn) return;
      said.textContent = `${error.message} ${error.hint}`;
      apply.disabled = true;
    }
  }

  async function save() {
    try {
      const told = await put("/settings", { preferences: changes() });
      toast("The settings are in force");
      place.replaceChildren(changeable(listed(told)));
    } catch (error) {
      failed(error);
    }
  }

  async function reset(one) {
    try {
      const told = await put("/settings", { preferences: { [one.name]: null } });
      toast(`${one.name} is as configured`);
      place.replaceChildren(changeable(listed(told)));
      document.getElementById(`p-${one.name}`)?.focus();
    } catch (error) {
      failed(error);
    }
  }

  return el("form", { autocomplete: "off", onsubmit: (event) => { event.preventDefault(); save(); }, oninput: () => {
    clearTimeout(timer);
    timer = setTimeout(preview, 250);
  } }, preferences.map((one) => {
    const id = `p-${one.name}`, field = input(one, id);
    fields.set(one.name, field);
    return el("div", { class: "preference" }, el("div", {}, el("label", { for: id }, one.name), el("p", { class: "about" }, one.description)),
      el("div", { class: "field" }, field, one.changed ? [el("span", { class: "was" }, `changed${one.changed_at ? ` ${when(one.changed_at)}` : ""}; configured: ${worded(one.configured)}`),
        button("As configured", { say: `Set ${one.name} as configured`, class: "bare", onclick: () => reset(one) })] : null));
  }), el("div", { class: "effect" }, said, back, apply));
}

// Each pair of figures that is told as "…_now" and "…_then", of the groups by tier, too.
function effect(told) {
  const figure = (number) => (Number.isInteger(number) ? count(number) : number < 0.001 ? "fewer than 0.001" : String(Number(number.toPrecision(2))));
  const words = Object.keys(told).filter((key) => key.endsWith("_now") && typeof told[key] === "number").map((key) => {
    const now = told[key], then = told[`${key.slice(0, -4)}_then`], word = key.slice(0, -4).replaceAll("_", " ");
    const tiers = key === "groups_now" ? Object.entries(told.by_tier ?? {}).filter(([, of]) => of.now !== of.then)
      .map(([tier, of]) => `${TIERS[tier] ?? tier} ${count(of.now)} → ${count(of.then)}`.toLowerCase()) : [];
    return `${word} ${now === then ? `${figure(now)}, as now` : `${figure(now)} now, ${figure(then)} then`}${tiers.length ? ` (${tiers.join(", ")})` : ""}`;
  });
  const anew = told.compared_anew ? ". Flat pictures are compared anew, which may find more" : "";
  const first = told.complete === false ? `. Counted among the first ${many(told.pairs, "pair")} of pictures alone: there are more` : "";
  return words.length ? `${words.join("; ")}${first}${anew}.`.replace(/^./, (first) => first.toUpperCase()) : "No group changes.";
}

function table(settings) {
  rows = settings.map((one) => ({ text: `${one.key} ${JSON.stringify(one.value)} ${one.origin} ${one.description}`.toLowerCase(), node: el("tr", {},
    el("th", { scope: "row" }, el("code", {}, one.key)),
    el("td", {}, el("code", {}, one.secret ? "withheld" : JSON.stringify(one.value)), one.description ? el("p", {}, one.description) : null),
    el("td", { class: one.origin === "default" ? "origin" : "origin set" }, one.origin)) }));
  return el("table", { class: "values" }, el("thead", {}, el("tr", {}, ["Setting", "Value", "From"].map((word) => el("th", { scope: "col" }, word)))),
    el("tbody", {}, rows.map((one) => one.node)));
}

function narrow() {
  const wanted = find.value.trim().toLowerCase().split(/\s+/);
  for (const { text, node } of rows) node.hidden = !wanted.every((part) => text.includes(part));
  const left = rows.filter((one) => !one.node.hidden).length;
  find.setAttribute("aria-description", many(left, "setting"));
}

find.addEventListener("input", narrow);
load();
