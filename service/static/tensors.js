// Tensors, and what many operators share: shapes, broadcasting, picking along an axis.
//
// A tensor is { type, dims, data }, in row-major order. Integers are exact up to 2⁵³, which no index and no day exceeds.

import { RefusedModel } from "./protobuf.js";

// By ONNX's number of the type.
export const FLOAT = 1;
const INT32 = 6;
export const INT64 = 7;
export const STRING = 8;
export const BOOL = 9;
export const DOUBLE = 11;
const STORAGES = {
  [FLOAT]: Float32Array, [INT32]: Int32Array, [INT64]: Float64Array,
  [STRING]: Array, [BOOL]: Uint8Array, [DOUBLE]: Float64Array,
};

function storageOf(type, length) {
  const Storage = STORAGES[type];
  if (Storage === undefined) throw new RefusedModel(`the model holds numbers of type ${type}, which are not known here`);
  return new Storage(length);
}

export const sizeOf = (dims) => dims.reduce((product, length) => product * length, 1);

export function tensorOf(type, dims, data = storageOf(type, sizeOf(dims))) {
  return { type, dims, data };
}

// A constant of a model as a tensor.
export function constantOf({ name, type, dims, raw, strings, floats, doubles, int32s, int64s }) {
  const size = sizeOf(dims);
  const held = raw ? rawNumbers(type, raw) : [strings, floats, doubles, int32s, int64s].find((values) => values.length);
  const values = held ?? [];
  if (!dims.every((length) => length >= 0) || values.length !== size) {
    throw new RefusedModel(`the model has a tensor '${name}' whose data do not fill its shape`);
  }
  const data = storageOf(type, size);
  for (let index = 0; index < size; index++) data[index] = values[index];
  return tensorOf(type, dims, data);
}

function rawNumbers(type, raw) {
  const Raw = type === INT64 ? BigInt64Array : STORAGES[type];
  if (type === STRING || Raw === undefined || raw.length % Raw.BYTES_PER_ELEMENT) return [];
  const numbers = new Raw(raw.slice().buffer);
  return type === INT64 ? Array.from(numbers, Number) : numbers;
}

// The place of an axis, counted from the end where it is negative.
export function axisOf(axis, rank) {
  const place = axis < 0 ? axis + rank : axis;
  if (!(place >= 0 && place < rank)) throw new RefusedModel(`an operator asks for axis ${axis} of ${rank}`);
  return place;
}

// How many numbers stand before an axis, along it and after it: index = (outer * length + place) * inner + rest.
export function around(dims, axis) {
  return { outer: sizeOf(dims.slice(0, axis)), length: dims[axis], inner: sizeOf(dims.slice(axis + 1)) };
}

// What stands at some places along an axis, in their order; negative places count from the end.
export function take(x, axis, places) {
  const { outer, length, inner } = around(x.dims, axis);
  const out = tensorOf(x.type, [...x.dims.slice(0, axis), places.length, ...x.dims.slice(axis + 1)]);
  let at = 0;
  for (let block = 0; block < outer; block++) {
    for (let index = 0; index < places.length; index++) {
      const place = places[index] < 0 ? places[index] + length : places[index];
      if (!(place >= 0 && place < length)) throw new RefusedModel(`an operator asks for place ${places[index]} of ${length}`);
      const start = (block * length + place) * inner;
      for (let rest = 0; rest < inner; rest++) out.data[at++] = x.data[start + rest];
    }
  }
  return out;
}

// The shape of several tensors under numpy's rules of broadcasting.
export function broadcast(tensors) {
  const rank = Math.max(...tensors.map((one) => one.dims.length));
  const dims = new Array(rank).fill(1);
  for (const one of tensors) {
    const shift = rank - one.dims.length;
    one.dims.forEach((length, index) => {
      if (length === 1) return;
      if (dims[shift + index] !== 1 && dims[shift + index] !== length) {
        throw new RefusedModel(`an operator joins shapes that do not fit: ${tensors.map((each) => `[${each.dims}]`).join(", ")}`);
      }
      dims[shift + index] = length;
    });
  }
  return dims;
}

// Call `line(at, length, starts, steps)` for each run of the result along which every operand advances evenly: for equal
// shapes that is one run, for a matrix and a vector one a row.
export function walk(dims, tensors, line) {
  const { lengths, strides } = merged(dims, tensors);
  const total = sizeOf(dims);
  if (total === 0) return;
  const length = lengths.pop();
  const steps = strides.map((one) => one.pop());
  const starts = tensors.map(() => 0);
  const places = lengths.map(() => 0);
  for (let at = 0; at < total; at += length) {
    line(at, length, starts, steps);
    for (let axis = lengths.length - 1; axis >= 0; axis--) {
      const wraps = ++places[axis] === lengths[axis];
      strides.forEach((one, operand) => {
        starts[operand] += wraps ? one[axis] * (1 - lengths[axis]) : one[axis];
      });
      if (!wraps) break;
      places[axis] = 0;
    }
  }
}

// The axes of the result and each operand's strides over them, neighbours made one where every operand lets them.
function merged(dims, tensors) {
  const all = tensors.map((one) => stridesOf(one.dims, dims));
  const lengths = [], strides = tensors.map(() => []);
  dims.forEach((length, axis) => {
    if (length === 1) return;
    const last = lengths.length - 1;
    if (last >= 0 && all.every((one, operand) => strides[operand][last] === one[axis] * length)) {
      lengths[last] *= length;
      all.forEach((one, operand) => (strides[operand][last] = one[axis]));
    } else {
      lengths.push(length);
      all.forEach((one, operand) => strides[operand].push(one[axis]));
    }
  });
  if (!lengths.length) {
    lengths.push(1);
    strides.forEach((one) => one.push(0));
  }
  return { lengths, strides };
}

// How far apart neighbours along each axis of `wide` lie in a tensor; 0 along those that it does not have.
function stridesOf(dims, wide) {
  const strides = new Array(wide.length).fill(0);
  let stride = 1;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    if (dims[axis] !== 1) strides[axis + wide.length - dims.length] = stride;
    stride *= dims[axis];
  }
  return strides;
}
