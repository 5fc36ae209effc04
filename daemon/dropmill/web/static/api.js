// The API of this server. What it refuses becomes a Problem, with the remedy that it names.
import { base } from "./dom.js";

export class Problem extends Error {
  constructor(detail, hint, status = 0, reason = "") {
    super(detail);
    this.hint = hint;
    this.status = status;
    this.reason = reason;
  }
}

async function ask(method, path, body, signal) {
  const options = { method, signal, headers: { accept: "application/json" }, cache: "no-store" };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["content-type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(`${base}/api/v1${path}`, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The daemon does not answer.", "It may be starting again; if it stays away, look at its log.");
  }
  // The page itself, asked for again, is the form to sign in.
  if (answer.status === 401) location.reload();
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(said.detail || answer.statusText, said.hint || "", answer.status, said.reason || "");
  return said;
}

export const get = (path, signal) => ask("GET", path, undefined, signal);
export const post = (path, body = {}) => ask("POST", path, body);
export const put = (path, body = {}) => ask("PUT", path, body);

export function query(values) {
  const told = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return told.length ? `?${new URLSearchParams(told)}` : "";
}

export const preview = (image, size) => `${base}/api/v1/images/${image}/preview?size=${size}`;
