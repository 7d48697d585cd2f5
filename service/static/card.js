// The model card as a page for people: what, from what, how good, for whom not, and what it takes.

import { wordsOf } from "./concerns.js";
import { el, named } from "./dom.js";
import { counted, isoDate, percent, readingOf, rounded } from "./values.js";

const FEW_ROWS = 40;
const FEW_CATEGORIES = 8;

function joined(texts, most) {
  const shown = texts.slice(0, most).flatMap((text, at) => [at ? ", " : "", named(String(text))]);
  return texts.length > most ? [...shown, ` and ${texts.length - most} more`] : shown;
}

function day(text) {
  return new Date(text).toLocaleDateString("en-GB", {
    day: "numeric",
    month: "long",
    year: "numeric",
    timeZone: "UTC",
  });
}

function share(value, digits = 1) {
  return value === null || value === undefined ? "–" : `${(100 * value).toFixed(digits)} %`;
}

function count(value) {
  return Number.isInteger(value) ? value.toLocaleString("en") : value.toFixed(1);
}

function section(title, ...content) {
  return el("section", { class: "panel" }, el("h2", {}, title), ...content);
}

// A column's name; one in brackets is for those who cannot see what stands in it, and <words on the left.
function heading(name) {
  if (typeof name !== "string") return el("th", { scope: "col" }, name);
  if (name.startsWith("(")) return el("th", { scope: "col" }, el("span", { class: "unseen" }, name.slice(1, -1)));
  return el("th", { scope: "col", class: name.startsWith("<") ? "text" : null }, name.replace(/^</, ""));
}

// The first rows of a table, and a button for all of them.
function table(head, rows, attributes = {}) {
  const body = el("tbody", {}, ...rows.slice(0, FEW_ROWS));
  const made = el("table", attributes, el("thead", {}, el("tr", {}, ...head.map(heading))), body);
  const rest = rows.slice(FEW_ROWS);
  const all = rest.length ? el("button", { type: "button", class: "quiet" }, `All ${rows.length}`) : null;
  all?.addEventListener("click", () => {
    body.append(...rest);
    all.remove();
  });
  return el("div", { class: "wide", tabindex: "0", role: "group", "aria-label": attributes["aria-label"] }, made, all);
}

function goodness(card) {
  const evaluation = card.evaluation;
  if (!evaluation) {
    const test = card.metrics.test;
    return test
      ? [
          section(
            "Scores",
            el(
              "p",
              {},
              `Accuracy ${share(test.accuracy)} and log-loss ${test.log_loss.toFixed(3)} on ${counted(test.rows, "test row")}.`,
            ),
          ),
        ]
      : [];
  }
  const [low, high] = evaluation.accuracy_interval;
  const bars = [
    { name: ["this model"], ...evaluation, ours: true },
    ...evaluation.baselines.map((one) => ({
      ...one,
      name: one.answer === null ? [one.kind] : ["always ", named(one.answer)],
    })),
  ];
  const rows = bars.map((one) =>
    el(
      "tr",
      { class: one.ours ? "first" : null },
      el("th", { scope: "row" }, ...one.name),
      el(
        "td",
        { class: "bar" },
        el(
          "span",
          { class: "track", "data-colour": one.ours ? "0" : "none" },
          el("span", { class: "fill", style: { width: `${100 * one.accuracy}%` } }),
        ),
      ),
      el("td", {}, share(one.accuracy)),
      el("td", {}, one.log_loss.toFixed(4)),
    ),
  );
  const gain = evaluation.baselines.at(-1);
  const sentence = `Accuracy ${share(evaluation.accuracy)} on ${counted(evaluation.rows, "test row")} (${share(low)} to ${share(high)}, ${evaluation.interval}).`;
  const also = evaluation.auc === null ? "" : ` The area under the ROC curve is ${evaluation.auc.toFixed(3)}.`;
  const sure =
    gain && gain.gain_interval[0] <= 0
      ? " The gain over the better baseline is not significant: its interval contains zero."
      : "";
  return [
    section(
      "Scores",
      el("p", {}, sentence + also + sure),
      table(["(answered by)", "(as a bar)", "accuracy", "log-loss"], rows, {
        class: "figures",
        "aria-label": "This model beside its baselines",
      }),
    ),
    section(
      "By class",
      table(
        ["class", "rows", "recall", "precision", "F1"],
        evaluation.classes.map((one) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, named(one.label)),
            el("td", {}, count(one.rows)),
            el("td", {}, share(one.recall)),
            el("td", {}, share(one.precision)),
            el("td", {}, one.f1 === null ? "–" : one.f1.toFixed(3)),
          ),
        ),
        { class: "figures", "aria-label": "Each class" },
      ),
      ...confusion(evaluation.confusion),
    ),
  ];
}

export function confusion({ labels, others, counts }) {
  const names = [...labels, ...(others ? [`${others} others`] : [])];
  const most = Math.max(...counts.flat(), 1);
  const rows = counts.map((row, at) => {
    const cells = row.map((value, place) =>
      el(
        "td",
        { class: at === place ? "cell right" : "cell", style: { "--depth": String(Math.sqrt(value / most)) } },
        value ? count(value) : "·",
      ),
    );
    return el("tr", {}, el("th", { scope: "row" }, named(names[at])), ...cells);
  });
  const head = ["true ↓, predicted →", ...names.map((name) => named(name))];
  return [
    el("h3", {}, "Confusion matrix and classes"),
    table(head, rows, { class: "figures confusion", "aria-label": "Confusion matrix" }),
  ];
}

function cautions(card) {
  const never = card.features.filter((one) => one.nullable && !one.seen_missing).length;
  const items = card.warnings.map((sentence) => el("li", { class: "warning" }, sentence));
  items.push(
    el(
      "li",
      {},
      `The scores hold for rows like the ${card.evaluation ? count(card.evaluation.rows) + " test" : ""} rows of `,
      named(card.provenance.table),
      "; rows from another source or a later time were not measured.",
    ),
  );
  items.push(
    el(
      "li",
      {},
      "A value far outside the ranges below, or a category unseen in training, is answered with a warning.",
    ),
  );
  if (never)
    items.push(
      el(
        "li",
        {},
        `${never === card.features.length ? "No feature was" : `${counted(never, "feature was", "features were")} never`}${never === card.features.length ? " ever" : ""} missing in training; a missing value is answered with a warning.`,
      ),
    );
  if (card.calibration)
    items.push(
      el(
        "li",
        {},
        `The expected calibration error of its probabilities is ${share(card.calibration.after.ece)}${card.distillation ? "" : ` (${share(card.calibration.before.ece)} before calibration)`}.`,
      ),
    );
  items.push(
    el(
      "li",
      {},
      "The model shows correlation, not causation. A decision about people needs a person.",
    ),
  );
  return section("Warnings", el("ul", { class: "cautions" }, ...items));
}

function valuesOf(feature) {
  const words = wordsOf(feature);
  if (words) return [named(words[0]), " or ", named(words[1])];
  if (feature.kind === "categorical") return joined(feature.categories, FEW_CATEGORIES);
  if (feature.codes) return joined(feature.codes, feature.codes.length);
  if (feature.kind === "date")
    return [`${isoDate(Math.round(feature.minimum))} to ${isoDate(Math.round(feature.maximum))}`];
  const { decimal, unit } = readingOf(feature);
  const span = feature.maximum - feature.minimum;
  return [
    `${rounded(feature.minimum, span, decimal)} to ${rounded(feature.maximum, span, decimal)}${unit ? ` ${unit}` : ""}`,
  ];
}

const KINDS = { numeric: "number", date: "date", categorical: "category" };

function inputs(card) {
  const gap = (one) => (!one.nullable ? "no" : one.seen_missing ? "yes" : "yes, with a warning");
  const rows = card.features.map((one) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, named(one.name)),
      el("td", { class: "text kind" }, KINDS[one.kind]),
      el("td", { class: "text" }, ...valuesOf(one)),
      el("td", { class: "text kind" }, gap(one)),
    ),
  );
  return section(
    counted(card.features.length, "feature"),
    table(["feature", "<kind", "<in training", "<may be missing"], rows, {
      class: "figures inputs",
      "aria-label": "The features",
    }),
  );
}

// Those of early stopping included, which a distilled network trains on.
function trainingRows({ metrics, distillation }) {
  return metrics.train.rows + (distillation ? 0 : (metrics.validation?.rows ?? 0));
}

function making(card) {
  const { provenance, frozen_statistics: frozen } = card;
  const layers = frozen[0]?.layers.map((one) => one.running.mean.length).join(", ");
  const facts = [
    ["table", provenance.table],
    ["target", provenance.target],
    ["trained", `${day(provenance.created)}, by evenkeel ${provenance.evenkeel}`],
    ["networks", String(frozen.length)],
    ["hidden units", layers || "none"],
    [
      "batch normalisation",
      frozen[0]
        ? `${frozen[0].source} statistics, at most ${frozen[0].largest_shift.toFixed(3)} standard deviations from the ${frozen[0].source === "population" ? "running" : "population"} statistics`
        : "none",
    ],
    ...(card.search
      ? [
          [
            "search",
            `${card.search.trials} trials, the best had a validation log-loss of ${card.search.validation_log_loss.toFixed(4)}`,
          ],
        ]
      : []),
    ["digest of the table", provenance.table_sha256],
  ];
  const settings = Object.entries(provenance.settings).filter(
    ([, value]) => value !== null && typeof value !== "object",
  );
  const list = (entries) =>
    el("dl", {}, ...entries.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, named(String(value)))]));
  return section("Provenance", list(facts), el("details", {}, el("summary", {}, "Every setting"), list(settings)));
}

// `state` has the card and its version; `json` and `report` are addresses, where there are any.
export function drawCard(main, { card, version, json, report }) {
  const { provenance } = card;
  const lead = el(
    "p",
    { class: "lead" },
    "Predicts ",
    el("strong", {}, named(provenance.target)),
    ` (${card.classes.length} classes: `,
    ...joined(card.classes, 6),
    `) from ${counted(card.features.length, "feature")} of a row. `,
    "Trained on ",
    ...(card.metrics.train ? [`${counted(trainingRows(card), "row")} of `] : []),
    named(provenance.table),
    `, ${day(provenance.created)}.`,
  );
  const links = [
    json && el("a", { href: json }, "The card as JSON"),
    report && el("a", { href: report }, "The training's report"),
  ].filter(Boolean);
  const decided =
    card.threshold === null || card.threshold === undefined
      ? null
      : el("p", {}, "Decision threshold of ", named(card.positive), `: a probability of ${percent(card.threshold)}.`);
  const [low, high] = card.sets?.interval ?? [];
  const sets = card.sets
    ? el("p", {}, `Prediction sets: ${share(card.sets.level)} are to hold the true class, 95 % interval ${share(low)} to ${share(high)}.`)
    : null;
  main.className = "card-page";
  main.replaceChildren(
    el(
      "div",
      { class: "title" },
      el("h1", {}, named(card.name), " ", el("small", {}, `version ${version}`)),
      lead,
      decided,
      sets,
      el("p", { class: "links" }, ...links),
    ),
    ...goodness(card),
    cautions(card),
    inputs(card),
    making(card),
  );
}
