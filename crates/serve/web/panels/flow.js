// Journeys: how people go from page to page, as a flow.
import { el, fill, pick, svg } from "../dom.js";
import { clock, count, percent } from "../format.js";
import { empty, panel, scroll, table } from "../panel.js";
import { choose, rows, state, watch } from "../state.js";

const HUES = [174, 262, 28, 210, 340, 95, 48, 295];
const GAP = 8;
/** Height that a name needs. */
const LINE = 17;
const BAR = 9;
/** Pages on a side; the rest is summed up. */
const SHOWN = 7;
const OTHER = "other pages";
const OUT = "left the site";
const IN = "entered the site";

export function flow(parent) {
  const view = panel(parent, { title: "Journeys", width: "w8", kind: "page-transitions", bots: true });
  const box = el("div.flow", {});
  const list = el("div", {});
  view.body.append(box, el("details", {}, el("summary", {}, "as a table"), list));

  const draw = () => {
    const { window_end: end, rows: all } = rows("page-transitions");
    view.note(state.page ? `before and after ${state.page}` : "from page to page", end);
    if (!all.length) {
      fill(box, empty("No way from one page to another yet.", "Nobody went from or to this page within the window."));
      fill(list);
      return;
    }
    fill(box, state.page ? around(all) : between(all));
    fill(list, scroll("Transitions", table("Ways from page to page", [["From"], ["To"], ["Count", "n"], ["Share of departures", "n"]],
      all.slice(0, 40).map((row) => el("tr", {}, el("td.page", {}, pick(row.from_page, choose)), el("td.page", {}, pick(row.to_page, choose)),
        el("td.n", {}, count(row.transition_count)), el("td.n", {}, percent(row.transition_rate)))))));
    box.firstChild?.setAttribute("aria-label", `Flow of page views up to ${clock(end)}; the table below lists it.`);
  };
  watch(["page-transitions", "entry-exit-pages", "page", "theme"], draw, { root: view.section });
  draw();
}

/** Two columns: the pages that most leave from, and where they go. */
function between(all) {
  const from = biggest(all, (row) => row.from_page);
  const to = biggest(all, (row) => row.to_page);
  const links = sum(all.map((row) => ({
    from: from.has(row.from_page) ? row.from_page : OTHER,
    to: to.has(row.to_page) ? row.to_page : OTHER,
    n: row.transition_count,
  })).filter((link) => link.from !== OTHER));
  const out = rows("entry-exit-pages").rows.filter((row) => from.has(row.page_url)).map((row) => ({ from: row.page_url, to: OUT, n: row.exits }));
  return diagram([sum([...links, ...out, ...[...from].map((page) => rest(all, page, out))])], ["from", "to"]);
}

/** Three columns: where people come from, the page, where they go. */
function around(all) {
  const before = all.filter((row) => row.to_page === state.page);
  const after = all.filter((row) => row.from_page === state.page);
  const first = biggest(before, (row) => row.from_page);
  const last = biggest(after, (row) => row.to_page);
  const door = rows("entry-exit-pages").rows.find((row) => row.page_url === state.page);
  const left = sum([
    ...before.map((row) => ({ from: first.has(row.from_page) ? row.from_page : OTHER, to: state.page, n: row.transition_count })),
    ...(door?.entries ? [{ from: IN, to: state.page, n: door.entries }] : []),
  ]);
  const right = sum([
    ...after.map((row) => ({ from: state.page, to: last.has(row.to_page) ? row.to_page : OTHER, n: row.transition_count })),
    ...(door?.exits ? [{ from: state.page, to: OUT, n: door.exits }] : []),
    rest(all, state.page, [{ from: state.page, n: door?.exits ?? 0 }]),
  ]);
  return diagram([left, right], ["before", "", "after"]);
}

/**
 * Departures from a page that none of the listed ways is: a list holds the most frequent ways only, but each of them says what share of
 * all departures it is.
 */
function rest(all, page, out) {
  const ways = all.filter((row) => row.from_page === page);
  const departures = Math.max(0, ...ways.map((row) => (row.transition_rate > 0 ? Math.round(row.transition_count / row.transition_rate) : 0)));
  const known = [...ways.map((row) => row.transition_count), ...out.filter((link) => link.from === page).map((link) => link.n)];
  return { from: page, to: OTHER, n: Math.max(0, departures - known.reduce((sum, n) => sum + n, 0)) };
}

function biggest(all, name) {
  const sums = new Map();
  all.forEach((row) => sums.set(name(row), (sums.get(name(row)) ?? 0) + row.transition_count));
  return new Set([...sums].sort((a, b) => b[1] - a[1]).slice(0, SHOWN).map(([page]) => page));
}

function sum(links) {
  const sums = new Map();
  for (const { from, to, n } of links) {
    const key = JSON.stringify([from, to]);
    sums.set(key, (sums.get(key) ?? 0) + n);
  }
  return [...sums].filter(([, n]) => n > 0).map(([key, n]) => ({ from: JSON.parse(key)[0], to: JSON.parse(key)[1], n }));
}

/** Draws `stages` of links; `heads` name the columns. */
function diagram(stages, heads) {
  const columns = heads.map((_, place) => {
    const nodes = new Map();
    const add = (name, side, n) => {
      if (!nodes.has(name)) nodes.set(name, { name, in: 0, out: 0 });
      nodes.get(name)[side] += n;
    };
    stages[place]?.forEach((link) => add(link.from, "out", link.n));
    stages[place - 1]?.forEach((link) => add(link.to, "in", link.n));
    const special = (name) => (name === OTHER ? 1 : name === OUT || name === IN ? 2 : 0);
    return [...nodes.values()].map((node) => ({ ...node, n: Math.max(node.in, node.out) }))
      .sort((a, b) => special(a.name) - special(b.name) || b.n - a.n);
  });
  const tallest = Math.max(...columns.map((nodes) => nodes.length));
  const height = Math.max(190, Math.min(360, tallest * 44));
  const most = Math.max(...columns.map((nodes) => nodes.reduce((all, node) => all + node.n, 0)));
  const scale = (height - tallest * LINE) / most;
  // names stand outside the two outer columns, a middle column has room above
  const narrow = innerWidth < 620;
  const WIDTH = narrow ? 430 : 860;
  const inset = narrow ? 138 : 210;
  const short = (name) => shortened(name, narrow ? 13 : 21);
  const xs = heads.map((_, place) => inset + (place * (WIDTH - 2 * inset - BAR)) / (heads.length - 1));
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${height + 34}`, role: "group" });
  columns.forEach((nodes, place) => {
    // a thin node still has room for its name
    const room = (node) => Math.max(LINE, Math.max(2, node.n * scale) + GAP);
    const used = nodes.reduce((all, node) => all + room(node), 0);
    let y = 26 + Math.max(0, (height - used) / 2);
    nodes.forEach((node) => {
      const own = Math.max(2, node.n * scale);
      const at = y + (room(node) - GAP - own) / 2;
      Object.assign(node, { x: xs[place], y: at, height: own, left: at, right: at, hue: hue(node.name) });
      y += room(node);
    });
  });
  stages.forEach((links, place) => {
    const start = new Map(columns[place].map((node) => [node.name, node]));
    const end = new Map(columns[place + 1].map((node) => [node.name, node]));
    const order = [...links].sort((a, b) => start.get(a.from).y - start.get(b.from).y || end.get(a.to).y - end.get(b.to).y);
    for (const link of order) {
      const [a, b, wide] = [start.get(link.from), end.get(link.to), Math.max(0.6, link.n * scale)];
      const [y1, y2] = [a.right + wide / 2, b.left + wide / 2];
      a.right += wide;
      b.left += wide;
      const [x1, x2] = [a.x + BAR, b.x];
      const path = svg("path", { d: `M${x1} ${y1}C${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}`, "stroke-width": wide.toFixed(2), stroke: tint(heads.length === 3 && place === 0 ? a : heads.length === 3 ? b : a) });
      path.append(titled(`${link.from} → ${link.to}: ${count(link.n)}`));
      drawing.append(path);
    }
  });
  columns.forEach((nodes, place) => {
    const middle = heads.length === 3 && place === 1;
    const left = place === 0;
    if (heads[place]) drawing.append(label("head", left ? xs[place] - 8 : xs[place] + BAR + 8, 12, left ? "end" : "start", heads[place]));
    for (const node of nodes) {
      const real = ![OTHER, OUT, IN].includes(node.name);
      const group = svg("g", real ? { class: "node", tabindex: "0", role: "button", } : {});
      if (real) group.append(titled(`${node.name}: ${count(node.n)}; show only this page`));
      group.append(svg("rect", { x: node.x, y: node.y.toFixed(1), width: BAR, height: node.height.toFixed(1), fill: tint(node) }));
      if (!middle) {
        const x = left ? node.x - 8 : node.x + BAR + 8;
        const name = label("", x, node.y + node.height / 2 + 4, left ? "end" : "start", short(node.name));
        const tspan = svg("tspan", { class: "count", dx: "6", fill: "var(--muted)" });
        tspan.textContent = count(node.n);
        name.append(tspan);
        group.append(name);
      } else group.append(label("", node.x + BAR / 2, 14, "middle", short(node.name)));
      if (real) {
        group.addEventListener("click", () => choose(node.name));
        group.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(node.name); } });
      }
      drawing.append(group);
    }
  });
  return drawing;
}

// a page keeps its colour while it is shown, whatever its place
const hues = new Map();
function hue(name) {
  if (hues.size > 200) hues.clear();
  if (!hues.has(name)) hues.set(name, HUES[hues.size % HUES.length]);
  return hues.get(name);
}

const tint = (node) => ([OTHER, OUT, IN].includes(node.name) ? "var(--line-strong)" : `hsl(${node.hue} 42% 52%)`);
/** What tells pages apart most often stands at their ends: the middle is left out. */
const shortened = (name, most) => (name.length > most ? `${name.slice(0, Math.floor(most / 4))}…${name.slice(1 - most + Math.floor(most / 4))}` : name);

function titled(text) {
  const title = svg("title");
  title.textContent = text;
  return title;
}

function label(kind, x, y, anchor, text) {
  const made = svg("text", { class: kind, x, y: y.toFixed(1), "text-anchor": anchor });
  made.textContent = text;
  return made;
}

export function paths(parent) {
  const view = panel(parent, { title: "Common paths", width: "w4", kind: "common-paths", bots: true });
  const draw = () => {
    const { window_end: end, rows: all } = rows("common-paths");
    view.note("runs of three and four pages", end);
    if (!all.length) {
      fill(view.body, empty("No results yet.", "No common path goes over this page."));
      return;
    }
    const list = [...all].sort((a, b) => b.path_count - a.path_count).slice(0, 14);
    fill(view.body, scroll("Common paths", table("The most frequent ways", [["Path"], ["Count", "n"]], list.map((row) => el("tr", {},
      el("td", {}, el("div.path", {}, ...row.pages.flatMap((page, place) => [place ? el("i", { "aria-label": "then" }, "→") : null, pick(page, choose)]))),
      el("td.n", {}, count(row.path_count)))))));
  };
  watch(["common-paths", "page"], draw, { root: view.section });
  draw();
}
