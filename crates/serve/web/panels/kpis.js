// The five numbers at the top, against the window before.
import { el, fill } from "../dom.js";
import { amount, change, clock, compact, count, duration, percent, time } from "../format.js";
import { alsoBots, mark, whyButton } from "../panel.js";
import { SPARK, before, field as fieldOf, now, silentSince, state, watch } from "../state.js";
import { spark } from "../spark.js";

/** Why there may be more of them than views. */
export const USERS = "Users of any event, not only of views: there may be more users than views";

const SITE = [
  ["Current visitors", "unique_users", count, USERS],
  ["Sessions", "active_sessions", count],
  ["Page views", "view_count", count],
  ["Conversion", "conversion_rate", (n) => percent(n, 2)],
  ["Revenue", "revenue", amount],
];
const PAGE = [
  ["Page views", "view_count", count],
  ["Users", "unique_users", count, USERS],
  ["Clicks", "click_count", count],
  ["Click-through", "click_through_rate", (n) => percent(n, 2)],
  ["Purchases", "purchase_count", count],
];

/** A number that a card has room for: a long one in smaller type, a very long one rounded, with all of it in the title. */
function figure(value, format) {
  const text = format(value);
  if (text.length <= 10) return el("div.value", {}, text);
  return text.length <= 14 ? el("div.value.long", {}, text) : el("div.value", { title: text }, `≈ ${compact(value)}`);
}

export function kpis(parent) {
  const cards = el("div.kpis", {});
  parent.append(cards);

  const draw = () => {
    const list = state.page ? state.pageHistory : state.history;
    const newest = state.page ? list[list.length - 1] ?? null : now();
    const { row: whole, from } = before();
    const old = state.page && whole ? list.find((row) => row.window_end === whole.window_end) : whole;
    const silent = silentSince();
    // to the minute, but not before it is so
    const soon = from && new Date(Math.ceil(Date.parse(from) / 60_000) * 60_000);
    const waiting = newest && from && !state.at && !silent ? `to be compared from ${time(soon, false)} on` : "";
    fill(cards, ...(state.page ? PAGE : SITE).map(([name, plain, format, about]) => {
      const field = fieldOf(plain, newest);
      // whoever was here is gone; what the last window counted stands in the other cards
      const gone = silent && !state.page && plain === "unique_users";
      const value = gone ? 0 : newest ? newest[field] : null;
      const against = old && !silent ? change(value, old[field]) : null;
      const subject = { title: name, value: format(value), kind: state.page ? "page-metrics" : "site-metrics", metric: field, page: state.page, end: newest?.window_end };
      const series = list.slice(-SPARK * 3).map((row) => row[field]).filter((n) => n !== null);
      const bots = state.people && field === plain && newest ? alsoBots() : null;
      if (bots) bots.hidden = false;
      return el("div.kpi", { role: "group", "aria-label": name },
        el("div.name", { title: about }, name, mark(newest?.window_end), bots, whyButton(subject)),
        figure(value, format),
        el("div.change", { title: against ? `against the window up to ${clock(old.window_end)}` : waiting ? `From ${clock(from)} on there is a full window before to compare with. One that began before there were events is none: all numbers would seem to have risen` : null },
          against
            ? el(`span.${against.share >= 0 ? "up" : "down"}`, {}, against.text)
            : gone ? `${count(newest[field])} in the window up to ${clock(silent)}` : silent ? `in the window up to ${clock(silent)}` : newest ? waiting : "no results yet",
          against ? ` vs. ${duration(Date.parse(newest.window_end) - Date.parse(old.window_end))} ago` : ""),
        spark(series, 200, 34));
    }));
  };
  watch(["site-metrics", "page", "theme"], draw, { root: cards });
  // a site that falls silent has no more windows that would say so
  let was = null;
  watch(["pipeline"], () => { if (was !== silentSince()) { was = silentSince(); draw(); } });
  draw();
}
