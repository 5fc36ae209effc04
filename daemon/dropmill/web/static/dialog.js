// A question before something that cannot be taken back lightly. Resolves to true, or to false where it was left.
// ``wrong``: says what is missing, or nothing; ``field``: what has the focus then. With ``pending`` it can be answered once its
// body has sent a "ready" event: { fine, yes }.
import { button, el, icon } from "./dom.js";

export function question({ title, body, yes, sign, typed = "", pending = false, wrong = null, field: asked = null }) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    let answer = false;
    const field = typed ? el("input", { type: "text", autocomplete: "off", spellcheck: "false", "aria-label": `Type ${typed} to go on` }) : null;
    const go = button(yes, { sign, class: "strong", type: "submit", disabled: Boolean(typed) || pending });
    const allowed = () => (!field || field.value.trim().toLowerCase() === typed) && !pending;
    const note = el("p", { class: "wrong", id: "wrong", role: "alert" });
    field?.addEventListener("input", () => { go.disabled = !allowed(); });
    asked?.addEventListener("input", () => complain(""));
    const complain = (said) => {
      note.replaceChildren(...(said ? [icon("warn"), el("span", {}, said)] : []));
      if (!asked) return;
      asked.setAttribute("aria-invalid", String(Boolean(said)));
      asked.setAttribute("aria-describedby", said ? "wrong" : "");
    };
    const form = el("form", { method: "dialog", onsubmit: (event) => {
      const said = wrong?.() ?? "";
      if (said) {
        event.preventDefault();
        complain(said);
        asked?.focus();
        return;
      }
      answer = allowed();
    }, onready: (event) => {
      pending = !event.detail.fine;
      go.querySelector("span").textContent = event.detail.yes ?? yes;
      go.disabled = !allowed();
    } },
      el("h2", { id: "question" }, title),
      body,
      field ? el("p", {}, el("label", {}, "Type ", el("code", {}, typed), " to go on: ", field)) : null,
      wrong ? note : null,
      el("footer", {}, button("Cancel", { key: "esc", onclick: () => dialog.close() }), go));
    const dialog = el("dialog", { class: "sheet ask", "aria-labelledby": "question" }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      before?.isConnected && before.focus({ preventScroll: true });
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    (field ?? asked ?? go).focus();
  });
}

export function trouble(error, again) {
  return el("div", { class: "problem", role: "alert" }, icon("warn"), el("div", {},
    el("p", {}, el("strong", {}, error.message)), error.hint ? el("p", {}, error.hint) : null,
    again ? el("p", {}, button("Try again", { sign: "again", onclick: again })) : null));
}
