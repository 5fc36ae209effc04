// Small charts of the last hours, drawn from minutes; each tells its figures in words, too.
import { get } from "./api.js";
import { el, svg } from "./dom.js";
import { count, lasting } from "./words.js";

const MOST = 96, LEAST = 60, HEIGHT = 64;
const KINDS = [["published", "published"], ["duplicate", "duplicates"], ["unchanged", "unchanged"], ["discarded", "discarded"]];

// So many minutes together that the bars can be seen; counts are added up, of a depth the largest counts.
function lots({ minutes: known, step_seconds }) {
  // Of a daemon that has just started there is little to see; the hour before it is empty.
  const minutes = [...Array.from({ length: Math.max(0, LEAST - known.length) }, () => ({})), ...known];
  const size = Math.max(1, Math.ceil(minutes.length / MOST));
  const found = [];
  for (let at = minutes.length; at > 0; at -= size) {
    const part = minutes.slice(Math.max(0, at - size), at);
    const sum = (name) => part.reduce((total, minute) => total + (minute[name] ?? 0), 0);
    const most = (name) => Math.max(0, ...part.map((minute) => minute[name] ?? 0));
    const outcomes = Object.fromEntries(KINDS.map(([name]) => [name, sum(name)]));
    outcomes.unchanged += sum("other");
    found.unshift({ at: part[0].at, outcomes, rate: (Object.values(outcomes).reduce((total, one) => total + one, 0) * 60) / (part.length * step_seconds),
      depth: most("waiting") + most("executing") });
  }
  return { lots: found, seconds: minutes.length * step_seconds };
}

function area(values, top) {
  const y = (value) => HEIGHT - 1 - (value / top) * (HEIGHT - 3);
  const points = values.map((value, at) => `${at},${y(value).toFixed(2)} ${at + 1},${y(value).toFixed(2)}`);
  return [svg("polygon", { class: "fill", points: `0,${HEIGHT} ${points.join(" ")} ${values.length},${HEIGHT}` }),
    svg("polyline", { class: "line", points: points.join(" ") })];
}

function stacked(parts, top) {
  return parts.flatMap((outcomes, at) => {
    let y = HEIGHT;
    return KINDS.map(([name]) => {
      const height = (outcomes[name] / top) * (HEIGHT - 2);
      y -= height;
      return height ? svg("rect", { class: name, x: at + 0.1, y: y.toFixed(2), width: 0.8, height: height.toFixed(2) }) : null;
    });
  });
}

function chart(title, figure, words, shapes, width, span, top) {
  return el("figure", { class: "chart" }, el("figcaption", {}, el("span", {}, title), " ", el("strong", {}, figure)),
    svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: ${words}` }, shapes),
    el("p", { class: "axis" }, el("span", {}, `${lasting(span)} ago`), el("span", {}, `top ${top}`), el("span", {}, "now")));
}

const rate = (number) => (number < 10 ? number.toFixed(1) : count(number));

export async function draw(place) {
  const told = await get("/history");
  const { lots: parts, seconds } = lots(told);
  const rates = parts.map((part) => part.rate), depths = parts.map((part) => part.depth);
  const sums = Object.fromEntries(KINDS.map(([name]) => [name, parts.reduce((total, part) => total + part.outcomes[name], 0)]));
  const most = { rate: Math.max(1, ...rates), depth: Math.max(1, ...depths),
    outcome: Math.max(1, ...parts.map((part) => Object.values(part.outcomes).reduce((total, one) => total + one, 0))) };
  const now = { rate: rates.at(-1) ?? 0, depth: depths.at(-1) ?? 0 };
  const key = el("ul", { class: "key" }, KINDS.map(([name, word]) => el("li", {}, el("i", { class: name }), `${count(sums[name])} ${word}`)));
  const outcomes = chart("Outcomes", count(Object.values(sums).reduce((total, one) => total + one, 0)), KINDS.map(([name, word]) => `${sums[name]} ${word}`).join(", "),
    stacked(parts.map((part) => part.outcomes), most.outcome), parts.length, seconds, count(most.outcome));
  outcomes.append(key);
  place.replaceChildren(
    chart("Throughput", `${rate(now.rate)} a minute`, `${rate(now.rate)} pictures a minute now, ${rate(most.rate)} at most`, area(rates, most.rate), parts.length, seconds, rate(most.rate)),
    chart("Queue", `${count(now.depth)} waiting`, `${count(now.depth)} jobs now, ${count(most.depth)} at most`, area(depths, most.depth), parts.length, seconds, count(most.depth)),
    outcomes);
}
