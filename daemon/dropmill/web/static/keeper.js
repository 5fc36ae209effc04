// Which file of a group is suggested: other rules are tried on all open groups before anybody puts them into the configuration.
import { post } from "./api.js";
import { base, breakable, button, el, icon, path } from "./dom.js";
import { toast } from "./toast.js";
import { TIERS, count, many } from "./words.js";

const SAY = {
  folder: "lies in a preferred folder", detail: "has more detail, whatever it was enlarged to", genuine: "was not enlarged", pixels: "has more pixels",
  compression: "was compressed less coarsely", generation: "was compressed once, not twice", exif: "has more EXIF fields", sharpness: "has sharper edges",
  format: "is of a preferred format", size: "has more bytes", place: "is in a library rather than an archive or an inbox", age: "is the older file",
};
const WAIT_MS = 300;
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const listed = (text, mark) => text.split(mark).map((part) => part.trim()).filter(Boolean);

// ``configured``: { order, prefer_folders, prefer_formats }; ``file``: that of the configuration, or null.
export function keeperRules(configured, file) {
  const rows = [...configured.order, ...Object.keys(SAY).filter((word) => !configured.order.includes(word))].map((word) => row(word, configured.order.includes(word)));
  const order = el("ol", { class: "order" }, rows.map((one) => one.node));
  const folders = el("textarea", { rows: 2, spellcheck: "false", placeholder: "/srv/photos/best" });
  folders.value = configured.prefer_folders.join("\n");
  const formats = el("input", { type: "text", spellcheck: "false", value: configured.prefer_formats.join(", ") });
  const said = el("p", { role: "status" }, FIRST), found = el("div", { class: "found" });
  const back = button("As configured", { disabled: true, onclick: () => node.replaceWith(keeperRules(configured, file)) });
  let turn = 0, timer = 0;

  function row(word, counts) {
    const box = el("input", { type: "checkbox", checked: counts });
    const move = (step, sign) => button("", { class: "bare", sign, say: `${word}: ${step < 0 ? "earlier" : "later"}`, onclick: (event) => {
      const other = step < 0 ? one.node.previousElementSibling : one.node.nextElementSibling;
      if (!other) return;
      if (step < 0) other.before(one.node);
      else other.after(one.node);
      event.currentTarget.focus();
      changed();
    } });
    const one = { word, box, node: el("li", { data: { word } }, el("label", {}, box, el("strong", {}, word), el("span", { class: "quiet" }, SAY[word] ?? "")), el("span", { class: "moves" }, move(-1, "up"), move(1, "down"))) };
    return one;
  }

  function rules() {
    const placed = [...order.children].map((node) => rows.find((one) => one.node === node));
    return { order: placed.filter((one) => one.box.checked).map((one) => one.word), prefer_folders: listed(folders.value, "\n"), prefer_formats: listed(formats.value, ",") };
  }

  function changed() {
    clearTimeout(timer);
    timer = setTimeout(look, WAIT_MS);
  }

  async function look() {
    const mine = ++turn, wanted = rules();
    const other = Object.fromEntries(Object.entries(wanted).filter(([name, value]) => !same(value, configured[name])));
    const none = !Object.keys(other).length;
    back.disabled = none;
    if (none) {
      said.textContent = FIRST;
      return found.replaceChildren();
    }
    said.textContent = "Looking which files would be suggested …";
    try {
      const told = await post("/keeper/preview", { rules: wanted });
      if (mine !== turn) return;
      said.textContent = effect(told);
      found.replaceChildren(...examples(told), toPut(other, file));
    } catch (error) {
      if (mine !== turn) return;
      said.textContent = `${error.message} ${error.hint}`;
      found.replaceChildren();
    }
  }

  const node = el("form", { class: "keeper", autocomplete: "off", oninput: changed, onsubmit: (event) => event.preventDefault() },
    el("fieldset", {}, el("legend", {}, "What is looked at, first things first: that file is suggested which …"), order,
      el("label", { class: "field" }, "Preferred folders, one a line, the most preferred first", folders),
      el("label", { class: "field" }, "Preferred formats, the most preferred first", formats)),
    el("div", { class: "tried" }, said, found, back));
  return node;
}

const FIRST = "Change the order, or what counts: what it would do to the groups is told here. Nothing is changed by that.";

function effect(told) {
  const chosen = told.chosen ? ` In ${many(told.chosen, "group")} a person named the file to keep, and no rule changes that.` : "";
  if (!told.groups) return "There is no group to try it on.";
  const first = told.groups < told.of ? ` These are the first of ${many(told.of, "open group")}; the others were not looked at.` : "";
  return `${told.changed ? `In ${count(told.changed)} of ${many(told.groups, "open group")} another file would be suggested.` : `In ${told.groups === 1 ? "the only open group" : `all ${many(told.groups, "open group")}`} the same file would be suggested.`}${first}${chosen}`;
}

function examples(told) {
  if (!told.examples.length) return [];
  const rows = told.examples.map((one) => el("li", {},
    el("p", {}, el("a", { href: `${base}/review/${one.group}` }, `${TIERS[one.tier] ?? one.tier}, group ${one.group}`), one.reasons.length ? el("span", { class: "quiet" }, ` ${one.reasons.join(" ")}`) : ""),
    el("p", { class: "now" }, el("span", { class: "quiet" }, "now "), path(one.keeper_path)),
    el("p", { class: "then" }, icon("keep"), el("span", { class: "quiet" }, "then "), path(one.instead_path))));
  const more = told.changed - rows.length;
  return [el("ul", { class: "examples" }, rows), more > 0 ? el("p", { class: "quiet" }, `and ${many(more, "group")} more`) : ""];
}

// The rules are in the file alone, so that it tells all that is in force.
function toPut(other, file) {
  const text = `[keeper]\n${Object.entries(other).map(([name, value]) => `${name} = [${value.map((one) => JSON.stringify(one)).join(", ")}]`).join("\n")}\n`;
  const copy = navigator.clipboard ? button("Copy", { say: "Copy these lines", onclick: () => navigator.clipboard.writeText(text).then(() => toast("Copied"), () => toast("It could not be copied", { bad: true })) }) : null;
  return el("div", { class: "put" }, el("p", {}, "To have it so, put this into ", file ? el("code", {}, breakable(file)) : "a configuration file", ", then ", el("code", {}, "dropmill reload"), ":"), el("pre", { tabindex: "0" }, el("code", {}, text)), copy);
}
