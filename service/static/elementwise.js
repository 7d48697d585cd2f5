// Operators that compute each number from those in the same place: arithmetic with broadcasting, and activations.
//
// Numbers are computed in 64 bits and rounded to the type of the result, so that sums, products and comparisons of 32-bit
// floats come out as they do there. The loops are written out: one loop that calls a function for each number takes five
// times as long.

import { broadcast, tensorOf, walk } from "./tensors.js";

export function onEach(loop, attributes = {}) {
  return {
    attributes,
    bind: (bound) => (x) => {
      const out = tensorOf(x.type, x.dims);
      loop(x.data, out.data, bound);
      return out;
    },
  };
}

export function onPairs(loop, type) {
  return { attributes: {}, bind: () => (x, y) => pairwise(loop, x, y, type) };
}

export function onMany(loop, finish = (out) => out) {
  return {
    attributes: {},
    bind: () => (first, ...others) => finish(others.reduce((x, y) => pairwise(loop, x, y), first), others.length + 1),
  };
}

export function pairwise(loop, x, y, type = x.type) {
  const dims = broadcast([x, y]);
  const out = tensorOf(type, dims);
  walk(dims, [x, y], (at, length, [i, j], [di, dj]) => loop(x.data, y.data, out.data, at, length, i, j, di, dj));
  return out;
}

export function add(x, y, out, at, length, i, j, di, dj) {
  for (const end = at + length; at < end; at++, i += di, j += dj) out[at] = x[i] + y[j];
}

export function subtract(x, y, out, at, length, i, j, di, dj) {
  for (const end = at + length; at < end; at++, i += di, j += dj) out[at] = x[i] - y[j];
}

export function multiply(x, y, out, at, length, i, j, di, dj) {
  for (const end = at + length; at < end; at++, i += di, j += dj) out[at] = x[i] * y[j];
}

export function larger(x, y, out, at, length, i, j, di, dj) {
  for (const end = at + length; at < end; at++, i += di, j += dj) out[at] = Math.max(x[i], y[j]);
}

export function smaller(x, y, out, at, length, i, j, di, dj) {
  for (const end = at + length; at < end; at++, i += di, j += dj) out[at] = Math.min(x[i], y[j]);
}

export function atMost(x, y, out, at, length, i, j, di, dj) {
  for (const end = at + length; at < end; at++, i += di, j += dj) out[at] = x[i] <= y[j] ? 1 : 0;
}

export function equal(x, y, out, at, length, i, j, di, dj) {
  for (const end = at + length; at < end; at++, i += di, j += dj) out[at] = x[i] === y[j] ? 1 : 0;
}

export function relu(x, out) {
  for (let index = 0; index < x.length; index++) out[index] = x[index] < 0 ? 0 : x[index];
}

export function leakyRelu(x, out, { alpha }) {
  for (let index = 0; index < x.length; index++) out[index] = x[index] < 0 ? alpha * x[index] : x[index];
}

export function elu(x, out, { alpha }) {
  for (let index = 0; index < x.length; index++) out[index] = x[index] < 0 ? alpha * Math.expm1(x[index]) : x[index];
}

export function selu(x, out, { alpha, gamma }) {
  for (let index = 0; index < x.length; index++) {
    out[index] = gamma * (x[index] > 0 ? x[index] : alpha * Math.expm1(x[index]));
  }
}

export function sigmoid(x, out) {
  for (let index = 0; index < x.length; index++) out[index] = 1 / (1 + Math.exp(-x[index]));
}

export function hyperbolicTangent(x, out) {
  for (let index = 0; index < x.length; index++) out[index] = Math.tanh(x[index]);
}

export function arcTangent(x, out) {
  for (let index = 0; index < x.length; index++) out[index] = Math.atan(x[index]);
}

export function sine(x, out) {
  for (let index = 0; index < x.length; index++) out[index] = Math.sin(x[index]);
}

export function cosine(x, out) {
  for (let index = 0; index < x.length; index++) out[index] = Math.cos(x[index]);
}
