// The drawing of a what-if curve: lines over a number or a date, bands over categories. It knows no model.

import { el, named, svg, unbroken } from "./dom.js";
import { DAY_MS, daysOf, isoDate, percent, readingOf, rounded } from "./values.js";

const HEIGHT = 190;
const EDGE = { left: 44, right: 14, top: 16, bottom: 20 };
const SPREAD = 30;
const GAP = 58;
const MOST_LABEL = 18;
// The width of a letter, about.
const LETTER = 8;

function cut(text) {
  return text.length > MOST_LABEL ? `${text.slice(0, MOST_LABEL - 1)}…` : text;
}

// Round numbers within a range, about `count` of them.
function ticksOf(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((one) => one >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, at) => Number(((first + at) * step).toPrecision(12)));
}

// The same for dates, which are round where a year or a month begins.
function datesOf(low, high, count) {
  const first = new Date(low * DAY_MS);
  const months = (high - low) / 30.4;
  const step = [1, 2, 3, 6, 12, 24, 36, 48, 60, 120, 240, 600, 1200].find((one) => months / one <= count) ?? 2400;
  if (months < 2) return [low, high];
  const start = Math.floor((12 * first.getUTCFullYear() + first.getUTCMonth()) / step) * step;
  const starts = Array.from({ length: count + 3 }, (_, at) => start + at * step);
  const day = (month) =>
    daysOf(`${String(Math.floor(month / 12)).padStart(4, "0")}-${String((month % 12) + 1).padStart(2, "0")}-01`);
  return starts.map(day).filter((tick) => tick >= low && tick <= high);
}

function wordingOf(feature, span) {
  const reading = readingOf(feature);
  if (feature.kind === "date")
    return (days) =>
      span > 700
        ? isoDate(Math.round(days)).slice(0, 4)
        : span > 120
          ? isoDate(Math.round(days)).slice(0, 7)
          : isoDate(Math.round(days)).slice(5, 10);
  // Round numbers that would not fit beside each other.
  if (span >= 1e5) return (number) => number.toLocaleString("en", { notation: "compact" });
  return (number) => rounded(number, span, reading.decimal) + (reading.unit === "%" ? " %" : "");
}

// Probabilities of the classes that have a colour, over the values of a number or a date.
export function drawLines({ feature, tried, answers, now, current, colours, spread, put }, width) {
  const points = tried
    .map((one, at) => ({ ...one, shares: answers[at].probabilities }))
    .filter((one) => one.at !== null);
  const gap = tried.findIndex((one) => one.value === null);
  const [low, high] = [points[0].at, points.at(-1).at];
  const right = width - EDGE.right - (gap >= 0 ? GAP : 0);
  const bottom = HEIGHT - EDGE.bottom - SPREAD;
  const x = (at) =>
    EDGE.left + (high > low ? ((at - low) / (high - low)) * (right - EDGE.left) : (right - EDGE.left) / 2);
  const y = (share) => bottom - share * (bottom - EDGE.top);
  const here = current === null ? null : feature.kind === "date" ? daysOf(current) : current;
  const drawing = svg("svg", {
    class: "lines",
    viewBox: `0 0 ${width} ${HEIGHT}`,
    width,
    height: HEIGHT,
    role: "img",
    "aria-label": sentence(feature, points, now),
  });

  for (const share of [0, 0.5, 1]) {
    drawing.append(
      svg("line", { class: "grid", x1: EDGE.left, x2: right, y1: y(share), y2: y(share) }),
      svg("text", { class: "tick", x: EDGE.left - 6, y: y(share) + 4, "text-anchor": "end" }, `${100 * share} %`),
    );
  }
  drawing.append(...spreadBars(spread, x, low, high));
  const word = wordingOf(feature, high - low);
  const ticks = feature.kind === "date" ? datesOf : ticksOf;
  for (const tick of ticks(low, high, Math.max(3, Math.floor((right - EDGE.left) / 60)))) {
    if (gap >= 0 && x(tick) > right - 8) continue;
    drawing.append(svg("text", { class: "tick", x: x(tick), y: HEIGHT - 5, "text-anchor": "middle" }, word(tick)));
  }
  const beside = gap >= 0 ? right + GAP / 2 + 4 : 0;
  if (gap >= 0)
    drawing.append(svg("text", { class: "tick", x: beside, y: HEIGHT - 5, "text-anchor": "middle" }, "missing"));

  const taken = [];
  for (const [label, colour] of [...colours].reverse()) {
    const line = points.map((one) => `${x(one.at).toFixed(1)},${y(one.shares[label]).toFixed(1)}`).join(" ");
    const kind = { "data-colour": colour, class: label === now.label ? "line first" : "line" };
    drawing.append(svg("polyline", { ...kind, points: line }));
    if (gap >= 0)
      drawing.append(
        svg("circle", {
          "data-colour": colour,
          class: "dot hollow",
          cx: beside,
          cy: y(answers[gap].probabilities[label]),
          r: current === null ? 4.5 : 3,
        }),
      );
    const peak = points.reduce((best, one) => (one.shares[label] > best.shares[label] ? one : best));
    if (peak.shares[label] < 0.2) continue;
    // The name of a line stands at its peak, each at another.
    const middle = points.filter((one) => one.shares[label] > peak.shares[label] - 0.02);
    const at = x(middle[Math.floor(middle.length / 2)].at);
    let height = Math.max(y(peak.shares[label]) - 6, 11);
    const anchor = at < EDGE.left + 50 ? "start" : at > right - 50 ? "end" : "middle";
    const long = LETTER * cut(label).length;
    const left = at - { start: 0, middle: long / 2, end: long }[anchor];
    while (
      taken.some((one) => one.left < left + long && left < one.left + one.long && Math.abs(one.height - height) < 13)
    )
      height += 13;
    taken.push({ left, long, height });
    drawing.append(
      svg(
        "text",
        { class: "name", "data-colour": colour, x: at, y: height, "text-anchor": anchor },
        unbroken(cut(label)),
      ),
    );
  }
  if (here !== null && here >= low && here <= high) {
    drawing.append(svg("line", { class: "here", x1: x(here), x2: x(here), y1: EDGE.top, y2: bottom + SPREAD }));
    for (const [label, colour] of colours)
      drawing.append(
        svg("circle", {
          "data-colour": colour,
          class: "dot",
          cx: x(here),
          cy: y(now.probabilities[label]),
          r: label === now.label ? 4.5 : 3,
        }),
      );
  }
  drawing.addEventListener("click", (event) => {
    const where = event.clientX - drawing.getBoundingClientRect().left;
    if (gap >= 0 && where > right + 8) return put(null);
    const nearest = points.reduce((best, one) =>
      Math.abs(x(one.at) - where) < Math.abs(x(best.at) - where) ? one : best,
    );
    put(typeof nearest.value === "number" ? Number(nearest.value.toPrecision(4)) : nearest.value);
  });
  return drawing;
}

function spreadBars(spread, x, low, high) {
  if (!spread.length || !(high > low)) return [];
  // What many rows share is no wider than a hair, but must be seen.
  const thinnest = (high - low) / 70;
  const bars = spread
    .filter((one) => one.share > 0)
    .map((one) => ({ ...one, width: Math.max(one.to - one.from, thinnest) }));
  const most = Math.max(...bars.map((one) => one.share / one.width));
  return bars.map((one) => {
    const height = Math.max(1, (one.share / one.width / most) * (SPREAD - 6));
    const left = Math.max(x(low), x(one.to - one.width));
    return svg("rect", {
      class: "spread",
      x: left,
      width: Math.max(1, x(one.to) - left - 0.5),
      y: HEIGHT - EDGE.bottom - height,
      height,
    });
  });
}

function sentence(feature, points, now) {
  const [first, last] = [points[0], points.at(-1)];
  const word = wordingOf(feature, last.at - first.at);
  return `The probability of ${now.label} is ${percent(first.shares[now.label])} at ${word(first.at)} and ${percent(last.shares[now.label])} at ${word(last.at)}; at the value of the form it is ${percent(now.probabilities[now.label])}.`;
}

// The same over categories: a band of all classes for each, and its share of training in grey.
export function drawBands({ tried, answers, now, current, colours, put }) {
  const most = Math.max(...tried.map((one) => one.share ?? 0), 1e-9);
  const rows = tried.map((one, at) => {
    const shares = answers[at].probabilities;
    const band = el("span", { class: "band" });
    for (const [label, colour] of colours) {
      band.append(
        el("span", {
          class: "part",
          "data-colour": colour,
          title: `${label} ${percent(shares[label])}`,
          style: { width: `${100 * shares[label]}%` },
        }),
      );
    }
    const name = one.value === null ? "missing" : named(String(one.word ?? one.value));
    const row = el(
      "button",
      {
        type: "button",
        tabindex: "-1",
        class: one.value === current ? "row here" : "row",
        onclick: () => put(one.value),
      },
      el("span", { class: "category" }, name),
      band,
      el("span", { class: "share" }, percent(shares[now.label])),
      el("span", {
        class: "seen",
        title: one.share === null || one.share === undefined ? "" : `${percent(one.share)} of the training rows`,
        style: { width: `${100 * ((one.share ?? 0) / most)}%` },
      }),
    );
    return el("li", {}, row);
  });
  return el("ol", { class: "bands" }, ...rows);
}
