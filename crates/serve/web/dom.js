// Elements. Text only ever becomes a text node, so what visitors put into a page's name stays text.

/** Makes an element: `el("td.n", { title: "…" }, "text", child)`. */
export function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  set(element, attributes);
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  set(element, attributes);
  element.append(...children.filter(Boolean));
  return element;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "width%") element.style.width = `${Math.max(0, Math.min(100, value * 100))}%`;
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** Replaces what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null && child !== undefined && child !== false));
}

/** A text of a length that a page can hold: names are chosen by visitors, and may be very long. */
export const cut = (text, most = 200) => (text.length > most ? `${text.slice(0, most)}…` : text);

/** A page's name as a button that filters everything by it. */
export function pick(page, choose) {
  return el("button.pick", { type: "button", title: `${cut(page, 600)} — show only this page`, onclick: () => choose(page) }, cut(page));
}

/** Draws, and keeps the focus and the scroll places within `root`, whose elements are made anew. */
export function keep(root, draw) {
  const name = (element) => `${element.tagName} ${element.getAttribute("aria-label") ?? element.querySelector("title")?.textContent ?? element.textContent}`;
  const focused = root.contains(document.activeElement) && document.activeElement !== root ? name(document.activeElement) : null;
  const places = [...root.querySelectorAll(".scroll")].map((box) => [box.scrollTop, box.scrollLeft]);
  draw();
  [...root.querySelectorAll(".scroll")].forEach((box, place) => {
    if (places[place]) [box.scrollTop, box.scrollLeft] = places[place];
  });
  if (focused !== null && !root.contains(document.activeElement)) {
    const same = [...root.querySelectorAll("button, a, [tabindex]")].find((element) => name(element) === focused);
    same?.focus({ preventScroll: true });
  }
}
