// Two pictures of a group, aligned: side by side, blinking, wiped, or their difference, with one zoom for both.
import { preview } from "./api.js";
import { place } from "./align.js";
import { button, breakable, el, icon } from "./dom.js";
import { use } from "./keys.js";
import { Stage } from "./stage.js";
import { TIERS, bytes, leaf, relation, when } from "./words.js";

const MODES = [["side", "Side by side", "1"], ["blink", "Blink", "2"], ["wipe", "Wipe", "3"], ["difference", "Difference", "4"]];
let mode = "side";

// ``page``: { perform(name, member), neighbour(group, way), enter(group), leave() }
export function compare(group, member, page) {
  if (!member) return;
  let turn = 0;
  const stage = new Stage();
  const modes = MODES.map(([name, word, key]) => button(word, { key, onclick: () => choose(name), data: { mode: name } }));
  const zoom = el("output", { class: "zoom" });
  const strip = el("ul", { class: "strip", "aria-label": "Files of the group" });
  const title = el("h2", { id: "compare-title" });
  const sides = el("div", { class: "sides" });
  const note = el("p", { class: "note", role: "status" });
  const dialog = el("dialog", { class: "compare", "aria-labelledby": "compare-title" },
    el("header", {}, title, el("div", { class: "modes", role: "group", "aria-label": "How to compare" }, modes),
      el("div", { class: "lens", role: "group", "aria-label": "Zoom" }, button("−", { say: "Zoom out", onclick: () => stage.zoom(1 / 1.5) }), zoom,
        button("+", { say: "Zoom in", onclick: () => stage.zoom(1.5) }), button("Fit", { key: "0", onclick: () => stage.fit() })),
      button("Close", { key: "esc", onclick: () => dialog.close() })),
    stage.node, el("footer", {}, note, sides, strip));

  function choose(name) {
    mode = name;
    for (const one of modes) one.setAttribute("aria-pressed", String(one.dataset.mode === name));
    stage.choose(name);
    tell();
  }

  function tell(placed = null) {
    const words = { side: "", blink: "f shows the other one, p stops and goes on", wipe: ", and . move the edge, or drag it", difference: `what differs is bright; g makes it brighter, now ×${stage.gain}` }[mode];
    const fit = placed && !placed.aligned ? "These two could not be aligned: each fills the frame. " : "";
    if (placed) note.dataset.fit = fit;
    note.textContent = (note.dataset.fit ?? "") + words;
  }

  async function show() {
    const mine = ++turn;
    const kept = group.kept;
    if (member.id === kept.id || !group.members.some((one) => one.id === member.id)) member = group.members.find((one) => one.id !== kept.id) ?? member;
    title.replaceChildren(el("strong", {}, TIERS[group.told.tier] ?? group.told.tier), ` · ${relation(member.relation)}`,
      member.tier === "exact" ? "" : ` · ${member.phash_distance} of 64 bits`);
    note.dataset.fit = "";
    note.textContent = "Loading the pictures …";
    sides.replaceChildren(side(kept, member, true), acts(), side(member, kept, false));
    strip.replaceChildren(...group.members.map((one) => el("li", {}, el("button", {
      type: "button", class: "cell", "aria-pressed": String(one.id === member.id), "aria-label": `Compare ${leaf(one.path)}`, disabled: one.id === kept.id,
      onclick: () => { member = one; show(); },
    }, el("img", { src: preview(one.image, 320), width: one.width, height: one.height, alt: "" })), one.id === kept.id ? icon("keep") : null)));
    strip.hidden = group.members.length < 3;
    strip.querySelector("[aria-pressed=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    const [a, b] = await stage.show({ src: preview(kept.image, 1280), shape: [kept.width, kept.height], name: leaf(kept.path) },
      { src: preview(member.image, 1280), shape: [member.width, member.height], name: leaf(member.path) });
    if (mine !== turn) return;
    if (!a || !b) {
      note.textContent = "A picture cannot be shown: its file is gone, or cannot be read now.";
      return;
    }
    const placed = place(a, b);
    stage.place(placed);
    tell(placed);
  }

  function side(one, other, kept) {
    const larger = (mine, theirs) => (mine > theirs ? "best" : null);
    return el("div", { class: "about" },
      el("p", {}, kept ? el("span", { class: "badge" }, icon("keep"), "Keep") : el("span", { class: "tag" }, "Other")),
      el("p", { class: "path" }, breakable(one.path)),
      el("p", { class: "facts" }, el("span", { class: larger(one.width * one.height, other.width * other.height) }, `${one.width} × ${one.height}`),
        el("span", { class: larger(one.size_bytes, other.size_bytes) }, bytes(one.size_bytes)), el("span", {}, (one.format ?? "").toUpperCase()),
        el("span", {}, when(one.captured_at ?? one.modified_at))));
  }

  const acts = () => el("div", { class: "acts" },
    button(`Keep 1, trash ${group.files}`, { key: "⏎", class: "strong", onclick: () => decide("accept") }),
    button("Keep the other", { key: "space", onclick: () => decide("keeper") }),
    button("Not duplicates", { key: "n", onclick: () => decide("dismiss") }),
    button(group.told.members_count > 2 ? "Keep all" : "Keep both", { key: "b", onclick: () => decide("keep") }),
    button("Back", { key: "c", onclick: () => dialog.close() }));

  // What is decided here is decided as on the page; then the next group comes.
  async function decide(name) {
    const after = page.neighbour(group, 1) ?? page.neighbour(group, -1);
    await page.perform(name, member);
    if (!group.settled) return show();
    if (!after) return dialog.close();
    open(after);
  }

  function open(other) {
    group = other;
    member = group.others[0] ?? group.members[1];
    stage.fit();
    show();
  }

  function along(step) {
    const rest = group.members.filter((one) => one.id !== group.keeper);
    const at = rest.findIndex((one) => one.id === member.id) + step;
    if (rest[at]) {
      member = rest[at];
      show();
    }
  }

  function go(step) {
    const other = page.neighbour(group, step);
    if (other) open(other);
  }

  const free = use({
    title: "Keys of the comparison", holder: dialog,
    groups: [
      ["Look", [
        ...MODES.map(([name, word, key]) => ({ keys: [key], say: word.toLowerCase(), run: () => choose(name) })),
        { keys: ["+", "="], say: "closer", again: true, run: () => stage.zoom(1.25) },
        { keys: ["-"], say: "farther", again: true, run: () => stage.zoom(0.8) },
        { keys: ["0"], say: "all of it", run: () => stage.fit() },
        { keys: ["w"], say: "up", again: true, run: () => stage.pan(0, 64) },
        { keys: ["s"], say: "down", again: true, run: () => stage.pan(0, -64) },
        { keys: ["q"], say: "to the left", again: true, run: () => stage.pan(64, 0) },
        { keys: ["e"], say: "to the right", again: true, run: () => stage.pan(-64, 0) },
      ]],
      ["In a mode", [
        { keys: ["f"], say: "blink: show the other one", run: () => stage.flip() },
        { keys: ["p"], say: "blink: stop, or go on", run: () => stage.pause() },
        { keys: [","], say: "wipe: to the left", again: true, run: () => stage.wipe(-0.04) },
        { keys: ["."], say: "wipe: to the right", again: true, run: () => stage.wipe(0.04) },
        { keys: ["g"], say: "difference: brighter", run: () => { stage.brighter(); tell(); } },
      ]],
      ["Go", [
        { keys: ["ArrowRight", "ArrowDown"], say: "next file", again: true, run: () => along(1) },
        { keys: ["ArrowLeft", "ArrowUp"], say: "file before", again: true, run: () => along(-1) },
        { keys: ["j"], say: "next group", run: () => go(1) },
        { keys: ["k"], say: "group before", run: () => go(-1) },
        { keys: ["Escape", "c"], say: "back to the groups", run: () => dialog.close() },
      ]],
      ["Decide", [
        { keys: ["Enter"], say: "accept: keep one, the others to the trash", run: () => decide("accept") },
        { keys: [" "], say: "keep the other one", run: () => decide("keeper") },
        { keys: ["d"], say: "the others to the trash", run: () => decide("delete") },
        { keys: ["l"], say: "replace the others by hard links", run: () => decide("link") },
        { keys: ["n"], say: "not duplicates", run: () => decide("dismiss") },
        { keys: ["b"], say: "keep both, or all of them", run: () => decide("keep") },
      ]],
    ],
  });
  stage.onzoom = (percent) => { zoom.textContent = `${percent} %`; };
  dialog.addEventListener("close", () => {
    free();
    stage.end();
    dialog.remove();
    page.enter(group);
    if (group.settled) page.leave();
  });
  document.body.append(dialog);
  dialog.showModal();
  dialog.focus();
  choose(mode);
  show();
}
