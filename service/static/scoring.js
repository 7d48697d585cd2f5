// Many rows: read, asked in batches, and kept with their answers in this page's memory, nowhere else.

import { concernsOf } from "./concerns.js";
import { answerColumns, csvLine, readTable, setCell } from "./csv.js";

// Of a batch: rows, and what they come to in cells and probabilities.
const MOST_ROWS = 1000;
const MOST_NUMBERS = 100000;
const LARGEST_FILE = 100 << 20;

// Lets the page draw, and hear of what is clicked.
function breath() {
  return new Promise((resolve) => setTimeout(resolve));
}

// Scores a file. `progress(scored, {done})` is called as it goes on, `scored` being what `written` takes: {columns, delimiter,
// encoding, rows}, each row {cells, line, label, probability, probabilities, warnings, fault}.
export async function scoreFile(file, source, progress, signal) {
  const { card } = source;
  if (file.size > LARGEST_FILE)
    throw new Error(
      `the file has ${Math.round(file.size / (1 << 20))} MB; a browser takes up to 100, and \`evenkeel predict\` any size`,
    );
  const table = readTable(new Uint8Array(await file.arrayBuffer()), card);
  const scored = {
    name: file.name,
    columns: table.columns,
    delimiter: table.delimiter,
    encoding: table.encoding,
    rows: [],
  };
  const concerns = concernsOf(card);
  const size = Math.max(
    1,
    Math.min(MOST_ROWS, Math.floor(MOST_NUMBERS / (card.features.length + card.classes.length))),
  );
  let batch = [];
  const flush = async () => {
    const answers = batch.length
      ? await source.predict(
          batch.map((row) => row.record),
          { signal },
        )
      : [];
    batch.forEach((row, at) => {
      const { label, probability, probabilities, set } = answers[at];
      // Of a request the service tells the first few warnings only.
      Object.assign(row, { label, probability, probabilities, set, warnings: concerns(row.record), record: null });
    });
    batch = [];
    progress(scored, { done: false });
    await breath();
    signal.throwIfAborted();
  };
  for (const row of table.rows) {
    const kept = { ...row, label: null, probability: null, probabilities: null, warnings: [] };
    scored.rows.push(kept);
    if (kept.record) batch.push(kept);
    if (batch.length === size || scored.rows.length % (10 * size) === 0) await flush();
  }
  await flush();
  progress(scored, { done: true });
  return scored;
}

export function remarkOf(row) {
  return row.fault ?? row.warnings.map((one) => `${one.feature}: ${one.code}`).join("; ");
}

// The file of answers: the columns of the table as they stand, and those of the answers behind them.
export function written({ columns, delimiter, rows }, card) {
  const parts = [csvLine([...columns, ...answerColumns(columns, card)], delimiter)];
  for (const row of rows) {
    const cells = columns.map((_, at) => row.cells[at] ?? "");
    const shares = card.classes.map((label) => (row.probabilities ? String(row.probabilities[label]) : ""));
    const set = card.sets ? [row.set ? setCell(row.set) : ""] : [];
    const best = row.label === null ? "" : String(row.probability);
    parts.push(csvLine([...cells, row.label ?? "", best, ...shares, ...set, remarkOf(row)], delimiter));
  }
  return parts;
}
