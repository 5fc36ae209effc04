// One group as it stands on the page: what is said of it, its pictures, and what can be done.
import { preview } from "./api.js";
import { breakable, button, el, icon } from "./dom.js";
import { TIERS, bytes, count, leaf, many, odds, relation, when } from "./words.js";

const FIRST = 6;
// Name, bits, where it is told, and what it says.
export const DISTANCES = [
  ["phash", 64, "phash_distance", "the coarse outline; 0 is alike, and pictures that have nothing in common differ in about half of the bits"],
  ["dhash", 64, "dhash_distance", "from where to where it gets brighter"],
  ["fine", 256, "phash256_distance", "the outline in more detail; pictures of a burst are near in phash and far in this"],
];

export class Group {
  constructor(told) {
    this.whole = false;
    this.node = el("section", { class: "group" });
    this.tell(told);
  }

  tell(told) {
    this.told = told;
    this.id = told.id;
    this.node.id = `group-${told.id}`;
    this.node.dataset.id = told.id;
    this.node.setAttribute("aria-labelledby", `g${told.id}`);
    this.left = new Set();
    this.keeper = told.keeper;
    this.members = [...told.members].sort((a, b) => (b.id === told.keeper) - (a.id === told.keeper));
    this.settled = false;
    this.draw();
  }

  get kept() { return this.members.find((member) => member.id === this.keeper) ?? this.members[0]; }
  get others() { return this.members.filter((member) => member.id !== this.keeper && !this.left.has(member.id)); }

  // Without a choice of members all of them are meant, those beyond the first fifty too.
  get chosen() { return this.left.size ? this.others.map((member) => member.id) : null; }
  get files() { return this.others.length + (this.left.size ? 0 : this.told.members_count - this.members.length); }
  // Those that a hard link to the keeper can take the place of, as far as they are known here.
  get twins() { return this.others.filter((member) => member.sha256 === this.kept.sha256); }
  get unseen() { return !this.left.size && this.told.members_count > this.members.length; }
  get linkable() { return this.twins.length > 0 || this.unseen; }
  get gain() {
    const beyond = this.keeper === this.told.keeper && !this.left.size && this.told.members_truncated;
    return beyond ? this.told.reclaimable_bytes : this.others.reduce((sum, member) => sum + member.size_bytes, 0);
  }

  member(node) {
    const id = Number(node?.closest?.(".member")?.dataset.member);
    return this.members.find((member) => member.id === id) ?? null;
  }

  cards() { return [...this.node.querySelectorAll(".member")]; }

  draw() {
    const focused = this.node.contains(document.activeElement) ? document.activeElement.closest(".member")?.dataset.member : null;
    const shown = this.whole ? this.members : this.members.slice(0, FIRST);
    const hidden = this.told.members_count - shown.length;
    const unshown = this.told.members_count - this.members.length;
    this.node.classList.toggle("settled", this.settled);
    this.node.replaceChildren(
      el("div", { class: "verdict" }, this.verdict()),
      el("ul", { class: "members" }, shown.map((member) => this.card(member)),
        hidden > 0 ? el("li", { class: "beyond" }, hidden > unshown
          ? button(`Show ${count(hidden - unshown)} more`, { data: { act: "whole" } }) : null,
        unshown ? el("span", { class: "quiet" }, `and ${many(unshown, "file")} more`) : null) : null),
      this.actions());
    if (focused) (this.cards().find((card) => card.dataset.member === focused) ?? this.cards()[0])?.focus({ preventScroll: true });
  }

  verdict() {
    const { told, kept } = this;
    const own = this.keeper !== told.keeper;
    const reasons = own ? ["you chose it"] : told.reasons;
    return [
      el("h2", { id: `g${this.id}` }, el("a", { class: "tier", href: `${document.documentElement.dataset.base}/review/${this.id}` }, TIERS[told.tier] ?? told.tier),
        told.tier === "exact" ? null : el("span", {}, told.relation || told.members.length < 3 ? relation(told.relation) : "in several ways")),
      el("p", { class: "gain" }, el("strong", {}, bytes(this.gain)), ` to gain from ${many(this.files, "file")}`),
      el("p", { class: "keep" }, icon("keep"), own || told.keeper_chosen ? "You keep " : "Suggested: ", el("span", { class: "leaf" }, leaf(kept.path))),
      reasons.length ? el("ul", { class: "reasons" }, reasons.map((reason) => el("li", {}, reason))) : null,
      told.tier === "exact" ? null : el("p", { class: "odds" }, told.phash_distance ? `${told.members_count > 2 ? "up to " : ""}${told.phash_distance} of 64 bits differ` : "no bit of the hash differs",
        told.expected_false_pairs === null || told.expected_false_pairs === undefined ? null
          : `; in this catalog ${odds(told.expected_false_pairs)}`),
    ];
  }

  actions() {
    const act = (name, label, key) => button(label, { key, class: "bare", data: { act: name } });
    const accept = this.left.size ? `Trash ${count(this.files)}, leave ${count(this.left.size)}` : `Keep 1, trash ${count(this.files)}`;
    return el("div", { class: "acts" },
      button(accept, { sign: "check", key: "⏎", class: "strong", data: { act: "accept" }, disabled: !this.files }),
      act("compare", "Compare", "c"), act("dismiss", "Not duplicates", "n"),
      act("keep", this.told.members_count > 2 ? "Keep all" : "Keep both", "b"), act("move", "Move …", "m"),
      this.linking(), act("purge", "Delete …", "D"));
  }

  // Offered only where some of these have the same bytes; with another keeper it may be others.
  linking() {
    const { twins, unseen } = this;
    if (!unseen && new Set(this.members.map((member) => member.sha256)).size === this.members.length) return null;
    const some = !unseen && twins.length && twins.length < this.files;
    return button(some ? `Hard link ${count(twins.length)}` : "Hard link", { key: "l", class: "bare", data: { act: "link" }, disabled: !this.linkable,
      title: this.linkable ? some ? `${many(twins.length, "file")} of ${count(this.files)} with the very bytes of the one to keep` : null : "No other file has the very bytes of the one to keep" });
  }

  card(member) {
    const keeper = member.id === this.keeper;
    const stays = this.left.has(member.id);
    const best = this.best(member);
    const shape = [member.width, member.height];
    const fact = (name, text) => el("span", { class: best.has(name) ? "best" : null, title: best.has(name) ? `the ${best.get(name)} of this group` : null }, text);
    return el("li", {
      class: `member${keeper ? " keeper" : ""}${stays ? " stays" : ""}`, tabindex: "-1", data: { member: member.id },
      "aria-label": `${leaf(member.path)}, ${keeper ? "to keep" : stays ? "left as it is" : "to go"}, ${shape.join(" by ")}, ${bytes(member.size_bytes)}`,
    },
    el("button", { type: "button", class: "cell", data: { act: "look" }, tabindex: "-1", "aria-label": `Compare ${leaf(member.path)}` },
      el("img", { src: preview(member.image, 320), width: shape[0], height: shape[1], alt: "", loading: "lazy", decoding: "async" })),
    el("p", { class: "fate" },
      keeper ? el("span", { class: "badge" }, icon("keep"), "Keep") : button("Keep this", { class: "bare", data: { act: "keeper" }, tabindex: "-1", say: `Keep ${leaf(member.path)}` }),
      keeper ? null : stays ? el("span", { class: "word" }, icon("stop"), "stays") : el("span", { class: "word" }, relation(member.relation))),
    el("p", { class: "path" }, breakable(member.path)),
    el("p", { class: "facts" },
      fact("pixels", `${shape[0]} × ${shape[1]}`), fact("size_bytes", bytes(member.size_bytes)), el("span", {}, (member.format ?? "").toUpperCase()),
      fact("date", el("time", { datetime: when(member.captured_at ?? member.modified_at), title: member.captured_at ? "when it was taken" : "when the file was changed last" },
        when(member.captured_at ?? member.modified_at))),
      el("span", {}, member.inbox),
      keeper || member.tier === "exact" ? null : el("span", { class: "bits" }, DISTANCES.map(([name, bits, field, say]) =>
        el("span", { title: `${member[field]} of ${bits} bits differ from the file to keep: ${say}` }, `${name} ${member[field]}/${bits}`)))));
  }

  // What this one has more of than any other here.
  best(member) {
    const found = new Map();
    const pixels = (one) => one.width * one.height;
    const most = (of) => this.members.every((one) => one === member || of(one) < of(member));
    if (most(pixels)) found.set("pixels", "largest");
    if (most((one) => one.size_bytes)) found.set("size_bytes", "largest file");
    return found;
  }

  settle(text, again) {
    this.settled = true;
    this.node.classList.add("settled");
    for (const node of this.node.querySelectorAll("[tabindex], button")) node.tabIndex = -1;
    for (const card of this.cards()) card.removeAttribute("tabindex");
    const told = el("div", { class: "done" }, el("p", {}, icon("check"), el("strong", {}, text)),
      again ? button("Undo", { sign: "undo", onclick: again }) : null);
    // Its place stays as it is: nothing moves under the pointer.
    this.node.querySelector(".acts").replaceWith(told);
    this.node.querySelectorAll(".members button").forEach((one) => { one.disabled = true; });
  }
}
