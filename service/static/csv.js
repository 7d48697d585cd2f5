// CSV: bytes to text, text to rows with their lines, rows to the records of a card; and back to text.

import { cellReader, stripped } from "./values.js";

const DELIMITERS = [",", ";", "\t", "|"];
// Of a header so much is looked at to find what stands between its names.
const LONGEST_HEADER = 1 << 20;

// The text of a file: {text, encoding}. UTF-8 and UTF-16 by their marks, UTF-8 where it is, else Windows-1252.
function decodedText(bytes) {
  const starts = (...mark) => mark.every((byte, at) => bytes[at] === byte);
  if (starts(0xff, 0xfe)) return { text: new TextDecoder("utf-16le").decode(bytes), encoding: "UTF-16" };
  if (starts(0xfe, 0xff)) return { text: new TextDecoder("utf-16be").decode(bytes), encoding: "UTF-16" };
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes), encoding: "UTF-8" };
  } catch {
    return { text: new TextDecoder("windows-1252").decode(bytes), encoding: "Windows-1252" };
  }
}

// The rows of a text, one at a time: {cells, line}, `line` being where it begins. Lines with nothing in them are none.
// A quote that opens a cell holds delimiters and line breaks together; two in it are one.
export function* rowsOf(text, delimiter) {
  let at = 0;
  let line = 1;
  while (at < text.length) {
    const began = line;
    const cells = [];
    for (;;) {
      let cell = "";
      if (text[at] === '"') {
        at += 1;
        for (;;) {
          const quote = text.indexOf('"', at);
          if (quote < 0) throw new Error(`line ${began}: a quote is opened and never closed`);
          cell += text.slice(at, quote);
          at = quote + 1;
          if (text[at] !== '"') break;
          cell += '"';
          at += 1;
        }
        line += cell.split(/\r\n|\r|\n/).length - 1;
      }
      const start = at;
      while (at < text.length && text[at] !== delimiter && text[at] !== "\n" && text[at] !== "\r") at += 1;
      cells.push(cell + text.slice(start, at));
      if (text[at] !== delimiter) break;
      at += 1;
      if (at === text.length) {
        cells.push("");
        break;
      }
    }
    at += text[at] === "\r" && text[at + 1] === "\n" ? 2 : 1;
    line += 1;
    if (cells.length > 1 || cells[0] !== "") yield { cells, line: began };
  }
}

function header(text, delimiter) {
  try {
    return rowsOf(text.slice(0, LONGEST_HEADER), delimiter).next().value ?? { cells: [], line: 1 };
  } catch {
    return { cells: [], line: 1 };
  }
}

// What stands between the cells: whatever makes most of the header's names features of the card.
function delimiterOf(text, names) {
  const known = new Set(names);
  const score = (one) => {
    const { cells } = header(text, one);
    return (
      cells.filter((cell) => known.has(stripped(cell)) || known.has(cell)).length + Math.min(cells.length, 1000) / 1e4
    );
  };
  return DELIMITERS.reduce((best, one) => (score(one) > score(best) ? one : best));
}

// A table for a card: {columns, delimiter, encoding, rows}, `rows` being a generator of {cells, line, record, fault}. A
// row that cannot be asked has a fault, in words that end a sentence about its line, in the place of a record.
export function readTable(bytes, card) {
  const { text, encoding } = decodedText(bytes);
  const delimiter = delimiterOf(
    text,
    card.features.map((feature) => feature.name),
  );
  const head = header(text, delimiter);
  const columns = head.cells.map((name, at) => (at === 0 ? stripped(name.replace(/^\ufeff/, "")) : stripped(name)));
  columns.forEach((name, at) => (columns[at] = name || `Unnamed: ${at}`));
  const readers = readersOf(columns, card);
  function* rows() {
    let first = true;
    for (const row of rowsOf(text, delimiter)) {
      if (!first) yield { ...row, ...recordOfRow(row.cells, columns, readers) };
      first = false;
    }
  }
  return { columns, delimiter, encoding, rows: rows(), length: text.length };
}

// Where each feature of a card stands among some columns, and what reads its cells.
export function readersOf(columns, card) {
  const places = card.features.map((feature) => [feature, placesOf(columns, feature.name)]);
  const missing = places.filter(([, found]) => !found.length).map(([feature]) => feature.name);
  if (missing.length) throw new Error(lacking(missing, columns, card));
  const twice = places.find(([, found]) => found.length > 1);
  if (twice) throw new Error(`the column ‘${twice[0].name}’ stands twice in the header; rename or remove one`);
  return places.map(([feature, [place]]) => ({
    name: feature.name,
    place,
    nullable: feature.nullable,
    read: cellReader(feature),
  }));
}

function placesOf(columns, name) {
  const wanted = stripped(name);
  return columns.flatMap((one, at) => (one === wanted ? [at] : []));
}

function lacking(missing, columns, card) {
  const shown = missing
    .slice(0, 5)
    .map((name) => `‘${name}’`)
    .join(", ");
  const more = missing.length > 5 ? ` and ${missing.length - 5} more` : "";
  const has = columns
    .slice(0, 8)
    .map((name) => `‘${name}’`)
    .join(", ");
  return `the first line has no column ${shown}${more}, which ${card.name} needs; it has ${has}${columns.length > 8 ? " …" : ""}. The first line must name the columns`;
}

function recordOfRow(cells, columns, readers) {
  // Behind the last name there may be delimiters, with nothing between.
  const extra = cells.slice(columns.length).some((cell) => stripped(cell) !== "");
  if (cells.length < columns.length || extra)
    return { record: null, fault: `has ${cells.length} cells, and the header ${columns.length}` };
  const entries = [];
  for (const { name, place, nullable, read } of readers) {
    let value;
    try {
      value = read(cells[place]);
    } catch (error) {
      return { record: null, fault: `${name}: ‘${cells[place].slice(0, 40)}’ ${error.message}` };
    }
    if (value === null && !nullable) return { record: null, fault: `${name} must not be missing` };
    entries.push([name, value]);
  }
  return { record: Object.fromEntries(entries), fault: null };
}

// The names of the answer's columns; where one is called as one of the table's, all of them get a prefix.
export function answerColumns(columns, { classes, sets }) {
  const shares = classes.map((label) => `probability_${label}`);
  let names = ["label", "probability", ...shares, ...(sets ? ["set"] : []), "warnings"];
  while (names.some((name) => columns.includes(name))) names = names.map((name) => `predicted_${name}`);
  return names;
}

// The cell of a set: a list in JSON, as `evenkeel predict` writes it.
export function setCell(set) {
  return `[${set.map((label) => JSON.stringify(label)).join(", ")}]`;
}

// One line of CSV.
export function csvLine(cells, delimiter) {
  const special = new RegExp(`["\\r\\n${delimiter === "|" ? "\\|" : delimiter}]`);
  return `${cells.map((cell) => (special.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(delimiter)}\n`;
}
