// A source of answers that needs no service: the model itself, from its own bytes.

import { shortest } from "./cells.js";
import { Network } from "./network.js";
import { RefusedModel } from "./protobuf.js";
import { RecordReader } from "./rows.js";
import { FLOAT, STRING } from "./tensors.js";

const TOLERANCE = 1e-5;
// So many rows go through the network at once, and after so many milliseconds the page gets a turn.
const SLICE = 128, TURN = 25;

// The source { card, version, predict, answers } of a model's bytes (Uint8Array) and its card. It has repeated the golden
// rows of the card; RefusedModel where one comes out differently, or where the model is not the card's.
export function offlineSource(card, version, bytes) {
  const network = new Network(bytes, ["probabilities"]);
  const reader = new RecordReader(card.features);
  const classes = card.classes;
  checkSignature(network, reader);

  function answer(records) {
    const { tensors, warnings } = reader.read(records);
    const { dims, data } = network.run(tensors).probabilities;
    if (dims.length !== 2 || dims[0] !== records.length || dims[1] !== classes.length) {
      throw new RefusedModel("the model answers with another number of rows or classes than it was asked for");
    }
    if (!data.every(Number.isFinite)) throw new RefusedModel("the model answers with a probability that is no number");
    return { data, warnings };
  }

  checkGoldenRows(card, (record) => answer([record]).data);
  const label = decision(card);

  // Probabilities (rows × classes) of many records, in the order of the card's classes, without a word about them.
  async function answers(records, { signal } = {}) {
    const { tensors } = reader.read(records);
    const found = new Float32Array(records.length * classes.length);
    let turn = performance.now();
    for (let start = 0; start < records.length; start += SLICE) {
      signal?.throwIfAborted();
      if (performance.now() - turn > TURN) {
        await new Promise((resolve) => setTimeout(resolve));
        turn = performance.now();
      }
      const some = sliced(tensors, start, start + SLICE);
      found.set(network.run(some).probabilities.data, start * classes.length);
    }
    signal?.throwIfAborted();
    return found;
  }

  async function predict(records, { signal } = {}) {
    if (!records.length) return [];
    const data = await answers(records, { signal });
    const { warnings } = reader.read(records);
    return records.map((_, row) => {
      const shares = data.subarray(row * classes.length, (row + 1) * classes.length);
      const best = label(shares);
      const probabilities = Object.fromEntries(classes.map((name, index) => [name, shortest(shares[index])]));
      return { label: classes[best], probability: shortest(shares[best]), probabilities, warnings: warnings.get(row) ?? [] };
    });
  }

  return { card, version, predict, answers };
}

// The place of the class that a row is taken for: the most probable one or, of two, the one that is looked for from the
// threshold on.
function decision({ classes, positive, threshold }) {
  if (positive == null || threshold == null) return (shares) => shares.indexOf(Math.max(...shares));
  const place = classes.indexOf(positive), at = Math.fround(threshold);
  return (shares) => (shares[place] >= at ? place : 1 - place);
}

function sliced(tensors, start, end) {
  return Object.fromEntries(Object.entries(tensors).map(([name, { type, dims, data }]) => {
    const part = data.slice(start * dims[1], end * dims[1]);
    return [name, { type, dims: [part.length / dims[1], dims[1]], data: part }];
  }));
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
