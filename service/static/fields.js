// One feature as a field. Each kind reads and writes what a client sends: a number, a text, an ISO date, or null.

import { combobox } from "./combobox.js";
import { isWhole, wordsOf } from "./concerns.js";
import { el, named, unbroken } from "./dom.js";
import { cellReader, daysOf, isoDate, readingOf, rounded, spelled } from "./values.js";

// Longer lists are searched by typing.
const MOST_OPTIONS = 14;
const SLIDER_STEPS = 1000;

// A field: `element`, `control` (what has the focus), `read()`, which throws words that end a sentence about the
// feature, and `write(value)`. `changed` is called on each change that a person makes.
export function makeField(feature, card, number, changed) {
  const id = `field-${number}`;
  const common = { id, "aria-describedby": `${id}-hint ${id}-remark`, "data-feature": feature.name };
  const words = wordsOf(feature);
  const made =
    feature.kind === "categorical"
      ? categoryField(feature, common, changed)
      : words
        ? choiceField(
            feature,
            words.map((word, value) => [value, word]),
            common,
            changed,
          )
        : feature.kind === "date"
          ? dateField(feature, common, changed)
          : numberField(feature, isWhole(feature, card), common, changed);
  const remark = el("p", { id: `${id}-remark`, class: "remark" });
  const gap = made.gap === false ? null : gapButton(feature, made, changed);
  const element = el(
    "div",
    { class: `field ${made.kind ?? ""}` },
    el("label", { for: id, class: "name" }, feature.name.trim() ? named(feature.name) : "(a feature without a name)"),
    el("div", { class: "control" }, made.element, made.kind === "date" ? null : gap?.element),
    el("div", { id: `${id}-hint`, class: "hint" }, made.hint, made.kind === "date" ? gap?.element : null),
    remark,
  );
  const write = (value) => {
    made.write(value);
    gap?.show();
  };
  return { feature, element, remark, control: made.control, read: made.read, write, refresh: () => gap?.show() };
}

// "Missing" beside a field that one types into; pressed again, what was there before comes back.
function gapButton(feature, made, changed) {
  if (!feature.nullable) return null;
  let before = null;
  const press = () => {
    if (element.getAttribute("aria-pressed") === "true") made.write(before ?? made.middle);
    else {
      try {
        before = made.read();
      } catch {
        before = null;
      }
      made.write(null);
    }
    changed();
  };
  // The field itself is emptied with the keyboard, so this is no stop of the tab key.
  const element = el(
    "button",
    { type: "button", class: "gap", tabindex: "-1", "aria-pressed": "false", onclick: press },
    "missing",
  );
  const show = () => {
    let gone = false;
    try {
      gone = made.read() === null;
    } catch {
      /* What is no value is not missing. */
    }
    element.setAttribute("aria-pressed", String(gone));
  };
  return { element, show };
}

// The slider between the ends of a feature's range.
function scaleOf(feature, slide, shown) {
  const end = (value) => el("span", { class: "end" }, shown(value));
  return el("span", { class: "scale" }, end(feature.minimum), slide.element ?? "–", end(feature.maximum));
}

function slider(feature, moved) {
  const attributes = {
    type: "range",
    min: "0",
    max: String(SLIDER_STEPS),
    step: "1",
    tabindex: "-1",
    "aria-hidden": "true",
  };
  const input = el("input", attributes);
  const width = feature.maximum - feature.minimum;
  input.addEventListener("input", () => moved(feature.minimum + (width * Number(input.value)) / SLIDER_STEPS));
  const show = (value) => {
    input.classList.toggle("nowhere", value === null);
    if (value !== null)
      input.value = String(width ? Math.round(((value - feature.minimum) / width) * SLIDER_STEPS) : 0);
  };
  return { input, show, element: width > 0 ? input : null };
}

// How far an arrow key moves a number: a power of ten, about a hundredth of the range.
export function stepOf(feature, whole) {
  const step = 10 ** Math.floor(Math.log10((feature.maximum - feature.minimum || 1) / 100) + 0.5);
  return whole ? Math.max(1, step) : step;
}

function numberField(feature, whole, common, changed) {
  const reading = readingOf(feature);
  const read = cellReader(feature);
  const step = stepOf(feature, whole);
  const input = el("input", {
    ...common,
    inputmode: whole && feature.minimum >= 0 ? "numeric" : "decimal",
    autocomplete: "off",
    placeholder: feature.nullable ? "missing" : null,
  });
  const snapped = (number) => Number((Math.round(number / step) * step).toPrecision(12));
  const nearest = (number) => (best, code) => (Math.abs(code - number) < Math.abs(best - number) ? code : best);
  const inside = (number) =>
    feature.codes?.reduce(nearest(number)) ?? Math.min(Math.max(number, feature.minimum), feature.maximum);
  const number = () => {
    const value = read(input.value);
    if (value === null && !feature.nullable) throw new Error("needs a value");
    return value;
  };
  const slide = slider(feature, (value) => put(inside(snapped(value))));
  const put = (value) => {
    write(value);
    changed();
  };
  const write = (value) => {
    input.value = value === null ? "" : spelled(value, reading);
    slide.show(value);
  };
  input.addEventListener("input", () => {
    try {
      slide.show(number());
    } catch {
      /* Said under the field. */
    }
    changed();
  });
  input.addEventListener("keydown", (event) => {
    const steps = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (!steps) return;
    event.preventDefault();
    let from = (feature.minimum + feature.maximum) / 2;
    try {
      from = number() ?? from;
    } catch {
      /* From the middle, then. */
    }
    put(snapped(from + steps * step));
  });
  const span = feature.maximum - feature.minimum;
  const shown = (value) => rounded(value, span, reading.decimal) + (reading.unit ? ` ${reading.unit}` : "");
  return {
    kind: "number",
    element: input,
    control: input,
    read: number,
    write,
    hint: scaleOf(feature, slide, shown),
    middle: inside(snapped((feature.minimum + feature.maximum) / 2)),
  };
}

function dateField(feature, common, changed) {
  const clock = [feature.minimum, feature.maximum].some((days) => !Number.isInteger(days));
  const input = el("input", {
    ...common,
    type: clock ? "datetime-local" : "date",
    step: clock ? "1" : null,
    max: clock ? "9999-12-31T23:59:59" : "9999-12-31",
  });
  const day = (days) => isoDate(Math.round(days));
  const brief = (days) => (feature.maximum - feature.minimum > 700 ? day(days).slice(0, 4) : day(days).slice(0, 7));
  const spell = (days) =>
    clock
      ? isoDate(Math.round(days * 86400) / 86400)
          .padEnd(11, "T")
          .padEnd(16, "00:00")
          .slice(0, 19)
      : day(days);
  const slide = slider(feature, (days) => {
    input.value = spell(days);
    changed();
  });
  const read = () => {
    if (input.value !== "") return input.value;
    if (input.validity.badInput) throw new Error("is no date");
    if (!feature.nullable) throw new Error("needs a date");
    return null;
  };
  const write = (value) => {
    const days = value === null ? null : daysOf(value);
    input.value = days === null ? "" : spell(days);
    slide.show(days);
  };
  input.addEventListener("input", () => {
    slide.show(input.value ? daysOf(input.value) : null);
    changed();
  });
  return {
    kind: "date",
    element: input,
    control: input,
    read,
    write,
    hint: scaleOf(feature, slide, brief),
    middle: spell((feature.minimum + feature.maximum) / 2),
  };
}

function categoryField(feature, common, changed) {
  const texts = feature.categories.filter((text) => text !== "");
  if (texts.length <= MOST_OPTIONS)
    return choiceField(
      feature,
      texts.map((text) => [text, text]),
      common,
      changed,
    );
  const box = combobox(common.id, texts, changed, {
    "aria-describedby": common["aria-describedby"],
    "data-feature": feature.name,
    placeholder: feature.nullable ? "missing" : null,
    dir: "auto",
  });
  const read = () => {
    const text = box.read();
    if (text !== "") return text;
    if (!feature.nullable) throw new Error("needs a value");
    return null;
  };
  return {
    kind: "long",
    element: box.element,
    control: box.input,
    read,
    write: box.write,
    hint: el("span", { class: "end" }, `${texts.length} categories, type to find one`),
    middle: texts[0],
  };
}

// A list of values with what is shown for each. A value that is in no list, as an address may bring one, is added.
function choiceField(feature, choices, common, changed) {
  const known = new Map(choices.map(([value]) => [String(value), value]));
  const select = el("select", { ...common, dir: "auto", onchange: changed });
  const option = (value, shown) => el("option", { value: String(value) }, unbroken(shown));
  select.append(...choices.map(([value, shown]) => option(value, shown)));
  const nothing = el("option", { value: "" }, "missing");
  if (feature.nullable) select.append(nothing);
  const read = () => {
    if (select.value === "") {
      if (!feature.nullable) throw new Error("needs a value");
      return null;
    }
    return known.get(select.value);
  };
  const write = (value) => {
    if (value !== null && !known.has(String(value))) {
      known.set(String(value), value);
      select.append(option(value, String(value)));
    }
    select.value = value === null ? "" : String(value);
  };
  return { kind: "choice", element: select, control: select, read, write, gap: false };
}
