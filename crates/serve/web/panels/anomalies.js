// Anomalies, newest first.
import { cut, el, fill, pick } from "../dom.js";
import { clock, count } from "../format.js";
import { empty, panel, scroll, whyButton } from "../panel.js";
import { rule } from "../why.js";
import { choose, state, watch, windowAfter } from "../state.js";

export const NAMES = { traffic_spike: "spike", traffic_drop: "drop", bot: "bot", unusual_user: "unusual user" };

/** The window in which it shows: a user's events have an instant of their own, which ends no window. */
const windowOf = (row) => (row.kind === "bot" ? windowAfter(row.detected_at, 1) : row.kind === "unusual_user" ? windowAfter(row.detected_at) : row.window_end);

/** Lets a list end below an item, not within one. */
function whole(box) {
  box.style.maxHeight = "";
  const room = box.clientHeight;
  if (box.scrollHeight <= room) return;
  const from = box.getBoundingClientRect().top - box.scrollTop;
  const ends = [...box.querySelectorAll("li")].map((item) => item.getBoundingClientRect().bottom - from).filter((end) => end <= room);
  if (ends.length) box.style.maxHeight = `${Math.floor(ends.at(-1))}px`;
}

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
          whyButton({ title: `${NAMES[row.kind] ?? row.kind}: ${row.subject}`, value: row.reason, kind: "anomalies", about: rule(row), page, user, end: windowOf(row) }, "?")));
    }))));
    whole(view.body.firstChild);
  };
  new ResizeObserver(() => { if (view.body.firstChild?.matches(".scroll")) whole(view.body.firstChild); }).observe(view.section);
  watch(["anomalies", "page"], draw, { root: view.section, every: 500, still: true });
  draw();
}
