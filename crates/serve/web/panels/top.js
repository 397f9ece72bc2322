// The most viewed pages, with how each went and whether it rose.
import { cut, el, fill, pick } from "../dom.js";
import { clock, count, percent } from "../format.js";
import { empty, panel, scroll, table, whyButton } from "../panel.js";
import { USERS } from "./kpis.js";
import { before, choose, field, now, silentSince, state, watch } from "../state.js";
import { spark } from "../spark.js";

export function topPages(parent) {
  const view = panel(parent, { title: "Top pages", width: "w8.whole", kind: "top-pages" });

  const draw = () => {
    // always the whole list: it is where pages are chosen
    const kind = state.people ? "human-top-pages" : "top-pages";
    const { window_end: end, rows: list } = state.latest[kind] ?? { rows: [] };
    const [views, users, rate] = ["view_count", "unique_users", "click_through_rate"].map((name) => field(name, list[0]));
    view.note(end ? `window up to ${clock(end)}` : "", end);
    if (!list.length) {
      fill(view.body, empty("No results yet."));
      return;
    }
    // of the window before, or the next older one that is known, if it was a full one
    const oldEnd = before().row ? [...state.tops[kind].keys()].filter((known) => known <= list[0].window_start).sort().pop() : null;
    const old = state.tops[kind].get(oldEnd);
    const ranks = old ? new Map(old.map((row) => [row.page_url, row.rank])) : null;
    const most = Math.max(...list.map((row) => row[views]));
    const lines = list.map((row) => el(`tr${row.page_url === state.page ? ".chosen" : ""}`, {},
      el("td.rank", {}, row.rank),
      el("td.move", {}, move(row, ranks, oldEnd)),
      el("td.page", {}, pick(row.page_url, choose), el("div.bar", { "aria-hidden": "true" }, el("i", { "width%": row[views] / most }))),
      el("td.wide-only", {}, spark((state.views.get(row.page_url) ?? []).map((point) => point[state.people ? 2 : 1]), 96, 26)),
      el("td.n", {}, count(row[views])),
      el("td.n.wide-only", {}, count(row[users])),
      el("td.n.wide-only", {}, percent(row[rate])),
      el("td.n", {}, whyButton({ title: `Views of ${cut(row.page_url)}`, value: count(row[views]), kind: "page-metrics", metric: views, page: row.page_url, end: row.window_end }, "?"))));
    fill(view.body, scroll("Top pages", table("The most viewed pages",
      [["#", "rank"], ["Rank change", "move unseen-text"], ["Page"], ["Trend", "wide-only"], ["Views", "n"], ["Users", "n wide-only", USERS], ["CTR", "n wide-only"], ["Why", "n unseen-text"]], lines)));
    view.body.querySelectorAll("svg.spark").forEach((line) => { line.setAttribute("width", 96); line.setAttribute("height", 26); });
  };
  watch(["top-pages", "human-top-pages", "page"], draw, { root: view.section });
  draw();
}

function move(row, ranks, end) {
  if (!ranks) return "";
  const old = ranks.get(row.page_url);
  if (old === undefined) return el("span.up", { title: `was not among the ten at ${clock(end)}` }, "new");
  if (old === row.rank) return el("span", { title: `same rank at ${clock(end)}` }, "=");
  const up = old > row.rank;
  const text = `${up ? "▲" : "▼"} ${Math.abs(old - row.rank)}`;
  return el(`span.${up ? "up" : "down"}`, { title: `was rank ${old} at ${clock(end)}` }, text);
}

export function trending(parent) {
  const view = panel(parent, { title: "Trending", kind: "trending-pages", bots: true });
  const draw = () => {
    const { window_end: end, rows: list } = state.latest["trending-pages"] ?? { rows: [] };
    // the list of windows begins within this one: there were no events before
    const filling = state.history.length && now() && !state.at && !silentSince() && state.history[0].window_end > now().window_start;
    view.note(filling ? "the window still fills: all pages rise" : "later half against earlier half", end ?? now()?.window_end);
    if (!list.length) {
      fill(view.body, empty(end || now() ? "No page rises clearly at the moment." : "No results yet."));
      return;
    }
    fill(view.body, scroll("Trending pages", table("Pages that rise", [["Page"], ["Views", "n"], ["Growth", "n"], ["Score", "n wide-only"]],
      list.slice(0, 25).map((row) => el(`tr${row.page_url === state.page ? ".chosen" : ""}`, {},
        el("td.page", {}, pick(row.page_url, choose)),
        el("td.n", { title: "earlier half → later half" }, `${count(row.prior_views)} → ${count(row.recent_views)}`),
        // there is no percentage of nothing
        el("td.n", {}, el("span.up", {}, row.prior_views ? `+${percent(row.growth, 0)}` : "new")),
        el("td.n.wide-only", {}, row.score.toFixed(1)))))));
  };
  watch(["trending-pages", "page"], draw, { root: view.section });
  draw();
}
