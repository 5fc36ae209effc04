// A question before something that cannot be taken back lightly. Resolves to true, or to false where it was left.
import { button, el, icon } from "./dom.js";

export function question({ title, body, yes, sign, typed = "", ready = null }) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    let answer = false;
    const field = typed ? el("input", { type: "text", autocomplete: "off", spellcheck: "false", "aria-label": `Type ${typed} to go on` }) : null;
    const go = button(yes, { sign, class: "strong", type: "submit", disabled: Boolean(typed || ready) });
    const allowed = () => (!field || field.value.trim().toLowerCase() === typed) && (!ready || ready.done);
    field?.addEventListener("input", () => { go.disabled = !allowed(); });
    ready?.then((fine) => {
      ready.done = fine;
      go.disabled = !allowed();
    });
    const form = el("form", { method: "dialog", onsubmit: () => { answer = allowed(); } },
      el("h2", { id: "question" }, title),
      body,
      field ? el("p", {}, el("label", {}, "Type ", el("code", {}, typed), " to go on: ", field)) : null,
      el("footer", {}, button("Cancel", { key: "esc", onclick: () => dialog.close() }), go));
    const dialog = el("dialog", { class: "sheet ask", "aria-labelledby": "question" }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      before?.isConnected && before.focus({ preventScroll: true });
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    (field ?? go).focus();
  });
}

export function trouble(error, again) {
  return el("div", { class: "problem", role: "alert" }, icon("warn"), el("div", {},
    el("p", {}, el("strong", {}, error.message)), error.hint ? el("p", {}, error.hint) : null,
    again ? el("p", {}, button("Try again", { sign: "again", onclick: again })) : null));
}
