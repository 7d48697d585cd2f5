// Records, checked against the card, as the tensors of the model: what service/rows does, with the same sentences.

import { daysOf, echo, isoDay, sixDigits } from "./cells.js";
import { FLOAT, STRING, tensorOf } from "./tensors.js";

// The largest 64-bit float that rounds to a finite 32-bit one, and the largest 32-bit one.
const LARGEST = 3.4028235677973362e38, LARGEST_FLOAT32 = 3.4028234663852886e38;
const MOST_DETAILS = 20, MOST_WARNINGS = 20;
const MORE = "this cell is unusual too, and perhaps others: of a request the first 20 warnings are told";

// Records break the card: `message` is a sentence, `details` name what is wrong by instance, feature and rule.
export class BrokenRecord extends Error {
  constructor(details, several) {
    const [first] = details;
    const place = [several && `instance ${first.instance}`, first.feature !== undefined && `feature '${first.feature}'`];
    const others = details.length > 1 ? `; and ${details.length - 1} more` : "";
    super(`${place.filter(Boolean).join(", ") || "the instance"} ${first.message}${others}`);
    this.details = details.slice(0, MOST_DETAILS);
    this.status = 422;
  }
}

export class RecordReader {
  constructor(features) {
    this.features = features;
    this.names = new Set(features.map(({ name }) => name));
    this.numeric = features.filter(({ kind }) => kind !== "categorical").map((feature) => ({ feature, ...usual(feature) }));
    this.texts = features.filter(({ kind }) => kind === "categorical").map((feature) => ({
      feature,
      known: new Set(feature.categories),
    }));
  }

  // The tensors of records, and warnings by the position of a record; BrokenRecord where one breaks the card.
  read(records) {
    const details = records.flatMap((record, instance) => {
      return this.broken(record).map((detail) => (records.length > 1 ? { instance, ...detail } : detail));
    });
    if (details.length) throw new BrokenRecord(details, records.length > 1);
    const warnings = new Warnings();
    const tensors = {};
    if (this.numeric.length) tensors.numeric = this.numbers(records, warnings);
    if (this.texts.length) tensors.categorical = this.categories(records, warnings);
    return { tensors, warnings: warnings.byRow };
  }

  broken(record) {
    if (typeof record !== "object" || record === null || Array.isArray(record)) {
      return [{ rule: "shape", message: "must be a record {feature: value} or a list of values" }];
    }
    const unnamed = this.features.filter(({ name }) => !Object.hasOwn(record, name)).map(({ name, nullable }) => {
      return { feature: name, rule: "required", message: `is missing${nullable ? "; send null if it is not known" : ""}` };
    });
    const unknown = Object.keys(record).filter((name) => !this.names.has(name)).map((name) => {
      return { feature: name.slice(0, 64), rule: "unknown", message: "is not a feature of this model" };
    });
    if (unnamed.length || unknown.length) return [...unnamed, ...unknown];
    return this.features.flatMap((feature) => {
      const rule = brokenRule(feature, record[feature.name]);
      return rule ? [{ feature: feature.name, ...rule }] : [];
    });
  }

  numbers(records, warnings) {
    const width = this.numeric.length;
    const out = tensorOf(FLOAT, [records.length, width]);
    records.forEach((record, row) => this.numeric.forEach(({ feature }, column) => {
      const value = record[feature.name];
      if (value === null && unheardOf(feature)) warnings.add(row, unseenGap(feature, "the middle of its values"));
      out.data[row * width + column] = numberOf(feature, value);
    }));
    for (let row = 0; row < records.length; row++) {
      this.numeric.forEach(({ feature, low, high }, column) => {
        const value = out.data[row * width + column];
        if (value < low || value > high) warnings.add(row, farOutside(feature));
      });
    }
    return out;
  }

  categories(records, warnings) {
    const out = tensorOf(STRING, [records.length, this.texts.length]);
    let at = 0;
    records.forEach((record, row) => this.texts.forEach(({ feature, known }) => {
      const text = textOf(feature, record[feature.name]);
      if (text === "" && unheardOf(feature)) warnings.add(row, unseenGap(feature, "none of the known categories"));
      if (text !== "" && !known.has(text)) warnings.add(row, unseenCategory(feature, text));
      out.data[at++] = text;
    }));
    return out;
  }
}

class Warnings {
  byRow = new Map();
  count = 0;

  add(row, warning) {
    if (this.count > MOST_WARNINGS) return;
    this.count++;
    const told = this.count > MOST_WARNINGS ? { feature: warning.feature, code: "more_warnings", message: MORE } : warning;
    this.byRow.set(row, [...(this.byRow.get(row) ?? []), told]);
  }
}

function numberOf({ kind }, value) {
  if (value === null) return NaN;
  return kind === "date" ? daysOf(value) : Number(value);
}

function textOf({ reading }, value) {
  if (typeof value === "boolean") return reading.boolean[Number(value)];
  return value ?? "";
}

function brokenRule({ kind, nullable, reading }, value) {
  if ((value === null && nullable) || (typeof value === "boolean" && reading?.boolean && kind !== "date")) return null;
  const orNull = nullable ? " or null" : "", booleans = reading?.boolean ? ", true, false" : "";
  if (kind === "numeric") {
    if (typeof value !== "number" || Number.isNaN(value)) {
      return { rule: "number", message: `must be a number${booleans}${orNull}` };
    }
    return Math.abs(value) <= LARGEST ? null : { rule: "range", message: "must fit in a 32-bit float" };
  }
  if (kind === "date") {
    if (typeof value === "string" && daysOf(value) !== null) return null;
    return { rule: "date", message: `must be an ISO 8601 date such as 2026-01-31${orNull}` };
  }
  return typeof value === "string" ? null : { rule: "text", message: `must be a text${booleans}${orNull}` };
}

// Below and above these a value lies outside of what training has seen by more than that range is wide.
function usual({ minimum, maximum }) {
  const width = maximum - minimum || Math.abs(maximum) || 1;
  const bounded = (bound) => Math.fround(Math.min(Math.max(bound, -LARGEST_FLOAT32), LARGEST_FLOAT32));
  return { low: bounded(minimum - width), high: bounded(maximum + width) };
}

function unheardOf({ nullable, seen_missing: seen }) {
  return nullable && seen === false;
}

function unseenGap({ name }, as) {
  return { feature: name, code: "unseen_missing", message: `training has never seen it missing; it counts as ${as}` };
}

function unseenCategory({ name }, text) {
  const message = `training has not seen ${echo(text)}; it counts as none of the known categories`;
  return { feature: name, code: "unseen_category", message };
}

function farOutside({ name, kind, minimum, maximum }) {
  const [low, high] = [minimum, maximum].map(kind === "date" ? isoDay : sixDigits);
  const message = `training has seen ${low} to ${high}; the value lies outside by more than that range is wide`;
  return { feature: name, code: "far_outside_range", message };
}
