// The pipeline, for learners: what flows from where to where, live.
import { el, fill } from "../dom.js";
import { get } from "../api.js";
import { bytes, clock, compact, count, duration } from "../format.js";
import { state, watch } from "../state.js";
import { table } from "../panel.js";
import { graph } from "./graph.js";
import { windows } from "./windows.js";

const FLINK = "Flink's tasks, from the sources on. Records go along the lines. Busy is the share of time that a task works, blocked the share that it waits for the task after it (back-pressure); × 2: it runs twice, side by side.";

/** How often rates of topics are asked for while the tab is open, in milliseconds. */
const EVERY = 2_000;

export function pipeline(parent) {
  const stages = Object.fromEntries([
    ["traffic", "Traffic", "Visitors make events. Each gets a key, here its page, which decides its partition."],
    ["log", "Kafka", "Events stand in partitions, each in order. The offset counts them; the lag is what has not been read yet."],
    ["engine", "Engine", "Reads each record once, drops duplicates, sorts by event time, and counts in sliding windows."],
    ["topics", "Result topics", "When the watermark passes a window's end, its rows are written, once."],
    ["here", "Here", "Rows are filed in a database, then sent to this page. It is just one more reader of the topics."],
  ].map(([key, title, about]) => [key, stage(title, about)]));
  const flow = el("div.stages", {}, ...Object.values(stages).map((one) => one.section));
  const timeline = windows();
  const job = graph();
  const processes = el("div", {});
  const jobPanel = wide("The job", FLINK, job.body);
  parent.append(flow,
    wide("Open windows and the watermark", "Each bar is a window that is still counting. An event counts in every window over its time. The line is the watermark: event time up to which no event on time can come any more. As it passes a bar's end, that window is written, and never taken back.", timeline.body),
    jobPanel,
    wide("Processes", "What runs on this machine.", processes));

  const samples = [];
  let rates = new Map();
  let overview = null;
  let timer = null;

  const ask = async () => {
    // the stream says when there is a server again
    if (overview && !state.connected) return drawTopics();
    try {
      overview = await get("/pipeline");
      const sample = { at: Date.parse(overview.now), rows: new Map(overview.topics.map((topic) => [topic.topic, topic.rows])) };
      samples.push(sample);
      // rows come in bursts, one for each window: a rate over less than a few slides would only flicker
      while (samples.length > 2 && sample.at - samples[1].at > Math.max(20_000, 3 * (state.status?.slide_ms ?? 0))) samples.shift();
      const seconds = (sample.at - samples[0].at) / 1000;
      rates = seconds > 0 ? new Map([...sample.rows].map(([topic, rows]) => [topic, Math.max(0, rows - (samples[0].rows.get(topic) ?? rows)) / seconds])) : new Map();
      drawTopics();
    } catch { /* the line under the header says that there is no connection */ }
  };

  const drawTopics = () => {
    if (!overview) return;
    fill(stages.topics.body, el("ul.lines", {}, ...overview.topics.map((topic) => {
      const rate = rates.get(topic.topic);
      return el("li", { title: topic.topic }, el("span", {}, topic.kind), el("b", {}, rate === undefined ? "–" : rate >= 10 ? count(rate) : rate.toFixed(1)));
    })));
    stages.topics.figure.textContent = rates.size ? `${count([...rates.values()].reduce((sum, rate) => sum + rate, 0))} rows/s` : "–";
    fill(stages.here.body, pairs([
      ["newest window", clock(overview.store.newest_window_end)],
      ["rows readable after", state.status?.result_delay_ms ? duration(state.status.result_delay_ms[0]) : "–"],
      ["95 % within", state.status?.result_delay_ms ? duration(state.status.result_delay_ms[1]) : "–"],
      ["database", bytes(overview.store.bytes)],
      ["pages like this one", count(overview.stream_clients)],
    ]));
    stages.here.figure.textContent = state.connected ? "live" : "not connected";
  };

  const draw = () => {
    const status = state.status;
    if (!status || parent.hidden) return;
    const embedded = status.engine === "embedded";
    stages.log.title.textContent = embedded ? "Log in files" : "Kafka";
    jobPanel.querySelector(".about").hidden = embedded;
    stages.traffic.figure.textContent = status.sent_per_second === null ? "from outside" : `${count(status.sent_per_second)} events/s`;
    fill(stages.traffic.body, pairs([
      ["arrived per second", count(status.events_per_second)], ["records in all", compact(status.records_total)],
      ...(status.duplicates_total === null ? [] : [["duplicates since the start", count(status.duplicates_total)]]),
      ["dead letters since the start", count(Object.values(status.dead_letters).reduce((sum, n) => sum + n, 0))],
    ]));
    const lag = status.partitions.reduce((sum, part) => sum + (part.lag ?? 0), 0);
    stages.log.figure.textContent = `lag ${count(lag)}`;
    fill(stages.log.body, partitions(status));
    stages.engine.figure.textContent = embedded ? "embedded" : status.job?.state?.toLowerCase() ?? status.state;
    const proof = status.proof;
    fill(stages.engine.body, pairs([
      ["engine", embedded ? "in this process" : "Apache Flink"],
      ["window", `${duration(status.window_ms)}, new every ${duration(status.slide_ms)}`],
      ["session gap", duration(status.session_gap_ms)],
      ["watermark behind", status.watermark ? duration(Date.parse(status.at) - Date.parse(status.watermark)) : "–"],
      ["proof", proof.state === "proven" ? `${compact(proof.rows)} rows equal` : proof.state === "refuted" ? `${count(proof.differing)} rows differ` : proof.state],
    ]));
    const saved = status.job?.checkpoint;
    if (saved || (status.job && !embedded)) {
      stages.engine.body.append(pairs([["last checkpoint", saved ? [saved.age_ms === undefined ? "" : `${duration(saved.age_ms)} ago`, saved.size_bytes === undefined ? "" : bytes(saved.size_bytes)].filter(Boolean).join(", ") : "none yet"]]));
    }
    job.draw(status);
    fill(processes, status.components.length ? el("div.scroll", { tabindex: "0", role: "group", "aria-label": "Processes" }, table("Processes",
      [["Name"], ["State"], ["Process", "n"], ["Memory", "n"], ["Restarts", "n"], ["Address", "wide-only"]],
      status.components.map((one) => el("tr", {}, el("td", {}, one.name), el("td", {}, el(`span.badge${one.state === "ready" ? ".traffic_spike" : ".bot"}`, {}, one.state)),
        el("td.n", {}, one.pid ?? "–"), el("td.n", {}, bytes(one.memory_bytes)), el("td.n", {}, count(one.restarts)), el("td.wide-only", {}, one.address))))) : el("p.empty", {}, "none are known"));
  };
  let last = 0;
  watch(["pipeline", "theme"], () => {
    if (Date.now() - last < 400) return;
    last = Date.now();
    draw();
  });

  return {
    /** Says whether the tab is shown: while it is not, nothing is drawn or asked. */
    visible(on) {
      clearInterval(timer);
      timeline.run(on);
      if (!on) return;
      ask();
      timer = setInterval(ask, EVERY);
      draw();
    },
  };
}

function stage(name, about) {
  const title = el("h2", {}, name);
  const figure = el("div.figure", {}, "–");
  const body = el("div.inside", {});
  return { title, figure, body, section: el("section.stage", { "aria-label": name }, title, figure, body, el("p.about", {}, about)) };
}

function wide(title, about, body) {
  return el("section.panel", { "aria-label": title }, el("header", {}, el("h2", {}, title)), el("p.about", {}, about), body);
}

function pairs(list) {
  return el("dl.pairs", {}, ...list.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function partitions(status) {
  const most = Math.max(1, ...status.partitions.map((part) => part.records_per_second));
  return el("ul.lines", {}, ...status.partitions.map((part) => el("li.part", { title: `partition ${part.partition}: next offset ${count(part.end_offset)}, read up to ${count(part.read_offset)}, high mark ${clock(part.high_mark)}` },
    el("span", {}, `P${part.partition}`),
    el("div.track", { role: "img", "aria-label": `${count(part.records_per_second)} records per second` }, el("i", { "width%": part.records_per_second / most })),
    el("b", {}, count(part.end_offset)),
    el("small", {}, `lag ${count(part.lag)}`))));
}

