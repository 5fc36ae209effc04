// Elements without markup: everything that is shown goes in as text.
const SVG = "http://www.w3.org/2000/svg";
export const base = document.documentElement.dataset.base;

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function el(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));
}

export function button(label, { key, sign, say, ...props } = {}, ...more) {
  const words = [sign ? icon(sign) : null, el("span", {}, label), key ? el("kbd", { "aria-hidden": "true" }, key) : null];
  return el("button", { type: "button", "aria-label": say, ...props }, words, more);
}

// Long paths may break after their slashes.
export const breakable = (text) => text.split(/(?<=\/)/).flatMap((part) => [part, el("wbr")]);

export const path = (text, props = {}) => el("span", { class: "path", ...props }, breakable(text));
