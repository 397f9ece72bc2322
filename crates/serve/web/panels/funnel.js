// From view to purchase.
import { el, fill } from "../dom.js";
import { clock, count, percent } from "../format.js";
import { empty, panel } from "../panel.js";
import { state, watch } from "../state.js";

export function funnel(parent) {
  const view = panel(parent, { title: "Funnel", kind: "funnels", bots: true });
  const draw = () => {
    // sessions go over many pages: the funnel is always the whole site's
    const { window_end: end, rows: list } = state.latest.funnels ?? { rows: [] };
    const row = list[0];
    view.note(end ? `${state.page ? "whole site, " : ""}sessions closed up to ${clock(end)}` : "", end);
    if (!row) {
      fill(view.body, empty("No session has closed yet."));
      return;
    }
    const steps = [
      ["All sessions", row.sessions, null],
      ["viewed a page", row.viewed, null],
      ["put into the cart", row.carted, row.view_to_cart_rate],
      ["purchased", row.purchased, row.cart_to_purchase_rate],
    ];
    fill(view.body, el("div.funnel", {}, ...steps.map(([name, n, rate]) => el("div.step", {},
      el("span", {}, name, rate === null ? null : el("small", {}, ` — ${percent(rate)} of the step before`)),
      el("strong", {}, count(n)),
      el("div.track", { "aria-hidden": "true" }, el("i", { "width%": row.sessions ? n / row.sessions : 0 }))))),
      el("p.empty", {}, `${percent(row.conversion_rate, 2)} of these sessions purchased.`));
  };
  watch(["funnels", "page"], draw, { root: view.section });
  draw();
}
