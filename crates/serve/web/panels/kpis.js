// The five numbers at the top, against the window before.
import { el, fill } from "../dom.js";
import { amount, change, clock, count, percent } from "../format.js";
import { mark, whyButton } from "../panel.js";
import { SPARK, before, field as fieldOf, now, state, watch } from "../state.js";
import { spark } from "../spark.js";

const SITE = [
  ["Current visitors", "active_sessions", count],
  ["Page views", "view_count", count],
  ["Users", "unique_users", count],
  ["Conversion", "conversion_rate", (n) => percent(n, 2)],
  ["Revenue", "revenue", amount],
];
const PAGE = [
  ["Page views", "view_count", count],
  ["Users", "unique_users", count],
  ["Clicks", "click_count", count],
  ["Click-through", "click_through_rate", (n) => percent(n, 2)],
  ["Purchases", "purchase_count", count],
];

export function kpis(parent) {
  const cards = el("div.kpis", {});
  parent.append(cards);

  const draw = () => {
    const list = state.page ? state.pageHistory : state.history;
    const newest = state.page ? list[list.length - 1] ?? null : now();
    const old = before(list);
    fill(cards, ...(state.page ? PAGE : SITE).map(([name, plain, format]) => {
      const field = fieldOf(plain, newest);
      const value = newest ? newest[field] : null;
      const against = old ? change(value, old[field]) : null;
      const subject = { title: name, value: format(value), kind: state.page ? "page-metrics" : "site-metrics", metric: field, page: state.page, end: newest?.window_end };
      const series = list.slice(-SPARK * 3).map((row) => row[field]).filter((n) => n !== null);
      return el("section.kpi", { "aria-label": name },
        el("div.name", {}, name, mark(newest?.window_end), whyButton(subject)),
        el("div.value", {}, format(value)),
        el("div.change", {},
          against
            ? el(`span.${against.share >= 0 ? "up" : "down"}`, {}, against.text)
            : newest ? "" : "no results yet",
          against ? ` vs. ${clock(old.window_end)}` : newest && !old ? "first full window" : ""),
        spark(series, 200, 34));
    }));
  };
  watch(["site-metrics", "page", "theme"], draw, { root: cards });
  draw();
}
