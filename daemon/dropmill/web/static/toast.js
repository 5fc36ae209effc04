// One line at the lower edge: what was done, and the way back. It covers nothing that has to be used, and stays.
import { button, el, icon } from "./dom.js";

const place = document.getElementById("toast");
let way = null;

export function toast(text, { undo = null, detail = "", bad = false } = {}) {
  way = undo;
  const words = el("p", {}, icon(bad ? "warn" : "check"), el("span", {}, el("strong", {}, text), detail ? ` ${detail}` : ""));
  const acts = [
    undo ? button("Undo", { sign: "undo", key: "u", onclick: back }) : null,
    button("", { sign: "cross", class: "bare", say: "Dismiss this message", onclick: dismiss }),
  ];
  place.replaceChildren(el("div", { class: bad ? "said bad" : "said" }, words, acts));
}

export function failed(error, more = {}) {
  toast(error.message, { detail: error.hint ?? "", bad: true, ...more });
}

export function dismiss() {
  way = null;
  place.replaceChildren();
}

// Takes back what the toast tells of; false where there is nothing.
export function back() {
  if (!way) return false;
  const run = way;
  way = null;
  run();
  return true;
}
