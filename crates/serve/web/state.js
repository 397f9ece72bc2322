// What is shown: the newest rows of each kind, a little history, and which page everything is filtered by.
import { follow, get } from "./api.js";
import { keep } from "./dom.js";

/** Windows of history kept. */
const HISTORY = 400;
/** Windows of history read at the start. */
const SERIES = 240;
/** Points of a sparkline. */
export const SPARK = 40;
/** Rows kept of sessions and letters. */
const EVENTS = 60;
const ANOMALIES = 200;

export const state = {
  site: null, sites: [], connected: false, status: null, canExplain: false,
  /** What `clickstream explain` has to be told on a command line to look into the same log. */
  explainOptions: [],
  /** End of the window that is looked back at; `null`: the newest one, live. */
  at: null,
  /** Rows of site metrics by window end, oldest first. */
  history: [],
  /** Time between two rows of it as they were read, in milliseconds: of a long series only every second, third … window is given. */
  sampling: 0,
  /** `{window_end, rows, total}` of each windowed kind. */
  latest: {},
  /** The same, of the page filtered by. */
  ofPage: {},
  /** Rows of page metrics of that page, oldest first. */
  pageHistory: [],
  /** Whether that page is in any of the windows; `null`: not known yet. */
  pageSeen: null,
  /** Top lists by window end, with bots and without. */
  tops: { "top-pages": new Map(), "human-top-pages": new Map() },
  /** Views of pages: name → [[end, views, without bots] …], oldest first. */
  views: new Map(),
  anomalies: [], sessions: [], letters: [], letterCounts: {},
  page: null,
  /** Leave out labelled bots, where there are such numbers. */
  people: false,
};

/** The field that is shown: with or without bots. */
export function field(name, row) {
  return state.people && row && `human_${name}` in row ? `human_${name}` : name;
}

/** Runs a task after the browser could do something else. */
export const later = (task) => (window.scheduler?.postTask ? window.scheduler.postTask(task) : setTimeout(task));

const listeners = new Set();
const dirty = new Set();
let scheduled = false;

/**
 * Calls `draw` when one of `kinds` changed, at most once per frame of the screen. `root`: what it draws, whose focus and scroll
 * places are kept. `every`: at most once in so many ms. `still`: not while the pointer rests on it or the focus is in it. `slow`: after
 * all others, for what takes long.
 */
export function watch(kinds, draw, { root = null, every = 0, still = false, slow = false } = {}) {
  listeners.add({ kinds, draw, root, every, still, slow, last: 0, waiting: false });
}

/** Says what changed. */
export function changed(...kinds) {
  kinds.forEach((kind) => dirty.add(kind));
  if (scheduled) return;
  scheduled = true;
  // a hidden page draws nothing: then a timer would do, but nobody looks
  requestAnimationFrame(flush);
}

function flush() {
  scheduled = false;
  const now = new Set(dirty);
  dirty.clear();
  const due = [...listeners].filter((listener) => listener.kinds.some((kind) => now.has(kind))).sort((one, other) => one.slow - other.slow);
  // one panel per task, so that no task is long
  const step = () => {
    const listener = due.shift();
    if (!listener) return;
    // what a reader chose is drawn at once, whatever comes in waits its turn
    draw(listener, now.has("page") || now.has("theme"));
    if (due.length) later(step);
  };
  step();
}

function draw(listener, urgent) {
  const { root, every, still } = listener;
  const wait = still && root && (root.matches(":hover") || root.contains(document.activeElement)) ? 700 : every - (Date.now() - listener.last);
  if (wait > 0 && !urgent) {
    if (!listener.waiting) {
      listener.waiting = true;
      setTimeout(() => { listener.waiting = false; draw(listener, false); }, wait);
    }
    return;
  }
  listener.last = Date.now();
  try {
    if (root) keep(root, () => listener.draw(state));
    else listener.draw(state);
  } catch (error) { console.error(error); }
}

/** The rows of a kind as they are to be shown, filtered or not. */
export function rows(kind) {
  return (state.page ? state.ofPage[kind] : state.latest[kind]) ?? { window_end: null, rows: [], total: 0 };
}

/** The newest site row. */
export function now() { return state.history[state.history.length - 1] ?? null; }

/**
 * When the last window of the site ended, if the pipeline has gone on without it: a window without events has no rows. Nothing of a
 * pipeline that stands still.
 */
export function silentSince() {
  const [newest, status] = [now(), state.status];
  if (!newest || !status?.watermark || state.at) return null;
  return Date.parse(status.watermark) - Date.parse(newest.window_end) > 2 * status.slide_ms + 5_000 ? newest.window_end : null;
}

/** Every window of the last hour is kept; of the time before, only windows side by side. */
const DETAIL = 3_600_000;

/**
 * What the newest window is compared with: `{row}`, the site in the window just before, of which no event is in both; or `{from}`, the
 * end of the first window that can be compared. A window that began before there were events is half full: all would seem to have risen.
 */
export function before() {
  const list = state.history;
  const newest = now();
  if (list.length < 2) return {};
  const [start, end] = [Date.parse(newest.window_start), Date.parse(newest.window_end)];
  const size = end - start;
  const usual = end - Date.parse(list[list.length - 2].window_end);
  const gap = Math.max(2 * usual, 1.5 * state.sampling, size / 4);
  const row = list.findLast((row) => row.window_end <= newest.window_start);
  const began = row && start - Date.parse(row.window_end) <= gap ? Date.parse(row.window_start) : null;
  // events came all the time if windows ended all the time
  let later = end;
  for (let place = list.length - 2; place >= 0; place -= 1) {
    const at = Date.parse(list[place].window_end);
    if (later - at > (end - at > DETAIL ? size : gap)) break;
    if (began !== null && at <= began) return { row };
    later = at;
  }
  return { from: later + 2 * size > end ? new Date(later + 2 * size).toISOString() : null };
}

/** End of the first window that ends at an instant, or `more` milliseconds later: windows end at multiples of the slide. */
export function windowAfter(at, more = 0) {
  const slide = state.status?.slide_ms;
  return slide && at ? new Date(Math.ceil((Date.parse(at) + more) / slide) * slide).toISOString() : null;
}

function insert(list, row, limit) {
  let place = list.length;
  while (place > 0 && list[place - 1].window_end > row.window_end) place -= 1;
  if (place > 0 && list[place - 1].window_end === row.window_end) list[place - 1] = row;
  else list.splice(place, 0, row);
  if (list.length > limit) list.splice(0, list.length - limit);
}

function addViews(page, end, ...views) {
  if (!state.views.has(page)) state.views.set(page, []);
  const points = state.views.get(page);
  const last = points[points.length - 1];
  if (last && last[0] >= end) return;
  points.push([end, ...views]);
  if (points.length > SPARK) points.shift();
}

function merge(list, rows, key, limit) {
  const known = new Set(list.map(key));
  const fresh = rows.filter((row) => !known.has(key(row)));
  fresh.forEach((row) => { row.isNew = true; });
  return [...fresh, ...list.map((row) => (row.isNew ? { ...row, isNew: false } : row))].slice(0, limit);
}

const keys = {
  sessions: (row) => `${row.session_id} ${row.session_start}`,
  anomalies: (row) => `${row.kind} ${row.subject} ${row.detected_at}`,
  letters: (row) => `${row.source_partition} ${row.source_offset}`,
};

/** Takes a frame of the live stream. */
function take(kind, data) {
  // who looks back is not shown what is new; all is read again at the return
  if (state.at && kind !== "dead-letters") return;
  if (kind === "sessions") state.sessions = merge(state.sessions, data.rows, keys.sessions, EVENTS);
  else if (kind === "anomalies") state.anomalies = merge(state.anomalies, data.rows, keys.anomalies, ANOMALIES);
  else if (kind === "dead-letters") {
    state.letters = merge(state.letters, data.rows, keys.letters, EVENTS);
    // of many that come at once only the newest are sent: their number by reason has to be asked for
    if (data.total > data.rows.length) readLetters();
    else data.rows.forEach((row) => { state.letterCounts[row.reason] = (state.letterCounts[row.reason] ?? 0) + 1; });
  } else {
    const known = state.latest[kind];
    if (known && known.window_end > data.window_end) {
      // an older window, written again: history may need it, the panels do not
      if (kind === "site-metrics") data.rows.forEach((row) => insert(state.history, row, HISTORY));
      return;
    }
    state.latest[kind] = data;
    if (kind === "site-metrics") {
      data.rows.forEach((row) => insert(state.history, row, HISTORY));
      if (state.page) refreshPage();
    }
    if (state.tops[kind]) {
      state.tops[kind].set(data.window_end, data.rows);
      if (data.rows.length) forgetTops(state.tops[kind], data.rows[0].window_start);
    }
    if (kind === "page-metrics") {
      data.rows.forEach((row) => addViews(row.page_url, row.window_end, row.view_count, row.human_view_count));
      if (state.views.size > 400) forgetViews(data.rows);
    }
  }
  changed(kind);
}

const useLetters = ({ rows, counts }) => Object.assign(state, { letters: rows, letterCounts: counts });

let lettersAsked = null;
/** Reads dead letters and their counts anew, once for many frames. */
function readLetters() {
  lettersAsked ??= setTimeout(async () => {
    lettersAsked = null;
    const letters = await get("/dead-letters", { limit: EVENTS }).catch(() => null);
    if (!letters) return;
    useLetters(letters);
    changed("dead-letters");
  }, 300);
}

/** Ranks are compared with the window before: of the lists up to its end only the newest is needed. */
function forgetTops(tops, end) {
  const old = [...tops.keys()].filter((known) => known <= end).sort();
  old.slice(0, -1).forEach((known) => tops.delete(known));
}

function forgetViews(rows) {
  const kept = new Set(rows.map((row) => row.page_url));
  for (const page of state.views.keys()) if (!kept.has(page)) state.views.delete(page);
}

const LISTS = {
  "page-metrics": "/pages", "top-pages": "/pages/top", "human-top-pages": "/pages/human-top", "trending-pages": "/pages/trending", "bounce-rates": "/pages/bounce-rates",
  "provisional-bounce-rates": "/provisional-bounce-rates", "page-transitions": "/transitions", "entry-exit-pages": "/entry-exit",
  "common-paths": "/paths", funnels: "/funnel", "page-engagement": "/engagement",
};

/** Reads everything anew: at the start, and when the stream had a gap. What is looked at first is asked for first; all is shown as it comes. */
export async function load() {
  const { site: site_id, at } = state;
  let lost = false;
  const read = async (path, parameters, use, ...kinds) => {
    const answer = await get(path, parameters).catch((error) => { lost ||= !error.status; return null; });
    // another site or window may have been chosen meanwhile
    if (!answer || state.site !== site_id || state.at !== at) return;
    use(answer);
    changed(...kinds);
  };
  const list = (kind) => read(LISTS[kind], { site_id, window_end: at, limit: 100 }, (answer) => {
    if (!at && (answer.window_end ?? "") < (state.latest[kind]?.window_end ?? "")) return;
    state.latest[kind] = answer;
    if (answer.window_end) state.tops[kind]?.set(answer.window_end, answer.rows);
  }, kind);
  const first = [list("top-pages"), read("/site", { site_id, to: at, limit: SERIES }, (series) => {
    // the stream may have brought newer windows meanwhile
    const last = series.rows[series.rows.length - 1]?.window_end ?? "";
    const [one, other] = series.rows.slice(-2);
    state.sampling = other ? Date.parse(other.window_end) - Date.parse(one.window_end) : 0;
    state.history = [...series.rows, ...(at ? [] : state.history.filter((row) => row.window_end > last))];
    if (now()) state.latest["site-metrics"] = { window_end: now().window_end, rows: [now()], total: 1 };
  }, "site-metrics")];
  // then the connections are free for what is looked at first, and so is the page for showing it
  await Promise.all(first);
  if (state.site !== site_id || state.at !== at) return;
  await Promise.all([
    read("/pipeline", {}, (overview) => {
      state.canExplain = overview.explain;
      state.explainOptions = overview.explain_options ?? [];
      if (overview.status) report(overview.status);
    }, "pipeline"),
    read("/anomalies", { site_id, to: upTo(at), limit: ANOMALIES }, (anomalies) => { state.anomalies = anomalies.rows; }, "anomalies"),
    ...Object.keys(LISTS).filter((kind) => kind !== "top-pages").map(list),
    read("/sessions", { site_id, to: upTo(at), limit: EVENTS }, (sessions) => { state.sessions = sessions.rows; }, "sessions"),
    read("/dead-letters", { limit: EVENTS }, useLetters, "dead-letters"),
  ]);
  if (!lost && state.site === site_id && state.at === at) await loadSparklines(state.latest["top-pages"]?.rows ?? [], site_id, at);
}

/** What happened up to the end of a window; instants asked for are those before the one named. */
const upTo = (at) => (at ? new Date(Date.parse(at) + 1).toISOString() : null);

async function loadSparklines(top, site_id, at) {
  const step = Math.max(1, Math.floor(state.history.length / SPARK));
  const end = now()?.window_end;
  const size = end ? Date.parse(end) - Date.parse(now().window_start) : 0;
  const oldest = state.history[Math.max(0, state.history.length - SPARK)];
  await Promise.all([
    ...top.map(async (row) => {
      const path = `/pages/${encodeURIComponent(row.page_url)}/metrics`;
      const series = await get(path, { site_id, limit: SPARK, from: oldest?.window_end, to: at }).catch(() => null);
      if (series && step && state.at === at) state.views.set(row.page_url, series.rows.map((point) => [point.window_end, point.view_count, point.human_view_count]));
    }),
    // the top lists a window ago, to tell who rose
    ...Object.entries(state.tops).map(async ([kind, tops]) => {
      if (!end) return;
      const window_end = new Date(Date.parse(end) - size).toISOString();
      // a pipeline that has just begun has no such window
      if (!state.history.some((row) => row.window_end === window_end)) return;
      const list = await get(LISTS[kind], { site_id, window_end }).catch(() => null);
      if (list) tops.set(window_end, list.rows);
    }),
  ]);
  changed("top-pages");
}

let asked = 0;
/** Reads what is known of the page filtered by. */
export async function refreshPage(first = false) {
  const page_url = state.page;
  if (!page_url) return;
  asked += 1;
  const turn = asked;
  const { site: site_id, at } = state;
  const ask = (path, parameters) => get(path, { site_id, page_url, ...parameters }).catch(() => null);
  const path = `/pages/${encodeURIComponent(page_url)}/metrics`;
  const kinds = Object.keys(LISTS);
  const [series, anomalies, sessions, ...lists] = await Promise.all([
    get(path, { site_id, to: at, limit: SERIES }).catch(() => null),
    ask("/anomalies", { to: upTo(at), limit: ANOMALIES }), ask("/sessions", { to: upTo(at), limit: EVENTS }),
    ...kinds.map((kind) => (["funnels", "top-pages", "human-top-pages", "trending-pages"].includes(kind) ? null : ask(LISTS[kind], { window_end: at, limit: 100 }))),
  ]);
  // an answer to an older question
  if (turn !== asked || state.page !== page_url) return;
  state.pageHistory = series?.rows ?? [];
  state.pageSeen = series ? series.rows.length > 0 : null;
  if (series?.windows) withNothing(state.pageHistory, series, page_url);
  state.ofPage = { anomalies: anomalies?.rows ?? [], sessions: sessions?.rows ?? [] };
  kinds.forEach((kind, place) => { if (lists[place]) state.ofPage[kind] = lists[place]; });
  changed("page", ...(first ? [] : kinds), "sessions", "anomalies");
}

/**
 * A window in which nothing happened on a page has no row of it: it is shown as one with nothing, above all if it is the newest. Of an old
 * window only the pages with most events are kept: what it had of another page is not known any more.
 */
function withNothing(list, { from, to, windows, thinned_up_to }, page_url) {
  const known = new Set(list.map((row) => row.window_end));
  // of a long series only some windows are given: then one without a row may have one
  const ends = windows <= SERIES ? state.history.map((row) => row.window_end).filter((end) => end >= from && end < to) : list.length ? [] : state.history.slice(0, 1).map((row) => row.window_end);
  const size = now() ? Date.parse(now().window_end) - Date.parse(now().window_start) : 0;
  for (const end of [...ends, to].filter((end) => !known.has(end))) {
    const isUnknown = end <= (thinned_up_to ?? "");
    const row = { page_url, window_start: new Date(Date.parse(end) - size).toISOString(), window_end: end, isUnknown };
    for (const name of ["view_count", "click_count", "add_to_cart_count", "purchase_count", "unique_users"]) row[name] = row[`human_${name}`] = isUnknown ? null : 0;
    row.click_through_rate = row.human_click_through_rate = null;
    list.push(row);
  }
  list.sort((a, b) => (a.window_end < b.window_end ? -1 : 1));
}

/** Filters everything by a page; `null`: no filter. */
export function choose(page) {
  Object.assign(state, { page: page || null, ofPage: {}, pageHistory: [], pageSeen: null });
  changed("page");
  refreshPage(true);
}

/** Looks back at the window that ended then; `null`: goes on with the newest, live. */
export function lookAt(at) {
  if (at === state.at) return;
  Object.assign(state, { at, views: new Map() });
  changed("at");
  load();
  refreshPage();
}

/** End of the window that lies beside the one shown, or the nearest one that is kept; nothing if there is none. */
export async function nextTo(later) {
  const shown = now();
  if (!shown) return null;
  const [size, end] = [Date.parse(shown.window_end) - Date.parse(shown.window_start), Date.parse(shown.window_end)];
  const at = (time) => new Date(time).toISOString();
  // the one beside it, else the nearest of those farther off, or else of those that overlap it
  if (later) return (await lastOf({ from: at(end + 1), to: at(end + size) })) ?? firstOf({ from: at(end + 1) });
  return (await lastOf({ to: shown.window_start })) ?? firstOf({ to: at(end - 1) });
}

const windowsOf = (parameters) => get("/windows", { site_id: state.site, limit: 1, ...parameters });
/** Ends of the last and the first window that are kept of a time; they are listed from the last on. */
const lastOf = async (range) => (await windowsOf(range)).windows[0]?.window_end ?? null;
async function firstOf(range) {
  const { total } = await windowsOf(range);
  return total ? (await windowsOf({ ...range, offset: total - 1 })).windows[0]?.window_end ?? null : null;
}

/** End of the last window that ended at a time or before, else of the first one that is kept. */
export async function windowAt(time) {
  return (await lastOf({ to: time.toISOString() })) ?? firstOf({});
}

let leave = null;
/** Shows a site. */
export function show(site) {
  leave?.();
  loaded = 0;
  const tops = { "top-pages": new Map(), "human-top-pages": new Map() };
  Object.assign(state, { site, at: null, history: [], latest: {}, ofPage: {}, pageHistory: [], tops, views: new Map(), anomalies: [], sessions: [] });
  changed("at");
  leave = follow(site, {
    frame: take,
    pipeline: report,
    state: (connected) => {
      state.connected = connected;
      changed("connection");
      if (connected && owed) gap();
    },
    gap,
  });
  // not only when the stream is there; whatever falls between both is read again soon after
  gap();
}

let loaded = 0;
/** Whether all has to be read anew as soon as there is a connection. */
let owed = false;
/** Reads all anew, but not again and again: a client that was too slow is not made faster by more to do. */
function gap() {
  const wait = loaded + 10_000 - Date.now();
  clearTimeout(gap.timer);
  gap.timer = setTimeout(() => {
    // without a server every one of these questions would only be an error on the console
    owed = loaded > 0 && !state.connected;
    if (owed) return;
    loaded = Date.now();
    load();
  }, Math.max(0, wait));
}

/** Takes what the pipeline says of itself. A new state of the proof is news of its own: it marks rows that came long before. */
export function report(status) {
  const said = ({ proof }) => `${proof?.state} ${proof?.up_to}`;
  const news = !state.status || said(status) !== said(state.status);
  state.status = status;
  changed("pipeline", ...(news ? ["proof"] : []));
}

/** `proven`, `open` or `refuted`: what the recount says of a window. */
export function proofOf(end) {
  const proof = state.status?.proof;
  if (!proof || proof.state === "off" || !end) return null;
  if (proof.state === "refuted") return "refuted";
  return proof.up_to && end <= proof.up_to ? "proven" : "open";
}
