// What happens in the daemon, as it happens. The browser connects anew by itself and says what it heard last.
import { base } from "./dom.js";

export function listen(handlers) {
  const source = new EventSource(`${base}/api/v1/events`);
  for (const [name, run] of Object.entries(handlers)) {
    if (name === "open" || name === "error") source.addEventListener(name, () => run());
    else source.addEventListener(name, (event) => run(JSON.parse(event.data)));
  }
  addEventListener("pagehide", () => source.close());
  return source;
}
