// The answer: a label, the probability of each class as bars, and what there is to say of it.

import { announcer, el, named, rename } from "./dom.js";
import { setLine } from "./sets.js";
import { percent } from "./values.js";

// So many classes keep a colour and a place of their own; of more, the likeliest stand first.
export const FEW = 6;
const SHOWN = 8;

// The classes, the likeliest first.
function ranking(card, probabilities) {
  return [...card.classes].sort((one, other) => probabilities[other] - probabilities[one]);
}

// The place in the palette of each class that has one.
export function coloursOf(card, probabilities) {
  const coloured = card.classes.length <= FEW ? card.classes : ranking(card, probabilities).slice(0, FEW - 1);
  return new Map(coloured.map((label, place) => [label, place]));
}

// `titles` are those of the answers that stand side by side, in most cases one. `show(answers)` draws one a title, and
// null where there is none.
export function makeAnswer(card, titles = [""]) {
  const verdicts = titles.map((title) => {
    const label = named("…", { class: "label" });
    const probability = el("span", { class: "probability" });
    const head = el("p", { class: "verdict" }, title && el("small", { class: "which" }, title), label, probability);
    return { head, label, probability };
  });
  const compact = {
    label: named("…", { class: "label" }),
    probability: el("span", { class: "probability" }),
    fill: el("span", { class: "fill" }),
  };
  const strip = el(
    "div",
    { class: "strip", "aria-hidden": "true" },
    el("p", {}, compact.label, compact.probability),
    el("span", { class: "track" }, compact.fill),
  );
  const bars = new Map(card.classes.map((label) => [label, barOf(card, label, titles.length)]));
  const all = el(
    "button",
    { type: "button", class: "quiet", "aria-expanded": "false", hidden: card.classes.length <= SHOWN },
    `All ${card.classes.length} classes`,
  );
  const list = el("ol", { class: "bars" }, ...[...bars.values()].map((bar) => bar.element));
  list.classList.toggle("some", card.classes.length > SHOWN);
  all.addEventListener("click", () => {
    const open = list.classList.toggle("some");
    all.setAttribute("aria-expanded", String(!open));
    all.textContent = open ? `All ${card.classes.length} classes` : "Only the likeliest";
  });
  const set = setLine(card);
  const message = el("p", { class: "message" });
  const notes = el("ul", { class: "notes" });
  const speaker = announcer();
  const element = el(
    "section",
    { class: "answer panel", "aria-label": "Answer" },
    el("div", { class: "verdicts" }, ...verdicts.map((one) => one.head)),
    set?.element,
    list,
    all,
    decisionOf(card),
    message,
    notes,
    speaker.element,
  );

  const show = (answers) => {
    element.classList.remove("stale");
    strip.classList.remove("stale");
    message.textContent = "";
    answers.forEach((answer, at) => {
      rename(verdicts[at].label, answer ? answer.label : "no answer");
      verdicts[at].probability.textContent = answer ? percent(answer.probability) : "";
    });
    const first = answers.find(Boolean);
    if (!first) return;
    const order = ranking(card, first.probabilities);
    const colours = coloursOf(card, first.probabilities);
    const likeliest = new Set(order.slice(0, SHOWN));
    for (const [label, bar] of bars) {
      // A few bars stay in place, so that the eye can follow them; of many, the likeliest must be in sight.
      bar.element.style.order = order.length > SHOWN ? order.indexOf(label) : 0;
      bar.element.classList.toggle("rest", !likeliest.has(label));
      bar.element.classList.toggle("first", label === first.label);
      bar.element.dataset.colour = colours.get(label) ?? "none";
      bar.show(answers.map((answer) => answer?.probabilities[label] ?? null));
    }
    answers.forEach((answer, at) => (verdicts[at].head.dataset.colour = colours.get(answer?.label) ?? "none"));
    rename(compact.label, first.label);
    compact.probability.textContent = percent(first.probability);
    compact.fill.style.width = `${100 * first.probability}%`;
    strip.dataset.colour = colours.get(first.label) ?? "none";
    if (first.set) set?.show(first);
    const warnings = first.warnings ?? [];
    notes.replaceChildren(
      ...warnings.map((one) => el("li", {}, named(one.feature, { class: "about" }), ` ${one.message}`)),
    );
    strip.classList.toggle("warned", warnings.length > 0);
    speaker.say(
      `${first.label}, ${percent(first.probability)}${warnings.length ? `, ${warnings.length} warnings` : ""}`,
    );
  };

  const refuse = (text) => {
    element.classList.add("stale");
    strip.classList.add("stale");
    message.textContent = text;
    notes.replaceChildren();
    speaker.say(text);
  };
  return { element, strip, show, refuse, doubt: () => set?.doubt() };
}

function barOf(card, label, several) {
  const tracks = Array.from({ length: several }, () => {
    const fill = el("span", { class: "fill" });
    const track = el("span", { class: "track" }, fill);
    if (label === card.positive && card.threshold !== null && card.threshold !== undefined) {
      track.append(el("span", { class: "threshold", style: { left: `${100 * card.threshold}%` } }));
    }
    return { track, fill, share: el("span", { class: "share" }) };
  });
  const element = el(
    "li",
    { "data-class": label },
    named(label, { class: "class", title: label }),
    el("span", { class: "tracks" }, ...tracks.map((one) => one.track)),
    el("span", { class: "shares" }, ...tracks.map((one) => one.share)),
  );
  const show = (shares) =>
    shares.forEach((share, at) => {
      tracks[at].fill.style.width = `${100 * (share ?? 0)}%`;
      tracks[at].share.textContent = share === null ? "–" : percent(share);
    });
  return { element, show };
}

function decisionOf(card) {
  if (card.threshold === null || card.threshold === undefined) return null;
  return el(
    "p",
    { class: "aside" },
    "Called ",
    named(card.positive),
    ` from a probability of ${percent(card.threshold)} on.`,
  );
}
