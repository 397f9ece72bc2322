// Numbers and times for people.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const money = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const compactNumber = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

let utc = false;
/** Chooses UTC or the reader's time zone. */
export function useUtc(on) { utc = on; clocks.clear(); }

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
/** `14:05:10`. */
export const clock = (at) => (at ? clockFormat({ hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(new Date(at)) : "–");

export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${+(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) {
    const seconds = Math.round((ms % 60_000) / 1000);
    return `${Math.floor(ms / 60_000)} min${seconds ? ` ${seconds} s` : ""}`;
  }
  return `${(ms / 3_600_000).toFixed(1)} h`;
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
