// What all panels have in common: a frame with a title, a proof mark, and "why this number".
import { cut, el, fill } from "./dom.js";
import { proofOf, state } from "./state.js";
import { clock } from "./format.js";
import { explain } from "./why.js";

const MARKS = {
  proven: ["✓", "an independent recount of the log gave the same rows"],
  open: ["○", "not recounted yet"],
  refuted: ["✗", "the recount differs; see clickstream verify"],
};

/** The proof mark of a window. */
export function mark(end) {
  const of = proofOf(end);
  if (!of) return null;
  const [sign, text] = MARKS[of];
  const upTo = state.status?.proof?.up_to;
  const title = `${text}${upTo ? ` — proven up to ${clock(upTo)}` : ""}`;
  return el(`span.mark.${of}`, { title, role: "img", "aria-label": title }, sign);
}

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

/** A table; `columns` are `[title, class]`. */
export function table(caption, columns, rows) {
  return el("table", {}, el("caption.unseen", {}, caption),
    el("thead", {}, el("tr", {}, ...columns.map(([title, of = ""]) => {
      // a name that only screen readers need, where the cells speak for themselves
      const hidden = of.includes("unseen-text");
      const classes = of.replace("unseen-text", "").trim().split(" ").filter(Boolean);
      return el(["th", ...classes].join("."), { scope: "col" }, hidden ? el("span.unseen", {}, title) : title);
    }))),
    el("tbody", {}, ...rows));
}

/** A box that scrolls, also by keyboard. */
export function scroll(label, child) {
  return el("div.scroll", { tabindex: "0", role: "group", "aria-label": label }, child);
}

/** What stands where there is nothing; `ofPage`: where everything is filtered by a page. */
export const empty = (text, ofPage = text) => el("p.empty", {}, state.page ? ofPage : text);
