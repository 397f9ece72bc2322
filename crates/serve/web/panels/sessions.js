// Sessions that have just closed, and dead letters.
import { get } from "../api.js";
import { cut, el, fill, pick } from "../dom.js";
import { clock, count, duration } from "../format.js";
import { empty, panel, scroll, table, whyButton } from "../panel.js";
import { choose, now, state, watch, windowAfter } from "../state.js";

const events = (row) => row.page_view_count + row.click_count + row.add_to_cart_count + row.purchase_count;

export function sessions(parent) {
  const view = panel(parent, { title: "Sessions", width: "w7", kind: "sessions", bots: true });
  const draw = () => {
    const list = state.page ? state.ofPage.sessions ?? [] : state.sessions;
    view.note("closed most recently", null, { end: now()?.window_end });
    if (!list.length) {
      fill(view.body, empty("No session has closed yet.", "No session that is kept began or ended on this page."));
      return;
    }
    fill(view.body, scroll("Sessions", table("Sessions that closed most recently",
      [["Ended", "wide-only"], ["Entry → exit"], ["Pages", "n"], ["Length", "n"], ["Engaged", "n"], ["Outcome", "wide-only unseen-text"], ["Why", "n wide-only unseen-text"]],
      list.slice(0, 25).map((row) => el(`tr${row.isNew ? ".row-in" : ""}`, {},
        el("td.wide-only.time", {}, clock(row.session_end)),
        el("td.page", {}, pick(row.entry_page, choose), row.bounced ? null : " → ", row.bounced ? null : pick(row.exit_page, choose)),
        el("td.n", {}, count(row.page_view_count)),
        el("td.n", {}, row.duration_ms || events(row) > 1 ? duration(row.duration_ms) : "one event"),
        el("td.n", {}, row.engagement_score.toFixed(0)),
        el("td.wide-only", {}, row.purchase_count ? el("span.badge.traffic_spike", {}, "bought") : row.bounced ? el("span.badge", {}, "bounced") : null),
        el("td.n.wide-only", {}, whyButton({ title: `Session ${cut(row.session_id, 60)}`, kind: "sessions", session: row.session_id, end: windowAfter(row.session_end, state.status?.session_gap_ms) }, "?")))))));
  };
  watch(["sessions", "page"], draw, { root: view.section, every: 1_500, still: true });
  draw();
}

export function letters(parent) {
  const view = panel(parent, { title: "Dead letters", width: "w5", kind: "dead-letters" });
  // the newest of one reason: of many late records, none else would be in sight
  let only = null;
  let ofReason = [];
  const show = async (reason) => {
    only = only === reason ? null : reason;
    ofReason = only ? (await get("/dead-letters", { reason: only, limit: 20 }).catch(() => ({ rows: [] }))).rows : [];
    draw();
    view.body.querySelector(`[data-reason="${reason}"]`)?.focus();
  };
  const draw = () => {
    const counts = Object.entries(state.letterCounts).sort((a, b) => b[1] - a[1]);
    const all = counts.reduce((sum, [, n]) => sum + n, 0);
    view.note(all ? `${count(all)} records of all sites count nowhere` : "", null);
    if (!all) {
      fill(view.body, empty("Every record so far was a valid event, on time."));
      return;
    }
    fill(view.body,
      el("div.keys", {}, ...counts.map(([reason, n]) => el("button.badge", { type: "button", "data-reason": reason, "aria-pressed": String(only === reason), title: "Show only these, or all again", onclick: () => show(reason) }, `${reason.replaceAll("_", " ")} ${count(n)}`))),
      scroll("Dead letters", table("The newest dead letters", [["Reason"], ["Detail"], ["Place", "n wide-only"]],
        (only ? ofReason : state.letters).slice(0, 20).map((row) => el(`tr${row.isNew ? ".row-in" : ""}`, { title: (row.raw ?? "").slice(0, 400) },
          el("td", {}, row.reason.replaceAll("_", " ")),
          el("td", {}, el("span.reason", {}, cut(row.detail ?? ""))),
          el("td.n.wide-only", { title: "partition:offset in the events topic, as clickstream trace --offset takes it" }, `${row.source_partition}:${row.source_offset}`))))));
  };
  watch(["dead-letters"], draw, { root: view.section, every: 1_500, still: true });
  draw();
}
