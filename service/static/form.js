// The features of a card as a form.

import { makeField } from "./fields.js";
import { el } from "./dom.js";

// From so many features on there is a box to find one.
const MANY = 16;

// `changed(record or null)` hears of each change, null where a field holds no value that may be sent; `looked(feature,
// element)` of each field that gets the focus.
export function makeForm(card, changed, looked) {
  let quiet = false;
  const ask = () => {
    if (quiet) return;
    for (const field of fields) field.refresh();
    changed(read());
  };
  const fields = card.features.map((feature, number) => makeField(feature, card, number, ask));
  const byName = new Map(fields.map((field) => [field.feature.name, field]));
  const rows = el("div", { class: "fields" }, ...fields.map((field) => field.element));
  const element = el("form", { autocomplete: "off", novalidate: true, "aria-label": "The features" });
  if (fields.length >= MANY) element.append(finder(fields));
  element.append(rows);
  element.addEventListener("submit", (event) => event.preventDefault());
  for (const field of fields) {
    field.element.addEventListener("focusin", () => looked(field.feature, field.element));
    // A slider is no stop of the tab key, but a hand on it means this feature.
    field.element.addEventListener("pointerdown", () => looked(field.feature, field.element));
  }

  // The record that the fields spell; null where one of them spells no value, which is then said under it.
  const read = () => {
    const entries = [];
    let broken = false;
    for (const field of fields) {
      try {
        entries.push([field.feature.name, field.read()]);
        if (field.fault) say(field, "", false);
      } catch (error) {
        say(field, error.message, true);
        broken = true;
      }
    }
    return broken ? null : Object.fromEntries(entries);
  };

  const say = (field, text, fault) => {
    field.fault = fault;
    field.control.toggleAttribute("aria-invalid", fault);
    if (fault) field.control.setAttribute("aria-invalid", "true");
    field.element.classList.toggle("warned", text !== "" && !fault);
    field.element.classList.toggle("wrong", fault);
    if (field.remark.textContent !== text) field.remark.textContent = text;
  };

  // Put what is said of features under their fields: warnings, or what makes the record unfit.
  const remark = (remarks, fault = false) => {
    const texts = new Map(remarks.map((one) => [one.feature, one.message]));
    for (const field of fields)
      if (!field.fault || fault || texts.has(field.feature.name))
        say(field, texts.get(field.feature.name) ?? "", fault && texts.has(field.feature.name));
  };

  const write = (record) => {
    quiet = true;
    for (const [name, value] of Object.entries(record)) byName.get(name)?.write(value);
    quiet = false;
    ask();
  };
  const faults = () =>
    fields.filter((field) => field.fault).map((field) => `${field.feature.name} ${field.remark.textContent}`);
  const put = (name, value) => {
    byName.get(name)?.write(value);
    ask();
  };
  return { element, read, write, put, remark, faults };
}

function finder(fields) {
  const found = el("output", { class: "found" });
  const names = fields.map((field) => field.feature.name.toLowerCase());
  const narrow = () => {
    const wanted = input.value.trim().toLowerCase();
    let shown = 0;
    fields.forEach((field, at) => {
      field.element.hidden = !names[at].includes(wanted);
      shown += !field.element.hidden;
    });
    found.textContent = wanted ? `${shown} of ${fields.length}` : `${fields.length} features`;
  };
  const input = el("input", {
    type: "search",
    placeholder: "Find a feature",
    "aria-label": "Find a feature",
    oninput: narrow,
  });
  narrow();
  return el("div", { class: "finder" }, input, found);
}
