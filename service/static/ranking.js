// Operators that rank numbers and sum them up along an axis: what prediction sets are made of.

import { RefusedModel } from "./protobuf.js";
import { around, axisOf, tensorOf } from "./tensors.js";

// Calls `turn(start, inner, length)` for each run of numbers along an axis: they stand at start, start + inner, and so on.
function along(dims, axis, turn) {
  const { outer, length, inner } = around(dims, axis);
  for (let block = 0; block < outer; block++) {
    for (let rest = 0; rest < inner; rest++) turn(block * length * inner + rest, inner, length, block * inner + rest);
  }
}

// The largest numbers along an axis, from the largest on; where they stood is not told.
export function topK(x, k, { axis: wanted, largest, sorted }) {
  const axis = axisOf(wanted, x.dims.length), count = k.data[0];
  if (!largest || !sorted || count > x.dims[axis]) throw new RefusedModel("the model ranks numbers in a way that is not known here");
  const out = tensorOf(x.type, x.dims.map((length, place) => (place === axis ? count : length)));
  along(x.dims, axis, (start, inner, length, run) => {
    const ranked = Float64Array.from({ length }, (_, place) => x.data[start + place * inner]).sort();
    const first = Math.floor(run / inner) * count * inner + (run % inner);
    for (let place = 0; place < count; place++) out.data[first + place * inner] = ranked[length - 1 - place];
  });
  return out;
}

export function cumSum(x, wanted, { exclusive, reverse }) {
  if (reverse) throw new RefusedModel("the model sums numbers up from the end, which is not known here");
  const out = tensorOf(x.type, x.dims);
  along(x.dims, axisOf(wanted.data[0], x.dims.length), (start, inner, length) => {
    let sum = 0;
    for (let place = 0, at = start; place < length; place++, at += inner) {
      out.data[at] = exclusive ? sum : sum + x.data[at];
      sum += x.data[at];
    }
  });
  return out;
}

export function reduceMin(x, { axes, keepdims }) {
  if (axes?.length !== 1) throw new RefusedModel("the model has a ReduceMin over another number of axes than one");
  const axis = axisOf(axes[0], x.dims.length);
  const out = tensorOf(x.type, x.dims.map((length, place) => (place === axis ? 1 : length)));
  along(x.dims, axis, (start, inner, length, run) => {
    let least = Infinity;
    for (let place = 0; place < length; place++) least = Math.min(least, x.data[start + place * inner]);
    out.data[run] = least;
  });
  return keepdims ? out : tensorOf(out.type, out.dims.filter((_, place) => place !== axis), out.data);
}
