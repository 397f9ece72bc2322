// Flink's job as a graph: columns of tasks, by how far they are from a source.
import { el, fill, svg } from "../dom.js";
import { sideways } from "../panel.js";
import { compact, percent } from "../format.js";

export function graph() {
  const body = el("div.job", { role: "group", "aria-label": "The job's tasks" });
  const whole = sideways(body);
  let shape = "";
  let cards = new Map();

  const build = (job) => {
    const depth = depths(job.vertices);
    const feeds = sinks(job.vertices);
    const columns = [];
    for (const vertex of job.vertices) (columns[depth.get(vertex.id)] ??= []).push(vertex);
    cards = new Map();
    const lines = svg("svg", { class: "lines", "aria-hidden": "true" });
    const grid = el("div.columns", {}, ...columns.filter(Boolean).map((vertices, place, all) => el("div.column", {}, el("div.step-name", {}, `step ${place + 1} of ${all.length}`), ...vertices.map((vertex) => {
      const card = task(vertex, feeds.get(vertex.id));
      cards.set(vertex.id, card);
      return card.section;
    }))));
    fill(body, el("div.canvas", {}, lines, grid));
    connect(lines, job.vertices, cards);
  };

  return {
    body: whole,
    draw(status) {
      const job = status.job;
      if (!job?.vertices?.length) {
        shape = "";
        fill(body, el("p.empty", {}, status.engine === "embedded" ? "No Flink here: two threads of this process do it. One appends events to the log in files, and syncs it. The other judges each record, counts it, and writes rows when a window ends; where there are more than three cores, further threads count shares of the users." : "Flink has no job yet."));
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

/** Names of the topics that a task writes itself. */
const written = (name) => [...name.matchAll(/(\w+)(?:\[\d+\])?: Writer/g)].map(([, topic]) => topic);

/** The operators of a task that tell it from others: not those that only pick fields, check or write. */
function operators(name) {
  const all = name.match(/[\w: ]*\w(?=\[\d+\]|:|,|\)| ->|$)/g) ?? [name];
  const names = all.map((part) => part.trim()).filter((part) => part && !/^(Calc|ConstraintEnforcer)$|Writer$|Committer$/.test(part) && !written(name).includes(part));
  return [...new Set(names)];
}

/** The topics that each task's records end in, its own or those of tasks after it. */
function sinks(vertices) {
  const known = new Map();
  const of = (vertex, seen) => {
    if (known.has(vertex.id)) return known.get(vertex.id);
    if (seen.has(vertex.id)) return [];
    seen.add(vertex.id);
    const after = vertices.filter((other) => other.inputs.includes(vertex.id)).flatMap((other) => of(other, seen));
    const found = [...new Set([...written(vertex.name), ...after])];
    known.set(vertex.id, found);
    return found;
  };
  vertices.forEach((vertex) => of(vertex, new Set()));
  return known;
}

/** A name that may be broken only between its words. */
const broken = (name) => name.split(/(?<=[_ ])|(?<=[a-z])(?=[A-Z])/).flatMap((word, place) => (place ? [document.createElement("wbr"), word] : [word]));

function task(vertex, feeds) {
  const own = written(vertex.name);
  const does = operators(vertex.name);
  const rate = el("span", {});
  const busy = meter("busy");
  const pressure = meter("blocked", "pressure");
  const status = el("span.badge.bot", {});
  const short = (names, most) => (names.length > most ? `${names.slice(0, most - 1).join(", ")} and ${names.length - most + 1} more` : names.join(", "));
  // Flink's number tells two of a name
  const number = vertex.name.match(/\[\d+\]/)?.[0] ?? "";
  const title = own.length ? own.join(", ") : `${short(does.length ? does : ["Calc"], 3)} ${number}`;
  const about = own.length ? `written${does.length ? ` by ${short(does, 3)}` : ""}` : feeds.length ? `for ${short(feeds, 3)}` : "";
  const section = el("div.task", { title: vertex.name },
    el("div.task-head", {}, el("strong", {}, ...broken(title)), status),
    el("div.task-about", {}, ...broken(about)),
    el("div.task-rate", {}, rate, el("span", {}, ` × ${vertex.parallelism}`)), el("div.meters", {}, busy.row, pressure.row));
  return {
    section,
    draw(now) {
      const [read, written] = now.per_second;
      rate.textContent = `${compact(read || written)} records/s`;
      status.textContent = now.status.toLowerCase();
      // that all run is the rule, and not worth a word each
      status.hidden = now.status === "RUNNING";
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
