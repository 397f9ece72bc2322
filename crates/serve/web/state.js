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
  /** Rows of site metrics by window end, oldest first. */
  history: [],
  /** `{window_end, rows, total}` of each windowed kind. */
  latest: {},
  /** The same, of the page filtered by. */
  ofPage: {},
  /** Rows of page metrics of that page, oldest first. */
  pageHistory: [],
  /** Top lists by window end. */
  tops: new Map(),
  /** Views of pages: name → [[end, views] …], oldest first. */
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

const later = (task) => (window.scheduler?.postTask ? window.scheduler.postTask(task) : setTimeout(task));

const listeners = new Set();
const dirty = new Set();
let scheduled = false;

/**
 * Calls `draw` when one of `kinds` changed, at most once per frame of the screen. `root`: what it draws, whose focus and scroll
 * places are kept. `every`: at most once in so many ms. `still`: not while the pointer rests on it or the focus is in it.
 */
export function watch(kinds, draw, { root = null, every = 0, still = false } = {}) {
  listeners.add({ kinds, draw, root, every, still, last: 0, waiting: false });
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
  const due = [...listeners].filter((listener) => listener.kinds.some((kind) => now.has(kind)));
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

/** The row of the window just before the newest, of which no event is in both; or the next older one that is known. */
export function before(list = state.history) {
  const newest = list[list.length - 1];
  return newest ? list.findLast((row) => row.window_end <= newest.window_start) ?? null : null;
}

function insert(list, row, limit) {
  let place = list.length;
  while (place > 0 && list[place - 1].window_end > row.window_end) place -= 1;
  if (place > 0 && list[place - 1].window_end === row.window_end) list[place - 1] = row;
  else list.splice(place, 0, row);
  if (list.length > limit) list.splice(0, list.length - limit);
}

function addViews(page, end, views) {
  if (!state.views.has(page)) state.views.set(page, []);
  const points = state.views.get(page);
  const last = points[points.length - 1];
  if (last && last[0] >= end) return;
  points.push([end, views]);
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
  if (kind === "sessions") state.sessions = merge(state.sessions, data.rows, keys.sessions, EVENTS);
  else if (kind === "anomalies") state.anomalies = merge(state.anomalies, data.rows, keys.anomalies, ANOMALIES);
  else if (kind === "dead-letters") {
    state.letters = merge(state.letters, data.rows, keys.letters, EVENTS);
    data.rows.forEach((row) => { state.letterCounts[row.reason] = (state.letterCounts[row.reason] ?? 0) + 1; });
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
    if (kind === "top-pages") {
      state.tops.set(data.window_end, data.rows);
      if (data.rows.length) forgetTops(data.rows[0].window_start);
    }
    if (kind === "page-metrics") {
      data.rows.forEach((row) => addViews(row.page_url, row.window_end, row.view_count));
      if (state.views.size > 400) forgetViews(data.rows);
    }
  }
  changed(kind);
}

/** Ranks are compared with the window before: of the lists up to its end only the newest is needed. */
function forgetTops(end) {
  const old = [...state.tops.keys()].filter((known) => known <= end).sort();
  old.slice(0, -1).forEach((known) => state.tops.delete(known));
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
  const site_id = state.site;
  const read = async (path, parameters, use, ...kinds) => {
    const answer = await get(path, parameters).catch(() => null);
    // another site may have been chosen meanwhile
    if (!answer || state.site !== site_id) return;
    use(answer);
    changed(...kinds);
  };
  const list = (kind) => read(LISTS[kind], { site_id, limit: 100 }, (answer) => {
    if ((answer.window_end ?? "") < (state.latest[kind]?.window_end ?? "")) return;
    state.latest[kind] = answer;
    if (kind === "top-pages" && answer.window_end) state.tops.set(answer.window_end, answer.rows);
  }, kind);
  const first = [list("top-pages"), read("/site", { site_id, limit: SERIES }, (series) => {
    // the stream may have brought newer windows meanwhile
    const last = series.rows[series.rows.length - 1]?.window_end ?? "";
    state.history = [...series.rows, ...state.history.filter((row) => row.window_end > last)];
    if (now()) state.latest["site-metrics"] = { window_end: now().window_end, rows: [now()], total: 1 };
  }, "site-metrics")];
  const rest = [
    read("/pipeline", {}, (overview) => {
      state.canExplain = overview.explain;
      state.status = overview.status ?? state.status;
    }, "pipeline"),
    read("/anomalies", { site_id, limit: ANOMALIES }, (anomalies) => { state.anomalies = anomalies.rows; }, "anomalies"),
    ...Object.keys(LISTS).filter((kind) => kind !== "top-pages").map(list),
    read("/sessions", { site_id, limit: EVENTS }, (sessions) => { state.sessions = sessions.rows; }, "sessions"),
    read("/dead-letters", { limit: EVENTS }, (letters) => { state.letters = letters.rows; state.letterCounts = letters.counts; }, "dead-letters"),
  ];
  await Promise.all(first);
  await Promise.all(rest);
  if (state.site === site_id) await loadSparklines(state.latest["top-pages"]?.rows ?? [], site_id);
}

async function loadSparklines(top, site_id) {
  const step = Math.max(1, Math.floor(state.history.length / SPARK));
  const end = now()?.window_end;
  const size = end ? Date.parse(end) - Date.parse(now().window_start) : 0;
  const oldest = state.history[Math.max(0, state.history.length - SPARK)];
  await Promise.all([
    ...top.map(async (row) => {
      const path = `/pages/${encodeURIComponent(row.page_url)}/metrics`;
      const series = await get(path, { site_id, limit: SPARK, from: oldest?.window_end }).catch(() => null);
      if (series && step) state.views.set(row.page_url, series.rows.map((point) => [point.window_end, point.view_count]));
    }),
    // the top list a window ago, to tell who rose
    (async () => {
      if (!end) return;
      const window_end = new Date(Date.parse(end) - size).toISOString();
      // a pipeline that has just begun has no such window
      if (!state.history.some((row) => row.window_end === window_end)) return;
      const list = await get("/pages/top", { site_id, window_end }).catch(() => null);
      if (list) state.tops.set(window_end, list.rows);
    })(),
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
  const site_id = state.site;
  const ask = (path, parameters) => get(path, { site_id, page_url, ...parameters }).catch(() => null);
  const path = `/pages/${encodeURIComponent(page_url)}/metrics`;
  const kinds = Object.keys(LISTS);
  const [series, anomalies, sessions, ...lists] = await Promise.all([
    get(path, { site_id, limit: SERIES }).catch(() => null),
    ask("/anomalies", { limit: ANOMALIES }), ask("/sessions", { limit: EVENTS }),
    ...kinds.map((kind) => (["funnels", "top-pages", "human-top-pages", "trending-pages"].includes(kind) ? null : ask(LISTS[kind], { limit: 100 }))),
  ]);
  // an answer to an older question
  if (turn !== asked || state.page !== page_url) return;
  state.pageHistory = series?.rows ?? [];
  state.ofPage = { anomalies: anomalies?.rows ?? [], sessions: sessions?.rows ?? [] };
  kinds.forEach((kind, place) => { if (lists[place]) state.ofPage[kind] = lists[place]; });
  changed("page", ...(first ? [] : kinds), "sessions", "anomalies");
}

/** Filters everything by a page; `null`: no filter. */
export function choose(page) {
  state.page = page || null;
  state.ofPage = {};
  state.pageHistory = [];
  changed("page");
  refreshPage(true);
}

let leave = null;
/** Shows a site. */
export function show(site) {
  leave?.();
  loaded = 0;
  Object.assign(state, { site, history: [], latest: {}, ofPage: {}, pageHistory: [], tops: new Map(), views: new Map(), anomalies: [], sessions: [] });
  leave = follow(site, {
    frame: take,
    pipeline: (status) => { state.status = status; changed("pipeline"); },
    state: (connected) => { state.connected = connected; changed("connection"); },
    gap,
  });
  // not only when the stream is there; whatever falls between both is read again soon after
  gap();
}

let loaded = 0;
/** Reads all anew, but not again and again: a client that was too slow is not made faster by more to do. */
function gap() {
  const wait = loaded + 10_000 - Date.now();
  clearTimeout(gap.timer);
  gap.timer = setTimeout(() => { loaded = Date.now(); load(); }, Math.max(0, wait));
}

/** `proven`, `open` or `refuted`: what the recount says of a window. */
export function proofOf(end) {
  const proof = state.status?.proof;
  if (!proof || proof.state === "off" || !end) return null;
  if (proof.state === "refuted") return "refuted";
  return proof.up_to && end <= proof.up_to ? "proven" : "open";
}
