// REST and the live stream.

/** What `early.js` asked for; each answer is used once. */
function early(url) {
  const answer = window.early.get(url);
  window.early.delete(url);
  return answer;
}

/** Asks REST; the answer as an object. Throws with the problem's detail. */
export async function get(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined));
  const text = query.toString();
  const url = `/api/v1${path}${text ? `?${text}` : ""}`;
  const response = await (early(url) ?? fetch(url, { headers: { accept: "application/json" } }));
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    const error = new Error(body.detail || `status ${response.status}`);
    error.status = response.status;
    throw error;
  }
  return body;
}

const KINDS = [
  "site-metrics", "page-metrics", "top-pages", "human-top-pages", "trending-pages", "bounce-rates", "provisional-bounce-rates", "page-transitions",
  "entry-exit-pages", "common-paths", "funnels", "page-engagement", "sessions", "anomalies", "dead-letters",
];

/**
 * Follows the live stream. `on.frame(kind, data)`, `on.pipeline(status)`, `on.state(connected)`, and `on.gap()` when
 * something was missed and has to be read again. Returns a function that ends it.
 */
export function follow(site, on) {
  let source = null;
  let last = null;
  let ended = false;
  let wait = 1000;
  let timer = null;

  const open = () => {
    const query = new URLSearchParams();
    if (site) query.set("site_id", site);
    // a browser's own reconnect sends the id by itself; after a refusal we have to
    if (last) query.set("last_event_id", last);
    source = new EventSource(`/api/v1/stream?${query}`);
    const seen = (event) => { if (event.lastEventId) last = event.lastEventId; };
    source.addEventListener("hello", (event) => {
      seen(event);
      wait = 1000;
      on.state(true);
      if (!JSON.parse(event.data).resumed) on.gap();
    });
    source.addEventListener("dropped", () => on.gap());
    source.addEventListener("pipeline", (event) => on.pipeline(JSON.parse(event.data)));
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => { seen(event); on.frame(kind, JSON.parse(event.data)); });
    }
    source.onerror = () => {
      on.state(false);
      // always our own reconnect: it also works after the server refused
      source.close();
      clearTimeout(timer);
      if (!ended) {
        timer = setTimeout(open, wait);
        wait = Math.min(wait * 2, 10_000);
      }
    };
  };
  // who comes back to the page, or into the network, does not wait
  const again = () => {
    if (ended || document.hidden || source.readyState !== EventSource.CLOSED) return;
    clearTimeout(timer);
    open();
  };
  document.addEventListener("visibilitychange", again);
  addEventListener("online", again);
  open();
  return () => {
    ended = true;
    clearTimeout(timer);
    source?.close();
    document.removeEventListener("visibilitychange", again);
    removeEventListener("online", again);
  };
}
