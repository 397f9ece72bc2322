// Flink's job as a graph: columns of tasks, by how far they are from a source.
import { el, fill, svg } from "../dom.js";
import { compact, percent } from "../format.js";

export function graph() {
  const body = el("div.job", { tabindex: "0", role: "group", "aria-label": "The job's tasks" });
  let shape = "";
  let cards = new Map();

  const build = (job) => {
    const depth = depths(job.vertices);
    const columns = [];
    for (const vertex of job.vertices) (columns[depth.get(vertex.id)] ??= []).push(vertex);
    cards = new Map();
    const lines = svg("svg", { class: "lines", "aria-hidden": "true" });
    const grid = el("div.columns", {}, ...columns.filter(Boolean).map((vertices) => el("div.column", {}, ...vertices.map((vertex) => {
      const card = task(vertex);
      cards.set(vertex.id, card);
      return card.section;
    }))));
    fill(body, el("div.canvas", {}, lines, grid));
    connect(lines, job.vertices, cards);
  };

  return {
    body,
    draw(status) {
      const job = status.job;
      if (!job?.vertices?.length) {
        shape = "";
        fill(body, el("p.empty", {}, status.engine === "embedded" ? "The embedded engine is one thread in this process: judge, then count, then write." : "Flink has no job yet."));
        return;
      }
      const now = job.vertices.map((vertex) => `${vertex.id}<${vertex.inputs.join()}`).join();
      if (now !== shape) {
        shape = now;
        build(job);
      }
      job.vertices.forEach((vertex) => cards.get(vertex.id)?.draw(vertex));
    },
  };
}

function depths(vertices) {
  const known = new Map(vertices.map((vertex) => [vertex.id, vertex]));
  const depth = new Map();
  const of = (id, seen) => {
    if (depth.has(id)) return depth.get(id);
    if (seen.has(id) || !known.has(id)) return 0;
    seen.add(id);
    const inputs = known.get(id).inputs.filter((input) => known.has(input));
    const found = inputs.length ? 1 + Math.max(...inputs.map((input) => of(input, seen))) : 0;
    depth.set(id, found);
    return found;
  };
  vertices.forEach((vertex) => of(vertex.id, new Set()));
  return depth;
}

/** The operators of a chain, as short as they can be told apart. */
function operators(name) {
  return name.split(" -> ").map((part) => part.replace(/\[\d+\]/g, "").replace(/\(.*$/, "").trim()).filter(Boolean);
}

function task(vertex) {
  const chain = operators(vertex.name);
  const rate = el("span", {});
  const busy = meter("busy");
  const pressure = meter("back-pressure", "pressure");
  const status = el("span.badge", {});
  const title = chain.length > 2 ? `${chain[0]} … ${chain[chain.length - 1]}` : chain.join(" → ");
  const section = el("div.task", { title: vertex.name },
    el("div.task-head", {}, el("strong", {}, title), status),
    el("div.task-rate", {}, rate, ` × ${vertex.parallelism}`), busy.row, pressure.row);
  return {
    section,
    draw(now) {
      const [read, written] = now.per_second;
      rate.textContent = `${compact(read || written)} records/s`;
      status.textContent = now.status.toLowerCase();
      status.className = `badge ${now.status === "RUNNING" ? "traffic_spike" : "bot"}`;
      busy.set(now.busy);
      pressure.set(now.back_pressured);
      section.classList.toggle("hot", (now.busy ?? 0) > 0.85);
    },
  };
}

function meter(name, kind = "") {
  const bar = el("i", {});
  const text = el("span", {});
  return {
    row: el(`div.meter${kind ? `.${kind}` : ""}`, {}, el("small", {}, name), el("div.track", { "aria-hidden": "true" }, bar), text),
    set(share) {
      bar.style.width = `${Math.round((share ?? 0) * 100)}%`;
      text.textContent = percent(share, 0);
    },
  };
}

/** Lines between tasks; drawn again when the layout changes. */
function connect(lines, vertices, cards) {
  const draw = () => {
    const frame = lines.getBoundingClientRect();
    if (!frame.width) return;
    lines.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
    lines.replaceChildren(...vertices.flatMap((vertex) => vertex.inputs.map((input) => {
      const [from, to] = [cards.get(input)?.section, cards.get(vertex.id)?.section];
      if (!from || !to) return null;
      const [a, b] = [from.getBoundingClientRect(), to.getBoundingClientRect()];
      const [x1, y1] = [a.right - frame.left, a.top + a.height / 2 - frame.top];
      const [x2, y2] = [b.left - frame.left, b.top + b.height / 2 - frame.top];
      const middle = (x1 + x2) / 2;
      return svg("path", { d: `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}` });
    })).filter(Boolean));
  };
  new ResizeObserver(draw).observe(lines);
}
