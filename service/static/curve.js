// What if one feature were different: the answer over its whole range, above how training's values were spread.

import { coloursOf } from "./answer.js";
import { isWhole, wordsOf } from "./concerns.js";
import { drawBands, drawLines } from "./curve_drawing.js";
import { el, later, named } from "./dom.js";
import { daysOf, isoDate } from "./values.js";

// Rows of one request.
const POINTS = 45;
const MOST_WHOLE = 56;
const MOST_CATEGORIES = 10;

function binsOf(card, feature) {
  return card.drift?.features.find((one) => one.feature === feature.name) ?? null;
}

// Where training's values lie: {from, to, share} each, in the feature's own unit.
function spreadOf(card, feature) {
  const bins = binsOf(card, feature);
  if (bins?.kind !== "numeric") return [];
  const ends = [
    feature.minimum,
    ...bins.edges.map((edge) => Math.min(Math.max(edge, feature.minimum), feature.maximum)),
    feature.maximum,
  ];
  return bins.shares.slice(0, -1).map((share, at) => ({ from: ends[at], to: ends[at + 1], share }));
}

// The values that are tried: {value, at, share}; `at` is where a number or date lies, `share` training's, where known.
function triedOf(card, feature, current) {
  const gap = feature.nullable ? [{ value: null, at: null, share: binsOf(card, feature)?.shares.at(-1) ?? null }] : [];
  const words = wordsOf(feature);
  if (words) return [...words.map((word, value) => ({ value, word })), ...gap];
  if (feature.kind === "categorical") return [...categoriesOf(card, feature, current), ...gap];
  const date = feature.kind === "date";
  const here = current === null ? null : date ? daysOf(current) : current;
  const width = feature.maximum - feature.minimum || 1;
  // A value that lies far outside would leave nothing to see of the range.
  const near = here !== null && here > feature.minimum - width && here < feature.maximum + width;
  const low = near ? Math.min(feature.minimum, here) : feature.minimum;
  const high = near ? Math.max(feature.maximum, here) : feature.maximum;
  const whole = isWhole(feature, card) && Number.isInteger(low) && Number.isInteger(high) && high - low < MOST_WHOLE;
  const count = whole ? high - low + 1 : high > low ? POINTS : 1;
  const evenly = (_, at) => (whole ? low + at : low + ((high - low) * at) / Math.max(1, count - 1));
  const points = feature.codes ?? Array.from({ length: count }, evenly);
  return [...points.map((at) => ({ value: date ? isoDate(at) : at, at })), ...gap];
}

function categoriesOf(card, feature, current) {
  const bins = binsOf(card, feature);
  const shares = new Map(bins?.kind === "categorical" ? bins.categories.map((one, at) => [one, bins.shares[at]]) : []);
  const common = [...feature.categories]
    .sort((one, other) => (shares.get(other) ?? 0) - (shares.get(one) ?? 0))
    .slice(0, MOST_CATEGORIES);
  if (current !== null && !common.includes(current)) common.splice(-1, 1, current);
  return common.map((value) => ({ value, share: shares.get(value) ?? null }));
}

// `predict(records, {signal})` answers; `put(name, value)` is called where somebody points at another value.
export function makeCurve(card, predict, put) {
  const about = el("h2", {}, "What if");
  const place = el("div", { class: "plot" });
  const more = el("p", { class: "aside" });
  const element = el("section", { class: "curve panel", "aria-label": "What if", hidden: true }, about, place, more);
  let feature = null;
  let record = null;
  let running = null;
  let state = null;

  const key = () => JSON.stringify([feature.name, Object.entries(record).filter(([name]) => name !== feature.name)]);
  const inReach = () =>
    feature.kind === "categorical" ||
    state.tried.some((one) => one.value === record[feature.name]) ||
    (record[feature.name] !== null && within(state.tried));
  const within = (tried) => {
    const places = tried.map((one) => one.at).filter((at) => at !== null && at !== undefined);
    const here = feature.kind === "date" ? daysOf(record[feature.name]) : record[feature.name];
    return here >= Math.min(...places) && here <= Math.max(...places);
  };

  const draw = () => {
    if (!state || state.feature !== feature) return;
    const current = record[feature.name];
    const colours = coloursOf(card, state.now.probabilities);
    const drawn = { ...state, current, colours, put: (value) => put(feature.name, value) };
    const bands = feature.kind === "categorical" || wordsOf(feature);
    place.replaceChildren(bands ? drawBands(drawn) : drawLines(drawn, place.clientWidth || 400));
    const hidden =
      feature.kind === "categorical"
        ? feature.categories.length - state.tried.filter((one) => one.value !== null).length
        : 0;
    const constant = feature.minimum !== undefined && feature.minimum === feature.maximum;
    more.textContent =
      hidden > 0
        ? `and ${hidden} more, seen less often`
        : constant
          ? "Training has seen no other value, so that the model can have learned nothing from it."
          : "";
  };

  const ask = async () => {
    running?.abort();
    const mine = (running = new AbortController());
    const [wanted, others] = [feature, key()];
    const tried = triedOf(card, feature, record[feature.name]);
    const records = tried.map(({ value }) =>
      Object.fromEntries(Object.entries(record).map(([name, one]) => [name, name === wanted.name ? value : one])),
    );
    try {
      const [now, ...answers] = await predict([record, ...records], { signal: mine.signal });
      if (mine !== running) return;
      state = { others, feature: wanted, tried, answers, now, card, spread: spreadOf(card, wanted) };
      about.replaceChildren("What if ", named(wanted.name), " changed");
      element.hidden = false;
      draw();
    } catch {
      // What is wrong with the record is said beside the answer, which does not hang on this.
    }
  };
  const askSoon = later(60, () => record && ask());

  const look = (one) => {
    if (one === feature || !record) return void (feature = one);
    feature = one;
    ask();
  };
  const update = (now, answer) => {
    record = now;
    feature ??= card.features[0];
    if (state?.others === key() && inReach()) {
      state.now = answer;
      draw();
    } else askSoon();
  };
  const clear = () => {
    record = null;
    state = null;
  };
  if (typeof ResizeObserver !== "undefined") new ResizeObserver(later(80, draw)).observe(place);
  return { element, look, update, clear };
}
