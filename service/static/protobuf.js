// The bytes of a model.onnx as objects: the wire format of Protocol Buffers, and the part of ONNX's messages that a model
// may be made of. Field numbers are those of onnx.proto3; what is not listed is not read but refused, as the service does.

// The model is damaged, or is none that can be read here; the message is a sentence for a person.
export class RefusedModel extends Error {}

const VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5;
const FIXED_SIZES = { [FIXED64]: 8, [FIXED32]: 4 };

// By number: the name, what it is, and whether it may stand there repeatedly.
const text = (name) => ({ name, kind: BYTES, text: true });
const number = (name) => ({ name, kind: VARINT });
const many = (field) => ({ ...field, many: true });
const message = (name, kind) => ({ name, kind: BYTES, message: kind });

const DIMENSION = { 1: number("value"), 2: text("parameter"), 3: text("denotation") };
const SHAPE = { 1: many(message("dims", DIMENSION)) };
const TENSOR_TYPE = { 1: number("element"), 2: message("shape", SHAPE) };
const TYPE = { 1: message("tensor", TENSOR_TYPE), 6: text("denotation") };
const VALUE = { 1: text("name"), 2: message("type", TYPE), 3: text("doc") };
const TENSOR = {
  1: many(number("dims")),
  2: number("type"),
  4: many({ name: "floats", kind: FIXED32 }),
  5: many(number("int32s")),
  6: many(text("strings")),
  7: many(number("int64s")),
  8: text("name"),
  9: { name: "raw", kind: BYTES },
  10: many({ name: "doubles", kind: FIXED64 }),
  12: text("doc"),
};
const ATTRIBUTE = {
  1: text("name"),
  2: { name: "float", kind: FIXED32 },
  3: number("int"),
  4: text("string"),
  7: many({ name: "floats", kind: FIXED32 }),
  8: many(number("ints")),
  9: many(text("strings")),
  13: text("doc"),
  20: number("type"),
};
const NODE = {
  1: many(text("inputs")),
  2: many(text("outputs")),
  3: text("name"),
  4: text("operator"),
  5: many(message("attributes", ATTRIBUTE)),
  6: text("doc"),
  7: text("domain"),
};
const GRAPH = {
  1: many(message("nodes", NODE)),
  2: text("name"),
  5: many(message("constants", TENSOR)),
  10: text("doc"),
  11: many(message("inputs", VALUE)),
  12: many(message("outputs", VALUE)),
  13: many(message("values", VALUE)),
};
const OPSET = { 1: text("domain"), 2: number("version") };
const ENTRY = { 1: text("key"), 2: text("value") };
const MODEL = {
  1: number("ir_version"),
  2: text("producer"),
  3: text("producer_version"),
  4: text("domain"),
  5: number("version"),
  6: text("doc"),
  7: message("graph", GRAPH),
  8: many(message("opsets", OPSET)),
  14: many(message("metadata", ENTRY)),
};

// A byte-order mark is a character like any other.
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// The model that `bytes` (Uint8Array) spell; texts are strings, integers numbers, bulk numbers and `raw` bytes.
export function readModel(bytes) {
  const model = readMessage(MODEL, bytes);
  if (!model.graph) throw new RefusedModel("the model holds no graph");
  return model;
}

function readMessage(schema, bytes) {
  const found = {};
  for (const field of Object.values(schema)) if (field.many) found[field.name] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = readVarint(bytes, at);
    const field = schema[Math.floor(tag.value / 8)];
    const wire = tag.value % 8;
    if (field === undefined) throw new RefusedModel("the model holds a field that no model here may have");
    const packed = field.many && wire === BYTES && field.kind !== BYTES;
    if (wire !== field.kind && !packed) throw new RefusedModel(`the model has '${field.name}' in a wrong format`);
    let value;
    if (wire === VARINT) {
      ({ value, end: at } = readVarint(bytes, tag.end));
    } else {
      const length = wire === BYTES ? readVarint(bytes, tag.end) : { value: FIXED_SIZES[wire], end: tag.end };
      at = length.end + length.value;
      if (!(length.value >= 0 && at <= bytes.length)) throw new RefusedModel("the model ends too early");
      value = readBytes(field, bytes.subarray(length.end, at), packed);
    }
    if (packed) for (const one of value) found[field.name].push(one);
    else if (field.many) found[field.name].push(value);
    else found[field.name] = value;
  }
  return found;
}

function readBytes(field, bytes, packed) {
  if (field.message) return readMessage(field.message, bytes);
  if (field.text) return readText(bytes);
  if (field.kind === BYTES) return bytes;
  if (!packed) return readFixed(field.kind, bytes)[0];
  return field.kind === VARINT ? readVarints(bytes) : readFixed(field.kind, bytes);
}

function readText(bytes) {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new RefusedModel("the model holds a text that is not UTF-8");
  }
}

// Numbers of the type that `size` bytes each have; a copy, because a typed array begins at a multiple of its size.
function readFixed(kind, bytes) {
  if (bytes.length % FIXED_SIZES[kind]) throw new RefusedModel("the model ends too early");
  const buffer = bytes.slice().buffer;
  return kind === FIXED32 ? new Float32Array(buffer) : new Float64Array(buffer);
}

function readVarints(bytes) {
  const values = [];
  for (let at = 0; at < bytes.length; ) {
    const { value, end } = readVarint(bytes, at);
    values.push(value);
    at = end;
  }
  return values;
}

// A signed integer of 64 bits, seven a byte; above 2⁵³ the nearest number that there is.
function readVarint(bytes, start) {
  let value = 0, scale = 1;
  for (let at = start; at < Math.min(start + 10, bytes.length); at++, scale *= 128) {
    value += (bytes[at] & 127) * scale;
    if (bytes[at] < 128) return { value: at < start + 9 ? value : signed(bytes, start), end: at + 1 };
  }
  throw new RefusedModel("a number in the model does not end");
}

function signed(bytes, start) {
  let value = 0n;
  for (let index = 0; index < 10; index++) value |= BigInt(bytes[start + index] & 127) << BigInt(7 * index);
  return Number(BigInt.asIntN(64, value));
}
