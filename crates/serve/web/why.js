// "Why this number": what it means, the command that lists the events behind it, and those events where the server can tell them.
import { cut, el, fill } from "./dom.js";
import { get } from "./api.js";
import { proofOf, state, watch } from "./state.js";
import { clock, duration } from "./format.js";

const dialog = document.getElementById("why");

/** What the rows of a kind mean; docs/metrics.md has all of it. */
const MEANINGS = {
  "site-metrics": "All counted events of the window [start, end): valid, on time by the high mark of their own partition, and the first of their copies. Users and sessions are exact numbers, not estimates, and of all events, not only of views: there may be more users than views. Conversion: users with a purchase / users.",
  "page-metrics": "All counted events of this page in the window [start, end). Users are an exact number, and of all events, not only of views: there may be more users than views. Click-through rate: clicks / views.",
  "top-pages": "The ten pages with most views in the window, ties by name. The arrow compares with the rank in the window just before, of which no event is in both.",
  "trending-pages": "Pages with clearly more views in the later half of the window than in the earlier: score = (recent − prior) / √(recent + prior), listed from 2 on with at least 10 recent views.",
  "bounce-rates": "Final: of the sessions that entered at the page and closed within the window, the share with exactly one page view and nothing else. Provisional: the same of the sessions that began within the window, as far as decided.",
  "page-transitions": "Two successive page views of a session, on different pages, less than the session gap apart; counted at the time of the later one.",
  "common-paths": "Runs of three or four successive page views, each on another page than the one before; counted at the last.",
  funnels: "Of the sessions that closed within the window: with a page view; of these with an add to cart; of these with a purchase.",
  sessions: "Events of one session id without a gap of the session gap or more; written when it closes. Engagement = 100·(1 − e^(−points / 20)), points = views + 2·clicks + 5·add to cart + 10·purchases + seconds / 10.",
  anomalies: "A slide with far more or far fewer events than those before it, or a user that acts like a program or unlike others. The “?” beside each explains the rule that found it.",
  "dead-letters": "Records that count nowhere: malformed, of a rejected value, or late by more than the allowed disorder. Each is kept with its place in the log.",
  "page-engagement": "The time from a page view to the next one of the session, if less than the session gap. Half of the stays took at most the time in the second column: stays are counted in classes, each a fifth wider than the one before, and the time is the upper bound of the class that the median is in. The mean is exact.",
};

const USUAL = "Usual is the mean of the 30 slides before, or of as many as there are, from 6 on; a deviation is taken to be at least twice the mean's square root.";
const BOT = "From that event on the user is a labelled bot, for as long as a window: the numbers without bots leave out what it does then.";

/** What the rule that found an anomaly looks for. */
const RULES = {
  traffic_spike: { z_score: () => `A spike: a slide with at least 20 events, at least 1.5 times as many as usual, and at least 7 deviations more. ${USUAL}` },
  traffic_drop: { z_score: () => `A drop: a slide with at most 35 % of the usual events, and at least 3 deviations fewer. ${USUAL}` },
  bot: {
    declared: () => `The browser's name (user agent) that came with the event holds a word that only bots use, as “crawl” or “spider”. ${BOT}`,
    fast: () => `Too fast for a person: 30 events in a row within 10 s. ${BOT}`,
    metronome: (window) => `Too regular for a person: 20 events in a row within ${window}, and the gaps between them vary by less than a tenth. ${BOT}`,
    repeated: () => `Always the same: 12 events in a row within 10 s, all on one page. ${BOT}`,
    crawl: (window) => `Only reads, as a crawler does: 25 events in a row within ${window}, all of them page views, without a click or anything else between. ${BOT}`,
  },
  unusual_user: {
    purchase: () => "In one minute, a purchase of a product whose page the user had not viewed before, in that session and within the last window.",
    pages: () => "More than 60 different pages in one minute.",
    sessions: () => "Three or more sessions of one user in the same minute.",
  },
};

/** The rule of an anomaly, in a sentence; nothing if it is not known here. */
export function rule({ kind, rule: name }) {
  const text = RULES[kind]?.[name]?.(state.status?.window_ms ? duration(state.status.window_ms) : "a window");
  return text && `Rule “${name.replaceAll("_", "-")}”. ${text}`;
}

const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${String(text).replaceAll("'", "'\\''")}'`);
/** An option; a value that looks like an option itself is bound to its name. */
const option = (name, value) => (String(value).startsWith("-") ? `${name}=${quote(value)}` : `${name} ${quote(value)}`);

function command({ page, user, session, end, kind, metric }) {
  const same = state.explainOptions.map((text) => quote(text));
  if (kind === "dead-letters" || !end) return ["clickstream verify", ...same].join(" ");
  const parts = ["clickstream explain", option("--site", state.site)];
  if (page) parts.push(option("--page", page));
  else if (session) parts.push(option("--session", session));
  else if (user) parts.push(option("--user", user));
  parts.push(option("--window-end", end));
  if (metric) parts.push(option("--metric", metric));
  return [...parts, ...same].join(" ");
}

const PROOF = {
  proven: "✓ Proven: an independent engine recounted the log and got the same rows.",
  open: "○ Not recounted yet: the proof follows the results a few seconds behind.",
  refuted: "✗ The recount differs. Run clickstream verify to see where.",
};

const proven = el("p", {});
let shown = null;
/** What the explanation was asked for with. The list around it is drawn anew with every window, and the browser knows only the old one. */
let opener = null;
dialog.addEventListener("close", () => {
  if (!opener || opener.isConnected) return;
  const label = opener.getAttribute("aria-label");
  [...document.querySelectorAll("button.why")].find((button) => button.getAttribute("aria-label") === label)?.focus();
});
/** Says what the proof says now: it may come while the explanation is being read. */
function prove() {
  const proof = proofOf(shown);
  proven.hidden = !proof;
  proven.textContent = proof ? PROOF[proof] : "";
}
watch(["proof"], prove);

/** Opens the explanation. `subject`: `{title, value, kind, metric, page, user, session, end, about}`; of neither page, user nor session: the whole site. */
export async function explain(subject) {
  const line = command(subject);
  shown = subject.end;
  prove();
  const copied = el("button.button", { type: "button", onclick: async () => {
    await navigator.clipboard?.writeText(line).catch(() => {});
    copied.textContent = "copied";
  } }, "copy command");
  const events = el("div", {});
  fill(dialog,
    el("h2", { id: "why-title" }, subject.title),
    subject.value ? el(`p.big${subject.value.length > 14 ? ".long" : ""}`, {}, subject.value) : null,
    el("p", {}, [subject.page ? `Page ${cut(subject.page, 400)}. ` : "", subject.end ? `Window up to ${clock(subject.end)}.` : ""].join("")),
    proven,
    el("h3", {}, "What it means"),
    el("p", {}, subject.about || MEANINGS[subject.kind] || ""),
    el("h3", {}, "Ask the log"),
    el("pre", {}, line),
    events,
    el("div.actions", {}, copied, el("button.button.main", { type: "button", onclick: () => dialog.close() }, "close")),
  );
  opener = document.activeElement;
  dialog.showModal();
  if (!state.canExplain || !subject.end || subject.kind === "dead-letters") return;
  fill(events, el("h3", {}, "The events behind it"), el("p.empty", {}, "asking the log … (it recounts the window from the events, which takes some seconds)"));
  const { page, session, user } = subject;
  const of = page ? { page_url: page } : session ? { session_id: session } : user ? { user_id: user } : {};
  const ask = { site_id: state.site, ...of, window_end: subject.end, metric: subject.metric };
  try {
    const answer = await get("/explain", ask);
    fill(events, el("h3", {}, "The events behind it"), el("pre", { tabindex: "0" }, answer.text));
  } catch (error) {
    fill(events, el("h3", {}, "The events behind it"), el("p.empty", {}, error.message));
  }
}

dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
