// Numbers and times for people.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const money = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const compactNumber = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

let utc = false;
/** Chooses UTC or the reader's time zone. */
export function useUtc(on) { utc = on; clocks.clear(); today = null; }

export const count = (n) => (n === null || n === undefined ? "–" : whole.format(n));
export const compact = (n) => (n === null || n === undefined ? "–" : compactNumber.format(n));
export const amount = (n) => (n === null || n === undefined ? "–" : money.format(n));
/** A share as percent; `–` where there is none. */
export const percent = (share, digits = 1) => (share === null || share === undefined ? "–" : `${(share * 100).toFixed(digits)} %`);

const clocks = new Map();
function clockFormat(options) {
  const key = JSON.stringify(options);
  if (!clocks.has(key)) {
    clocks.set(key, new Intl.DateTimeFormat("en-GB", { ...options, hour12: false, timeZone: utc ? "UTC" : undefined }));
  }
  return clocks.get(key);
}

let today = null;
/** Whether a time is of this day, in the zone that is shown. */
export function isToday(at) {
  const now = Date.now();
  if (!today || now >= today[1] || now < today[0]) {
    const begin = new Date(now);
    if (utc) begin.setUTCHours(0, 0, 0, 0);
    else begin.setHours(0, 0, 0, 0);
    today = [begin.getTime(), begin.getTime() + 86_400_000];
  }
  const time = new Date(at).getTime();
  return time >= today[0] && time < today[1];
}

/** `14:05:10`, whatever the day. */
export const time = (at, seconds = true) => clockFormat({ hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined }).format(new Date(at));

/** `10 Oct`; of another year with the year. */
export function day(at, more = {}) {
  const year = (date) => (utc ? date.getUTCFullYear() : date.getFullYear());
  const other = year(new Date(at)) !== year(new Date());
  return clockFormat({ day: "numeric", month: "short", year: other ? "numeric" : undefined, ...more }).format(new Date(at));
}

/** `14:05:10`, and the day before it if that is not today. */
export const clock = (at) => (at ? `${isToday(at) ? "" : `${day(at)} `}${time(at)}` : "–");

/** A window: `14:05:10 – 14:10:10`, with the day if that is not today. */
export function span(start, end) {
  if (isToday(start) && isToday(end)) return `${time(start)} – ${time(end)}`;
  const days = [start, end].map((at) => day(at, { weekday: "short", year: "numeric" }));
  return days[0] === days[1] ? `${days[0]}, ${time(start)} – ${time(end)}` : `${days[0]}, ${time(start)} – ${days[1]}, ${time(end)}`;
}

/** A time as a field for times takes it, and back. */
export function toField(at) {
  const date = new Date(at);
  return new Date(date.getTime() - (utc ? 0 : date.getTimezoneOffset() * 60_000)).toISOString().slice(0, 19);
}
export const fromField = (text) => new Date(utc ? `${text}Z` : text);

export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${+(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) {
    const all = Math.round(ms / 1000);
    const seconds = all % 60;
    return `${Math.floor(all / 60)} min${seconds ? ` ${seconds} s` : ""}`;
  }
  return ms < 172_800_000 ? `${(ms / 3_600_000).toFixed(1)} h` : `${Math.floor(ms / 86_400_000)} days`;
}

export function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let place = 0;
  while (n >= 1000 && place < units.length - 1) { n /= 1000; place += 1; }
  return `${n >= 100 || place === 0 ? n.toFixed(0) : n.toFixed(1)} ${units[place]}`;
}

/** `+4.2 %` of a number against the one before. */
export function change(now, before) {
  if (now === null || now === undefined || before === null || before === undefined || before === 0) return null;
  const share = now / before - 1;
  return { share, text: `${share >= 0 ? "+" : "−"}${Math.abs(share * 100).toFixed(1)} %` };
}
