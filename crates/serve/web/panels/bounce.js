// Bounce rates: final, and as things stand.
import { cut, el, fill, pick } from "../dom.js";
import { clock, count, duration, percent } from "../format.js";
import { empty, panel, scroll, table, whyButton } from "../panel.js";
import { choose, rows, watch } from "../state.js";

export function bounce(parent) {
  const view = panel(parent, { title: "Bounce rate", width: "w6", kind: "bounce-rates", bots: true });
  const draw = () => {
    const { window_end: end, rows: final } = rows("bounce-rates");
    const early = new Map(rows("provisional-bounce-rates").rows.map((row) => [row.page_url, row]));
    view.note("by entry page · final, and provisional", end);
    const list = final.length ? final : [...early.values()];
    if (!list.length) {
      fill(view.body, empty("No session has closed yet.", "No session that entered at this page closed within the window."));
      return;
    }
    fill(view.body, scroll("Bounce rates", table("Bounce rates by entry page",
      [["Entry page"], ["Entries", "n"], ["Final", "n"], ["Provisional", "n wide-only"], ["Both rates", "wide-only unseen-text"], ["Why", "n unseen-text"]],
      list.slice(0, 30).map((row) => {
        const now = early.get(row.page_url);
        const early_rate = now?.provisional_bounce_rate;
        const undecided = now?.undecided ? `${count(now.undecided)} of ${count(now.entries)} sessions are undecided` : null;
        return el("tr", {},
          el("td.page", {}, pick(row.page_url, choose)),
          el("td.n", {}, count(row.entries)),
          el("td.n", {}, percent(row.bounce_rate)),
          el("td.n.wide-only", { title: undecided }, percent(early_rate)),
          el("td.wide-only", { "aria-hidden": "true" }, el("div.two", {}, el("div.track", {},
            el("i", { "width%": row.bounce_rate ?? 0 }), el("b", { "width%": early_rate ?? 0 })))),
          el("td.n", {}, whyButton({ title: `Bounce rate of ${cut(row.page_url)}`, value: percent(row.bounce_rate), kind: "bounce-rates", metric: "bounce_rate", page: row.page_url, end: end ?? row.window_end }, "?")));
      }))));
  };
  watch(["bounce-rates", "provisional-bounce-rates", "page"], draw, { root: view.section });
  draw();
}

export function engagement(parent) {
  const view = panel(parent, { title: "Time on page", width: "w6", kind: "page-engagement", bots: true });
  const draw = () => {
    const { window_end: end, rows: list } = rows("page-engagement");
    const { rows: doors, total } = rows("entry-exit-pages");
    const known = new Map(doors.map((row) => [row.page_url, row]));
    // a page without a row has none; but of a long list only those with most entries and exits are here
    const share = (page, field) => {
      const rate = known.get(page)?.[field] ?? (doors.length && doors.length >= (total ?? 0) ? 0 : null);
      const title = rate === null && doors.length ? `not among the ${count(doors.length)} pages with most entries and exits` : "of all sessions that closed";
      return { title, text: percent(rate) };
    };
    view.note(end ? `stays, entries and exits up to ${clock(end)}` : "", end);
    if (!list.length) {
      fill(view.body, empty("No results yet.", "Nobody stayed on this page within the window."));
      return;
    }
    const seconds = (ms) => (ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : duration(ms));
    fill(view.body, scroll("Time on page", table("Time on page, entries and exits",
      [["Page"], ["Stays", "n"], ["Half at most", "n"], ["Mean", "n wide-only"], ["Entries", "n wide-only"], ["Exits", "n"]],
      list.slice(0, 30).map((row) => {
        const [entry, exit] = ["entry_rate", "exit_rate"].map((field) => share(row.page_url, field));
        return el("tr", {},
          el("td.page", {}, pick(row.page_url, choose)),
          el("td.n", {}, count(row.stay_count)),
          el("td.n", { title: "Half of the stays took at most so long: the upper bound of the class that the median is in. Classes are 19 % wide, so pages often have the same one" }, `≤ ${seconds(row.median_stay_ms)}`),
          el("td.n.wide-only", {}, seconds(row.mean_stay_ms)),
          el("td.n.wide-only", { title: entry.title }, entry.text),
          el("td.n", { title: exit.title }, exit.text));
      }))));
  };
  watch(["page-engagement", "entry-exit-pages", "page"], draw, { root: view.section });
  draw();
}
