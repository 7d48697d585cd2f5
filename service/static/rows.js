// Records, checked against the card, as the tensors of the model: what service/rows does, with the same sentences.

import { Refusal, concernsOf } from "./concerns.js";
import { FLOAT, STRING, tensorOf } from "./tensors.js";
import { daysOf } from "./values.js";

// The largest 64-bit float that rounds to a finite 32-bit one.
const LARGEST = 3.4028235677973362e38;
const MOST_DETAILS = 20, LONGEST_NAME = 64, MOST_WARNINGS = 20;
const MORE = "this cell is unusual too, and perhaps others: of a request the first 20 warnings are told";

export class RecordReader {
  constructor(card) {
    this.features = card.features;
    this.names = new Set(card.features.map(({ name }) => name));
    this.numeric = card.features.filter(({ kind }) => kind !== "categorical");
    this.texts = card.features.filter(({ kind }) => kind === "categorical");
    // Of each tensor's columns the places among the features.
    const placesOf = (features) => features.map((feature) => card.features.indexOf(feature));
    this.places = { numeric: placesOf(this.numeric), categorical: placesOf(this.texts) };
    this.concerns = concernsOf(card);
  }

  // The tensors of records, and the warnings of each; a Refusal where one breaks the card.
  read(records) {
    const several = records.length > 1;
    const details = records.flatMap((record, instance) => {
      return this.broken(record).map((detail) => (several ? { instance, ...detail } : detail));
    });
    if (details.length) throw refusalOf(details);
    const filled = (type, features, valueOf) => {
      const out = tensorOf(type, [records.length, features.length]);
      let at = 0;
      for (const record of records) for (const feature of features) out.data[at++] = valueOf(feature, record[feature.name]);
      return out;
    };
    const tensors = {};
    if (this.numeric.length) tensors.numeric = filled(FLOAT, this.numeric, numberOf);
    if (this.texts.length) tensors.categorical = filled(STRING, this.texts, textOf);
    return { tensors, warnings: records.map((record) => this.warned(record)) };
  }

  // What a person should know of a record, in the service's order: gaps among the numbers, odd numbers, texts.
  warned(record) {
    const found = this.concerns(record);
    const texts = new Set(this.texts.map(({ name }) => name));
    const ranked = ({ feature, code }) => (texts.has(feature) ? 2 : code === "unseen_missing" ? 0 : 1);
    const sorted = found.sort((one, other) => ranked(one) - ranked(other)).slice(0, MOST_WARNINGS + 1);
    if (sorted.length > MOST_WARNINGS) sorted.push({ feature: sorted.pop().feature, code: "more_warnings", message: MORE });
    return sorted;
  }

  broken(record) {
    if (typeof record !== "object" || record === null || Array.isArray(record)) {
      return [{ rule: "shape", message: "must be a record {feature: value}" }];
    }
    const missing = this.features.filter(({ name }) => !Object.hasOwn(record, name)).map(({ name, nullable }) => {
      return { feature: name, rule: "required", message: `is missing${nullable ? "; send null if it is not known" : ""}` };
    });
    const unknown = Object.keys(record).filter((name) => !this.names.has(name)).map((name) => {
      return { feature: name.slice(0, LONGEST_NAME), rule: "unknown", message: "is not a feature of this model" };
    });
    if (missing.length || unknown.length) return [...missing, ...unknown];
    return this.features.flatMap((feature) => {
      const rule = brokenRule(feature, record[feature.name]);
      return rule ? [{ feature: feature.name, ...rule }] : [];
    });
  }
}

// A sentence about the first thing that is wrong, and all of them as details.
function refusalOf(details) {
  const [{ instance, feature, message }] = details;
  const place = [instance === undefined ? "" : `instance ${instance}`, feature === undefined ? "" : `feature '${feature}'`];
  const others = details.length > 1 ? `; and ${details.length - 1} more` : "";
  const sentence = `${place.filter(Boolean).join(", ") || "the instance"} ${message}${others}`;
  return new Refusal(sentence, details.slice(0, MOST_DETAILS), 422);
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
  if (kind === "date") return isDate(value) ? null : { rule: "date", message: `must be an ISO 8601 date such as 2026-01-31${orNull}` };
  return typeof value === "string" ? null : { rule: "text", message: `must be a text${booleans}${orNull}` };
}

function isDate(value) {
  try {
    return typeof value === "string" && Number.isFinite(daysOf(value));
  } catch {
    return false;
  }
}
