// The operators that a model may be made of, those of models/operators.py, as ONNX defines them for opset 17.
//
// Each has its attributes with their defaults, and a function that gets them and returns what turns inputs into the
// output.

import {
  add, arcTangent, atMost, cosine, elu, equal, hyperbolicTangent, larger, leakyRelu, multiply, onEach, onMany, onPairs, pairwise,
  relu, selu, sigmoid, sine, smaller, subtract,
} from "./elementwise.js";
import { RefusedModel } from "./protobuf.js";
import { cumSum, reduceMin, topK } from "./ranking.js";
import { BOOL, DOUBLE, FLOAT, INT64, STRING, around, axisOf, broadcast, sizeOf, take, tensorOf, walk } from "./tensors.js";

function mean(sum, count) {
  for (let index = 0; index < sum.data.length; index++) sum.data[index] /= count;
  return sum;
}

function isNaNOf(x) {
  const out = tensorOf(BOOL, x.dims);
  for (let index = 0; index < x.data.length; index++) out.data[index] = Number.isNaN(x.data[index]) ? 1 : 0;
  return out;
}

function where(condition, x, y) {
  const operands = [condition, x, y];
  const out = tensorOf(x.type, broadcast(operands));
  const choose = condition.data;
  walk(out.dims, operands, (at, length, [c, i, j], [dc, di, dj]) => {
    for (let k = 0; k < length; k++) out.data[at + k] = choose[c + k * dc] ? x.data[i + k * di] : y.data[j + k * dj];
  });
  return out;
}

function cast(x, to) {
  if (x.type === STRING || to === STRING) throw new RefusedModel("the model casts texts, which is not known here");
  const out = tensorOf(to, x.dims);
  const whole = to === INT64 && (x.type === FLOAT || x.type === DOUBLE);
  for (let index = 0; index < x.data.length; index++) {
    const value = x.data[index];
    out.data[index] = whole ? Math.trunc(value) : to === BOOL ? value !== 0 : value;
  }
  return out;
}

function concatenate(tensors, wanted) {
  const axis = axisOf(wanted, tensors[0].dims.length);
  const dims = tensors[0].dims.slice();
  dims[axis] = tensors.reduce((sum, one) => sum + one.dims[axis], 0);
  const out = tensorOf(tensors[0].type, dims);
  const { outer, length, inner } = around(dims, axis);
  let start = 0;
  for (const { data, dims: own } of tensors) {
    const run = own[axis] * inner;
    if (run * outer !== data.length) throw new RefusedModel("the model joins tensors of shapes that do not fit");
    for (let block = 0; block < outer; block++) {
      const at = block * length * inner + start;
      for (let rest = 0; rest < run; rest++) out.data[at + rest] = data[block * run + rest];
    }
    start += run;
  }
  return out;
}

function gather(x, indices, wanted) {
  const axis = axisOf(wanted, x.dims.length);
  const { data, type } = take(x, axis, indices.data);
  return tensorOf(type, [...x.dims.slice(0, axis), ...indices.dims, ...x.dims.slice(axis + 1)], data);
}

function slice(x, starts, ends, axes, steps) {
  return Array.from(starts.data).reduce((rest, start, index) => {
    const axis = axisOf(axes ? axes.data[index] : index, rest.dims.length);
    return take(rest, axis, places(start, ends.data[index], steps ? steps.data[index] : 1, rest.dims[axis]));
  }, x);
}

function places(start, end, step, length) {
  const bounded = (place, low, high) => Math.min(Math.max(place < 0 ? place + length : place, low), high);
  const found = [];
  if (step > 0) for (let at = bounded(start, 0, length); at < bounded(end, 0, length); at += step) found.push(at);
  if (step < 0) for (let at = bounded(start, 0, length - 1); at > bounded(end, -1, length - 1); at += step) found.push(at);
  return found;
}

function flatten(x, axis) {
  const at = axis < 0 ? axis + x.dims.length : axis;
  return tensorOf(x.type, [sizeOf(x.dims.slice(0, at)), sizeOf(x.dims.slice(at))], x.data);
}

function unsqueeze(x, axes) {
  const rank = x.dims.length + axes.data.length;
  const added = new Set(Array.from(axes.data, (axis) => axisOf(axis, rank)));
  const rest = x.dims.slice();
  return tensorOf(x.type, Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : rest.shift())), x.data);
}

function reduceSum(x, axes, { keepdims, noop_with_empty_axes: idle }) {
  const all = axes && axes.data.length ? Array.from(axes.data) : idle ? [] : x.dims.map((_, axis) => axis);
  const places = new Set(all.map((axis) => axisOf(axis, x.dims.length)));
  let out = x;
  for (const axis of places) out = sumAlong(out, axis);
  return tensorOf(x.type, keepdims ? out.dims : out.dims.filter((_, axis) => !places.has(axis)), out.data);
}

function sumAlong(x, axis) {
  const { outer, length, inner } = around(x.dims, axis);
  const out = tensorOf(x.type, x.dims.map((one, place) => (place === axis ? 1 : one)));
  for (let block = 0; block < outer; block++) {
    for (let rest = 0; rest < inner; rest++) {
      let sum = 0;
      for (let place = 0; place < length; place++) sum += x.data[(block * length + place) * inner + rest];
      out.data[block * inner + rest] = sum;
    }
  }
  return out;
}

function argMax(x, { axis: wanted, keepdims, select_last_index: last }) {
  const axis = axisOf(wanted, x.dims.length);
  const { outer, length, inner } = around(x.dims, axis);
  const dims = keepdims ? x.dims.map((one, at) => (at === axis ? 1 : one)) : x.dims.filter((_, at) => at !== axis);
  const out = tensorOf(INT64, dims);
  for (let index = 0; index < outer * inner; index++) {
    const start = Math.floor(index / inner) * length * inner + (index % inner);
    let best = 0;
    for (let place = 1; place < length; place++) {
      const value = x.data[start + place * inner], most = x.data[start + best * inner];
      if (value > most || (last && value === most)) best = place;
    }
    out.data[index] = best;
  }
  return out;
}

function softmax(x, wanted) {
  const { outer, length, inner } = around(x.dims, axisOf(wanted, x.dims.length));
  const out = tensorOf(x.type, x.dims);
  const powers = new Float64Array(length);
  for (let index = 0; index < outer * inner; index++) {
    const start = Math.floor(index / inner) * length * inner + (index % inner);
    let most = -Infinity, sum = 0;
    for (let place = 0; place < length; place++) most = Math.max(most, x.data[start + place * inner]);
    for (let place = 0; place < length; place++) {
      sum += powers[place] = Math.exp(x.data[start + place * inner] - most);
    }
    for (let place = 0; place < length; place++) out.data[start + place * inner] = powers[place] / sum;
  }
  return out;
}

// (n, k) by (k, m). What is multiplied by zero is left out: of one-hot inputs and rectified units that is most of it.
function product(x, y) {
  const [n, k] = x.dims, m = y.dims[1];
  if (x.dims.length !== 2 || y.dims.length !== 2 || y.dims[0] !== k) {
    throw new RefusedModel(`the model multiplies matrices of shapes that do not fit: [${x.dims}], [${y.dims}]`);
  }
  const out = tensorOf(x.type, [n, m]);
  const sums = new Float64Array(m), used = new Int32Array(k + 3);
  const a = x.data, b = y.data;
  for (let row = 0; row < n; row++) {
    let count = 0;
    for (let index = 0; index < k; index++) if (a[row * k + index] !== 0) used[count++] = index;
    sums.fill(0);
    let next = 0;
    for (; next + 4 <= count; next += 4) {
      const p = used[next], q = used[next + 1], r = used[next + 2], s = used[next + 3];
      const ap = a[row * k + p], aq = a[row * k + q], ar = a[row * k + r], as = a[row * k + s];
      const bp = p * m, bq = q * m, br = r * m, bs = s * m;
      for (let j = 0; j < m; j++) sums[j] += ap * b[bp + j] + aq * b[bq + j] + ar * b[br + j] + as * b[bs + j];
    }
    for (; next < count; next++) {
      const ap = a[row * k + used[next]], bp = used[next] * m;
      for (let j = 0; j < m; j++) sums[j] += ap * b[bp + j];
    }
    out.data.set(sums, row * m);
  }
  return out;
}

function transposed(x) {
  const [n, m] = x.dims;
  const out = tensorOf(x.type, [m, n]);
  for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) out.data[j * n + i] = x.data[i * m + j];
  return out;
}

function gemm(x, y, bias, { alpha, beta, transA, transB }) {
  const out = product(transA ? transposed(x) : x, transB ? transposed(y) : y);
  if (alpha !== 1) for (let index = 0; index < out.data.length; index++) out.data[index] *= alpha;
  if (!bias) return out;
  return pairwise(add, out, beta === 1 ? bias : pairwise(multiply, bias, tensorOf(bias.type, [], [beta])));
}

function normalise(x, gamma, beta, means, variances, epsilon) {
  const { outer, length, inner } = around(x.dims, 1);
  const out = tensorOf(x.type, x.dims);
  const scales = new Float64Array(length);
  for (let unit = 0; unit < length; unit++) scales[unit] = gamma.data[unit] / Math.sqrt(variances.data[unit] + epsilon);
  for (let block = 0, at = 0; block < outer; block++) {
    for (let unit = 0; unit < length; unit++) {
      const middle = means.data[unit], scale = scales[unit], shift = beta.data[unit];
      for (const end = at + inner; at < end; at++) out.data[at] = (x.data[at] - middle) * scale + shift;
    }
  }
  return out;
}

// A text that is no key gets the default, and so on for numbers.
function encodeLabels(attributes) {
  const list = (kind) => [["strings", STRING], ["int64s", INT64], ["floats", FLOAT]].find(([one]) => attributes[`${kind}_${one}`]);
  const keys = list("keys"), values = list("values");
  if (!keys || !values) throw new RefusedModel("the model has a LabelEncoder without keys or values");
  const [from] = keys, [to, type] = values;
  const known = new Map(attributes[`keys_${from}`].map((key, index) => [key, attributes[`values_${to}`][index]]));
  const other = attributes[`default_${{ strings: "string", int64s: "int64", floats: "float" }[to]}`];
  return (x) => {
    const out = tensorOf(type, x.dims);
    for (let index = 0; index < x.data.length; index++) {
      const value = known.get(x.data[index]);
      out.data[index] = value === undefined ? other : value;
    }
    return out;
  };
}

const plain = (run) => ({ attributes: {}, bind: () => run });
const LABELS = { keys_strings: null, keys_int64s: null, keys_floats: null };
const VALUES = { values_strings: null, values_int64s: null, values_floats: null };
const DEFAULTS = { default_string: "_Unused", default_int64: -1, default_float: -0 };
const NORM = { epsilon: 1e-5, momentum: 0.9, training_mode: 0 };

export const OPERATORS = {
  Add: onPairs(add),
  ArgMax: { attributes: { axis: 0, keepdims: 1, select_last_index: 0 }, bind: (bound) => (x) => argMax(x, bound) },
  Atan: onEach(arcTangent),
  BatchNormalization: {
    attributes: NORM,
    bind: ({ epsilon, training_mode: training }) => {
      if (training) throw new RefusedModel("the model has a BatchNormalization that is still training");
      return (x, gamma, beta, means, variances) => normalise(x, gamma, beta, means, variances, epsilon);
    },
  },
  Cast: { attributes: { to: FLOAT }, bind: ({ to }) => (x) => cast(x, to) },
  Concat: { attributes: { axis: 0 }, bind: ({ axis }) => (...tensors) => concatenate(tensors, axis) },
  Cos: onEach(cosine),
  CumSum: { attributes: { exclusive: 0, reverse: 0 }, bind: (bound) => (x, axis) => cumSum(x, axis, bound) },
  Elu: onEach(elu, { alpha: 1 }),
  Equal: onPairs(equal, BOOL),
  Flatten: { attributes: { axis: 1 }, bind: ({ axis }) => (x) => flatten(x, axis) },
  Gather: { attributes: { axis: 0 }, bind: ({ axis }) => (x, indices) => gather(x, indices, axis) },
  Gemm: {
    attributes: { alpha: 1, beta: 1, transA: 0, transB: 0 },
    bind: (bound) => (x, y, bias) => gemm(x, y, bias, bound),
  },
  IsNaN: plain(isNaNOf),
  LeakyRelu: onEach(leakyRelu, { alpha: Math.fround(0.01) }),
  LessOrEqual: onPairs(atMost, BOOL),
  MatMul: plain(product),
  Max: onMany(larger),
  Mean: onMany(add, mean),
  Min: onMany(smaller),
  Mul: onPairs(multiply),
  ReduceMin: { attributes: { axes: null, keepdims: 1 }, bind: (bound) => (x) => reduceMin(x, bound) },
  ReduceSum: {
    attributes: { keepdims: 1, noop_with_empty_axes: 0 },
    bind: (bound) => (x, axes) => reduceSum(x, axes, bound),
  },
  Relu: onEach(relu),
  Selu: onEach(selu, { alpha: Math.fround(1.6732632423543772), gamma: Math.fround(1.0507009873554805) }),
  Sigmoid: onEach(sigmoid),
  Sin: onEach(sine),
  Slice: plain(slice),
  Softmax: { attributes: { axis: -1 }, bind: ({ axis }) => (x) => softmax(x, axis) },
  Sub: onPairs(subtract),
  Tanh: onEach(hyperbolicTangent),
  TopK: { attributes: { axis: -1, largest: 1, sorted: 1 }, bind: (bound) => (x, k) => topK(x, k, bound) },
  Unsqueeze: plain(unsqueeze),
  Where: plain(where),
  "ai.onnx.ml.LabelEncoder": { attributes: { ...LABELS, ...VALUES, ...DEFAULTS }, bind: encodeLabels },
};
