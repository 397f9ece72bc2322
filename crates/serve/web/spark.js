// A small line of how a number went.
import { svg } from "./dom.js";

/** Values oldest first. */
export function spark(values, width = 120, height = 30) {
  const box = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  if (values.length < 2) return box;
  const max = Math.max(...values);
  const min = Math.min(...values);
  // small changes of a large number are shown, but not blown up to drama
  const low = Math.min(min, max * 0.6);
  const span = max - low || 1;
  const x = (place) => (place / (values.length - 1)) * width;
  const y = (value) => height - 2 - ((value - low) / span) * (height - 6);
  const line = values.map((value, place) => `${place ? "L" : "M"}${x(place).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  box.append(
    svg("path", { class: "area", d: `${line}L${width} ${height}L0 ${height}Z` }),
    svg("path", { class: "line", d: line }),
  );
  return box;
}
