// What all panels have in common: a frame with a title, a proof mark, and "why this number".
import { cut, el, fill } from "./dom.js";
import { proofOf, state, watch } from "./state.js";
import { clock } from "./format.js";
import { explain } from "./why.js";

const MARKS = {
  proven: ["✓", "an independent recount of the log gave the same rows"],
  open: ["○", "not recounted yet"],
  refuted: ["✗", "the recount differs; see clickstream verify"],
};

/** The proof mark of a window. It stays true while the row beside it stays: the proof comes later than the rows. */
export function mark(end) {
  if (!end) return null;
  const sign = el("span.mark", { role: "img", "data-end": end });
  remark(sign);
  return sign;
}

function remark(sign) {
  const of = proofOf(sign.dataset.end);
  sign.hidden = !of;
  if (!of) return;
  const [text, about] = MARKS[of];
  const upTo = state.status?.proof?.up_to;
  sign.className = `mark ${of}`;
  sign.textContent = text;
  sign.title = `${about}${upTo ? ` — proven up to ${clock(upTo)}` : ""}`;
  sign.setAttribute("aria-label", sign.title);
}
watch(["proof"], () => document.querySelectorAll(".mark[data-end]").forEach(remark));

/** A button that says where a number comes from. */
export function whyButton(subject, label = "why?") {
  return el("button.why", { type: "button", "aria-label": `Why this number: ${subject.title}`, onclick: () => explain(subject) }, label);
}

/** Says that a number has no form without bots. */
export const alsoBots = () => el("span.badge.bots", { hidden: true, title: "Labelled bots are in it too: it is not counted without them" }, "with bots");

/** A panel; `bots`: what it shows has no form without them. */
export function panel(parent, { title, width = "", kind = null, about = "", bots = false }) {
  const withBots = bots ? alsoBots() : null;
  const note = el("span.note", {});
  const proof = el("span", {});
  const body = el("div", {});
  const id = `heading-${title.toLowerCase().replace(/\W+/g, "-")}`;
  const why = el("button.why", { type: "button", "aria-label": `Why these numbers: ${title}`, onclick: () => explain(why.subject ?? { title, kind, about }) }, "why?");
  const section = el(`section.panel${width ? `.${width}` : ""}`, { "aria-labelledby": id },
    el("header", {}, el("h2", { id }, title), note, withBots, el("span.end", {}, proof, kind ? why : null)), body);
  parent.append(section);
  return {
    section, body,
    /** Says what window is shown. */
    note(text, end, subject) {
      note.textContent = cut(text ?? "");
      note.title = note.textContent;
      if (withBots) withBots.hidden = !state.people;
      fill(proof, mark(end));
      why.subject = { title, kind, about, end, ...subject };
    },
  };
}

/** A table; `columns` are `[title, class, explanation]`. */
export function table(caption, columns, rows) {
  return el("table", {}, el("caption.unseen", {}, caption),
    el("thead", {}, el("tr", {}, ...columns.map(([title, of = "", about = null]) => {
      // a name that only screen readers need, where the cells speak for themselves
      const hidden = of.includes("unseen-text");
      const classes = of.replace("unseen-text", "").trim().split(" ").filter(Boolean);
      return el(["th", ...classes].join("."), { scope: "col", title: about }, hidden ? el("span.unseen", {}, title) : title);
    }))),
    el("tbody", {}, ...rows));
}

/** A box that scrolls, also by keyboard. */
export function scroll(label, child) {
  return el("div.scroll", { tabindex: "0", role: "group", "aria-label": label }, child);
}

/** A box that may be wider than the screen: it says so, and in which direction there is more. */
export function sideways(box) {
  const hint = el("p.more", { hidden: true, "aria-hidden": "true" });
  const frame = el("div.sideways", {}, hint, box);
  const look = () => {
    const [left, right] = [box.scrollLeft > 4, box.scrollLeft + box.clientWidth < box.scrollWidth - 4];
    frame.classList.toggle("left", left);
    frame.classList.toggle("right", right);
    hint.hidden = !left && !right;
    // what scrolls has to do so by keyboard, too
    box.toggleAttribute("tabindex", !hint.hidden);
    if (!hint.hidden) box.tabIndex = 0;
    hint.textContent = right ? "more to the right: scroll sideways →" : "← more to the left";
  };
  box.addEventListener("scroll", look, { passive: true });
  const sizes = new ResizeObserver(look);
  sizes.observe(box);
  // what is in it may become wider while it does not
  new MutationObserver(() => { sizes.disconnect(); [box, ...box.children].forEach((one) => sizes.observe(one)); }).observe(box, { childList: true });
  return frame;
}

/** What stands where there is nothing; `ofPage`: where everything is filtered by a page. */
export const empty = (text, ofPage = text) => el("p.empty", {}, state.page ? ofPage : text);
