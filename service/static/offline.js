// A source of answers that needs no service: the model itself, from its own bytes.

import { Refusal } from "./concerns.js";
import { Network } from "./network.js";
import { RefusedModel } from "./protobuf.js";
import { explained } from "./reasons.js";
import { RecordReader } from "./rows.js";
import { FLOAT, STRING } from "./tensors.js";

const TOLERANCE = 1e-5;
// So many rows go through the network at once, and after so many milliseconds the page gets a turn.
const SLICE = 64, TURN = 12;
const ABSENT = {
  typical: 'the card of this model has no typical row; give a record as "reference"',
  background: 'the card of this model has no background rows; leave "reference" out',
};

// The source { card, version, predict, explain } of a model's bytes (Uint8Array) and its card. It has repeated the golden
// rows of the card; RefusedModel where one comes out differently, or where the model is not the card's.
export function offlineSource(card, version, bytes) {
  const network = new Network(bytes, card.sets ? ["probabilities", "set"] : ["probabilities"]);
  const reader = new RecordReader(card);
  checkSignature(network, reader);
  const label = decision(card);
  const classes = card.classes.length;

  // Probabilities (rows × classes) of so many rows, in the order of the card's classes.
  function infer(tensors, rows) {
    return inferBoth(tensors, rows).data;
  }

  // These, and which classes are in the sets of a model that has some.
  function inferBoth(tensors, rows) {
    const { probabilities, set } = network.run(tensors);
    const { dims, data } = probabilities;
    if (dims.length !== 2 || dims[0] !== rows || dims[1] !== classes) {
      throw new RefusedModel("the model answers with another number of rows or classes than it was asked for");
    }
    if (!data.every(Number.isFinite)) throw new RefusedModel("the model answers with a probability that is no number");
    if (card.sets && set.data.length !== data.length) throw new RefusedModel("the sets of the model are of other rows or classes");
    return { data, members: set?.data };
  }
  checkGoldenRows(card, (record) => infer(reader.read([record]).tensors, 1));

  async function predict(records, { signal } = {}) {
    if (!records.length) return [];
    const { tensors, warnings } = reader.read(records);
    const pause = pauses(signal);
    const found = [];
    for (let start = 0; start < records.length; start += SLICE) {
      await pause();
      const rows = Math.min(SLICE, records.length - start);
      const { data, members } = inferBoth(sliced(tensors, start, start + rows), rows);
      for (let row = 0; row < rows; row++) {
        const shares = data.subarray(row * classes, (row + 1) * classes), best = label(shares);
        found.push({
          label: card.classes[best],
          probability: shortest(shares[best]),
          probabilities: Object.fromEntries(card.classes.map((name, index) => [name, shortest(shares[index])])),
          ...setOf(card, members?.subarray(row * classes, (row + 1) * classes)),
          warnings: warnings[start + row],
        });
      }
    }
    return found;
  }

  async function explain(record, { reference = "typical", signal } = {}) {
    const row = reader.read([record]).tensors;
    const probabilities = infer(row, 1), place = label(probabilities);
    const references = referencesOf(card, reference);
    const { tensors } = reader.read(references);
    const pause = pauses(signal);
    const pairs = references.map((_, index) => {
      const other = sliced(tensors, index, index + 1);
      const { players, mixed } = pairOf(reader, row, other);
      async function game(coalitions) {
        await pause();
        const data = infer(mixed(coalitions), coalitions.length);
        return coalitions.map((_, one) => data[one * classes + place]);
      }
      return { players, at: infer(other, 1)[place], game };
    });
    return explained({
      label: card.classes[place],
      probability: probabilities[place],
      reference: typeof reference === "string" ? reference : "given",
      names: card.features.map(({ name }) => name),
      weights: network.weights,
      pairs,
    });
  }

  return { card, version, predict, explain };
}

// What gives the page a turn now and then, and ends what nobody waits for any more.
function pauses(signal) {
  let turn = performance.now();
  return async () => {
    signal?.throwIfAborted();
    if (performance.now() - turn < TURN) return;
    await new Promise((resolve) => setTimeout(resolve));
    signal?.throwIfAborted();
    turn = performance.now();
  };
}

// What an answer says of its set.
function setOf(card, members) {
  if (!members) return {};
  const set = card.classes.filter((_, index) => members[index]);
  return { set, certain: set.length === 1 };
}

// The place of the class that a row is taken for: the most probable one or, of two, the one that is looked for from the
// threshold on.
function decision({ classes, positive, threshold }) {
  if (positive == null || threshold == null) return (shares) => shares.indexOf(Math.max(...shares));
  const place = classes.indexOf(positive), at = Math.fround(threshold);
  return (shares) => (shares[place] >= at ? place : 1 - place);
}

// The fewest digits that read back as the same 32-bit float.
function shortest(float) {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(float.toPrecision(digits));
    if (Math.fround(short) === float) return short;
  }
  return Number(float.toPrecision(9));
}

function sliced(tensors, start, end) {
  return Object.fromEntries(Object.entries(tensors).map(([name, { type, dims, data }]) => {
    return [name, { type, dims: [end - start, dims[1]], data: data.slice(start * dims[1], end * dims[1]) }];
  }));
}

function referencesOf(card, reference) {
  if (typeof reference === "object") return [reference];
  const rows = { typical: card.typical ? [card.typical] : [], background: card.background ?? [] }[reference];
  if (!rows?.length) {
    throw new Refusal(ABSENT[reference] ?? `there is no reference '${reference}'`, [], 422);
  }
  return rows;
}

// A row and a row of the reference: the places of the features in which they differ, and the rows of coalitions.
function pairOf(reader, row, other) {
  const differing = Object.keys(row).flatMap((name) => reader.places[name].flatMap((place, column) => {
    const [mine, its] = [row[name].data[column], other[name].data[column]];
    return mine === its || (Number.isNaN(mine) && Number.isNaN(its)) ? [] : [{ name, column, place, mine }];
  }));
  function mixed(coalitions) {
    const tensors = Object.fromEntries(Object.entries(other).map(([name, one]) => [name, repeated(one, coalitions.length)]));
    differing.forEach(({ name, column, mine }, player) => {
      const { data, dims } = tensors[name];
      coalitions.forEach((members, index) => {
        if (members[player]) data[index * dims[1] + column] = mine;
      });
    });
    return tensors;
  }
  return { players: differing.map(({ place }) => place), mixed };
}

function repeated({ type, dims, data }, times) {
  const many = type === STRING ? [] : new data.constructor(times * data.length);
  for (let start = 0; start < times * data.length; start += data.length) {
    for (let column = 0; column < data.length; column++) many[start + column] = data[column];
  }
  return { type, dims: [times, dims[1]], data: many };
}

function checkSignature(network, reader) {
  const wanted = { numeric: [FLOAT, reader.numeric.length], categorical: [STRING, reader.texts.length] };
  const features = Object.entries(wanted).filter(([, [, width]]) => width > 0);
  const given = new Map(network.inputs.map(({ name, type, width }) => [name, `${type} ${width}`]));
  if (given.size !== features.length || features.some(([name, [type, width]]) => given.get(name) !== `${type} ${width}`)) {
    throw new RefusedModel("the inputs of the model are not the features of its card");
  }
}

function checkGoldenRows({ golden, classes }, answer) {
  if (!golden?.length) throw new RefusedModel("the card holds no golden row to check the model with");
  for (const { instance, probabilities } of golden) {
    const found = answer(instance);
    const difference = Math.max(...classes.map((_, index) => Math.abs(found[index] - probabilities[index])));
    if (!(difference <= TOLERANCE)) {
      throw new RefusedModel(`a golden row comes out ${difference.toPrecision(2)} away from what was published`);
    }
  }
}
