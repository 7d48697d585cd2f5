// Dates and numbers as models/cells.py reads and Python writes them.

const DAY = 86_400_000_000n; // in microseconds
const BLANKS = /^[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+|[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/g;
const CLOCK = /[T ](?<hour>[0-9]{1,2}):(?<minute>[0-9]{2})(?::(?<second>[0-9]{2})(?:[.,](?<fraction>[0-9]{1,9}))?)?(?: ?(?:Z|(?<sign>[+-])(?<away>[0-9]{2}):?(?<beyond>[0-9]{2})))?/;
const DATE = new RegExp(
  `^(?<year>[0-9]{4})(?:(?<mark>[-/.])(?<month>[0-9]{1,2})\\k<mark>(?<day>[0-9]{1,2})|(?<mm>[0-9]{2})(?<dd>[0-9]{2}))(?:${CLOCK.source})?$`,
);

export const stripped = (text) => text.replace(BLANKS, "");

// Days since 1970-01-01 of a date in ISO 8601, in UTC where it names a zone; null where the text spells none.
export function daysOf(text) {
  const parts = DATE.exec(stripped(text))?.groups;
  if (!parts) return null;
  const day = dayOf(Number(parts.year), Number(parts.month ?? parts.mm), Number(parts.day ?? parts.dd));
  if (day === null) return null;
  let spelled = BigInt(day) * DAY;
  if (parts.hour !== undefined) {
    const [hour, minute, second] = [parts.hour, parts.minute, parts.second ?? 0].map(Number);
    if (hour > 23 || minute > 59 || second > 59) return null;
    spelled += 1_000_000n * BigInt(3600 * hour + 60 * minute + second);
    if (parts.fraction) spelled += BigInt(parts.fraction.slice(0, 6).padEnd(6, "0"));
    const away = 60 * Number(parts.away ?? 0) + Number(parts.beyond ?? 0);
    spelled -= 60_000_000n * BigInt(parts.sign === "-" ? -away : away);
  }
  const inside = BigInt(dayOf(1, 1, 1)) * DAY <= spelled && spelled < BigInt(dayOf(9999, 12, 31) + 1) * DAY;
  return inside ? Number(spelled) / Number(DAY) : null;
}

function dayOf(year, month, day) {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const exists = year >= 1 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return exists ? date.getTime() / 86_400_000 : null;
}

// The ISO 8601 date nearest to so many days since 1970-01-01; halves go to the even day, as in Python.
export function isoDay(days) {
  const rounded = Math.round(days);
  const even = rounded - days === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
  return new Date(86_400_000 * even).toISOString().slice(0, 10);
}

// A number with six digits at most, as Python's format ".6g" writes it.
export function sixDigits(number) {
  const [digits, exponent] = number.toExponential(5).split("e");
  const power = Number(exponent);
  const short = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (power >= -4 && power < 6) return short(number.toFixed(5 - power));
  return `${short(digits)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

// The fewest digits that read back as the same 32-bit float.
export function shortest(float) {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(float.toPrecision(digits));
    if (Math.fround(short) === float) return short;
  }
  return Number(float.toPrecision(9));
}

// A text as Python's repr shows it, cut to 64 characters.
export function echo(text) {
  const letters = Array.from(text);
  const short = letters.length <= 64 ? letters : [...letters.slice(0, 63), "…"];
  const quote = short.includes("'") && !short.includes('"') ? '"' : "'";
  return quote + short.map((letter) => escaped(letter, quote)).join("") + quote;
}

const ESCAPES = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };

function escaped(letter, quote) {
  if (letter === quote) return `\\${letter}`;
  if (Object.hasOwn(ESCAPES, letter)) return ESCAPES[letter];
  if (letter === " " || !/[\p{C}\p{Z}]/u.test(letter)) return letter;
  const code = letter.codePointAt(0);
  const [mark, width] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${mark}${code.toString(16).padStart(width, "0")}`;
}
