// Puts the page together.
import { cut, el, fill } from "./dom.js";
import { get } from "./api.js";
import { clock, duration, fromField, span, toField, useUtc } from "./format.js";
import { changed, choose, later, lookAt, nextTo, now, show, silentSince, state, watch, windowAt } from "./state.js";
import { kpis } from "./panels/kpis.js";
import { chart } from "./panels/chart.js";
import { anomalies } from "./panels/anomalies.js";
import { topPages, trending } from "./panels/top.js";
import { flow, paths } from "./panels/flow.js";
import { funnel } from "./panels/funnel.js";
import { bounce, engagement } from "./panels/bounce.js";
import { letters, sessions } from "./panels/sessions.js";
import { pipeline } from "./pipeline/view.js";

const by = (id) => document.getElementById(id);

// theme: as the system, unless chosen
const THEMES = ["auto", "light", "dark"];
let chosen = "auto";
function theme(name) {
  chosen = name;
  if (name === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.dataset.theme = name;
  by("theme").textContent = name === "auto" ? "theme: auto" : name;
  try { localStorage.setItem("theme", name); } catch { /* not allowed: then not kept */ }
  changed("theme");
}
function remembered(key, otherwise) {
  try { return localStorage.getItem(key) ?? otherwise; } catch { return otherwise; }
}
by("theme").addEventListener("click", () => theme(THEMES[(THEMES.indexOf(chosen) + 1) % 3]));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => changed("theme"));
theme(THEMES.includes(remembered("theme")) ? remembered("theme") : "auto");

// time zone
const ALL = ["site-metrics", "top-pages", "anomalies", "sessions", "page", "pipeline", "theme"];
function zone(utc) {
  useUtc(utc);
  by("zone").textContent = utc ? "UTC" : "local time";
  try { localStorage.setItem("utc", utc ? "1" : ""); } catch { /* as above */ }
  changed(...ALL);
}
by("zone").addEventListener("click", () => zone(by("zone").textContent !== "UTC"));
zone(remembered("utc", "") === "1");

// tabs
const tabs = [by("tab-analytics"), by("tab-pipeline")];
const view = pipeline(by("pipeline"));
function select(tab, focus) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", chosen);
    other.tabIndex = chosen ? 0 : -1;
    by(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  for (const control of [by("filter"), by("people").parentElement]) control.hidden = tab !== tabs[0];
  if (focus) tab.focus();
  view.visible(tab === tabs[1]);
  history.replaceState(null, "", tab === tabs[1] ? "#pipeline" : location.pathname);
}
tabs.forEach((tab, place) => {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") select(tabs[1 - place], true);
  });
});

// filter
by("filter").addEventListener("submit", (event) => { event.preventDefault(); choose(by("page").value.trim()); });
by("page").addEventListener("change", () => choose(by("page").value.trim()));
by("clear").addEventListener("click", () => { choose(null); by("page").focus(); });
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, dialog");
  if (event.key === "Escape" && state.page && !typing) choose(null);
  if (event.key === "/" && !typing) { event.preventDefault(); by("page").focus(); }
});
watch(["page"], () => {
  by("page").value = state.page ?? "";
  by("clear").hidden = !state.page;
});
by("people").addEventListener("change", () => { state.people = by("people").checked; changed("page", "site-metrics", "top-pages"); });
let listed = 0;
watch(["page-metrics"], () => {
  // the list of suggestions need not be new every window
  if (Date.now() - listed < 15_000) return;
  listed = Date.now();
  fill(by("pages"), ...(state.latest["page-metrics"]?.rows ?? []).slice(0, 60).filter((row) => row.page_url.length < 500).map((row) => el("option", { value: row.page_url })));
});

// the line under the header
function strip() {
  const status = state.status;
  const newest = now();
  // a log of the past, or a pipeline that stands still, is not live however well we are connected
  const age = status && newest ? Date.parse(status.at) - Date.parse(newest.window_end) : 0;
  const old = !state.at && age > 2 * status?.slide_ms + 5_000;
  by("live").classList.toggle("on", state.connected);
  by("live").classList.toggle("old", Boolean(state.at) || old);
  by("live").lastElementChild.textContent = !state.connected ? "not connected, trying again …" : state.at ? (wanted && Date.parse(state.at) > wanted ? `looking back: nothing of before ${clock(state.at)} is kept` : "looking back") : silentSince() ? `nothing happens on this site since ${clock(silentSince())}` : old ? `newest results ${duration(age)} old` : "live";
  by("window").textContent = newest ? `window ${span(newest.window_start, newest.window_end)}` : status?.slide_ms >= 60_000 ? `the first window ends at ${clock(new Date(Math.ceil(Date.now() / status.slide_ms) * status.slide_ms))}` : "waiting for the first window";
  by("earlier").hidden = !newest;
  for (const id of ["later", "newest", "moment"]) by(id).hidden = !state.at;
  if (newest && document.activeElement !== by("moment")) by("moment").value = toField(newest.window_end);
  const proof = status?.proof;
  const box = by("proof");
  box.className = `proof ${proof?.state ?? ""}`;
  box.textContent = !proof || proof.state === "off" ? ""
    : proof.state === "proven" ? `✓ proven up to ${clock(proof.up_to)}`
    : proof.state === "refuted" ? proof.message ?? "✗ the recount differs" : "○ first proof under way";
  by("legend").hidden = !proof || proof.state === "off";
}
let lastStrip = 0;
/** The time that was asked for in the field, while the window that was found for it is shown. */
let wanted = null;
watch(["connection", "site-metrics", "at", "proof"], strip);

// windows of the past
async function go(find, time = null) {
  const end = await find().catch(() => undefined);
  wanted = time;
  // what could not be asked for changes nothing; after the last one comes the newest
  if (end !== undefined) lookAt(end);
}
by("earlier").addEventListener("click", () => go(async () => {
  const end = await nextTo(false);
  by("earlier").disabled = !end;
  return end ?? undefined;
}));
by("later").addEventListener("click", () => go(() => nextTo(true)));
by("newest").addEventListener("click", () => { lookAt(null); by("earlier").focus(); });
by("moment").addEventListener("change", () => {
  const moment = fromField(by("moment").value);
  if (!Number.isNaN(moment.getTime())) go(async () => (await windowAt(moment)) ?? undefined, moment.getTime());
});
watch(["at"], () => { by("earlier").disabled = false; });
watch(["pipeline"], () => { if (Date.now() - lastStrip > 900) { lastStrip = Date.now(); strip(); } });

// panels
const place = by("analytics");
const unknown = el("p.notice", { role: "status", hidden: true });
place.append(unknown);
watch(["page", "site-metrics"], () => {
  unknown.hidden = !state.page || state.pageSeen !== false;
  const isThinned = state.pageHistory.some((row) => row.isUnknown);
  const text = unknown.hidden ? "" : isThinned ? `Of windows this old only the pages with most events are kept; “${cut(state.page)}” is not among them.` : `Nothing happened on a page “${cut(state.page)}” in the windows shown, from ${clock(state.history[0]?.window_start)} to ${clock(now()?.window_end)}. Is the name right?`;
  if (unknown.textContent !== text) unknown.textContent = text;
});
kpis(place);
chart(place);
anomalies(place);
topPages(place);
const beside = el("div.stack", {});
place.append(beside);
// what lies farther down waits for the first picture
const below = [() => trending(beside), () => funnel(beside), ...[flow, paths, bounce, engagement, sessions, letters].map((make) => () => make(place))];
const next = () => {
  below.shift()();
  if (below.length) later(next);
};
later(next);

// sites
let patience = 1_000;
async function sites() {
  // one reader of a server that is gone is enough: the stream tries again
  if (state.site && !state.connected) return void setTimeout(sites, 10_000);
  try {
    const answer = await get("/sites", { limit: 200 });
    const select = by("site");
    const shown = state.site ?? answer.default;
    // of very many sites not all are listed, but always the one that is shown
    const names = !shown || answer.sites.includes(shown) ? answer.sites : [shown, ...answer.sites];
    if (names.join("\n") !== state.sites.join("\n")) {
      state.sites = names;
      fill(select, ...names.map((site) => el("option", { value: site }, site)));
      by("site-field").hidden = names.length < 2;
      // a list with new options is at its first
      if (shown) select.value = shown;
    }
    if (!state.site && shown) show(shown);
    patience = 1_000;
  } catch { patience = Math.min(patience * 2, 10_000); /* the stream says that there is no connection */ }
  // until there is a site, look often
  setTimeout(sites, state.site ? 30_000 : patience);
}
by("site").addEventListener("change", () => { choose(null); show(by("site").value); });
if (location.hash === "#pipeline") select(tabs[1]);
sites();
