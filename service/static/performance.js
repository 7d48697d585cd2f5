// How good the answers of late are: as tested, as their probabilities let expect, and as labels say.

import { confusion } from "./card.js";
import { el, svg } from "./dom.js";
import { drawWindows } from "./windows.js";

const ORDER = ["too_few_labels", "as_expected", "worse"];
const SIDE = 100;

function percent(value) {
  return value === null ? "–" : `${(100 * value).toFixed(1)} %`;
}

function count(rows, what) {
  return `${rows.toLocaleString("en")} ${what}${rows === 1 ? "" : "s"}`;
}

// The rows of the table of figures: what each one is, and what it is of.
function figures(told, window) {
  return [
    ["test", "Test", count(told.test.rows, "row"), told.test],
    ["expected", "Expected", count(window.expected.rows, "live row"), window.expected],
    ["live", "Labelled", count(window.live.rows, "label"), window.live],
    ["promised", "Promised", "by these answers", window.promised],
  ].filter(([, , , one]) => one.accuracy !== null);
}

// An accuracy on a line from `low` to 1, with its interval.
function line(one, low, chance) {
  const place = (value) => (100 * (Math.max(value, low) - low)) / (1 - low || 1);
  const [from, to] = one.accuracy_interval ?? [one.accuracy, one.accuracy];
  return el(
    "div",
    { class: "gauge", "aria-hidden": "true" },
    el("span", { class: "chance", style: { left: `${place(from)}%`, width: `${place(to) - place(from)}%` } }),
    chance === null ? null : el("span", { class: "limit", style: { left: `${place(chance)}%` } }),
    el("span", { class: "index", style: { left: `${place(one.accuracy)}%` } }),
  );
}

function compared(told, window) {
  const rows = figures(told, window);
  const ends = rows.flatMap(([, , , one]) => [one.accuracy, one.accuracy_interval?.[0] ?? 1]);
  const low = Math.max(0, Math.floor(10 * Math.min(...ends, window.chance_accuracy ?? 1) - 1) / 10);
  const cells = rows.map(([kind, name, of, one]) =>
    el(
      "tr",
      { class: kind },
      el("th", { scope: "row" }, name, el("small", {}, of)),
      el("td", { class: "bar" }, line(one, low, kind === "live" ? window.chance_accuracy : null)),
      el("td", {}, percent(one.accuracy)),
      el("td", {}, one.log_loss.toFixed(4)),
    ),
  );
  const range = `${Math.round(100 * low)} to 100 %`;
  const head = ["", range, "accuracy", "log-loss"].map((text) =>
    text ? el("th", { scope: "col" }, text) : el("td", {}),
  );
  return el(
    "table",
    { class: "figures compared", "aria-label": "Tested, expected and labelled" },
    el("thead", {}, el("tr", {}, ...head)),
    el("tbody", {}, ...cells),
  );
}

// Of each bin of confidence the share that is right; on the diagonal where the two are the same.
function reliability(bins) {
  const most = Math.max(...bins.map(({ rows }) => rows));
  const dots = bins.map(({ confidence, accuracy, rows }) =>
    svg("circle", {
      cx: confidence * SIDE,
      cy: SIDE - accuracy * SIDE,
      r: 1.5 + 3 * Math.sqrt(rows / most),
    }),
  );
  return svg(
    "svg",
    { class: "reliability", viewBox: `-5 -5 ${SIDE + 10} ${SIDE + 10}`, "aria-hidden": "true" },
    svg("rect", { class: "frame", width: SIDE, height: SIDE }),
    svg("line", { x1: 0, y1: SIDE, x2: SIDE, y2: 0 }),
    ...dots,
  );
}

function calibration(window, tested) {
  const rows = window.calibration.map(({ confidence, accuracy, rows }) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, percent(confidence)),
      el("td", {}, percent(accuracy)),
      el("td", {}, rows.toLocaleString("en")),
    ),
  );
  const before = tested.calibration_error === null ? "" : `; ${percent(tested.calibration_error)} on the test rows`;
  const head = ["probability", "right", "labels"].map((text) => el("th", { scope: "col" }, text));
  return panel(
    "Calibration",
    el("p", { class: "index-line" }, `Calibration error ${percent(window.live.calibration_error)}${before}`),
    reliability(window.calibration),
    el("p", { class: "ends-line", "aria-hidden": "true" }, el("span", {}, "highest probability → share that is right ↑")),
    el(
      "details",
      { class: "bins" },
      el("summary", {}, "By probability"),
      el("table", { class: "figures" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)),
    ),
  );
}

function panel(title, ...children) {
  return el("section", { class: "panel" }, el("h2", {}, title), ...children);
}

function drawn(told, at) {
  const window = told.windows[at];
  const labels = window.live.rows;
  const few = labels < window.labels_needed ? ` Fewer than ${window.labels_needed} do not show a loss of ten points.` : "";
  const said = labels
    ? `Chance alone leaves an accuracy of ${percent(window.chance_accuracy)} or more, the mark on the line.${few}`
    : `No labels in the ${window.name}. POST /v1/feedback takes the true class of an answer by its X-Request-Id.`;
  const shown = figures(told, window).length
    ? el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Figures" }, compared(told, window))
    : null;
  const all = [panel("Accuracy", shown, el("p", { class: "aside" }, said))];
  if (labels) {
    const [, matrix] = confusion(window.confusion);
    all.push(calibration(window, told.test));
    all.push(
      panel("Labels and answers", el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Confusion" }, matrix)),
    );
  }
  return all;
}

function counted(_, window) {
  return `${window.expected.rows.toLocaleString("en")} rows and ${window.live.rows.toLocaleString("en")} labels in the ${window.name}.`;
}

function legend({ calibrated }) {
  return el(
    "p",
    { class: "aside" },
    calibrated
      ? "Expected is what the probabilities of all live answers promise. It follows rows that shift; that the rule has changed, only labels show."
      : "The probabilities of this version were not calibrated: what they promise is the network's own word.",
  );
}

// What the status is about; of two windows that say the same, the longer one, which has more labels.
function first(windows) {
  return windows.toSorted((one, other) => ORDER.indexOf(one.status) - ORDER.indexOf(other.status)).at(-1);
}

export async function drawPerformance(main, version) {
  return drawWindows(main, version, "performance", { legend, first, count: counted, drawn });
}
