// Anomalies, newest first.
import { cut, el, fill, pick } from "../dom.js";
import { clock, count } from "../format.js";
import { empty, panel, scroll, whyButton } from "../panel.js";
import { choose, state, watch, windowAfter } from "../state.js";

export const NAMES = { traffic_spike: "spike", traffic_drop: "drop", bot: "bot", unusual_user: "unusual user" };

/** The window in which it shows: a user's events have an instant of their own, which ends no window. */
const windowOf = (row) => (row.kind === "bot" ? windowAfter(row.detected_at, 1) : row.kind === "unusual_user" ? windowAfter(row.detected_at) : row.window_end);

export function anomalies(parent) {
  const view = panel(parent, { title: "Anomalies", width: "w4.feed-box", kind: "anomalies" });
  const draw = () => {
    const list = state.page ? state.ofPage.anomalies ?? [] : state.anomalies;
    view.note(list.length ? `${count(list.length)} lately` : "", null);
    if (!list.length) {
      fill(view.body, empty("Nothing out of the ordinary.", "Nothing out of the ordinary on this page."));
      return;
    }
    fill(view.body, scroll("Anomalies", el("ul.feed", {}, ...list.slice(0, 40).map((row) => {
      const traffic = row.kind.startsWith("traffic");
      const page = traffic && row.subject !== row.site_id ? row.subject : null;
      const user = traffic ? null : row.subject;
      return el(`li${row.isNew ? ".row-in" : ""}`, {},
        el(`span.badge.${row.kind in NAMES ? row.kind : "other"}`, {}, NAMES[row.kind] ?? row.kind),
        el("div.what", {}, page ? pick(page, choose) : traffic ? "the whole site" : `user ${cut(row.subject, 60)}`, el("div.reason", {}, row.reason)),
        el("div", {}, el("time", { datetime: row.detected_at }, clock(row.detected_at)), " ",
          whyButton({ title: `${NAMES[row.kind] ?? row.kind}: ${row.subject}`, value: row.reason, kind: "anomalies", page, user, end: windowOf(row) }, "?")));
    }))));
  };
  watch(["anomalies", "page"], draw, { root: view.section, every: 500, still: true });
  draw();
}
