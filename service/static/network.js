// A model.onnx, run in the browser: the graph is planned once, then each of its operators turns tensors into tensors.

import { OPERATORS } from "./operators.js";
import { RefusedModel, readModel } from "./protobuf.js";
import { constantOf } from "./tensors.js";

// What an attribute holds, by ONNX's number of its kind.
const HELD = { 1: "float", 2: "int", 3: "string", 6: "floats", 7: "ints", 8: "strings" };
const OPSETS = { "": [13, 17], "ai.onnx": [13, 17], "ai.onnx.ml": [2, 3] };

export class Network {
  // `bytes` (Uint8Array) are those of a model.onnx; of its outputs only those that are `wanted` are ever computed.
  // Whatever cannot be run raises RefusedModel, an operator that is not known by its name.
  constructor(bytes, wanted) {
    const { graph, opsets } = readModel(bytes);
    for (const { domain = "", version } of opsets) {
      const [first, last] = OPSETS[domain] ?? [1, 0];
      if (!(first <= version && version <= last)) {
        throw new RefusedModel(`the model is of opset ${domain || "ai.onnx"} ${version}, which is not known here`);
      }
    }
    const constants = new Map(graph.constants.map((constant) => [constant.name, constantOf(constant)]));
    this.inputs = graph.inputs.filter(({ name }) => !constants.has(name)).map(inputOf);
    this.wanted = wanted;
    this.constants = constants;
    // How many numbers a row is multiplied by, about.
    this.weights = [...constants.values()].reduce((sum, { dims, data }) => sum + (dims.length === 2 ? data.length : 0), 0);
    this.steps = [];
    const varying = new Set(this.inputs.map(({ name }) => name));
    for (const node of inOrder(graph.nodes, wanted, new Set([...varying, ...constants.keys()]))) {
      const step = stepOf(node);
      if (node.inputs.some((name) => varying.has(name))) {
        varying.add(step.output);
        this.steps.push(step);
      } else {
        constants.set(step.output, run(step, constants));
      }
    }
    letGo(this.steps, wanted);
  }

  // Tensors by the names of the outputs that are wanted, of tensors by the names of the inputs.
  run(inputs) {
    const values = new Map(this.constants);
    for (const { name } of this.inputs) {
      if (!inputs[name]) throw new RefusedModel(`the model needs the input '${name}'`);
      values.set(name, inputs[name]);
    }
    for (const step of this.steps) {
      values.set(step.output, run(step, values));
      for (const name of step.last) values.delete(name);
    }
    return Object.fromEntries(this.wanted.map((name) => [name, values.get(name)]));
  }
}

function inputOf({ name, type }) {
  const { element, shape } = type?.tensor ?? {};
  return { name, type: element, width: shape?.dims.at(-1)?.value };
}

function run({ compute, inputs, output }, values) {
  try {
    return compute(...inputs.map((name) => (name === "" ? undefined : values.get(name))));
  } catch (error) {
    if (error instanceof RefusedModel) throw error;
    throw new RefusedModel(`the model cannot be run at '${output}': ${error.message}`);
  }
}

function stepOf({ domain = "", operator, inputs, outputs, attributes }) {
  const name = domain === "" || domain === "ai.onnx" ? operator : `${domain}.${operator}`;
  if (!Object.hasOwn(OPERATORS, name)) {
    throw new RefusedModel(`the model holds the operator ${name}, which is not known here`);
  }
  const known = OPERATORS[name];
  const bound = { ...known.attributes };
  for (const { name: attribute, type, ...values } of attributes) {
    if (!Object.hasOwn(bound, attribute) || !HELD[type]) {
      throw new RefusedModel(`the model has ${name} with the attribute ${attribute}, which is not known here`);
    }
    // A number of zero and an empty text need not be written.
    bound[attribute] = values[HELD[type]] ?? { int: 0, float: 0, string: "" }[HELD[type]];
  }
  return { compute: known.bind(bound), inputs, output: outputs[0], last: [] };
}

// The nodes that the wanted values need, each behind those whose outputs it takes.
function inOrder(nodes, wanted, given) {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node])));
  const ordered = [], state = new Map(), open = [...wanted].reverse();
  while (open.length) {
    const name = open.at(-1);
    const node = makers.get(name);
    if (name === "" || given.has(name) || state.get(node) === "done") {
      open.pop();
    } else if (node === undefined) {
      throw new RefusedModel(`the model needs '${name}', which nothing in it makes`);
    } else if (state.get(node) === "open") {
      if (node.inputs.some((input) => !given.has(input) && input !== "" && state.get(makers.get(input)) !== "done")) {
        throw new RefusedModel(`the model needs '${name}' to make '${name}'`);
      }
      state.set(node, "done");
      ordered.push(node);
      open.pop();
    } else {
      state.set(node, "open");
      open.push(...[...node.inputs].reverse());
    }
  }
  return ordered;
}

// Each step is told which values nobody needs behind it, so that a run does not hold all of them.
function letGo(steps, wanted) {
  const seen = new Set(wanted);
  for (const step of [...steps].reverse()) {
    step.last = [...new Set([step.output, ...step.inputs])].filter((name) => !seen.has(name));
    for (const name of step.inputs) seen.add(name);
    seen.add(step.output);
  }
}
