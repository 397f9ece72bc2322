// The open windows, and the watermark as it moves over them.
import { el, svg } from "../dom.js";
import { clock } from "../format.js";
import { sideways } from "../panel.js";
import { state } from "../state.js";

const WIDTH = 1000;
/** Bars shown at most: of many open windows every second, third … is shown. */
const BARS = 14;
const ROW = 15;
const TOP = 22;

export function windows() {
  const body = el("div.windows", { role: "img", "aria-label": "Open windows over event time, and the watermark" });
  const caption = el("p.empty", { "aria-live": "off" });
  const wrap = el("div", {}, sideways(body), caption);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let running = false;
  let drawing = null;
  let drawnFor = "";
  let parts = null;
  let smooth = null;
  let told = 0;

  const build = (status) => {
    const { window_ms: size, slide_ms: slide } = status;
    const open = Math.round(size / slide);
    const step = Math.ceil(open / BARS);
    const rows = Math.ceil(open / step) + 1;
    const height = TOP + rows * ROW + 26;
    drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}` });
    const bars = Array.from({ length: rows + 1 }, () => {
      const group = svg("g");
      const back = svg("rect", { height: ROW - 5, rx: 4, class: "bar" });
      const done = svg("rect", { height: ROW - 5, rx: 4, class: "done" });
      const end = svg("text", { class: "end", "text-anchor": "end" });
      group.append(back, done, end);
      drawing.append(group);
      return { group, back, done, end };
    });
    const marks = status.partitions.map(() => drawing.appendChild(svg("circle", { r: 3.4, class: "high" })));
    const line = svg("line", { class: "watermark", y1: TOP - 8, y2: height - 22 });
    const name = svg("text", { class: "name", y: 11, "text-anchor": "end" });
    name.textContent = "watermark";
    const now = svg("line", { class: "now", y1: TOP - 8, y2: height - 22 });
    const nowName = svg("text", { class: "name now", y: 11, "text-anchor": "start" });
    nowName.textContent = "now";
    const times = Array.from({ length: 6 }, () => drawing.appendChild(svg("text", { class: "time", y: height - 6, "text-anchor": "middle" })));
    drawing.append(line, name, now, nowName);
    body.replaceChildren(drawing);
    parts = { bars, marks, line, name, now, nowName, times, size, slide, step, rows, height };
    drawnFor = `${size} ${slide} ${status.partitions.length}`;
  };

  const draw = () => {
    if (!running) return;
    if (still.matches) setTimeout(draw, 1000);
    else requestAnimationFrame(draw);
    const status = state.status;
    if (!status?.watermark || !status.window_ms) {
      caption.textContent = "No watermark yet.";
      return;
    }
    if (drawnFor !== `${status.window_ms} ${status.slide_ms} ${status.partitions.length}`) build(status);
    const { bars, marks, line, name, now, nowName, times, size, slide, step } = parts;
    // between two reports the watermark goes on with the clock; the delay is smoothed, so that it does not jump
    const delay = Date.parse(status.at) - Date.parse(status.watermark);
    smooth = smooth === null ? delay : smooth + (delay - smooth) * 0.05;
    const silent = Date.now() - Date.parse(status.at) > 3_000;
    const clockNow = silent ? Date.parse(status.at) : Date.now();
    const watermark = clockNow - smooth;
    const from = watermark - size * 1.04;
    const to = clockNow + size * 1.02;
    const x = (at) => ((at - from) / (to - from)) * WIDTH;
    const stride = slide * step;
    const first = Math.floor(watermark / stride) * stride + stride;
    bars.forEach((bar, place) => {
      const end = first + (place - 1) * stride;
      const y = TOP + place * ROW;
      // the window that was just written fades out
      bar.group.setAttribute("opacity", place === 0 ? Math.max(0, 1 - (watermark - end) / stride).toFixed(2) : end - size > clockNow ? 0 : 1);
      put(bar.back, x(end - size), y, x(end) - x(end - size));
      put(bar.done, x(end - size), y, Math.max(0, Math.min(x(end), x(watermark)) - x(end - size)));
      bar.end.setAttribute("x", (x(end) - 8).toFixed(1));
      bar.end.setAttribute("y", y + ROW - 6);
      bar.end.textContent = place === 0 ? "written ✓" : "";
    });
    status.partitions.forEach((part, place) => {
      marks[place]?.setAttribute("visibility", part.high_mark ? "visible" : "hidden");
      if (!part.high_mark || !marks[place]) return;
      marks[place].setAttribute("cx", x(Date.parse(part.high_mark) + (clockNow - Date.parse(status.at))).toFixed(1));
      marks[place].setAttribute("cy", TOP - 8);
    });
    for (const [element, at] of [[line, watermark], [now, clockNow]]) {
      element.setAttribute("x1", x(at).toFixed(1));
      element.setAttribute("x2", x(at).toFixed(1));
    }
    name.setAttribute("x", (x(watermark) - 6).toFixed(1));
    nowName.setAttribute("x", (x(clockNow) + 8).toFixed(1));
    times.forEach((time, place) => {
      const every = Math.max(1000, Math.ceil((to - from) / 6 / slide) * slide);
      const at = Math.ceil(from / every) * every + place * every;
      time.setAttribute("x", x(at).toFixed(1));
      time.textContent = at < to - every * 0.1 ? clock(at) : "";
    });
    if (Date.now() - told > 500) {
      told = Date.now();
      const open = Math.round(size / slide);
      caption.textContent = `${open} windows are open${step > 1 ? `, every ${step}${step === 2 ? "nd" : step === 3 ? "rd" : "th"} is drawn` : ""}. The next one ends at ${clock(Math.ceil(watermark / slide) * slide)}. The watermark is ${Math.round(smooth)} ms behind the clock, ${status.max_disorder_ms} ms of it on purpose: so late may an event be.`;
    }
  };

  return {
    body: wrap,
    /** Starts or stops. */
    run(on) {
      if (on === running) return;
      running = on;
      if (on) draw();
    },
  };
}

function put(rect, x, y, width) {
  rect.setAttribute("x", x.toFixed(1));
  rect.setAttribute("y", y);
  rect.setAttribute("width", Math.max(0, width).toFixed(1));
}
