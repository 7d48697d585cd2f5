// How the text of a cell becomes a value, and a value a text: models/cells.py and models/features.py, for a browser.

const MISSING = ["NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "?"];
const BLANK = "\\t\\n\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const AROUND = new RegExp(`^[${BLANK}]+|[${BLANK}]+$`, "g");
const FALSE = new Set(["false", "no", "f", "n", "off", "nein", "falsch", "non", "faux", "0"]);
const TRUE = new Set(["true", "yes", "t", "y", "on", "ja", "wahr", "oui", "vrai", "1"]);
const SPACES = "[ \u00a0\u2009\u202f]";
const THOUSANDS = { "": "", ",": "[,]", ".": "[.]", " ": SPACES, "'": "['\u2019]", _: "_" };
// The largest 64-bit float that rounds to a finite 32-bit one.
const FLOAT32_MAX = 3.4028235677973362e38;
export const DAY_MS = 86400000;

export function stripped(text) {
  return text.replace(AROUND, "");
}

// How the cells of a feature are read; cards leave out whatever is the default.
export function readingOf(feature) {
  return { missing: MISSING, decimal: ".", thousands: "", unit: "", date: "ymd", boolean: null, ...feature.reading };
}

function sideOf(text) {
  const word = text.toLowerCase();
  return TRUE.has(word) ? 1 : FALSE.has(word) ? 0 : null;
}

function numberPattern({ decimal, thousands, unit }) {
  const mark = THOUSANDS[thousands];
  const whole = thousands ? `(?:[0-9]+|[1-9][0-9]{0,2}(?:${mark}[0-9]{3})+)` : "[0-9]+";
  const digits = `(?:${whole}(?:[${decimal}][0-9]*)?|[${decimal}][0-9]+)(?:[eE][-+]?[0-9]+)?`;
  const escaped = unit.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
  const [before, behind] = unit ? [`${escaped}${SPACES}?`, `${SPACES}?${escaped}`] : ["", ""];
  const infinity = "[iI][nN][fF](?:[iI][nN][iI][tT][yY])?";
  return new RegExp(`^(?:([-+]?)(?:${before})?|${before}([-+]))(${digits}|${infinity})(?:${behind})?$`);
}

function numberReader(reading) {
  const pattern = numberPattern(reading);
  const marks = reading.thousands && new RegExp(THOUSANDS[reading.thousands], "g");
  return (text) => {
    const found = pattern.exec(text);
    if (!found) {
      const side = reading.boolean ? sideOf(text) : null;
      if (side !== null) return side;
      throw new Error("is no number");
    }
    let digits = found[3];
    if (marks) digits = digits.replace(marks, "");
    const number = Number((found[1] ?? "") + (found[2] ?? "") + digits.replace(reading.decimal, "."));
    if (!(Math.abs(number) <= FLOAT32_MAX)) throw new Error("does not fit in a 32-bit float");
    return number;
  };
}

const CLOCK =
  "(?:[T ](?<H>[0-9]{1,2}):(?<M>[0-9]{2})(?::(?<S>[0-9]{2})(?:[.,](?<f>[0-9]{1,9}))?)?" +
  " ?(?:Z|(?<sign>[+-])(?<ZH>[0-9]{2}):?(?<ZM>[0-9]{2}))?)?$";
const [Y, MONTH, D] = ["(?<y>[0-9]{4})", "(?<m>[0-9]{1,2})", "(?<d>[0-9]{1,2})"];
const DATES = {
  ymd: new RegExp(`^${Y}(?:(?<mark>[-/.])${MONTH}\\k<mark>${D}|(?<mm>[0-9]{2})(?<dd>[0-9]{2}))${CLOCK}`),
  dmy: new RegExp(`^${D}(?<mark>[-/.])${MONTH}\\k<mark>${Y}${CLOCK}`),
  mdy: new RegExp(`^${MONTH}(?<mark>[-/])${D}\\k<mark>${Y}${CLOCK}`),
};

function midnight(year, month, day) {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date;
}

// A date as days since 1970-01-01, in UTC where it names a zone.
export function daysOf(text, order = "ymd") {
  const found = DATES[order].exec(stripped(text));
  if (!found) throw new Error("is no date");
  const { y, m, d, mm, dd, H, M, S, f, sign, ZH, ZM } = found.groups;
  const [month, day] = [Number(m ?? mm), Number(d ?? dd)];
  const date = midnight(Number(y), month, day);
  const known = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && Number(y) > 0;
  if (!known || Number(H ?? 0) > 23 || Number(M ?? 0) > 59 || Number(S ?? 0) > 59) throw new Error("is no date");
  const fraction = f === undefined ? 0 : Number(f.slice(0, 6).padEnd(6, "0")) / 1e6;
  const away = sign === undefined ? 0 : Number(`${sign}1`) * (60 * Number(ZH) + Number(ZM));
  const seconds = 3600 * Number(H ?? 0) + 60 * (Number(M ?? 0) - away) + Number(S ?? 0) + fraction;
  return date.getTime() / DAY_MS + seconds / 86400;
}

// The ISO 8601 text of so many days since 1970-01-01, to the millisecond: a model's 32-bit float tells minutes apart.
export function isoDate(days) {
  const text = new Date(Math.round(days * DAY_MS)).toISOString();
  if (text.endsWith("T00:00:00.000Z")) return text.slice(0, 10);
  return text.endsWith(".000Z") ? text.slice(0, -5) : `${text.slice(0, -1)}000`;
}

// What turns the text of a table's cell into what a client sends: a number, a text, an ISO date, or null. It throws
// where the text is none of what the feature may be, in words that end a sentence about it.
export function cellReader(feature) {
  const reading = readingOf(feature);
  const missing = new Set(["", ...reading.missing]);
  if (feature.kind === "numeric") {
    const read = numberReader(reading);
    return (text) => (missing.has((text = stripped(text))) ? null : read(text));
  }
  if (feature.kind === "date") {
    return (text) => (missing.has((text = stripped(text))) ? null : isoDate(daysOf(text, reading.date)));
  }
  for (const category of feature.categories) if (category !== "") missing.delete(category);
  return (text) => {
    const bare = stripped(text);
    if (missing.has(bare)) return null;
    if (!reading.boolean || reading.boolean.includes(text)) return text;
    const side = sideOf(bare);
    return side === null ? text : reading.boolean[side];
  };
}

// A number as the table spells it, in the fewest digits that read back as the same.
export function spelled(number, { decimal }) {
  return String(number).replace(".", decimal);
}

// A number for the eye: so many digits that `span`, the width of what is shown beside it, is told apart.
export function rounded(number, span, decimal = ".") {
  if (number !== 0 && (Math.abs(number) >= 1e7 || Math.abs(number) < 1e-4))
    return String(Number(number.toPrecision(3)));
  const digits = span > 0 ? Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(span)))) : 2;
  return String(Number(number.toFixed(digits))).replace(".", decimal);
}

// A probability of 0.9997 is not certainty, nor is 0.0003 impossible.
export function percent(share) {
  if (share > 0.999 && share < 1) return "> 99.9 %";
  if (share < 0.001 && share > 0) return "< 0.1 %";
  return `${(100 * share).toFixed(1)} %`;
}

export function counted(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
