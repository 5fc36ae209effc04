// Where two pictures are shown: one frame, the shape of the first, in which both lie; zoom and pan are of the frame.
import { button, el } from "./dom.js";

const CLOSEST = 16, BLINK_MS = 700;
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Stage {
  constructor() {
    this.mode = "side";
    this.gain = 1;
    this.edge = 0.5;
    this.onzoom = () => {};
    this.view = { zoom: 1, x: 0, y: 0 };
    this.aspect = 1;
    this.placed = { x: 0, y: 0, width: 1, height: 1, turn: 0, mirrored: false };
    this.handle = button("", { class: "edge", say: "Edge of the wipe", "aria-description": "comma and full stop move it" });
    this.panes = ["a", "b"].map((name) => {
      const image = el("img", { alt: "", draggable: "false", decoding: "async" });
      const frame = el("div", { class: "frame" }, image), word = el("p", { class: "tag" });
      return { node: el("div", { class: `pane ${name}` }, frame, word), frame, image, word };
    });
    this.node = el("div", { class: "stage", data: { mode: "side" } }, this.panes.map((pane) => pane.node), this.handle);
    this.size = new ResizeObserver(() => this.lay());
    this.size.observe(this.node);
    this.node.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event);
    }, { passive: false });
    this.drag();
  }

  // Both pictures, once they are there; null for one that cannot be shown.
  show(...pictures) {
    this.aspect = pictures[0].shape[0] / pictures[0].shape[1];
    this.placed = { x: 0, y: 0, width: 1, height: 1, turn: 0, mirrored: false };
    this.node.classList.add("loading");
    const both = Promise.all(this.panes.map(async ({ image, word }, at) => {
      const { src, shape, name } = pictures[at];
      word.textContent = at ? name : `Keep: ${name}`;
      [image.width, image.height] = shape;
      image.src = src;
      image.alt = name;
      try {
        await image.decode();
        return image;
      } catch {
        return null;
      }
    }));
    this.lay();
    return both.then((images) => {
      if (images.every(Boolean)) this.node.classList.remove("loading");
      return images;
    });
  }

  place(placed) {
    this.placed = placed;
    this.lay();
  }

  choose(mode) {
    this.mode = mode;
    this.node.dataset.mode = mode;
    this.node.classList.remove("other");
    clearInterval(this.timer);
    this.timer = 0;
    if (mode === "blink" && !still.matches) this.pause();
    this.lay();
  }

  flip() { if (this.mode === "blink") this.node.classList.toggle("other"); }

  pause() {
    if (this.mode !== "blink") return;
    if (this.timer) {
      clearInterval(this.timer);
      this.timer = 0;
    } else this.timer = setInterval(() => this.flip(), BLINK_MS);
  }

  wipe(step) {
    this.edge = Math.min(1, Math.max(0, this.edge + step));
    this.lay();
  }

  brighter() {
    this.gain = this.gain >= 16 ? 1 : this.gain * 4;
    this.lay();
  }

  zoom(factor, at = null) {
    const box = this.panes[0].node.getBoundingClientRect();
    const zoom = Math.min(CLOSEST, Math.max(1, this.view.zoom * factor)), by = zoom / this.view.zoom;
    const pane = at ? this.panes.map(({ node }) => node.getBoundingClientRect()).find((one) => at.clientX <= one.right && at.clientY <= one.bottom) ?? box : box;
    const x = at ? at.clientX - pane.left - pane.width / 2 : 0, y = at ? at.clientY - pane.top - pane.height / 2 : 0;
    this.view = { zoom, x: x - (x - this.view.x) * by, y: y - (y - this.view.y) * by };
    this.lay();
  }

  pan(x, y) {
    this.view.x += x;
    this.view.y += y;
    this.lay();
  }

  fit() {
    this.view = { zoom: 1, x: 0, y: 0 };
    this.lay();
  }

  lay() {
    const pane = this.panes[0].node;
    const room = { width: pane.clientWidth, height: pane.clientHeight };
    if (!room.width || !room.height) return;
    const { placed, view } = this;
    // All of both has to be seen, where one reaches beyond the other too.
    const left = Math.min(0, placed.x), top = Math.min(0, placed.y);
    const across = Math.max(1, placed.x + placed.width) - left, down = Math.max(1, placed.y + placed.height) - top;
    const width = Math.min(room.width / across, (room.height / down) * this.aspect), height = width / this.aspect;
    const reach = { x: (width * across * view.zoom) / 2, y: (height * down * view.zoom) / 2 };
    view.x = Math.min(reach.x, Math.max(-reach.x, view.x));
    view.y = Math.min(reach.y, Math.max(-reach.y, view.y));
    const x = view.x - (left + across / 2 - 0.5) * width * view.zoom, y = view.y - (top + down / 2 - 0.5) * height * view.zoom;
    for (const { frame } of this.panes) {
      Object.assign(frame.style, { width: `${width}px`, height: `${height}px`,
        transform: `translate(-50%, -50%) translate(${x}px, ${y}px) scale(${view.zoom})` });
    }
    this.panes[0].image.style.width = this.panes[0].image.style.height = "100%";
    const side = placed.turn % 2 ? [placed.height * height, placed.width * width] : [placed.width * width, placed.height * height];
    Object.assign(this.panes[1].image.style, { width: `${side[0]}px`, height: `${side[1]}px`,
      left: `${(placed.x + placed.width / 2) * width}px`, top: `${(placed.y + placed.height / 2) * height}px`,
      transform: `translate(-50%, -50%) scaleX(${placed.mirrored ? -1 : 1}) rotate(${placed.turn * 90}deg)` });
    const edge = this.edge * room.width;
    this.panes[1].node.style.clipPath = this.mode === "wipe" ? `inset(0 0 0 ${edge}px)` : "";
    this.handle.style.left = `${edge}px`;
    this.node.style.filter = this.mode === "difference" && this.gain > 1 ? `brightness(${this.gain})` : "";
    this.onzoom(Math.round(view.zoom * 100));
  }

  drag() {
    let from = null;
    this.node.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      from = { x: event.clientX, y: event.clientY, edge: event.target === this.handle };
      this.node.setPointerCapture(event.pointerId);
    });
    this.node.addEventListener("pointermove", (event) => {
      if (!from) return;
      const x = event.clientX - from.x, y = event.clientY - from.y;
      from = { ...from, x: event.clientX, y: event.clientY };
      if (from.edge) this.wipe(x / this.node.clientWidth);
      else this.pan(x, y);
    });
    for (const name of ["pointerup", "pointercancel"]) this.node.addEventListener(name, () => { from = null; });
    this.node.addEventListener("dblclick", () => this.fit());
  }

  end() {
    clearInterval(this.timer);
    this.size.disconnect();
  }
}
