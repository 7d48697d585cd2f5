// Whether the rows of late follow the training distribution: a status, and of each feature both distributions.

import { el, named, svg } from "./dom.js";
import { drawWindows } from "./windows.js";

const WORDS = { too_few_rows: "too few rows", steady: "steady", moving: "moving", shifted: "shifted" };
const ORDER = Object.keys(WORDS);
const BIN = 20;
const HEIGHT = 80;
// Where the line of an index ends; what is beyond stands at its end.
const MOST = 0.5;
const LIMITS = [0.1, 0.25];

function share(value) {
  return `${(100 * value).toFixed(value > 0 && value < 0.0995 ? 1 : 0)} %`;
}

// The bins that have rows: those of training, or live ones in any window.
function filled({ bins, training, windows }) {
  return bins.map((_, at) => at).filter((at) => training[at] || windows.some(({ live }) => live[at]));
}

function histogram(places, feature, measure) {
  const most = Math.max(...feature.training, ...measure.live, 0.01);
  const bars = (shares, kind, inset) =>
    places.map((place, at) => {
      const height = (shares[place] / most) * HEIGHT;
      return svg("rect", {
        class: kind,
        x: at * BIN + inset,
        y: HEIGHT - height,
        width: BIN - 2 * inset,
        height,
      });
    });
  return svg(
    "svg",
    {
      class: "histogram",
      viewBox: `0 0 ${places.length * BIN} ${HEIGHT}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    },
    ...bars(feature.training, "trained", 1),
    ...bars(measure.live, "live", 5),
  );
}

// PSI on a line: what chance makes is shaded, and the limits are marked.
function gauge(measure) {
  const place = (value) => `${(100 * Math.min(value, MOST)) / MOST}%`;
  return el(
    "div",
    { class: "gauge", "aria-hidden": "true" },
    el("span", { class: "chance", style: { width: place(measure.band ?? 0) } }),
    ...LIMITS.map((limit) => el("span", { class: "limit", style: { left: place(limit) } })),
    measure.psi === null ? null : el("span", { class: "index", style: { left: place(measure.psi) } }),
  );
}

function shares(places, feature, measure) {
  const head = ["bin", "training", "live"].map((text) => el("th", { scope: "col" }, text));
  const rows = places.map((at) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, named(feature.bins[at])),
      el("td", {}, share(feature.training[at])),
      el("td", {}, share(measure.live[at])),
    ),
  );
  const table = el("table", { class: "figures" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
  return el("details", { class: "bins" }, el("summary", {}, "Shares by bin"), table);
}

function remarks(feature, measure) {
  const told = [];
  const before = feature.training.at(-1);
  if (measure.missing || before) told.push(`missing ${share(measure.missing)} (training ${share(before)})`);
  if (measure.unseen) told.push(`category unseen in training ${share(measure.unseen)}`);
  if (measure.far_outside) told.push(`far outside the training range ${share(measure.far_outside)}`);
  return el("p", { class: "aside" }, told.join(" · "));
}

function panel(feature, at, title) {
  const measure = feature.windows[at];
  const places = filled(feature);
  const index =
    measure.psi === null ? "no rows" : `PSI ${measure.psi.toFixed(3)}, chance up to ${measure.band.toFixed(3)}`;
  return el(
    "section",
    { class: "panel drifting", "data-status": measure.status },
    el("h2", {}, title, el("span", { class: "state" }, WORDS[measure.status])),
    el("p", { class: "index-line" }, index),
    gauge(measure),
    histogram(places, feature, measure),
    el(
      "p",
      { class: "ends-line", "aria-hidden": "true" },
      ...[places[0], ...places.slice(1).slice(-1)].map((place) => el("span", {}, feature.bins[place])),
    ),
    remarks(feature, measure),
    shares(places, feature, measure),
  );
}

function drawn(told, at) {
  const sorted = told.features.toSorted((one, other) => (other.windows[at].psi ?? 0) - (one.windows[at].psi ?? 0));
  return [
    panel(told.predictions, at, "Predicted classes"),
    ...sorted.map((feature) => panel(feature, at, named(feature.feature))),
  ];
}

function count({ training_rows: trained }, window) {
  const few = window.rows < window.rows_needed ? `; steady is not said of fewer than ${window.rows_needed}` : "";
  return `${window.rows.toLocaleString("en")} rows in the ${window.name}${few}. Training had ${trained.toLocaleString("en")}.`;
}

function legend() {
  return el(
    "p",
    { class: "aside legend" },
    el("span", { class: "key-trained" }, "training rows"),
    el("span", { class: "key-live" }, "live rows"),
    el("span", { class: "key-chance" }, "PSI by chance alone"),
    el("span", {}, "marks at 0.1 and 0.25"),
  );
}

function head({ sets }) {
  return sets ? [el("p", { class: "aside" }, `Prediction sets: ${sets.summary}.`)] : [];
}

// What the status is about: the shortest window that says so.
function first(windows) {
  return windows.toSorted((one, other) => ORDER.indexOf(other.status) - ORDER.indexOf(one.status))[0];
}

export async function drawDrift(main, version) {
  return drawWindows(main, version, "drift", { head, legend, first, count, drawn });
}
