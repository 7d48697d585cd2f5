// What a person should know about a row that is answered all the same, in the service's own words.

import { daysOf, isoDate, readingOf } from "./values.js";

const LONGEST_ECHO = 64;
const LONGEST_CODE = 1e9;
const LARGEST = 3.4028234663852886e38;

// Whatever asks a model says by this error why there is no answer; `details` name the features that are at fault.
export class Refusal extends Error {
  constructor(message, details = [], status = 0) {
    super(message);
    this.details = details;
    this.status = status;
  }
}

// A text in a sentence: quoted, escaped and cut, as Python has it.
export function quoted(text) {
  const letters = [...text];
  const cut = letters.length <= LONGEST_ECHO ? text : `${letters.slice(0, LONGEST_ECHO - 1).join("")}…`;
  const mark = cut.includes("'") && !cut.includes('"') ? '"' : "'";
  const escaped = cut.replace(/[\\'\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (one) => {
    if (one === "'") return mark === "'" ? "\\'" : one;
    const known = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" }[one];
    if (known) return known;
    const code = one.codePointAt(0);
    const [letter, width] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return `\\${letter}${code.toString(16).padStart(width, "0")}`;
  });
  return mark + escaped + mark;
}

// Six significant digits, as "%.6g" has them.
export function short(number) {
  return inDigits(number, 6);
}

// A code in full; another number in as many digits as tell it from every other 32-bit float.
function spelledCode(number) {
  if (Number.isInteger(number) && Math.abs(number) < LONGEST_CODE) return Object.is(number, -0) ? "-0" : String(number);
  const texts = [6, 7, 8, 9].map((digits) => inDigits(number, digits));
  return texts.find((text) => Math.fround(Number(text)) === number) ?? texts[3];
}

function inDigits(number, count) {
  if (number === 0) return Object.is(number, -0) ? "-0" : "0";
  const [digits, power] = rounded(number, count - 1).split("e");
  const exponent = Number(power);
  if (exponent >= -4 && exponent < count) return String(Number(`${digits}e${power}`));
  return `${Number(digits)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

// Rounded as Python does: of two numbers that are as near, the even one.
function rounded(number, decimals) {
  const [digits, power] = number.toExponential(40).split("e");
  const cut = digits.indexOf(".") + 1 + decimals;
  const even = /^50*$/.test(digits.slice(cut)) && Number(digits[cut - 1]) % 2 === 0;
  return even ? `${digits.slice(0, cut)}e${power}` : number.toExponential(decimals);
}

function evenly(number) {
  const rounded = Math.round(number);
  return rounded - number === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

function clipped(number) {
  return Math.fround(Math.min(Math.max(number, -LARGEST), LARGEST));
}

function concernOf(feature) {
  const warn = (code, message) => ({ feature: feature.name, code, message });
  const gap = (as) => warn("unseen_missing", `training has never seen it missing; it counts as ${as}`);
  const unseen = (value) =>
    warn("unseen_category", `training has not seen ${value}; it counts as none of the known categories`);
  const strange = feature.seen_missing === false && feature.nullable;
  if (feature.kind === "categorical") {
    const known = new Set(feature.categories);
    return (value) => {
      if (value === null || value === "") return strange ? gap("none of the known categories") : null;
      if (known.has(value)) return null;
      return unseen(quoted(value));
    };
  }
  if (feature.codes) {
    const known = new Set(feature.codes.map(Math.fround));
    return (value) => {
      if (value === null) return strange ? gap("the middle of its values") : null;
      const number = Math.fround(value);
      return known.has(number) ? null : unseen(spelledCode(number));
    };
  }
  const width = feature.maximum - feature.minimum || Math.abs(feature.maximum) || 1;
  const [low, high] = [clipped(feature.minimum - width), clipped(feature.maximum + width)];
  const shown = feature.kind === "date" ? (days) => isoDate(evenly(days)) : short;
  return (value) => {
    if (value === null) return strange ? gap("the middle of its values") : null;
    const number = Math.fround(feature.kind === "date" ? daysOf(value) : value);
    if (number >= low && number <= high) return null;
    const seen = `training has seen ${shown(feature.minimum)} to ${shown(feature.maximum)}`;
    return warn("far_outside_range", `${seen}; the value lies outside by more than that range is wide`);
  };
}

// The warnings about a record, in card order; those of a request of one row.
export function concernsOf(card) {
  const checks = card.features.map((feature) => [feature.name, concernOf(feature)]);
  return (record) => checks.map(([name, check]) => check(record[name])).filter(Boolean);
}

// Whether a feature holds whole numbers only, as far as its card tells.
export function isWhole(feature, card) {
  if (feature.kind !== "numeric") return false;
  const bins = card.drift?.features.find((one) => one.feature === feature.name && one.kind === "numeric");
  const seen = [feature.minimum, feature.maximum, ...card.golden.map((row) => row.instance[feature.name] ?? 0)];
  // Of the edges the first may stand just below the smallest value.
  return [...seen, ...(bins?.edges.slice(1) ?? [])].every(Number.isInteger);
}

// The two words of a number that stands for false and true; null of any other feature.
export function wordsOf(feature) {
  return feature.kind === "numeric" ? readingOf(feature).boolean : null;
}
