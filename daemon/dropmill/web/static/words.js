// Numbers, sizes, times and the words of the model, as people read them.
const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB"];
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (number) => whole.format(number);

export const many = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;

export function bytes(number) {
  let unit = 0;
  while (number >= 999.5 && unit < UNITS.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${unit && number < 99.95 ? number.toFixed(1) : whole.format(number)} ${UNITS[unit]}`;
}

export function when(text) {
  if (!text) return "";
  // As cameras write it: local time, wherever that was.
  const camera = /^(\d{4}):(\d\d):(\d\d) (\d\d:\d\d)/.exec(text);
  if (camera) return `${camera[1]}-${camera[2]}-${camera[3]} ${camera[4]}`;
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return text;
  const day = [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
  return `${day} ${String(at.getHours()).padStart(2, "0")}:${String(at.getMinutes()).padStart(2, "0")}`;
}

export function lasting(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3570) return `${Math.round(seconds / 60)} min`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}

export const TIERS = { exact: "Identical", near: "Near-identical", similar: "Similar", loose: "Loosely alike" };

export const RELATIONS = {
  "identical": "identical picture",
  "re-encoded": "re-encoded",
  "resized": "resized",
  "cropped": "cropped",
  "bordered": "bordered",
  "watermarked": "watermarked",
  "turned": "rotated or mirrored",
  "burst": "burst or alternate take",
  "unknown": "relation not clear",
  "": "not compared yet",
};

export const relation = (word) => RELATIONS[word] ?? word;

export const leaf = (path) => path.slice(path.lastIndexOf("/") + 1);

// Fewer than one false pair in a thousand is told as such: longer figures say no more.
export function odds(pairs) {
  if (pairs === null || pairs === undefined) return "";
  if (pairs < 0.001) return "fewer than 0.001 false pairs expected by chance";
  return `about ${pairs < 10 ? Number(pairs.toPrecision(2)) : whole.format(pairs)} false pairs expected by chance`;
}
