// Views over time, with anomalies marked where they were found.
import uPlot from "/web/vendor/uplot/uPlot.esm.js";
import { el, fill } from "../dom.js";
import { clock, compact, count, day, isToday, time } from "../format.js";
import { panel } from "../panel.js";
import { field, lookAt, state, watch } from "../state.js";
import { NAMES } from "./anomalies.js";

const HEIGHT = 270;
/** Steps of the axis: counts are whole. */
const COUNTS = [...Array(10).keys()].flatMap((power) => [1, 2, 5].map((n) => n * 10 ** power));

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const MARKS = { traffic_spike: "--accent", traffic_drop: "--bad", bot: "--warn", unusual_user: "--warn" };

const SHAPES = { traffic_spike: "▲", traffic_drop: "▼" };
/** Room that a mark needs, in pixels: of what lies closer together one mark is drawn. */
const ROOM = 18;

/** Anomalies as marks that do not touch: `{x, kind, n}` for those of a kind within so many pixels. */
function gathered(anomalies, place, room) {
  const marks = new Map();
  for (const { kind, detected_at: at } of anomalies) {
    const x = place(Date.parse(at) / 1000);
    // users of both kinds stand in one line
    const line = kind.startsWith("traffic") ? kind : "users";
    const key = `${line} ${Math.floor(x / room)}`;
    if (!marks.has(key)) marks.set(key, { x: (Math.floor(x / room) + 0.5) * room, kind, n: 0 });
    marks.get(key).n += 1;
  }
  return [...marks.values()];
}

/** Draws a triangle for spikes and drops at the top, a dot for users at the foot: the larger, the more there are about then. */
function marks() {
  return {
    hooks: {
      draw: (plot) => {
        const { ctx } = plot;
        const { left, top, width, height } = plot.bbox;
        const dpr = devicePixelRatio;
        ctx.save();
        for (const { x, kind, n } of gathered(shown(), (at) => plot.valToPos(at, "x", true), ROOM * dpr)) {
          if (x < left || x > left + width) continue;
          const traffic = kind.startsWith("traffic");
          ctx.fillStyle = ctx.strokeStyle = color(MARKS[kind] ?? "--muted");
          const size = (traffic ? 5 : Math.min(6, 2 + Math.sqrt(n))) * dpr;
          const y = traffic ? top + size * 2 : top + height - 8 * dpr;
          if (traffic) {
            ctx.globalAlpha = 0.35;
            ctx.lineWidth = dpr;
            ctx.setLineDash([3 * dpr, 3 * dpr]);
            ctx.beginPath(); ctx.moveTo(x, top + size * 2); ctx.lineTo(x, top + height); ctx.stroke();
            ctx.globalAlpha = 1;
          }
          const up = kind === "traffic_drop" ? -1 : 1;
          ctx.beginPath();
          if (traffic) { ctx.moveTo(x, y - up * size); ctx.lineTo(x + size, y + up * size); ctx.lineTo(x - size, y + up * size); }
          else ctx.arc(x, y, size, 0, 7);
          ctx.fill();
        }
        ctx.restore();
      },
    },
  };
}

/** The value under the cursor, or the newest. */
const shownValue = (plot, series, value, place) => (place === null || place === undefined ? plot.data[series][plot.data[series].length - 1] : value);

/** Times below the line; the day where it begins, or changes, if it is not this one. */
function times(ticks) {
  const seconds = ticks.length > 1 && ticks[1] - ticks[0] < 60;
  const days = ticks.map((tick) => (isToday(tick * 1000) ? "" : day(tick * 1000)));
  return ticks.map((tick, place) => `${time(tick * 1000, seconds)}${days[place] && days[place] !== days[place - 1] ? `\n${days[place]}` : ""}`);
}

const shown = () => (state.page ? state.ofPage.anomalies ?? [] : state.anomalies);

export function chart(parent) {
  const view = panel(parent, { title: "Views per window", width: "w8", kind: "site-metrics" });
  const box = el("div.chart", { role: "img" });
  const keys = el("div.keys", {});
  view.body.append(box, keys);
  let plot = null;
  let drawn = "";

  const make = () => {
    plot?.destroy();
    const grid = { stroke: color("--line"), width: 1 };
    const axis = { stroke: color("--muted"), grid, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    plot = new uPlot({
      width: Math.max(200, box.clientWidth), height: HEIGHT,
      // half of the last time stands right of the line
      padding: [8, 28, 0, 0],
      cursor: { points: { size: 7 }, drag: { x: true, y: false } },
      legend: { live: true, isolate: false },
      scales: { x: { time: true, range: (_, from, to) => (from === to ? [from - 60, to + 60] : [from, to]) }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.12)] } },
      axes: [
        { ...axis, grid: { show: false }, values: (_, ticks) => times(ticks), space: 90, size: (_, texts) => (texts?.some((text) => text.includes("\n")) ? 46 : 30) },
        { ...axis, size: 52, incrs: COUNTS, values: (_, ticks) => ticks.map(compact) },
      ],
      series: [
        { label: "window up to", value: (plot, at, __, place) => clock(shownValue(plot, 0, at, place) * 1000) },
        { label: "views", stroke: color("--accent"), width: 2, fill: `${color("--accent")}1c`, points: { show: (plot) => plot.data[0].length === 1 }, value: (plot, n, series, place) => count(shownValue(plot, series, n, place)) },
        { label: "without bots", stroke: color("--series-2"), width: 1.4, dash: [5, 4], points: { show: false }, value: (plot, n, series, place) => count(shownValue(plot, series, n, place)) },
      ],
      plugins: [marks()],
    }, data(), box);
    // to look at a window of the past; by keyboard with the buttons beside the window's name
    plot.over.title = "Click: look at the window that ended then";
    plot.over.addEventListener("click", () => {
      const { idx } = plot.cursor;
      const list = series();
      // a zoom ends with a click too
      if (idx !== null && idx !== undefined && idx < list.length - 1 && !plot.select.width) lookAt(list[idx].window_end);
    });
  };

  const series = () => (state.page ? state.pageHistory : state.history);
  const data = () => {
    const list = series();
    return [list.map((row) => Date.parse(row.window_end) / 1000), list.map((row) => row.view_count), list.map((row) => row.human_view_count)];
  };

  const draw = () => {
    const list = series();
    const newest = list[list.length - 1];
    const views = field("view_count", newest);
    view.note(state.page ?? "the whole site", newest?.window_end, { kind: state.page ? "page-metrics" : "site-metrics", page: state.page, metric: views, value: newest ? count(newest[views]) : null });
    box.setAttribute("aria-label", newest ? `Views per window over time; the newest has ${count(newest.view_count)} views. ${shown().length} anomalies are listed beside.` : "No results yet");
    const kinds = [...new Set(shown().map((anomaly) => anomaly.kind))];
    if (drawn !== kinds.join()) {
      drawn = kinds.join();
      fill(keys, ...kinds.map((kind) => el("span", {}, el(`span.badge.${kind}`, {}, NAMES[kind] ?? kind), SHAPES[kind] ?? "●")),
        kinds.some((kind) => !(kind in SHAPES)) ? el("span", {}, "the larger a dot, the more of them about then") : null);
    }
    if (plot) plot.setData(data());
    else if (list.length) make();
  };
  new ResizeObserver(() => { if (plot && box.clientWidth) plot.setSize({ width: box.clientWidth, height: HEIGHT }); }).observe(box);
  watch(["site-metrics", "page", "anomalies"], draw, { slow: true });
  watch(["theme"], () => { if (plot) make(); });
  draw();
}
