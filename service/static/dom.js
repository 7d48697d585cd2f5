// Elements of the page, made from what they hold. Text is never read as HTML.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.entries(value).forEach(([key, one]) => node.style.setProperty(key, one));
    else if (name === "value" || name === "hidden" || name === "checked") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

// An HTML element; `on…` are listeners, the other attributes stand as in HTML.
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

// The same of a drawing.
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

// A name that people gave: its blanks stay, and its direction does not turn the line around it.
export function named(text, attributes = {}) {
  return rename(el("bdi", { ...attributes, class: ["given", attributes.class].filter(Boolean).join(" ") }), text);
}

// Gives it another name; one that ends in a blank is seen in quotes, which its text does not have.
export function rename(element, text) {
  element.textContent = text;
  element.classList.toggle("blank", text !== text.trim());
  return element;
}

// What an <option> can show of a text: browsers collapse its blanks, but not these.
export function unbroken(text) {
  return text
    .replaceAll(" ", "\u00a0")
    .replaceAll("\t", "\u00a0\u00a0")
    .replace(/\r\n|\r|\n/g, "↵");
}

// Calls `what` once nothing has been asked for `wait` milliseconds.
export function later(wait, what) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => what(...values), wait);
  };
}

// What only a screen reader is told, once there was quiet for a moment.
export function announcer() {
  const element = el("p", { class: "unseen", role: "status" });
  return { element, say: later(700, (text) => (element.textContent = text)) };
}

export const NARROW = matchMedia("(max-width: 56rem)");
