// Why: from the reference's probability to the answer's, a step for each value that moves it.

import { FEW } from "./answer.js";
import { el, later, named } from "./dom.js";
import { percent, readingOf, spelled } from "./values.js";

// So many steps are drawn; the others are one step together.
const MOST_STEPS = 8;

function points(value) {
  const shown = (100 * value).toFixed(1).replace("-", "−");
  return `${value >= 0 ? "+" : ""}${/^−?0\.0$/.test(shown) && value !== 0 ? (value > 0 ? "0.0" : "−0.0") : shown}`;
}

function valueText(value, feature) {
  if (value === null) return "missing";
  return typeof value === "number" ? spelled(value, readingOf(feature)) : value;
}

// The steps from reference to answer, the largest first: {name, value, from, to}; those that are not shown are one.
function stepsOf({ values, reference_probability: start }, most) {
  const moved = Object.entries(values).filter(([, value]) => value !== 0);
  moved.sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]));
  const shown = moved.length > most + 1 ? moved.slice(0, most) : moved;
  const others = moved.slice(shown.length);
  const steps = shown.map(([name, value]) => ({ name, value }));
  if (others.length) steps.push({ others: others.length, value: others.reduce((sum, [, value]) => sum + value, 0) });
  let place = start;
  for (const step of steps) [step.from, step.to] = [place, (place += step.value)];
  return { steps, start, end: place, unmoved: Object.keys(values).length - moved.length };
}

const REFERENCES = { typical: "the typical row", background: "rows like those of training", given: "the row given" };

// `explain(record, {reference, signal})` gives the values. A source without reasons leaves this hidden.
export function makeWhy(card, explain) {
  const about = el("h2", {}, "Why");
  const list = el("ol", { class: "steps" });
  const note = el("p", { class: "aside" });
  const all = el("button", { type: "button", class: "quiet", hidden: true }, "Show every value");
  const element = el("section", { class: "why panel", "aria-label": "Why", hidden: true }, about, list, all, note);
  const features = new Map(card.features.map((feature) => [feature.name, feature]));
  let most = MOST_STEPS;
  let last = null;
  let running = null;
  // Cards from before there were reasons have no typical row.
  let unable = !explain || !card.typical;
  all.addEventListener("click", () => {
    most = most === MOST_STEPS ? Infinity : MOST_STEPS;
    if (last) draw(...last);
  });

  const draw = (explanation, record) => {
    last = [explanation, record];
    const { steps, start, end, unmoved } = stepsOf(explanation, most);
    const places = [start, end, ...steps.flatMap((step) => [step.from, step.to])];
    // On the way a sum may be more than 1, or less than 0.
    const [low, high] = [Math.min(...places), Math.max(...places)];
    const width = high - low || 1;
    const at = (share) => 100 * ((share - low) / width);
    const rows = steps.map((step) => {
      const [from, to] = [Math.min(step.from, step.to), Math.max(step.from, step.to)];
      const bar = el("span", {
        class: step.value < 0 ? "step down" : "step up",
        style: { left: `${at(from)}%`, width: `${Math.max(0.6, at(to) - at(from))}%` },
      });
      const error =
        // Of exact values there are none; an empty object would have one for a feature that is called toString.
        step.name !== undefined && explanation.standard_errors?.[step.name]
          ? el("small", {}, ` ± ${(100 * explanation.standard_errors[step.name]).toFixed(1)}`)
          : null;
      const what =
        step.name === undefined
          ? [`${step.others} others together`]
          : [named(step.name), " ", named(valueText(record[step.name], features.get(step.name)), { class: "value" })];
      const title =
        step.name === undefined ? null : `${step.name}: ${valueText(record[step.name], features.get(step.name))}`;
      return el(
        "li",
        {},
        el("span", { class: "what", title }, ...what),
        el("span", { class: "way" }, bar),
        el("span", { class: "share" }, points(step.value), error),
      );
    });
    const end_ = (text, share, kind) =>
      el(
        "li",
        { class: kind },
        el("span", { class: "what" }, text),
        el("span", { class: "way" }, el("span", { class: "stop", style: { left: `${at(share)}%` } })),
        el("span", { class: "share" }, percent(share)),
      );
    about.replaceChildren("Why ", named(explanation.label));
    list.dataset.colour = card.classes.length <= FEW ? card.classes.indexOf(explanation.label) : 0;
    list.replaceChildren(
      end_(REFERENCES[explanation.reference] ?? "the reference", start, "ends"),
      ...rows,
      end_("this row", explanation.probability, "ends"),
    );
    all.hidden = steps.length <= MOST_STEPS && most === MOST_STEPS;
    all.textContent = most === MOST_STEPS ? "Show every value" : "Only the largest";
    const method =
      explanation.method === "exact" ? "exact Shapley values" : "Shapley values, estimated by permutations";
    note.textContent = `In percentage points, ${method}. ${unmoved ? `${unmoved} ${unmoved === 1 ? "value is" : "values are"} as in the reference, or change nothing.` : ""}`;
    element.hidden = false;
    element.classList.remove("stale");
  };

  const ask = async (record) => {
    if (unable) return;
    running?.abort();
    const mine = (running = new AbortController());
    try {
      const explanation = await explain(record, { reference: "typical", signal: mine.signal });
      if (mine === running) draw(explanation, record);
    } catch (error) {
      // A service without this route, or a card without a typical row, will not have it a moment later either.
      if (error.name === "AbortError" || mine !== running) return;
      unable = [404, 405, 422, 501].includes(error.status);
      element.hidden = true;
    }
  };
  const askSoon = later(40, ask);
  return {
    element,
    update: (record) => {
      element.classList.add("stale");
      askSoon(record);
    },
    clear: () => (element.hidden = true),
  };
}
